// Package azcli runs the unmodified az CLI, as PyPI has it, against a
// running postern: the commands of two guides to Key Vault networking, word
// for word, once through a registered cloud with private names (recipe A)
// and once through the CONNECT proxy with the public ones (recipe B).
package azcli
