package pki

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// systemRoots are the places of the system's root certificates, as crypto/x509
// knows them.
var systemRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// Bundle writes the authority's certificate and the system's roots into one
// file and returns its path: for variables such as REQUESTS_CA_BUNDLE, which
// replace a client's roots instead of adding to them. A system without roots
// makes a bundle of the authority alone.
func (a *Authority) Bundle() (string, error) {
	content := a.PEM()
	for _, path := range a.roots {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("reading the system's roots: %w", err)
		}
		content = append(content, certificates(text)...)
		break
	}
	path := filepath.Join(a.dir, BundleFile)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return path, nil
	}
	if err := replaceFile(path, content, 0o644); err != nil {
		return "", fmt.Errorf("writing the bundle: %w", err)
	}
	return path, nil
}

// certificates keeps the certificates of a PEM text and nothing else.
func certificates(text []byte) []byte {
	var out []byte
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return out
		}
		if block.Type == "CERTIFICATE" {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
		text = rest
	}
}
