// Package openssl checks the keys of a vault against the openssl program:
// what one signs or encrypts, the other verifies or decrypts.
package openssl
