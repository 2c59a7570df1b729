// Package javascript runs the unmodified JavaScript SDK for secrets, keys and
// certificates, as npm has it, against a running postern.
package javascript
