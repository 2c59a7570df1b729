package keyvault

import (
	"net/http"
	"strings"

	"postern/internal/enrollment"
	"postern/internal/vault"
)

// includePending is whether certificates that were not issued yet are listed
// (spec: includePending).
func (x *exchange) includePending() bool { return strings.EqualFold(x.query.includePending, "true") }

// listCertificates is GetCertificates of the specification.
func listCertificates(x *exchange, b []byte) ([]byte, int, error) {
	return x.certificatePage(b, false, true, func(after string, limit int) (vault.CertificatePage, error) {
		return x.certificates().List(x.request.Context(), after, limit, x.includePending())
	})
}

// listDeletedCertificates is GetDeletedCertificates of the specification.
func listDeletedCertificates(x *exchange, b []byte) ([]byte, int, error) {
	return x.certificatePage(b, true, true, func(after string, limit int) (vault.CertificatePage, error) {
		return x.certificates().ListDeleted(x.request.Context(), after, limit, x.includePending())
	})
}

// listCertificateVersions is GetCertificateVersions of the specification.
func listCertificateVersions(x *exchange, b []byte) ([]byte, int, error) {
	return x.certificatePage(b, false, false, func(after string, limit int) (vault.CertificatePage, error) {
		return x.certificates().Versions(x.request.Context(), x.target.name, after, limit)
	})
}

func (x *exchange) certificatePage(b []byte, deleted, latest bool, list func(after string, limit int) (vault.CertificatePage, error)) ([]byte, int, error) {
	limit, after, err := x.pageStart()
	if err != nil {
		return b, 0, err
	}
	p, err := list(after, limit)
	if err != nil {
		return b, 0, err
	}
	b = append(b, `{"value":[`...)
	for i := range p.Certificates {
		if i > 0 {
			b = append(b, ',')
		}
		c := &p.Certificates[i]
		if b, err = x.appendCertificate(b, certificateBundle{object: &c.Object, content: &c.Content, deleted: deleted, item: true, latest: latest}); err != nil {
			return b, 0, err
		}
	}
	return x.pageEnd(b, p.Next, limit), http.StatusOK, nil
}

// pageStart is how many items a page may have and where it begins.
func (x *exchange) pageStart() (limit int, after string, err error) {
	if limit, err = x.query.pageSize(); err != nil {
		return 0, "", err
	}
	after, err = x.cursor()
	return limit, after, err
}

// pageEnd closes a page.
func (x *exchange) pageEnd(b []byte, next string, limit int) []byte {
	return append(x.appendNextLink(append(b, `],"nextLink":`...), next, limit), '}')
}

// listIssuers is GetCertificateIssuers of the specification.
func listIssuers(x *exchange, b []byte) ([]byte, int, error) {
	limit, after, err := x.pageStart()
	if err != nil {
		return b, 0, err
	}
	page, err := x.certificates().ListIssuers(x.request.Context(), after, limit)
	if err != nil {
		return b, 0, err
	}
	b = append(b, `{"value":[`...)
	for n, kept := range page.Issuers {
		i, err := enrollment.DecodeIssuer(kept)
		if err != nil {
			return b, 0, err
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = appendMembers(b, "id", x.issuerID(i.Name), "provider", i.Provider)
	}
	return x.pageEnd(b, page.Next, limit), http.StatusOK, nil
}
