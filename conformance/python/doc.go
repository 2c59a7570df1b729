// Package python runs the unmodified Python SDK for secrets, keys and
// certificates, as PyPI has it, against a running postern.
package python
