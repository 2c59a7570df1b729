package issuance

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keyring"
)

var start = time.Unix(1679605081, 0)

func parse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy([]byte(text))
	if err != nil {
		t.Fatalf("ParsePolicy(%s) = %v", text, err)
	}
	return p
}

func complete(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := parse(t, text).Complete(start)
	if err != nil {
		t.Fatalf("Complete(%s) = %v", text, err)
	}
	return p
}

func text(t testing.TB, p *Policy) string {
	t.Helper()
	out, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// The answers here are recorded ones of the service, byte for byte but for
// the policy's id.
const (
	recordedKey   = `"key_props":{"exportable":true,"kty":"RSA","key_size":2048,"reuse_key":false},"secret_props":{"contentType":"application/x-pkcs12"},`
	recordedUses  = `"ekus":["1.3.6.1.5.5.7.3.1","1.3.6.1.5.5.7.3.2"],"key_usage":["digitalSignature","keyEncipherment"],"validity_months":12,"basic_constraints":{"ca":false}},`
	recordedDates = `"attributes":{"enabled":true,"created":1679605081,"updated":1679605081}}`
	recordedLong  = `"secret_props":{"contentType":"application/x-pkcs12"},"x509_props":{"subject":"CN=DefaultPolicy","sans":{"dns_names":["localhost"]},"ekus":["1.3.6.1.5.5.7.3.1","1.3.6.1.5.5.7.3.2"],"key_usage":["dataEncipherment"],"validity_months":12,"basic_constraints":{"ca":false}},"lifetime_actions":[{"trigger":{"lifetime_percentage":98},"action":{"action_type":"EmailContacts"}}],"issuer":{"name":"Self","cert_transparency":false},`
)

func TestRecordedDefaults(t *testing.T) {
	for _, c := range []struct{ name, sent, want string }{
		{"self", `{"issuer":{"name":"self"},"x509_props":{"subject":"CN=DefaultPolicy"}}`,
			"{" + recordedKey + `"x509_props":{"subject":"CN=DefaultPolicy",` + recordedUses + `"lifetime_actions":[{"trigger":{"lifetime_percentage":80},"action":{"action_type":"AutoRenew"}}],"issuer":{"name":"self"},` + recordedDates},
		{"merge", `{"issuer":{"cert_transparency":false,"name":"Unknown"},"x509_props":{"sans":{},"subject":"CN=MyCert"}}`,
			"{" + recordedKey + `"x509_props":{"subject":"CN=MyCert","sans":{},` + recordedUses + `"lifetime_actions":[{"trigger":{"lifetime_percentage":80},"action":{"action_type":"EmailContacts"}}],"issuer":{"name":"Unknown","cert_transparency":false},` + recordedDates},
		{"said in full", `{"attributes":{"enabled":true,"exp":2208992460,"nbf":1893459660},"issuer":{"cert_transparency":false,"name":"Self"},"key_props":{"exportable":true,"key_size":2048,"kty":"RSA","reuse_key":true},"lifetime_actions":[{"action":{"action_type":"EmailContacts"},"trigger":{"lifetime_percentage":98}}],"secret_props":{"contentType":"application/x-pkcs12"},"x509_props":{"ekus":["1.3.6.1.5.5.7.3.1","1.3.6.1.5.5.7.3.2"],"key_usage":["dataEncipherment"],"sans":{"dns_names":["localhost"]},"subject":"CN=DefaultPolicy","validity_months":12}}`,
			`{"key_props":{"exportable":true,"kty":"RSA","key_size":2048,"reuse_key":true},` + recordedLong + recordedDates},
	} {
		if diff := cmp.Diff(c.want, text(t, complete(t, c.sent))); diff != "" {
			t.Errorf("%s: the policy is not the recorded one (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestRecordedPatch(t *testing.T) {
	p := parse(t, `{"key_props":{"exportable":true,"kty":"RSA","key_size":2048,"reuse_key":true},`+recordedLong+recordedDates)
	next, err := p.Patched(parse(t, `{"key_props":{"crv":"P-256K","exportable":true,"key_size":256,"kty":"EC","reuse_key":false}}`), start.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"key_props":{"exportable":true,"kty":"EC","key_size":256,"reuse_key":false,"crv":"P-256K"},` + recordedLong + `"attributes":{"enabled":true,"created":1679605081,"updated":1679605082}}`
	if diff := cmp.Diff(want, text(t, next)); diff != "" {
		t.Errorf("the patched policy is not the recorded one (-want +got):\n%s", diff)
	}
	if p.Key.Type != "RSA" {
		t.Errorf("the policy that was patched is now %s, want it as it was", p.Key.Type)
	}
}

// TestPatches: what a patch leaves alone, what it replaces, and which of the
// old values go because they would contradict it.
func TestPatches(t *testing.T) {
	const base = `{"key_props":{"kty":"EC","crv":"P-384"},"x509_props":{"subject":"CN=a","sans":{"dns_names":["a.b"],"emails":["x@a.b"]},"ekus":["1.2.3"],"validity_months":24},"issuer":{"name":"Self"},"lifetime_actions":[{"trigger":{"days_before_expiry":500},"action":{"action_type":"AutoRenew"}}]}`
	for _, c := range []struct{ name, patch, member, want string }{
		{"nothing", `{}`, "x509_props", `{"subject":"CN=a","sans":{"emails":["x@a.b"],"dns_names":["a.b"]},"ekus":["1.2.3"],"key_usage":["digitalSignature","keyEncipherment"],"validity_months":24,"basic_constraints":{"ca":false}}`},
		{"names as a whole", `{"x509_props":{"sans":{"dns_names":["c.d"]}}}`, "x509_props", `{"subject":"CN=a","sans":{"dns_names":["c.d"]},"ekus":["1.2.3"],"key_usage":["digitalSignature","keyEncipherment"],"validity_months":24,"basic_constraints":{"ca":false}}`},
		{"an empty list is a list", `{"x509_props":{"ekus":[],"key_usage":[]}}`, "x509_props", `{"subject":"CN=a","sans":{"emails":["x@a.b"],"dns_names":["a.b"]},"ekus":[],"key_usage":[],"validity_months":24,"basic_constraints":{"ca":false}}`},
		{"null is nothing", `{"x509_props":{"ekus":null,"subject":null},"key_props":null}`, "key_props", `{"exportable":true,"kty":"EC","key_size":384,"reuse_key":false,"crv":"P-384"}`},
		{"type alone", `{"key_props":{"kty":"RSA"}}`, "key_props", `{"exportable":true,"kty":"RSA","key_size":2048,"reuse_key":false}`},
		{"curve alone", `{"key_props":{"crv":"P-521"}}`, "key_props", `{"exportable":true,"kty":"EC","key_size":521,"reuse_key":false,"crv":"P-521"}`},
		{"size alone", `{"key_props":{"key_size":256}}`, "key_props", `{"exportable":true,"kty":"EC","key_size":256,"reuse_key":false,"crv":"P-256"}`},
		{"issuer alone", `{"issuer":{"name":"mine"}}`, "issuer", `{"name":"mine"}`},
		{"unknown ones side by side", `{"issuer":{"x":1},"y":[1.50]}`, "issuer", `{"name":"Self","x":1}`},
	} {
		next, err := complete(t, base).Patched(parse(t, c.patch), start)
		if err != nil {
			t.Errorf("%s: Patched = %v", c.name, err)
			continue
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text(t, next)), &members); err != nil {
			t.Fatal(err)
		}
		if got := string(members[c.member]); got != c.want {
			t.Errorf("%s: %s = %s, want %s", c.name, c.member, got, c.want)
		}
	}
}

// TestUnknownPropertiesSurvive: at every level, and with their digits.
func TestUnknownPropertiesSurvive(t *testing.T) {
	const sent = `{"key_props":{"exportable":true,"kty":"RSA","key_size":2048,"reuse_key":false,"k":1.10},"secret_props":{"contentType":"application/x-pkcs12","s":null},"x509_props":{"subject":"CN=a","x":{"deep":[1,{"a":"<&>"}]}},"issuer":{"name":"Self","i":true},"attributes":{"enabled":true},"platformManaged":{"enabled":false},"z":"é"}`
	if got := text(t, parse(t, sent)); got != sent {
		t.Errorf("JSON() = %s, want %s", got, sent)
	}
}

func TestDrop(t *testing.T) {
	p := parse(t, `{"platformManaged":{"enabled":false},"z":1}`)
	p.Drop("PlatformManaged")
	if got := text(t, p); got != `{"z":1}` {
		t.Errorf("JSON() after Drop = %s, want the other property alone", got)
	}
}

// TestWords: what the rest of the server asks a policy.
func TestWords(t *testing.T) {
	for _, c := range []struct {
		policy, kty, contentType        string
		exportable, reuse, self, merged bool
	}{
		{`{"issuer":{"name":"SELF"}}`, "RSA", PKCS12, true, false, true, false}, {`{"issuer":{"name":"unknown"},"key_props":{"reuse_key":true}}`, "RSA", PKCS12, true, true, false, true},
		{`{"issuer":{"name":"mine"},"key_props":{"kty":"ec-hsm"},"secret_props":{"contentType":"APPLICATION/X-PEM-FILE"}}`, "EC-HSM", PEM, false, false, false, false},
	} {
		p := parse(t, c.policy)
		p.X509.Subject = "CN=a"
		p, err := p.Complete(start)
		if err != nil {
			t.Fatal(err)
		}
		if p.KeyType() != c.kty || p.ContentType() != c.contentType || p.Exportable() != c.exportable || p.ReuseKey() != c.reuse || p.SelfIssued() != c.self || p.Merged() != c.merged {
			t.Errorf("%s reads as %s, %s, exportable %v, reuse %v, self %v, merged %v", c.policy, p.KeyType(), p.ContentType(), p.Exportable(), p.ReuseKey(), p.SelfIssued(), p.Merged())
		}
	}
}

func TestPolicyIsRefused(t *testing.T) {
	deep := strings.Repeat("[", 20) + strings.Repeat("]", 20)
	for _, c := range []struct{ sent, property string }{
		{`[]`, "policy"}, {`{`, "policy"}, {`{"a":` + deep + `}`, "policy"}, {`{"issuer":{},"Issuer":{}}`, "policy"},
		{`{"x":"` + strings.Repeat("a", maxPolicy) + `"}`, "policy"},
		{`{"key_props":1}`, "policy.key_props"}, {`{"key_props":{"kty":1}}`, "policy.key_props.kty"},
		{`{"key_props":{"key_size":"2048"}}`, "policy.key_props.key_size"}, {`{"key_props":{"key_size":2047}}`, "policy.key_props.key_size"},
		{`{"key_props":{"key_size":99999999999999999999}}`, "policy.key_props.key_size"},
		{`{"key_props":{"kty":"oct"}}`, "policy.key_props.kty"}, {`{"key_props":{"kty":"EC","key_size":512}}`, "policy.key_props.key_size"},
		{`{"key_props":{"kty":"EC","crv":"P-384","key_size":256}}`, "policy.key_props.key_size"},
		{`{"key_props":{"kty":"EC","crv":"P-192"}}`, "policy.key_props.crv"}, {`{"key_props":{"kty":"RSA","crv":"P-256"}}`, "policy.key_props.crv"},
		{`{"key_props":{"kty":"RSA-HSM","exportable":true}}`, "policy.key_props.exportable"},
		{`{"secret_props":{"contentType":"text/plain"}}`, "policy.secret_props.contentType"},
		{`{"x509_props":{}}`, "policy.x509_props.subject"}, {`{"x509_props":{"subject":"contoso.com"}}`, "policy.x509_props.subject"},
		{`{"x509_props":{"validity_months":-1}}`, "policy.x509_props.validity_months"}, {`{"x509_props":{"validity_months":1201}}`, "policy.x509_props.validity_months"},
		{`{"x509_props":{"validity_months":1.5}}`, "policy.x509_props.validity_months"},
		{`{"x509_props":{"ekus":["server"]}}`, "policy.x509_props.ekus"}, {`{"x509_props":{"ekus":["1.40.1"]}}`, "policy.x509_props.ekus"},
		{`{"x509_props":{"ekus":[` + strings.Repeat(`"1.2.3",`, maxUsages) + `"1.2.3"]}}`, "policy.x509_props.ekus"},
		{`{"x509_props":{"key_usage":["sign"]}}`, "policy.x509_props.key_usage"}, {`{"x509_props":{"key_usage":[""]}}`, "policy.x509_props.key_usage"},
		{`{"x509_props":{"sans":{"dns_names":["CN=*.contoso.com"]}}}`, "policy.x509_props.sans.dns_names"},
		{`{"x509_props":{"sans":{"dns_names":["-a.b"]}}}`, "policy.x509_props.sans.dns_names"}, {`{"x509_props":{"sans":{"dns_names":["a..b"]}}}`, "policy.x509_props.sans.dns_names"},
		{`{"x509_props":{"sans":{"dns_names":["` + strings.Repeat("a", 64) + `.b"]}}}`, "policy.x509_props.sans.dns_names"}, {`{"x509_props":{"sans":{"dns_names":[""]}}}`, "policy.x509_props.sans.dns_names"},
		{`{"key_props":{"kty":"` + strings.Repeat("ä", 100) + `"}}`, "policy.key_props.kty"}, {`{"issuer":{"name":7}}`, "policy.issuer.name"}, {`{"lifetime_actions":{}}`, "policy.lifetime_actions"},
		{`{"x509_props":{"sans":{"dns_names":["münchen.de"]}}}`, "policy.x509_props.sans.dns_names"},
		{`{"x509_props":{"sans":{"dns_names":"a.b"}}}`, "policy.x509_props.sans.dns_names"},
		{`{"x509_props":{"sans":{"dns_names":[` + strings.Repeat(`"a.b",`, maxNames) + `"a.b"]}}}`, "policy.x509_props.sans"},
		{`{"x509_props":{"sans":{"emails":["nobody"]}}}`, "policy.x509_props.sans.emails"}, {`{"x509_props":{"sans":{"upns":[""]}}}`, "policy.x509_props.sans.upns"},
		{`{"x509_props":{"sans":{"uris":["contoso.com"]}}}`, "policy.x509_props.sans.uris"}, {`{"x509_props":{"sans":{"ipAddresses":["10.0.0.0/8"]}}}`, "policy.x509_props.sans.ipAddresses"},
		{`{"x509_props":{"basic_constraints":{"ca":false,"path_len_constraint":1}}}`, "policy.x509_props.basic_constraints"},
		{`{"lifetime_actions":[{}]}`, "policy.lifetime_actions.action.action_type"},
		{`{"lifetime_actions":[{"trigger":{},"action":{"action_type":"AutoRenew"}}]}`, "policy.lifetime_actions.trigger"},
		{`{"lifetime_actions":[{"trigger":{"lifetime_percentage":80,"days_before_expiry":1},"action":{"action_type":"AutoRenew"}}]}`, "policy.lifetime_actions.trigger"},
		{`{"lifetime_actions":[{"trigger":{"lifetime_percentage":100},"action":{"action_type":"AutoRenew"}}]}`, "policy.lifetime_actions.trigger.lifetime_percentage"},
		{`{"lifetime_actions":[{"trigger":{"days_before_expiry":0},"action":{"action_type":"AutoRenew"}}]}`, "policy.lifetime_actions.trigger.days_before_expiry"},
		{`{"x509_props":{"subject":"CN=a","validity_months":2},"lifetime_actions":[{"trigger":{"days_before_expiry":55},"action":{"action_type":"AutoRenew"}}]}`, "policy.lifetime_actions.trigger.days_before_expiry"},
		{`{"lifetime_actions":[{"trigger":{"lifetime_percentage":8},"action":{"action_type":"autorenew"}},{"trigger":{"lifetime_percentage":9},"action":{"action_type":"AutoRenew"}}]}`, "policy.lifetime_actions"},
		{`{"lifetime_actions":[{},{},{}]}`, "policy.lifetime_actions"}, {`{"issuer":{"name":"` + strings.Repeat("a", 128) + `"}}`, "policy.issuer.name"},
	} {
		p, err := ParsePolicy([]byte(c.sent))
		if err == nil {
			_, err = p.Complete(start)
		}
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Property != c.property {
			t.Errorf("Complete(%.80s) = %v, want a refusal of %s", c.sent, err, c.property)
		}
	}
}

// TestKeptPoliciesAreRead: what is kept may be older than a rule, so reading
// does not apply it, and a patch of something else goes through.
func TestKeptPoliciesAreRead(t *testing.T) {
	p := parse(t, `{"key_props":{"kty":"RSA","key_size":2048},"x509_props":{"subject":"OID.1.2.3=#0500, CN=a","sans":{"dns_names":["*"]},"validity_months":5000}}`)
	if _, err := p.Patched(parse(t, `{"key_props":{"reuse_key":true}}`), start); err != nil {
		t.Errorf("Patched = %v, want the patch to go through", err)
	}
}

func TestKeySpec(t *testing.T) {
	for _, c := range []struct {
		key  string
		want keyring.Spec
	}{
		{`{}`, keyring.Spec{Type: "RSA", Size: 2048}}, {`{"kty":"rsa","key_size":4096}`, keyring.Spec{Type: "RSA", Size: 4096}},
		{`{"kty":"RSA-HSM","key_size":3072}`, keyring.Spec{Type: "RSA", Size: 3072}}, {`{"kty":"EC"}`, keyring.Spec{Type: "EC", Curve: "P-256"}},
		{`{"kty":"EC-HSM","key_size":521}`, keyring.Spec{Type: "EC", Curve: "P-521"}},
	} {
		got, err := complete(t, `{"x509_props":{"subject":"CN=a"},"key_props":`+c.key+`}`).KeySpec()
		if err != nil || got != c.want {
			t.Errorf("KeySpec of %s = %+v, %v, want %+v", c.key, got, err, c.want)
		}
	}
	var bad *Invalid
	if _, err := complete(t, `{"x509_props":{"subject":"CN=a"},"key_props":{"kty":"EC","crv":"P-256K"}}`).KeySpec(); !errors.As(err, &bad) || bad.Property != "policy.key_props.crv" {
		t.Errorf("KeySpec of P-256K = %v, want a refusal of the curve", err)
	}
}

func TestOperations(t *testing.T) {
	for _, c := range []struct{ key, usages, want string }{
		{"RSA", `["digitalSignature","keyEncipherment"]`, "sign verify wrapKey unwrapKey encrypt decrypt"}, {"RSA", `["dataEncipherment"]`, "encrypt decrypt"},
		{"RSA", `[]`, "sign verify wrapKey unwrapKey encrypt decrypt"}, {"RSA", `["decipherOnly"]`, "decrypt"}, {"RSA", `["keyAgreement"]`, ""},
		{"RSA", `["cRLSign"]`, "sign verify"}, {"EC", `["digitalSignature","keyEncipherment"]`, "sign verify"}, {"EC", `[]`, "sign verify"},
	} {
		p := complete(t, `{"x509_props":{"subject":"CN=a","key_usage":`+c.usages+`},"key_props":{"kty":"`+c.key+`"}}`)
		if got := strings.Join(p.Operations(), " "); got != c.want {
			t.Errorf("Operations of %s with %s = %s, want %s", c.key, c.usages, got, c.want)
		}
	}
}

func TestActionMoments(t *testing.T) {
	from, to := time.Unix(1000, 0), time.Unix(1000+100*86400, 0)
	for _, c := range []struct {
		trigger Trigger
		want    time.Time
	}{
		{Trigger{Percentage: new(80)}, time.Unix(1000+80*86400, 0)}, {Trigger{DaysBefore: new(30)}, time.Unix(1000+70*86400, 0)},
		{Trigger{Percentage: new(1)}, time.Unix(1000+86400, 0)}, {Trigger{}, to},
	} {
		if got := (LifetimeAction{Trigger: c.trigger}).At(from, to); !got.Equal(c.want) {
			t.Errorf("At(%+v) = %v, want %v", c.trigger, got, c.want)
		}
	}
	if got := (LifetimeAction{Trigger: Trigger{Percentage: new(50)}}).At(time.Unix(0, 0), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)); got.Year() != 5984 {
		t.Errorf("half of a life until 9999 ends in %d, want 5984", got.Year())
	}
}

// TestPublishedExamples: every policy in the examples of the specification is
// read, completed and written with nothing lost.
func TestPublishedExamples(t *testing.T) {
	shared := os.Getenv("POSTERN_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	files, err := filepath.Glob(filepath.Join(shared, "specs", "keyvault", "data-plane", "Certificates", "stable", "*", "examples", "*.json"))
	if err != nil || len(files) == 0 {
		t.Log("left out: the policies of the specification's examples, which are not here")
		return
	}
	seen := 0
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		walk(doc, func(policy map[string]any) {
			seen++
			delete(policy, "id")
			sent, err := json.Marshal(policy)
			if err != nil {
				t.Fatal(err)
			}
			p := parse(t, string(sent))
			var back map[string]any
			if err := json.Unmarshal([]byte(text(t, p)), &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(policy, back); diff != "" {
				t.Errorf("%s: the policy came back otherwise (-want +got):\n%s", filepath.Base(f), diff)
			}
			if _, err := p.Complete(start); err != nil && !strings.Contains(err.Error(), "policy.x509_props.subject is missing") {
				t.Errorf("%s: Complete = %v", filepath.Base(f), err)
			}
		})
	}
	if seen == 0 {
		t.Errorf("%d examples have no policy", len(files))
	}
}

// walk calls f with every object that looks like a policy.
func walk(v any, f func(map[string]any)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			walk(e, f)
		}
	case map[string]any:
		for name, e := range v {
			if o, ok := e.(map[string]any); ok && slices.Contains([]string{"policy", "certificatePolicy"}, name) {
				f(o)
			}
			walk(e, f)
		}
	}
}

// FuzzParsePolicy: what is read is written, read again and the same; what a
// client's policy is completed to can be made a certificate of, or is refused
// by name.
func FuzzParsePolicy(f *testing.F) {
	f.Add(`{"issuer":{"name":"self"},"x509_props":{"subject":"CN=DefaultPolicy"}}`)
	f.Add(`{"key_props":{"kty":"EC","key_size":384,"Extra":[1.0]},"x509_props":{"sans":{"upns":["a@b"],"ipAddresses":["::1"]},"ekus":["2.5.29.37.0"]},"lifetime_actions":[{"trigger":{"days_before_expiry":9},"action":{"action_type":"autorenew"}}]}`)
	f.Add(`{"key_props":null,"x509_props":{"subject":"O=\"a, \"\"b\"\"\"+CN=x;DC=y","validity_months":0,"key_usage":[],"basic_constraints":{"ca":true,"path_len_constraint":0}},"attributes":{"enabled":false,"exp":1}}`)
	key := ecKey(f)
	f.Fuzz(func(t *testing.T, sent string) {
		p, err := ParsePolicy([]byte(sent))
		if err != nil {
			return
		}
		once := text(t, p)
		if again := text(t, parse(t, once)); again != once {
			t.Fatalf("JSON() = %s, then %s", once, again)
		}
		done, err := p.Complete(start)
		var bad *Invalid
		if err != nil {
			if !errors.As(err, &bad) {
				t.Fatalf("Complete(%s) = %v, want an *Invalid", sent, err)
			}
			return
		}
		if _, err := done.SelfSign(key, start); err != nil {
			t.Fatalf("SelfSign of %s = %v", text(t, done), err)
		}
		if _, err := done.Request(key); err != nil {
			t.Fatalf("Request of %s = %v", text(t, done), err)
		}
		twice, err := done.Patched(done, start)
		if err != nil || text(t, twice) != text(t, done) {
			t.Fatalf("a policy patched with itself = %v, %v, want itself", twice, err)
		}
	})
}
