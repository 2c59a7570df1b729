package acme

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer is the size of an answer.
const maxAnswer = 1 << 20

// fence lets requests through to one host, over TLS, and bounds the answers.
type fence struct {
	host string
	next http.RoundTripper
}

func newFence(host string, roots *x509.CertPool) *fence {
	return &fence{host, &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true, // a client lives for one Poll
		MaxResponseHeaderBytes: 64 << 10,
	}}
}

// RoundTrip sends the request if it goes to the host.
func (f *fence) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || r.URL.Host != f.host {
		return nil, fmt.Errorf("acme: the authority names an address on another host than its directory, %s://%s", r.URL.Scheme, clip(r.URL.Host))
	}
	res, err := f.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &bounded{res.Body, maxAnswer}
	return res, nil
}

// bounded is a body that ends with an error when it is too long.
type bounded struct {
	io.ReadCloser
	left int
}

// Read reads on within the bound.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("acme: the authority's answer is too long")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// noRedirect takes an answer as it is: what leads elsewhere is not followed.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
