package contract

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"postern/access"
)

func init() {
	for operation, body := range map[access.Operation]any{
		access.CertificateCreate: fields{"policy": selfSigned}, access.CertificateImport: fields{"value": bundle("123"), "pwd": "123"},
		access.CertificateUpdate: fields{}, access.CertificateRestore: fields{"value": "AAAA"}, access.CertificatePolicyUpdate: fields{},
		access.CertificatePendingUpdate: fields{"cancellation_requested": true}, access.CertificatePendingMerge: fields{"x5c": []string{base64.StdEncoding.EncodeToString(leaf)}},
		access.CertificateContactsSet: contacts, access.CertificateIssuerSet: fields{"provider": "Test"}, access.CertificateIssuerUpdate: fields{},
	} {
		bodies[operation] = body
	}
	missing = append(missing, access.CertificateCreate, access.CertificateImport, access.CertificateIssuerSet)
	for id, prepare := range certificatePreparations {
		preparations[id] = prepare
	}
}

var (
	selfSigned = policy("Self", "CN=self.example")
	contacts   = fields{"contacts": []any{fields{"email": "admin@contoso.com", "name": "John Doe", "phone": "1111111111"}, fields{"email": "admin@contoso2.com"}}}
	issuer     = fields{"provider": "Test", "credentials": fields{"account_id": "keyvaultuser", "pwd": "password"},
		"org_details": fields{"admin_details": []any{fields{"first_name": "John", "last_name": "Doe", "email": "admin@microsoft.com", "phone": "4255555555"}}}}
	// leaf is a certificate of importedRSA, by itself.
	leaf = issue(&x509.Certificate{Subject: pkix.Name{CommonName: "KeyVaultTest"}}, &importedRSA.PublicKey)
)

func policy(issuer, subject string) fields {
	return fields{"key_props": fields{"exportable": true, "kty": "RSA", "key_size": 2048, "reuse_key": false},
		"secret_props": fields{"contentType": "application/x-pkcs12"}, "issuer": fields{"name": issuer},
		"x509_props": fields{"subject": subject, "sans": fields{"dns_names": []string{"a.example", "b.example"}}, "validity_months": 12}}
}

// issue signs a certificate with importedRSA, as an authority does.
func issue(template *x509.Certificate, public any) []byte {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour)
	authority := &x509.Certificate{Subject: pkix.Name{CommonName: "KeyVaultTest"}}
	return must(x509.CreateCertificate(rand.Reader, template, authority, public, importedRSA))
}

// bundle is leaf and its key as PKCS#12, base64.
func bundle(password string) string {
	return base64.StdEncoding.EncodeToString(must(pkcs12.Modern.Encode(importedRSA, must(x509.ParseCertificate(leaf)), nil, password)))
}

// merged is what an authority answers to a certificate signing request.
func merged(csr string) fields {
	request := must(x509.ParseCertificateRequest(must(base64.StdEncoding.DecodeString(csr))))
	der := issue(&x509.Certificate{Subject: request.Subject, DNSNames: request.DNSNames}, request.PublicKey)
	return fields{"x5c": []string{base64.StdEncoding.EncodeToString(der), base64.StdEncoding.EncodeToString(leaf)}}
}

// certificates drives the operations of certificates.
func certificates(d driver) {
	for _, part := range []struct {
		name string
		run  func(d driver)
	}{{"made", certificatesMade}, {"imported", certificatesImported}, {"merged", certificatesMerged}, {"pending", certificatesPending}, {"issuers", certificateIssuers}, {"contacts", certificateContacts}, {"cycle", certificateCycle}} {
		d.t.Run(part.name, func(t *testing.T) { part.run(d.at(t)) })
	}
}

// made makes a certificate that is self-signed.
func (d driver) made(name string) answer {
	d.t.Helper()
	a := d.send(202, "POST", "/certificates/"+name+"/create", fields{"policy": policy("Self", "CN="+name), "tags": fields{"a": "b"}, "attributes": fields{"enabled": true}})
	a.text("csr")
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if pending := d.send(200, "GET", "/certificates/"+name+"/pending", nil); pending.get("status") != "inProgress" {
			pending.expect("status", "completed")
			return d.send(200, "GET", "/certificates/"+name, nil)
		}
	}
	d.t.Fatalf("the certificate %s was not issued", name)
	return a
}

