// Package python runs the unmodified Python SDK for secrets, as PyPI has it,
// against a running postern.
package python
