package pki

import "crypto/tls"

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
func (a *Authority) current() (*leaf, error) {
	if l := a.leaf.Load(); a.fresh(l) {
		return l, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.leaf.Load(); a.fresh(l) {
		return l, nil
	}
	l, err := a.newLeaf()
	if err != nil {
		return nil, err
	}
	a.leaf.Store(l)
	return l, nil
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