func certificatesMade(d driver) {
	first := d.made("self")
	version := first.versionOf("id")
	parsed := must(x509.ParseCertificate(must(base64.StdEncoding.DecodeString(first.text("cer")))))
	if parsed.Subject.CommonName != "self" || len(parsed.DNSNames) != 2 {
		d.t.Errorf("the certificate is of %s for %q", parsed.Subject, parsed.DNSNames)
	}
	for _, kind := range []string{"kid", "sid"} {
		if got := first.versionOf(kind); got != version {
			d.t.Errorf("%s has version %s, want %s", kind, got, version)
		}
	}
	d.send(200, "GET", "/secrets/self", nil).expect("contentType", "application/x-pkcs12")
	d.send(200, "GET", "/keys/self/"+version, nil).expect("key.kty", "RSA")
	d.made("self")
	d.made("other")
	d.send(200, "GET", "/certificates/self/"+version, nil).expect("id", first.text("id"))
	d.send(404, "GET", "/certificates/self/"+strings.Repeat("0", 32), nil).expect("error.code", "CertificateNotFound")
	d.send(200, "PATCH", "/certificates/self/"+version, fields{"tags": fields{"c": "d"}, "attributes": fields{"enabled": false}}).expect("tags", fields{"c": "d"})
	d.send(200, "GET", "/certificates/self/policy", nil).expect("x509_props.subject", "CN=self")
	d.send(200, "PATCH", "/certificates/self/policy", fields{"x509_props": fields{"subject": "CN=changed"}}).expect("x509_props.subject", "CN=changed")
	d.send(200, "GET", "/certificates/self/policy", nil).expect("x509_props.subject", "CN=changed")
	for path, want := range map[string]int{"/certificates": 2, "/certificates?maxresults=1": 2, "/certificates?includePending=true": 2,
		"/certificates/self/versions": 2, "/certificates/self/versions?maxresults=1": 2} {
		if got := len(d.all(path)); got != want {
			d.t.Errorf("%s has %d items, want %d", path, got, want)
		}
	}
	for _, bad := range []fields{{}, {"policy": fields{}}, {"policy": policy("Self", "self")},
		{"policy": fields{"issuer": fields{"name": "Self"}, "x509_props": fields{"subject": "CN=x"}, "key_props": fields{"kty": "oct"}}},
		{"policy": fields{"issuer": fields{"name": "Self"}, "x509_props": fields{"subject": "CN=x", "validity_months": -1}}}} {
		d.send(400, "POST", "/certificates/bad/create", bad).expect("error.code", "BadParameter")
	}
	d.send(404, "POST", "/certificates/bad/create", fields{"policy": policy("nobody", "CN=x")}).expect("error.code", "CertificateIssuerNotFound")
	d.send(400, "PATCH", "/certificates/self/policy", fields{"x509_props": fields{"subject": "nonsense"}})
	d.send(400, "PATCH", "/certificates/self/"+version, fields{"attributes": fields{"exp": "soon"}})
	d.send(400, "POST", "/certificates/b_d/create", fields{"policy": selfSigned})
}

func certificatesImported(d driver) {
	want := strings.TrimRight(base64.StdEncoding.EncodeToString(leaf), "")
	d.send(200, "POST", "/certificates/pfx/import", fields{"value": bundle("123"), "pwd": "123", "tags": fields{"a": "b"}}).expect("cer", want)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(importedRSA))})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}))
	d.send(200, "POST", "/certificates/pem/import", fields{"value": text, "policy": fields{"secret_props": fields{"contentType": "application/x-pem-file"}}}).expect("cer", want)
	d.send(200, "GET", "/secrets/pem", nil).expect("contentType", "application/x-pem-file")
	for _, bad := range []fields{{}, {"value": "AAAA"}, {"value": bundle("123"), "pwd": "124"}, {"value": "!"}} {
		d.send(400, "POST", "/certificates/bad/import", bad).expect("error.code", "BadParameter")
	}
	d.send(404, "GET", "/certificates/bad", nil)
}

