package vault

import (
	"context"
	"testing"

	"postern/internal/store"
)

// keys, certificates and upkeep are the other rooms of the same vault at the
// same moment.
func (r *rig) keys() *Keys {
	return &Keys{Terms: r.Terms, Space: r.Space, Key: r.Key, Backup: r.Backup, Now: r.Now, NewVersion: r.NewVersion}
}

func (r *rig) certificates() *Certificates {
	return &Certificates{Terms: r.Terms, Space: r.Space, Key: r.Key, Backup: r.Backup, Now: r.Now, NewVersion: r.NewVersion}
}

func (r *rig) upkeep() *Upkeep {
	return &Upkeep{Terms: r.Terms, Space: r.Space, Key: r.Key, Now: r.Now, NewVersion: r.NewVersion}
}

// sweepOnce does what a server does now and then; it counts what was done.
func (r *rig) sweepOnce(ctx context.Context) (int, error) {
	u := r.upkeep()
	list, err := Outlived(ctx, u.Space, u.Now, 100)
	if err != nil {
		return 0, err
	}
	for i, d := range list {
		if err := u.Purge(ctx, d); err != nil {
			return i, err
		}
	}
	n, err := u.Clear(ctx, 100)
	return len(list) + n, err
}

// sweep is sweepOnce until there is nothing to do.
func (r *rig) sweep(ctx context.Context) {
	for n := 1; n > 0; n = must(r.sweepOnce(ctx)) {
	}
}

// someKey is a key for tests: its material is the text.
func someKey(text string) KeyContent {
	return KeyContent{Type: "RSA", Size: 2048, Operations: []string{"encrypt", "sign"}, Material: []byte(text), Public: []byte("public " + text)}
}

// someCertificate is a version of a certificate for tests, told apart by a
// text.
func someCertificate(text string) CertificateInput {
	return CertificateInput{CER: []byte("cer " + text), Key: someKey("key " + text), SecretValue: "secret " + text,
		SecretContentType: "application/x-pkcs12"}
}

// content is a Version's content as the tests tell it apart.
func content(kind string, v *Version) string {
	switch kind {
	case kindKeys:
		return string(must(decodeKey(v.Value)).Material)
	case kindCertificates:
		if v.Value == "" {
			return ""
		}
		return string(must(decodeCertificate(v.Value)).CER)
	}
	return v.Value
}

// Calls without what the test does not look at.
func only[A any](_ A, err error) error          { return err }
func only2[A, B any](_ A, _ B, err error) error { return err }

// dump is everything in the store.
func (r *rig) dump(t testing.TB) []store.Item {
	t.Helper()
	items, err := r.store.Range(context.Background(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func must2[A, B any](a A, _ B, err error) A { return must(a, err) }

// becomes is a change of a policy to a text, whatever it was.
func becomes(text string) func(string) ([]byte, error) {
	return func(string) ([]byte, error) { return []byte(text), nil }
}
