package keyvault

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keyring"
	"postern/internal/vault"
)

// TestKeyBodies: what is read of the bodies of keys, and how a refusal
// begins.
func TestKeyBodies(t *testing.T) {
	create := func(b []byte) (any, error) { return readKeyCreate(b) }
	imported := func(b []byte) (any, error) { return readKeyImport(b) }
	update := func(b []byte) (any, error) { return readKeyUpdate(b) }
	operation := func(b []byte) (any, error) { return readKeyOperation(b, false) }
	verification := func(b []byte) (any, error) { return readKeyOperation(b, true) }
	released := func(b []byte) (any, error) { return readKeyRelease(b) }
	rotation := func(b []byte) (any, error) { return readRotationPolicy(b) }
	text := func(s string) *string { return &s }
	list := func(s ...string) *[]string { all := append([]string{}, s...); return &all }
	for _, tt := range []struct {
		read func([]byte) (any, error)
		body string
		want any // what is read, or a word of the refusal
	}{
		{create, `{"kty":"EC"}`, &keyCreation{kty: text("EC")}},
		{create, ` {"kty":"RSA","key_size":4096,"public_exponent":3,"crv":null,"key_ops":["sign","sign","import"],"attributes":{"exportable":true,"enabled":false,"nbf":1,"exp":2,"created":9,"recoveryLevel":"x"},"tags":{"a":null},"release_policy":{"data":"e30","immutable":true},"x":[1]}`,
			&keyCreation{keyDescription: keyDescription{description{enabled: vault.No, notBefore: vault.At(1), expires: vault.At(2), tags: []vault.Tag{{Name: "a"}}}, list("sign", "import"), vault.Yes,
				&vault.ReleasePolicy{ContentType: "application/json; charset=utf-8", Immutable: true, Data: []byte("{}")}}, kty: text("RSA"), size: 4096, exponent: 3}},
		{create, `{"kty":"EC","attributes":null,"tags":null,"key_ops":null,"release_policy":null,"key_size":null}`, &keyCreation{kty: text("EC")}},
		{create, `{"kty":"EC","key_ops":[]}`, &keyCreation{kty: text("EC"), keyDescription: keyDescription{operations: list()}}},
		{create, `{}`, "Property 'kty' is required"},
		{create, `{"kty":1}`, "Property kty has"},
		{create, `{"kty":"EC","kty":"EC"}`, "twice"},
		{create, `{"kty":"EC","key_size":"2048"}`, "Property key_size"},
		{create, `{"kty":"EC","key_size":1e3}`, "Property key_size"},
		{create, `{"kty":"EC","key_ops":"sign"}`, "Property key_ops"},
		{create, `{"kty":"EC","key_ops":["fly"]}`, "Property key_ops"},
		{create, `{"kty":"EC","key_ops":[1]}`, "Property key_ops"},
		{create, `{"kty":"EC","attributes":{"exportable":"yes"}}`, "Property exportable"},
		{create, `{"kty":"EC","attributes":{"external_key":{"id":"x"}}}`, "Property external_key"},
		{create, `{"kty":"EC","release_policy":{"data":"*"}}`, "'data' is not base64url"},
		{create, `{"kty":"EC","release_policy":[]}`, "Property release_policy"},
		{create, `[]`, "JSON object"},
		{imported, `{"Hsm":true,"key":{"kid":"x","kty":"RSA","key_ops":["encrypt"],"n":"AQAB","e":"AQ==","d":""}}`, &keyImport{hsm: vault.Yes, kty: text("RSA"), seen: true,
			key: keyring.JWK{N: []byte{1, 0, 1}, E: []byte{1}, D: []byte{}}, keyDescription: keyDescription{operations: list("encrypt")}}},
		{imported, `{"key":{"kty":"EC","crv":"P-256","key_hsm":"AA"}}`, &keyImport{kty: text("EC"), curve: text("P-256"), key: keyring.JWK{Curve: "P-256"}, sealed: []byte{0}, seen: true}},
		{imported, `{}`, "'key' is required"},
		{imported, `{"key":null}`, "'key' is required"},
		{imported, `{"key":{}}`, "'kty' is required"},
		{imported, `{"key":"x"}`, "Property key"},
		{imported, `{"key":{"kty":"RSA","n":1}}`, "Property n"},
		{imported, `{"key":{"kty":"RSA","n":"a+b/"}}`, "'n' is not base64url"},
		{update, `{}`, &keyDescription{}},
		{update, `{"key_ops":["verify"]}`, &keyDescription{operations: list("verify")}},
		{operation, `{"alg":"RS256","value":"AQAB","iv":"AA","aad":null,"tag":""}`, &keyOperation{algorithm: text("RS256"), value: []byte{1, 0, 1}}},
		{operation, `{"alg":"RS256","value":""}`, &keyOperation{algorithm: text("RS256"), value: []byte{}}},
		{operation, `{"alg":"RS256","value":null}`, "'value' is required"},
		{operation, `{"value":"AA"}`, "'alg' is required"},
		{operation, `{"alg":"RS256","value":"AA","iv":"*"}`, "'iv' is not base64url"},
		{verification, `{"alg":"RS256","value":"AA"}`, "'digest' is required"},
		{released, `{"target":"t","nonce":"n","enc":"e"}`, &keyRelease{text("t"), text("n"), text("e")}},
		{released, `{"target":""}`, "'target' is required"},
		{rotation, `{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P1D","timeBeforeExpiry":null},"action":{"type":"Rotate"}},{}],"attributes":{"expiryTime":"P2D","created":1},"id":"x"}`,
			vault.RotationPolicy{ExpiryTime: "P2D", Actions: []vault.RotationAction{{Type: "Rotate", AfterCreate: "P1D"}, {}}}},
		{rotation, `{}`, vault.RotationPolicy{}},
		{rotation, `{"lifetimeActions":null,"attributes":null}`, vault.RotationPolicy{}},
		{rotation, `{"lifetimeActions":{}}`, "Property lifetimeActions"},
		{rotation, `{"lifetimeActions":[` + strings.Repeat(`{},`, 8) + `{}]}`, "too many"},
		{rotation, `{"lifetimeActions":[{"trigger":{"timeAfterCreate":1}}]}`, "Property timeAfterCreate"},
		{rotation, `{"attributes":{"expiryTime":7}}`, "Property expiryTime"},
	} {
		got, err := tt.read([]byte(tt.body))
		if word, refused := tt.want.(string); refused {
			if err == nil || !strings.Contains(err.Error(), word) || !strings.HasPrefix(err.Error(), "BadParameter") {
				t.Errorf("%.90s = %v, want a refusal with %q", tt.body, err, word)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(keyCreation{}, keyDescription{}, description{}, keyImport{}, keyOperation{}, keyRelease{})); err != nil || diff != "" {
			t.Errorf("%.90s: %v (-want +got):\n%s", tt.body, err, diff)
		}
	}
}

// FuzzKeyBody: what is accepted is JSON, and says what encoding/json reads.
func FuzzKeyBody(f *testing.F) {
	for _, s := range []string{`{"kty":"EC","key_ops":["sign"],"attributes":{"exportable":true},"tags":{"a":"b"},"release_policy":{"data":"e30"}}`, ecImport + "}",
		`{"alg":"RS256","value":"AQAB","digest":"AA","target":"t","enc":"e"}`, `{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}}],"attributes":{"expiryTime":"P90D"}}`, `{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want struct {
			Kty    *string
			Ops    []string `json:"key_ops"`
			Alg    *string
			Value  *string
			Target *string
			Key    *struct{ Kty *string }
		}
		agree := func(what string, err error, same func() bool) {
			if err != nil {
				return
			}
			decoder := json.NewDecoder(bytes.NewReader(data))
			if err := decoder.Decode(&map[string]any{}); err != nil {
				t.Fatalf("%s accepts what is no JSON: %q", what, data)
			}
			// The names of members are matched without regard to case there.
			if json.Unmarshal(data, &want) == nil && !same() && bytes.Equal(data, bytes.ToLower(data)) {
				t.Errorf("%s reads %q otherwise", what, data)
			}
		}
		created, err := readKeyCreate(data)
		agree("readKeyCreate", err, func() bool {
			return want.Kty != nil && *want.Kty == *created.kty && (created.operations == nil || len(*created.operations) <= len(want.Ops) &&
				!slices.ContainsFunc(*created.operations, func(op string) bool { return !slices.Contains(want.Ops, op) }))
		})
		imported, err := readKeyImport(data)
		agree("readKeyImport", err, func() bool { return want.Key != nil && want.Key.Kty != nil && *want.Key.Kty == *imported.kty })
		op, err := readKeyOperation(data, false)
		agree("readKeyOperation", err, func() bool {
			return want.Alg != nil && *want.Alg == *op.algorithm && want.Value != nil && len(op.value) == base64.RawURLEncoding.DecodedLen(len(strings.NewReplacer("\n", "", "\r", "", "=", "").Replace(*want.Value)))
		})
		released, err := readKeyRelease(data)
		agree("readKeyRelease", err, func() bool { return want.Target != nil && *want.Target == *released.target })
		_, err = readKeyUpdate(data)
		agree("readKeyUpdate", err, func() bool { return true })
		_, err = readRotationPolicy(data)
		agree("readRotationPolicy", err, func() bool { return true })
	})
}

// FuzzKeyEncode: a key is written as encoding/json writes the same.
func FuzzKeyEncode(f *testing.F) {
	f.Add("https://kv/keys/a/1", "EC", "sign", "tag", []byte{1, 2}, int64(5), true)
	f.Add("<&>\"\\\u2028\x00", "", "\xff", "ä", []byte{}, int64(-1), false)
	type key struct {
		KID string   `json:"kid"`
		Kty string   `json:"kty"`
		Ops []string `json:"key_ops"`
		N   string   `json:"n"`
		E   string   `json:"e"`
	}
	type attributes struct {
		Enabled    bool   `json:"enabled"`
		NBF        *int64 `json:"nbf,omitempty"`
		Created    int64  `json:"created"`
		Updated    int64  `json:"updated"`
		Level      string `json:"recoveryLevel"`
		Days       int    `json:"recoverableDays"`
		Exportable bool   `json:"exportable"`
		Platform   string `json:"hsmPlatform"`
	}
	type policy struct {
		Type      string `json:"contentType"`
		Data      string `json:"data"`
		Immutable bool   `json:"immutable"`
	}
	type bundleOf struct {
		Key        key               `json:"key"`
		Attributes attributes        `json:"attributes"`
		Tags       map[string]string `json:"tags"`
		Managed    bool              `json:"managed,omitempty"`
		Release    *policy           `json:"release_policy,omitempty"`
	}
	r := newRig(f)
	v, _ := r.deps.Snapshot().Vault("kv")
	x := &exchange{vault: v, api: api2026, grant: r.deps.Admission.Maintain(v, "")}
	x.terms = x.grant.Terms()
	f.Fuzz(func(t *testing.T, id, kty, op, tag string, number []byte, at int64, on bool) {
		b64 := base64.RawURLEncoding.EncodeToString(number)
		want := bundleOf{Key: key{id, kty, []string{op, kty}, b64, b64}, Attributes: attributes{Enabled: on, Created: at, Updated: at, Level: "Recoverable+Purgeable", Days: 90, Exportable: on, Platform: "0"},
			Tags: map[string]string{tag: op}, Managed: on}
		o := vault.Object{Version: vault.Version{Enabled: on, Created: at, Updated: at, Managed: on, Tags: []vault.Tag{{Name: tag, Value: op}}}}
		content := vault.KeyContent{Type: kty, Operations: []string{op, kty}, Exportable: on}
		if on {
			want.Attributes.NBF, o.Version.NotBefore = &at, vault.At(at)
			want.Release, content.Release = &policy{tag, b64, on}, &vault.ReleasePolicy{ContentType: tag, Data: number, Immutable: on}
		}
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(want); err != nil {
			t.Fatal(err)
		}
		got := x.appendKey(nil, keyBundle{object: &o, content: &content, id: id, public: keyring.JWK{Type: keyring.RSA, N: number, E: number}})
		if string(got) != strings.TrimSuffix(buf.String(), "\n") {
			t.Errorf("appendKey differs from encoding/json:\n got %q\nwant %q", got, buf.String())
		}
	})
}