func certificatesMerged(d driver) {
	csr := d.send(202, "POST", "/certificates/merged/create", fields{"policy": policy("Unknown", "CN=merged")}).text("csr")
	d.send(200, "GET", "/certificates/merged/pending", nil).expect("status", "inProgress")
	d.send(400, "POST", "/certificates/merged/pending/merge", fields{})
	d.send(400, "POST", "/certificates/merged/pending/merge", fields{"x5c": []string{"AAAA"}})
	d.send(400, "POST", "/certificates/merged/pending/merge", fields{"x5c": []string{base64.StdEncoding.EncodeToString(leaf)}})
	d.send(201, "POST", "/certificates/merged/pending/merge", merged(csr)).expect("policy.x509_props.subject", "CN=merged")
	d.send(200, "GET", "/certificates/merged", nil).expect("policy.issuer.name", "Unknown")
}

func certificatesPending(d driver) {
	d.send(202, "POST", "/certificates/waits/create", fields{"policy": policy("Unknown", "CN=waits")})
	d.send(409, "POST", "/certificates/waits/create", fields{"policy": policy("Unknown", "CN=waits")})
	if got := len(d.all("/certificates?includePending=true")) - len(d.all("/certificates?includePending=false")); got != 1 {
		d.t.Errorf("%d pending certificates, want 1", got)
	}
	d.send(400, "PATCH", "/certificates/waits/pending", fields{})
	d.send(200, "PATCH", "/certificates/waits/pending", fields{"cancellation_requested": true}).expect("cancellation_requested", true)
	d.send(200, "DELETE", "/certificates/waits/pending", nil).text("request_id")
	d.send(404, "GET", "/certificates/waits/pending", nil).expect("error.code", "PendingCertificateNotFound")
	d.send(404, "DELETE", "/certificates/waits/pending", nil)
}

func certificateIssuers(d driver) {
	a := d.send(200, "PUT", "/certificates/issuers/issuer01", issuer)
	a.expect("provider", "Test")
	a.expect("credentials", fields{"account_id": "keyvaultuser"})
	d.send(200, "PUT", "/certificates/issuers/issuer02", issuer)
	d.send(200, "GET", "/certificates/issuers/issuer01", nil).expect("credentials.pwd", nil)
	d.send(200, "PATCH", "/certificates/issuers/issuer01", fields{"credentials": fields{"account_id": "another"}}).expect("credentials.account_id", "another")
	for _, path := range []string{"/certificates/issuers", "/certificates/issuers?maxresults=1"} {
		if got := len(d.all(path)); got != 2 {
			d.t.Errorf("%s has %d items, want 2", path, got)
		}
	}
	d.send(400, "PUT", "/certificates/issuers/issuer03", fields{}).expect("error.code", "BadParameter")
	d.send(400, "PUT", "/certificates/issuers/Self", issuer)
	d.send(200, "DELETE", "/certificates/issuers/issuer01", nil).expect("provider", "Test")
	for method, body := range map[string]any{"GET": nil, "PATCH": fields{}, "DELETE": nil} {
		d.send(404, method, "/certificates/issuers/issuer01", body).expect("error.code", "CertificateIssuerNotFound")
	}
}

func certificateContacts(d driver) {
	d.send(404, "GET", "/certificates/contacts", nil)
	d.send(404, "DELETE", "/certificates/contacts", nil)
	d.send(200, "PUT", "/certificates/contacts", contacts).expect("contacts.0.email", "admin@contoso.com")
	d.send(200, "GET", "/certificates/contacts", nil).expect("contacts", contacts["contacts"])
	d.send(400, "PUT", "/certificates/contacts", fields{"contacts": []any{fields{"name": "nobody"}}})
	d.send(200, "DELETE", "/certificates/contacts", nil).expect("contacts.1.email", "admin@contoso2.com")
	d.send(404, "GET", "/certificates/contacts", nil)
}

