// Package programs runs programs that others made and that keep keys or
// secrets in Key Vault, as `go install` has them: sops, cosign and vals.
// They take minutes to build, once; `make test-ecosystem` runs them.
package programs
