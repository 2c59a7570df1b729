// Package javascript runs the unmodified JavaScript SDK for secrets, as npm
// has it, against a running postern.
package javascript
