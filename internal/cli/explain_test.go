package cli

import (
	"strings"
	"testing"

	"postern/access"
	"postern/internal/posture"
)

func TestParseOperation(t *testing.T) {
	for _, test := range []struct {
		text string
		want access.Operation
	}{
		{"secrets/get", access.SecretGet},
		{"Secrets/GET", access.SecretGet},
		{"secrets/list", access.SecretList},
		{"secrets/listversions", access.SecretListVersions},
		{"secrets/purge", access.SecretPurge},
		{"keys/sign", access.KeySign},
		{"keys/unwrapKey", access.KeyUnwrap},
		{"keys/unwrap", access.KeyUnwrap},
		{"certificates/managecontacts", access.CertificateContactsGet},
		{"SecretGet", access.SecretGet},
		{"secretget", access.SecretGet},
		{"Microsoft.KeyVault/vaults/secrets/getSecret/action", access.SecretGet},
		{"microsoft.keyvault/vaults/secrets/readmetadata/action", access.SecretList},
		{"", access.NoOperation},
		{"/", access.NoOperation},
		{"secrets", access.NoOperation},
		{"secrets/", access.NoOperation},
		{"keys/secretget", access.NoOperation},
		{"NoOperation", access.NoOperation},
	} {
		got, err := parseOperation(test.text)
		if got != test.want || (err == nil) != (test.want != access.NoOperation) {
			t.Errorf("parseOperation(%q) = %v, %v, want %v", test.text, got, err, test.want)
		}
	}
	for _, o := range access.Operations() {
		if got, err := parseOperation(o.String()); got != o || err != nil {
			t.Errorf("parseOperation(%v) = %v, %v, want itself", o, got, err)
		}
	}
}

// FuzzQuestion holds that no flag makes the command panic, and that what is
// taken is a single address without a zone, and a plain name.
func FuzzQuestion(f *testing.F) {
	for _, seed := range [][3]string{{"203.0.113.7", "secrets/get", "db"}, {"::ffff:203.0.113.7", "SecretGet", ""}, {"fe80::1%eth0", "keys/sign", "../x"},
		{"subnet:x", "secrets", "A"}, {"service:Azure Backup@10.0.0.1", "", ""}, {"Endpoint:@", "", ""}, {"perimeter:a@::ffff:1.2.3.4", "", ""}, {"", "", strings.Repeat("a", 128)}, {"203.0.113.0/24", "Microsoft.KeyVault/vaults/keys/read", "a\x00b"}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, from, do, object string) {
		place, err := posture.ParsePlace(from)
		if addr := place.Addr; err == nil && (place.Kind == posture.ByAddress && !addr.IsValid() || addr.Zone() != "" || addr.Is4In6()) {
			t.Fatalf("ParsePlace(%q) = %v", from, place)
		}
		o, err := parseOperation(do)
		if (err == nil) != (o != access.NoOperation) {
			t.Fatalf("parseOperation(%q) = %v, %v", do, o, err)
		}
		name, err := parseObject(object, access.SecretGet)
		if err == nil && (len(name) > maxObject || strings.ContainsAny(name, "/\\.\x00 ")) {
			t.Fatalf("parseObject(%q) = %q", object, name)
		}
	})
}