func certificateCycle(d driver) {
	id := d.made("gone").text("id")
	d.made("recovered")
	backup := d.send(200, "POST", "/certificates/gone/backup", nil).text("value")
	d.send(409, "POST", "/certificates/restore", fields{"value": backup})
	d.send(200, "DELETE", "/certificates/gone", nil).text("recoveryId")
	d.send(200, "DELETE", "/certificates/recovered", nil)
	d.send(404, "GET", "/keys/gone", nil)
	d.send(404, "GET", "/secrets/gone", nil)
	d.send(409, "POST", "/certificates/gone/create", fields{"policy": selfSigned}).expect("error.innererror.code", "ObjectIsDeletedButRecoverable")
	d.send(409, "POST", "/certificates/gone/import", fields{"value": bundle("1"), "pwd": "1"}).expect("error.innererror.code", "ObjectIsDeletedButRecoverable")
	d.send(200, "GET", "/deletedcertificates/gone", nil).expect("id", id)
	if got := len(d.all("/deletedcertificates?maxresults=1")); got != 2 {
		d.t.Errorf("%d deleted certificates, want 2", got)
	}
	d.send(200, "POST", "/deletedcertificates/recovered/recover", nil)
	d.send(204, "DELETE", "/deletedcertificates/gone", nil)
	d.send(200, "POST", "/certificates/restore", fields{"value": backup}).expect("id", id)
	d.send(200, "GET", "/secrets/gone", nil)
	d.send(400, "POST", "/certificates/restore", fields{"value": "AAAA"}).expect("error.code", "Malformed backup blob")
	// What belongs to a certificate goes with it alone.
	for _, kind := range []string{"keys", "secrets"} {
		if a := d.send(0, "DELETE", "/"+kind+"/gone", nil); a.status < 400 || a.status >= 500 {
			d.t.Errorf("DELETE /%s/gone = %d, want a refusal", kind, a.status)
		}
	}
}

// certificatePreparations are those of the examples of certificates.
var certificatePreparations = map[string]func(d driver, e map[string]any){
	"CreateCertificate": nil,
	"ImportCertificate": func(_ driver, e map[string]any) { e["body"].(fields)["value"] = bundle("123") },
	"MergeCertificate": func(d driver, e map[string]any) {
		e["body"].(fields)["x5c"] = merged(waits(d, e))["x5c"]
	},
	"GetCertificate": madeCertificate, "UpdateCertificate": madeCertificate, "DeleteCertificate": madeCertificate,
	"BackupCertificate": madeCertificate, "GetCertificatePolicy": madeCertificate, "UpdateCertificatePolicy": madeCertificate,
	"GetCertificateOperation":    func(d driver, e map[string]any) { waits(d, e) },
	"UpdateCertificateOperation": func(d driver, e map[string]any) { waits(d, e) },
	"DeleteCertificateOperation": func(d driver, e map[string]any) { waits(d, e) },
	"GetCertificateVersions":     func(d driver, e map[string]any) { madeCertificate(d, e); madeCertificate(d, e) },
	"GetCertificates": func(d driver, _ map[string]any) {
		madeCertificate(d, fields{"certificate-name": "one"})
		madeCertificate(d, fields{"certificate-name": "two"})
	},
	"GetDeletedCertificate": deletedCertificate, "PurgeDeletedCertificate": deletedCertificate, "RecoverDeletedCertificate": deletedCertificate,
	"GetDeletedCertificates": func(d driver, _ map[string]any) {
		deletedCertificate(d, fields{"certificate-name": "one"})
		deletedCertificate(d, fields{"certificate-name": "two"})
	},
	"RestoreCertificate": func(d driver, e map[string]any) {
		d.made("kept")
		e["body"].(fields)["value"] = d.send(200, "POST", "/certificates/kept/backup", nil).text("value")
		d.send(200, "DELETE", "/certificates/kept", nil)
		d.send(204, "DELETE", "/deletedcertificates/kept", nil)
	},
	"SetCertificateContacts": nil, "GetCertificateContacts": madeContacts, "DeleteCertificateContacts": madeContacts,
	"SetCertificateIssuer": nil, "GetCertificateIssuer": madeIssuer, "UpdateCertificateIssuer": madeIssuer, "DeleteCertificateIssuer": madeIssuer,
	"GetCertificateIssuers": func(d driver, _ map[string]any) { madeIssuer(d, fields{"issuer-name": "issuer01"}) },
}

func madeCertificate(d driver, e map[string]any) {
	e["certificate-version"] = d.made(e["certificate-name"].(string)).versionOf("id")
}

func deletedCertificate(d driver, e map[string]any) {
	madeCertificate(d, e)
	d.send(200, "DELETE", "/certificates/"+e["certificate-name"].(string), nil)
}

// waits makes a certificate that waits to be merged, and returns its request.
func waits(d driver, e map[string]any) string {
	return d.send(202, "POST", "/certificates/"+e["certificate-name"].(string)+"/create", fields{"policy": policy("Unknown", "CN=waits")}).text("csr")
}

func madeContacts(d driver, _ map[string]any) { d.send(200, "PUT", "/certificates/contacts", contacts) }

func madeIssuer(d driver, e map[string]any) {
	d.send(200, "PUT", "/certificates/issuers/"+e["issuer-name"].(string), issuer)
}
