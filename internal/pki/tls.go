package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// TLS is the configuration of the server's listener: TLS 1.2 and later,
// HTTP/2 and HTTP/1.1, session tickets, and the current leaf at every
// handshake, whatever name was asked for.
func (a *Authority) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		Time:       a.now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			l, err := a.current()
			if err != nil {
				return nil, err
			}
			return l.certificate, nil
		},
	}
}

// current is the leaf of this moment; the handshake that finds it due makes
// the next one.
func (a *Authority) current() (*leaf, error) { return a.renewed(&a.leaf, a.newLeaf) }

// renewed is the leaf that is held, or the next one where it is due.
func (a *Authority) renewed(held *atomic.Pointer[leaf], next func() (*leaf, error)) (*leaf, error) {
	if l := held.Load(); a.fresh(l) {
		return l, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := held.Load(); a.fresh(l) {
		return l, nil
	}
	l, err := next()
	if err != nil {
		return nil, err
	}
	held.Store(l)
	return l, nil
}

// Notary is an RSA key and its certificates, the one for the served names
// first: what the server signs for others to keep is signed with it. It is
// made when it is first asked for, and made again like the leaf.
func (a *Authority) Notary() (key crypto.Signer, chain [][]byte, err error) {
	l, err := a.renewed(&a.notary, func() (*leaf, error) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("making the server's key: %w", err)
		}
		return a.certifyLeaf(key)
	})
	if err != nil {
		return nil, nil, err
	}
	return l.certificate.PrivateKey.(crypto.Signer), [][]byte{l.certificate.Certificate[0], a.certificate.Raw}, nil
}

// fresh reports whether l is to be used now. A clock that was set back
// makes a leaf stale too.
func (a *Authority) fresh(l *leaf) bool {
	if l == nil {
		return false
	}
	now := a.now()
	return !now.Before(l.from) && now.Before(l.renew)
}
