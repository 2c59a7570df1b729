package pki

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"software.sslmate.com/src/go-pkcs12"
)

// TrustStoreFile is the trust store that Java reads: PKCS #12, with the
// certificates of the bundle. It holds no secrets; TrustStorePassword is
// there because Java wants one.
const (
	TrustStoreFile     = "truststore.p12"
	TrustStorePassword = "postern"
)

// TrustStore writes the trust store when it is older than the bundle, and
// returns its path.
func (a *Authority) TrustStore() (string, error) {
	bundle, err := a.Bundle()
	if err != nil {
		return "", err
	}
	path := filepath.Join(a.dir, TrustStoreFile)
	if current(path, bundle) {
		return path, nil
	}
	text, err := os.ReadFile(bundle)
	if err != nil {
		return "", fmt.Errorf("reading the bundle: %w", err)
	}
	var entries []pkcs12.TrustStoreEntry
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		// A root of the system that Go cannot read, Java would not either.
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			entries = append(entries, pkcs12.TrustStoreEntry{Cert: c, FriendlyName: fmt.Sprintf("%d %s", len(entries), c.Subject.CommonName)})
		}
	}
	store, err := pkcs12.Modern2023.WithRand(rand.Reader).EncodeTrustStoreEntries(entries, TrustStorePassword)
	if err != nil {
		return "", fmt.Errorf("making the trust store: %w", err)
	}
	if err := replaceFile(path, store, 0o644); err != nil {
		return "", fmt.Errorf("writing the trust store: %w", err)
	}
	return path, nil
}

// current reports whether a file is at least as new as the one it is made
// from.
func current(path, from string) bool {
	made, err := os.Stat(path)
	if err != nil {
		return false
	}
	source, err := os.Stat(from)
	return err == nil && !made.ModTime().Before(source.ModTime())
}
