// Package pki is the certificate authority that vouches for the server's
// names, the leaf certificate made with it, and a second authority, the
// Platform, which vouches for clients. Neither can do the other's work.
//
// The authority is made on first start. Its key lies sealed in the data
// folder; its certificate, which clients are told to trust, lies beside it
// for everyone to read. Whoever trusts it trusts it for the served names and
// for nothing else: critical name constraints say so, and every TLS library
// in use honours them. The leaf is made in memory, and made again by itself
// when two thirds of its life are over, at the handshake that finds it so:
// there is no timer to stop.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/seal"
)

// The files in the data folder.
const (
	// CertificateFile is the authority's certificate, in PEM.
	CertificateFile = "ca.pem"
	// BundleFile is the certificate together with the system's roots.
	BundleFile = "ca-bundle.pem"
	sealedFile = "pki.sealed"
)

// The lives of certificates.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// authorityRest is how much of its life an authority must have left at
	// the start of the server; with less its certificate is made anew.
	authorityRest = 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour
	// backdated covers clients whose clock is behind.
	backdated = time.Hour
)

// Options are the authority's surroundings; the zero value is usable.
type Options struct {
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Roots are the files in which the system's roots are looked for, the
	// first that exists counts; the usual places when nil.
	Roots []string
}

// Authority is the certificate authority of one data folder.
type Authority struct {
	dir         string
	now         func() time.Time
	roots       []string
	hosts       []string
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate

	leaf   atomic.Pointer[leaf] // replaced, never changed
	notary atomic.Pointer[leaf] // of Notary; so, too
	mu     sync.Mutex           // held while a leaf is made
}

// sealedAuthority is the plain form of pki.sealed.
type sealedAuthority struct {
	Certificate []byte `json:"certificate"` // DER
	Key         []byte `json:"key"`         // PKCS #8
}

// OpenCA opens the authority of the data folder dir, and makes it when there
// is none. When hosts holds a name that the authority may not vouch for, or
// less than a year of its life is left, its certificate is made anew with
// the same key: clients that were told to trust the old one must be told
// again.
func OpenCA(dir string, root *seal.Root, hosts []string, o Options) (*Authority, error) {
	if len(hosts) == 0 {
		return nil, errors.New("pki: no hosts to vouch for")
	}
	a := &Authority{dir: dir, now: o.Now, roots: o.Roots, hosts: hosts}
	if a.now == nil {
		a.now = time.Now
	}
	if a.roots == nil {
		a.roots = systemRoots
	}
	if err := a.open(root.Key("pki")); err != nil {
		return nil, err
	}
	text := a.PEM()
	path := filepath.Join(dir, CertificateFile)
	if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, text) {
		if err := replaceFile(path, text, 0o644); err != nil {
			return nil, fmt.Errorf("writing the authority's certificate: %w", err)
		}
	}
	if _, err := a.current(); err != nil {
		return nil, err
	}
	return a, nil
}

// open reads the sealed file, or makes the authority, and leaves an
// authority that holds for the hosts.
func (a *Authority) open(key *seal.Key) error {
	path := filepath.Join(a.dir, sealedFile)
	sealed, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return fmt.Errorf("making the authority's key: %w", err)
		}
	case err != nil:
		return fmt.Errorf("reading the authority: %w", err)
	default:
		if err := a.unseal(key, sealed); err != nil {
			return fmt.Errorf("reading the authority in %s: %w", path, err)
		}
		if a.holds() {
			return nil
		}
	}
	if err := a.certify(); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return fmt.Errorf("encoding the authority's key: %w", err)
	}
	plain, err := json.Marshal(sealedAuthority{Certificate: a.certificate.Raw, Key: der})
	if err != nil {
		return fmt.Errorf("encoding the authority: %w", err)
	}
	if err := replaceFile(path, key.Seal(sealedFile, plain), 0o600); err != nil {
		return fmt.Errorf("writing the authority: %w", err)
	}
	return nil
}

// unseal fills in key and certificate from what was read.
func (a *Authority) unseal(key *seal.Key, sealed []byte) error {
	plain, err := key.Open(sealedFile, sealed)
	if err != nil {
		return err
	}
	a.certificate, a.key, err = parseAuthority(plain)
	return err
}

// parseAuthority reads the plain form of an authority.
func parseAuthority(plain []byte) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	var s sealedAuthority
	if err := json.Unmarshal(plain, &s); err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return nil, nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(s.Key)
	if err != nil {
		return nil, nil, err
	}
	ec, ok := k.(*ecdsa.PrivateKey)
	if !ok || !ec.PublicKey.Equal(certificate.PublicKey) {
		return nil, nil, errors.New("the key is not the certificate's")
	}
	return certificate, ec, nil
}

// holds reports whether the certificate vouches for all hosts, for long
// enough.
func (a *Authority) holds() bool {
	if a.now().Add(authorityRest).After(a.certificate.NotAfter) {
		return false
	}
	have := map[string]bool{}
	for _, d := range a.certificate.PermittedDNSDomains {
		have[d] = true
	}
	for _, d := range domains(a.hosts) {
		if !have[d] {
			return false
		}
	}
	return true
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// Path is the file that holds the authority's certificate.
func (a *Authority) Path() string { return filepath.Join(a.dir, CertificateFile) }

// Pool holds the authority alone: the roots of a client that talks to this
// server only.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// replaceFile writes a file under another name, makes it durable and gives
// it its own name: a reader sees the old content or the new one, whole.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename; left over otherwise
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
