// Package laws holds the rules of this repository that can be checked, as
// tests: what a package may import, how long a function may be, what the
// documentation must say. It has no code.
package laws
