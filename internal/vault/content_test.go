package vault

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func sampleKey() KeyContent {
	return KeyContent{Type: "EC-HSM", Curve: "P-256", Size: 256, Operations: []string{"sign", "verify"}, Exportable: true, Platform: "1",
		Release: &ReleasePolicy{ContentType: "application/json", Immutable: true, Data: []byte("rules")}, Material: []byte{1, 2}, Public: []byte{3}}
}

func TestKeyContentRoundTrip(t *testing.T) {
	for _, want := range []KeyContent{{}, sampleKey(), someKey("x")} {
		got, err := decodeKey(want.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("content changed on its way (-want +got):\n%s", diff)
		}
	}
}

// TestContentCutOrLonger: what was cut off, or has more behind it, is an
// error and never a smaller key.
func TestContentCutOrLonger(t *testing.T) {
	k := sampleKey()
	x := CertificateContent{CER: []byte{1, 2, 3}, PreserveCertOrder: true}
	for _, tt := range []struct {
		what, whole string
		decode      func(string) error
	}{
		{"key", k.encode(), func(s string) error { return only(decodeKey(s)) }},
		{"certificate", x.encode(), func(s string) error { return only(decodeCertificate(s)) }},
	} {
		for n := range tt.whole {
			if err := tt.decode(tt.whole[:n]); !errors.Is(err, errRecord) {
				t.Errorf("decode %s (first %d of %d bytes) = %v, want %v", tt.what, n, len(tt.whole), err, errRecord)
			}
		}
		for _, bad := range []string{tt.whole + "x", "\x02" + tt.whole[1:]} {
			if err := tt.decode(bad); !errors.Is(err, errRecord) {
				t.Errorf("decode %s (%q) = %v, want %v", tt.what, bad, err, errRecord)
			}
		}
	}
}

func FuzzContent(f *testing.F) {
	k := sampleKey()
	x := CertificateContent{CER: []byte{1, 2, 3}}
	f.Add(k.encode())
	f.Add(x.encode())
	f.Add("")
	f.Add("\x01\x03RSA\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\xff\xff\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := decodeKey(s); err == nil {
			again, err := decodeKey(k.encode())
			if err != nil || !cmp.Equal(k, again, cmpopts.EquateEmpty()) {
				t.Errorf("decodeKey(%q) does not survive: %v", s, err)
			}
		}
		if x, err := decodeCertificate(s); err == nil {
			again, err := decodeCertificate(x.encode())
			if err != nil || !cmp.Equal(x, again, cmpopts.EquateEmpty()) {
				t.Errorf("decodeCertificate(%q) does not survive: %v", s, err)
			}
		}
	})
}
