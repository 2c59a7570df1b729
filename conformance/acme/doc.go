// Package acme gets certificates from Pebble, Let's Encrypt's ACME server for
// tests: an unmodified program that checks every message and every proof. It
// rejects one nonce in twenty and reuses every second authorization, as it
// does by default.
package acme
