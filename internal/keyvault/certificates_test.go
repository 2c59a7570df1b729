package keyvault

import (
	"crypto/x509"
	"encoding/base64"
	"testing"
)

const selfPolicy = `{"x509_props":{"subject":"CN=test"},"issuer":{"name":"Self"}}`

// TestSelfSigned: what is created is there after the answer, whether or not
// anybody polls, and the operation says it is done.
func TestSelfSigned(t *testing.T) {
	r := newRig(t)
	created := r.do("POST", "/certificates/My-Cert/create", `{"policy":`+selfPolicy+`,"tags":{"a":"b"}}`).want(t, 202)
	begun := created.object(t)
	request := begun["request_id"].(string)
	if begun["status"] != "inProgress" || begun["status_details"] != textInProgress {
		t.Errorf("create answers %v %v, want inProgress with its details", begun["status"], begun["status_details"])
	}
	if got, want := created.header["Location"][0], "https://"+host+"/certificates/My-Cert/pending?api-version=2026-04-01&request_id="+request; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	if got := created.header["Retry-After"]; len(got) != 1 || got[0] != "0" {
		t.Errorf("Retry-After %q, want 0", got)
	}
	got := r.do("GET", "/certificates/my-cert", "").want(t, 200).object(t)
	cer, err := base64.StdEncoding.DecodeString(got["cer"].(string))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cer)
	if err != nil || leaf.Subject.String() != "CN=test" || leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil {
		t.Errorf("the certificate is of %v (%v), want one of CN=test signed by itself", leaf.Subject, err)
	}
	done := r.do("GET", "/certificates/my-cert/pending", "").want(t, 200).object(t)
	if done["status"] != "completed" || done["target"] != "https://"+host+"/certificates/My-Cert" || done["request_id"] != request {
		t.Errorf("pending = %v, want the same operation completed", done)
	}
}
