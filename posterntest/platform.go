package posterntest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"time"

	"postern/internal/operator"
)

// Operator is the API of the owner of the data folder.
func (p *Postern) Operator() *operator.Client { return operator.NewClient(p.Data, "posterntest") }

// Certificate is a client certificate by which somebody proves to be the
// compute of a trusted service.
type Certificate struct {
	tls.Certificate
	// Serial is the number by which it is revoked.
	Serial string
}

// IssueCertificate has the platform issue a certificate for a service of the
// profile's list, such as "Azure Backup"; a life of 0 is the default.
func (p *Postern) IssueCertificate(service string, life time.Duration) Certificate {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
	issued, err := p.Operator().Issue(context.Background(), operator.Issue{Service: service, Seconds: int64(life / time.Second),
		PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))})
	if err != nil {
		p.t.Fatalf("posterntest: issuing a certificate for %s: %v", service, err)
	}
	block, _ := pem.Decode([]byte(issued.PEM))
	return Certificate{tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, issued.Serial}
}

// RevokeCertificate revokes a certificate of the platform.
func (p *Postern) RevokeCertificate(serial string) {
	p.t.Helper()
	if _, err := p.Operator().Revoke(context.Background(), serial); err != nil {
		p.t.Fatalf("posterntest: revoking %s: %v", serial, err)
	}
}

// Service is the principal of a trusted service in the administrator's
// tenant.
func (p *Postern) Service(service string) Principal {
	p.t.Helper()
	got, err := p.Operator().Enrol(context.Background(), operator.Enrol{Service: service, Secret: true})
	if err != nil {
		p.t.Fatalf("posterntest: the principal of %s: %v", service, err)
	}
	return Principal{got.ClientID, got.ObjectID, got.Secret}
}

// Showing is the same server, asked over connections of their own that show
// a client certificate.
func (p *Postern) Showing(c tls.Certificate) *Postern {
	client := p.NewClient()
	client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		// Whatever the server asks for: a forged one must be shown too.
		return &c, nil
	}
	p.t.Cleanup(client.CloseIdleConnections)
	return p.Over(client)
}

// Over is the same server, asked by another client.
func (p *Postern) Over(client *http.Client) *Postern {
	other := *p
	other.client = client
	return &other
}
