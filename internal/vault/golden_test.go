package vault

import (
	"encoding/base64"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files that do not exist")

// golden is the bytes of a file of testdata. With -update a missing one is
// written, so that the next version can be held to it; one that exists is
// never changed: what was written once must stay readable.
func golden(t *testing.T, name string, now []byte) string {
	t.Helper()
	path := "testdata/" + name + ".b64"
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) && *update {
		text = []byte(base64.StdEncoding.EncodeToString(now) + "\n")
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(must(base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))))
}

func goldenObject() Object {
	return Object{Name: "My-Secret", life: "0123456789abcdef0123456789abcdef", versions: 3, Deleted: 1700000005, Purge: 1707776005, Version: Version{
		ID: "00112233445566778899aabbccddeeff", Enabled: true, NotBefore: At(-1), Expires: At(1 << 40), Created: 1700000003, Updated: 1700000004,
		ContentType: "text/plain", Tags: []Tag{{"a", "b"}, {"", ""}}, Previous: "p", Value: "the value"}}
}

// TestRecordsOfEveryFormat: what any version of postern wrote opens, and what
// this one writes has not changed by accident.
func TestRecordsOfEveryFormat(t *testing.T) {
	first, second := goldenObject(), goldenObject()
	second.Policy, second.retry, second.handled, second.Version.Managed = `{"a":1}`, 1700000009, [actions]int64{1, 2, 3, 4, 5}, true
	for _, tt := range []struct {
		file string
		want Object
	}{{"object-1", first}, {"object-2", second}} {
		now := appendObject(nil, &tt.want)
		text := golden(t, tt.file, now)
		got, err := decodeObject(text)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(Object{})); diff != "" || err != nil {
			t.Errorf("%s opens differently (-want +got): %v\n%s", tt.file, err, diff)
		}
		if text != string(now) {
			t.Errorf("%s would be written differently:\n%q\n%q", tt.file, text, now)
		}
	}
	for _, tt := range []struct {
		file string
		want Version
	}{{"version-1", first.Version}, {"version-2", second.Version}} {
		now := appendVersion(nil, &tt.want)
		text := golden(t, tt.file, now)
		got, err := decodeVersion(text)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s opens differently (-want +got): %v\n%s", tt.file, err, diff)
		}
		if text != string(now) {
			t.Errorf("%s would be written differently:\n%q\n%q", tt.file, text, now)
		}
	}
	k := sampleKey()
	x := CertificateContent{CER: []byte("leaf"), PreserveCertOrder: true}
	if got, err := decodeKey(golden(t, "key-1", []byte(k.encode()))); !cmp.Equal(got, k) || err != nil {
		t.Errorf("key-1 opens as %v, %v", got, err)
	}
	if got, err := decodeCertificate(golden(t, "certificate-1", []byte(x.encode()))); !cmp.Equal(got, x) || err != nil {
		t.Errorf("certificate-1 opens as %v, %v", got, err)
	}
}

// TestBackupsOfEveryFormat: a backup outlives the version that made it. The
// files hold what is inside of the seal.
func TestBackupsOfEveryFormat(t *testing.T) {
	for _, tt := range []struct {
		file, kind string
		width      int
		make       func(r *rig) []byte
		restore    func(r *rig, blob []byte) (Object, error)
	}{
		{"backup-secrets-1", kindSecrets, 1, func(r *rig) []byte { r.set(t, "My-Secret", "1", "2"); return must(r.BackUp(t.Context(), "my-secret")) },
			func(r *rig, blob []byte) (Object, error) { return r.Restore(t.Context(), blob) }},
		{"backup-keys-2", kindKeys, 1, func(r *rig) []byte {
			for range 2 {
				_ = only2(r.keys().Add(t.Context(), "My-Key", KeyInput{Content: sampleKey(), Tags: []Tag{{"a", "b"}}}))
			}
			_ = only2(r.keys().SetRotationPolicy(t.Context(), "my-key", RotationPolicy{ExpiryTime: "P90D"}))
			return must(r.keys().BackUp(t.Context(), "my-key"))
		}, func(r *rig, blob []byte) (Object, error) {
			o, _, err := r.keys().Restore(t.Context(), blob)
			return o, err
		}},
		{"backup-certificates-2", kindCertificates, 3, func(r *rig) []byte {
			for _, text := range []string{"1", "2"} {
				in := someCertificate(text)
				in.Policy = []byte(`{"issuer":{"name":"Self"}}`)
				_ = only2(r.certificates().Import(t.Context(), "My-Certificate", in))
			}
			return must(r.certificates().BackUp(t.Context(), "my-certificate"))
		}, func(r *rig, blob []byte) (Object, error) {
			o, _, err := r.certificates().Restore(t.Context(), blob)
			return o, err
		}},
	} {
		r := newRig()
		c := &collection{kind: tt.kind, terms: r.Terms}
		o, rows, err := c.openBackup(r.Backup, tt.make(r), tt.width)
		if err != nil {
			t.Fatalf("%s: %v", tt.file, err)
		}
		now := backupContent(&o, rows)
		text := golden(t, tt.file, now)
		if text != string(now) {
			t.Errorf("%s would be written differently:\n%q\n%q", tt.file, text, now)
		}
		blob := append([]byte(backupMagic+r.Terms.mark()), r.Backup.Seal(c.backupBinding(), []byte(text))...)
		if restored, err := tt.restore(newRig(), blob); err != nil || restored.Name != o.Name || restored.Policy != o.Policy || restored.versions != 2 {
			t.Errorf("%s restores as %+v, %v", tt.file, restored, err)
		}
	}
}
