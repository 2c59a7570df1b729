// Package libraries runs programs on libraries that others made to keep keys
// in Key Vault, unmodified: those behind step-ca, behind the unsealing of
// Vault and OpenBao, and gocloud.dev.
package libraries
