// Package wycheproof runs the vectors of Project Wycheproof, known attacks
// and edge cases of cryptographic libraries, against the keys of a vault.
package wycheproof
