package keyvault

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/internal/entra"
	"postern/internal/pki"
	"postern/internal/store/memory"
	"postern/internal/throttle"
)

// attester is an authority that attests environments, with the environment's
// own key.
type attester struct {
	key, other, environment *rsa.PrivateKey
	now                     time.Time
}

const attesting = "https://attest.example"

// newReleaseRig is a rig with a premium vault whose server trusts an
// attestation authority.
func newReleaseRig(t *testing.T) (*rig, *attester, *pki.Authority) {
	t.Helper()
	r := newRig(t)
	a := &attester{key: must(rsa.GenerateKey(rand.Reader, 2048)), other: must(rsa.GenerateKey(rand.Reader, 2048)),
		environment: must(rsa.GenerateKey(rand.Reader, 2048)), now: r.now}
	file := filepath.Join(t.TempDir(), "keys.json")
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: a.key.Public(), KeyID: "a", Use: "sig"}}}
	if err := os.WriteFile(file, must(json.Marshal(set)), 0o600); err != nil {
		t.Fatal(err)
	}
	directory := must(entra.Open(t.Context(), memory.New(), testRoot, entra.Options{Now: r.deps.Now}))
	if err := directory.TrustAttestation([]entra.AttestationAuthority{{Issuer: attesting, KeysFile: file}}); err != nil {
		t.Fatal(err)
	}
	ca := must(pki.OpenCA(t.TempDir(), testRoot, []string{"*.vault.postern.localhost"}, pki.Options{Now: r.deps.Now}))
	r.deps.Attested, r.deps.Notary = directory.Attested, ca.Notary
	r.Handler = Handler(r.deps)
	return r, a, ca
}

// token is an attestation, with changes of its claims; nil leaves one out.
func (a *attester) token(key *rsa.PrivateKey, kid string, edits map[string]any) string {
	claims := map[string]any{"iss": attesting + "/", "iat": a.now.Unix(), "exp": a.now.Unix() + 60, "sdk-test": true, "x-ms-runtime": map[string]any{
		"keys": []any{jose.JSONWebKey{Key: a.environment.Public(), KeyID: "environment", Use: "enc"}}}}
	maps.Copy(claims, edits)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key},
		&jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"typ": "JWT", "kid": kid, "jku": "https://evil.example/keys"}}))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

func policyOf(authority, claim, value string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"anyOf":[{"anyOf":[{"claim":"` + claim + `","equals":"` + value + `"}],"authority":"` + authority + `"}],"version":"1.0.0"}`))
}

func (r *rig) premium(method, path, body string) answer {
	return r.send(vaultHost("premium"), "officer", method, path+"?api-version=7.6", body)
}

// unwrapPadded is the inverse of the AES key wrap with padding (RFC 5649
// §4.2).
func unwrapPadded(t *testing.T, secret, wrapped []byte) []byte {
	t.Helper()
	block := must(aes.NewCipher(secret))
	n := len(wrapped)/8 - 1
	out := append([]byte(nil), wrapped[8:]...)
	var b [16]byte
	copy(b[:8], wrapped)
	for step := 6*n - 1; step >= 0; step-- {
		half := out[8*(step%n):][:8]
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^uint64(step+1))
		copy(b[8:], half)
		block.Decrypt(b[:], b[:])
		copy(half, b[8:])
	}
	length := int(binary.BigEndian.Uint32(b[4:]))
	if binary.BigEndian.Uint32(b[:]) != 0xa65959a6 || length > len(out) || length <= len(out)-8 {
		t.Fatal("the wrapped key is damaged")
	}
	return out[:length]
}

// TestRelease: an attested environment, and it alone, can open what it gets.
func TestRelease(t *testing.T) {
	r, a, ca := newReleaseRig(t)
	create := `{"kty":"EC-HSM","crv":"P-384","attributes":{"exportable":true},"release_policy":{"data":"` + policyOf(attesting, "sdk-test", "true") + `","immutable":true}}`
	made := r.premium("POST", "/keys/k/create", create)
	kid := made.kid(t)
	if !strings.Contains(made.body, `"exportable":true,"hsmPlatform":"2"},"release_policy":{"contentType":"application/json; charset=utf-8","data":"`) || !strings.HasSuffix(made.body, `","immutable":true}}`) {
		t.Errorf("create = %s", made.body)
	}
	release := `{"target":"` + a.token(a.key, "a", nil) + `"}`
	r.deps.Admission.SetBudget(throttle.New(throttle.Profile{Vault: int64(throttle.CreateInHSM), Weighted: true}, nil, r.deps.Now))
	r.premium("POST", "/keys/k/release", release).want(t, 200)
	r.premium("POST", "/keys/k/release", release).want(t, 429) // it costs what a creation does
	r.deps.Admission.SetBudget(nil)
	digest := sha256.Sum256([]byte("hello"))
	long := append(digest[:], digest[:16]...)
	signature := must(base64.RawURLEncoding.DecodeString(r.premium("POST", "/keys/k/sign", `{"alg":"ES384","value":"`+base64.RawURLEncoding.EncodeToString(long)+`"}`).value(t)))
	for enc, hash := range map[string]crypto.Hash{"": crypto.SHA1, "CKM_RSA_AES_KEY_WRAP": crypto.SHA1, "RSA_AES_KEY_WRAP_256": crypto.SHA256, "RSA_AES_KEY_WRAP_384": crypto.SHA384} {
		got := r.premium("POST", "/keys/k/release", `{"target":"`+a.token(a.key, "a", nil)+`","nonce":"fresh","enc":"`+enc+`"}`).value(t)
		if rec := r.ledger.last(); rec.OperationName != "KeyRelease" || rec.ID != kid {
			t.Errorf("recorded as %s of %s", rec.OperationName, rec.ID)
		}
		signed := must(jose.ParseSignedCompact(got, []jose.SignatureAlgorithm{jose.RS256}))
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca.PEM())
		chains := must(signed.Signatures[0].Protected.Certificates(x509.VerifyOptions{Roots: pool, DNSName: "premium.vault.postern.localhost", CurrentTime: r.now}))
		var payload struct {
			Request  map[string]string
			Response struct {
				Key struct {
					Key struct {
						KID, Kty, Crv, X, Y, D string
						HSM                    string `json:"key_hsm"`
					}
					Attributes map[string]any
				}
			}
		}
		if err := json.Unmarshal(must(signed.Verify(chains[0][0].PublicKey)), &payload); err != nil {
			t.Fatal(err)
		}
		wantEnc := enc
		if enc == "" {
			wantEnc = "CKM_RSA_AES_KEY_WRAP"
		}
		if q := payload.Request; q["enc"] != wantEnc || q["nonce"] != "fresh" || q["api-version"] != "7.6" || q["kid"]+"/" != kid[:len(kid)-32] {
			t.Errorf("request = %v", q)
		}
		key := payload.Response.Key.Key
		if key.KID != kid || key.Kty != "EC" || key.Crv != "P-384" || key.D != "" || payload.Response.Key.Attributes["exportable"] != true {
			t.Errorf("response = %+v", payload.Response)
		}
		var envelope struct {
			Schema     string `json:"schema_version"`
			Header     map[string]string
			Ciphertext string
		}
		if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(key.HSM)), &envelope); err != nil {
			t.Fatal(err)
		}
		if envelope.Schema != "1.0" || envelope.Header["kid"] != "environment" || envelope.Header["enc"] != wantEnc || envelope.Header["alg"] != "dir" {
			t.Errorf("envelope = %+v", envelope)
		}
		wrapped := must(base64.RawURLEncoding.DecodeString(envelope.Ciphertext))
		secret := must(rsa.DecryptOAEP(hash.New(), nil, a.environment, wrapped[:256], nil))
		private := must(x509.ParsePKCS8PrivateKey(unwrapPadded(t, secret, wrapped[256:]))).(*ecdsa.PrivateKey)
		if !ecdsa.Verify(&private.PublicKey, long, new(big.Int).SetBytes(signature[:48]), new(big.Int).SetBytes(signature[48:])) {
			t.Error("the released key is not the one that signs")
		}
	}
}

// TestReleaseRefused: every attestation that does not do is refused with one
// answer, and what is wrong with the request with another.
func TestReleaseRefused(t *testing.T) {
	r, a, _ := newReleaseRig(t)
	create := func(name, kty, policy string) {
		r.premium("POST", "/keys/"+name+"/create", `{"kty":"`+kty+`","attributes":{"exportable":true},"release_policy":{"data":"`+policy+`"}}`).want(t, 200)
	}
	create("k", "EC-HSM", policyOf(attesting, "sdk-test", "true"))
	create("nested", "EC-HSM", policyOf(attesting, "a.b", "1"))
	create("elsewhere", "EC-HSM", policyOf("https://other.example", "sdk-test", "true"))
	create("off", "EC-HSM", policyOf(attesting, "sdk-test", "true"))
	r.premium("PATCH", "/keys/off", `{"attributes":{"enabled":false}}`).want(t, 200)
	r.premium("POST", "/keys/closed/create", `{"kty":"EC-HSM"}`).want(t, 200)
	good := a.token(a.key, "a", nil)
	with := func(edits map[string]any) string { return a.token(a.key, "a", edits) }
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"a"}`)) + "." + parts[1] + "."
	now := r.now.Unix()
	for _, tt := range []struct {
		what, key, token string
		status           int
	}{
		{"a good one", "k", good, 200},
		{"one whose issuer has no slash", "k", with(map[string]any{"iss": attesting}), 200},
		{"one with the claim as text", "k", with(map[string]any{"sdk-test": "true"}), 200},
		{"one with a nested claim", "nested", with(map[string]any{"a": map[string]any{"b": 1}}), 200},
		{"one without the nested claim", "nested", good, 403},
		{"one of an authority that the policy does not name", "elsewhere", good, 403},
		{"one of an authority that is not trusted", "elsewhere", with(map[string]any{"iss": "https://other.example"}), 403},
		{"a false claim", "k", with(map[string]any{"sdk-test": false}), 403},
		{"no claim", "k", with(map[string]any{"sdk-test": nil}), 403},
		{"an expired one", "k", with(map[string]any{"exp": now - 301}), 403},
		{"one without an end", "k", with(map[string]any{"exp": nil}), 403},
		{"one that is not yet valid", "k", with(map[string]any{"nbf": now + 301}), 403},
		{"one without an issuer", "k", with(map[string]any{"iss": nil}), 403},
		{"one signed by somebody else", "k", a.token(a.other, "a", nil), 403},
		{"one with an unknown kid", "k", a.token(a.key, "b", nil), 403},
		{"one without a signature", "k", parts[0] + "." + parts[1] + ".", 403},
		{"one with the algorithm none", "k", none, 403},
		{"half of one", "k", parts[0] + "." + parts[1], 403},
		{"garbage", "k", "garbage", 403},
		{"dots", "k", "..", 403},
	} {
		got := r.premium("POST", "/keys/"+tt.key+"/release", `{"target":"`+tt.token+`"}`)
		want := body("Forbidden", "Target environment attestation statement cannot be verified.", "AccessDenied")
		if got.status != tt.status || tt.status == 403 && got.body != want {
			t.Errorf("release for %s = %d %s, want %d", tt.what, got.status, got.body, tt.status)
		}
	}
	for _, tt := range []struct {
		key, body string
		status    int
		want      string
	}{
		{"k", `{"target":""}`, 400, body("BadParameter", "Property 'target' is required.\r\n", "")},
		{"k", `{}`, 400, body("BadParameter", "Property 'target' is required.\r\n", "")},
		{"k", `{"target":"` + good + `","enc":"RSA1_5"}`, 400, body("BadParameter", "Invalid enc value: (unknown)", "")},
		{"k", `{"target":"` + with(map[string]any{"x-ms-runtime": nil}) + `"}`, 400, body("BadParameter", "The attestation names no RSA key for encryption in x-ms-runtime.keys.", "")},
		{"k", `{"target":"x","nonce":"` + strings.Repeat("n", 1025) + `"}`, 400, body("BadParameter", "Property nonce has invalid value: it is longer than 1024 bytes.", "")},
		{"off", `{"target":"` + good + `"}`, 403, body("Forbidden", "Operation release is not allowed on a disabled key.", "KeyDisabled")},
		{"closed", `{"target":"` + good + `"}`, 403, body("Forbidden", "Operation release is not allowed on a key that is not exportable.", "KeyOperationForbidden")},
	} {
		if got := r.premium("POST", "/keys/"+tt.key+"/release", tt.body); got.status != tt.status || got.body != tt.want {
			t.Errorf("release %s %.80s = %d %s\nwant %d %s", tt.key, tt.body, got.status, got.body, tt.status, tt.want)
		}
	}
	r.deps.Attested = nil
	r.Handler = Handler(r.deps)
	r.premium("POST", "/keys/k/release", `{"target":"`+good+`"}`).want(t, 403)
}

// TestExportable holds the rules of keys that can be released.
func TestExportable(t *testing.T) {
	r := newRig(t)
	first, second := policyOf(attesting, "c", "1"), policyOf(attesting, "c", "2")
	with := func(data string) string { return `"release_policy":{"data":"` + data + `"}` }
	out := `"attributes":{"exportable":true}`
	r.premium("POST", "/keys/out/create", `{"kty":"EC-HSM",`+out+`,`+with(first)+`}`).want(t, 200)
	r.premium("POST", "/keys/fixed/create", `{"kty":"EC-HSM",`+out+`,"release_policy":{"immutable":true,"data":"`+first+`"}}`).want(t, 200)
	kid := r.premium("POST", "/keys/plain/create", `{"kty":"EC-HSM"}`).kid(t)
	version := r.premium("GET", "/keys/out", "").kid(t)
	version = version[len(version)-32:]
	bad := func(message string) string { return body("BadParameter", message, "") }
	for _, tt := range []struct{ method, path, body, want string }{
		{"POST", "/keys/x/create", `{"kty":"RSA-HSM","attributes":{"exportable":true}}`, bad("AKV.SKR.1004: Exportable keys must have release policy.")},
		{"POST", "/keys/x/create", `{"kty":"RSA-HSM","attributes":{},` + with(first) + `}`, bad("AKV.SKR.1005: Non-exportable keys must not have release policy.")},
		{"POST", "/keys/x/create", `{"kty":"EC",` + out + `,` + with(first) + `}`, bad("AKV.SKR.1006: Only HSM-protected keys can be exportable.")},
		{"POST", "/keys/out/create", `{"kty":"EC-HSM"}`, bad("AKV.SKR.1003: The exportable attribute of an existing key cannot be changed.")},
		{"POST", "/keys/fixed/create", `{"kty":"EC-HSM",` + out + `,` + with(second) + `}`, bad("AKV.SKR.1020: Immutable Key Release Policy cannot be modified.")},
		{"PUT", "/keys/x", ecImport + `,"Hsm":true,` + out + `}`, bad("AKV.SKR.1004: Exportable keys must have release policy.")},
		{"POST", "/keys/x/create", `{"kty":"EC-HSM",` + out + `,` + with("e30") + `}`, bad("The release policy cannot be used: the policy names no authority: anyOf is missing.")},
		{"POST", "/keys/x/create", `{"kty":"EC-HSM",` + out + `,"release_policy":{}}`, bad("The release policy cannot be used: the policy is not an object.")},
		{"PATCH", "/keys/plain", `{` + out + `}`, bad("AKV.SKR.1014: Cannot modify the exportable state of a key.")},
		{"PATCH", "/keys/plain", `{` + with(first) + `}`, bad("AKV.SKR.1014: Cannot modify the exportable state of a key.")},
		{"PATCH", "/keys/out/" + version, `{` + with(second) + `}`, bad("AKV.SKR.1016: Key Release Policy can only be set on versionless key.")},
		{"PATCH", "/keys/fixed", `{` + with(second) + `}`, bad("AKV.SKR.1020: Immutable Key Release Policy cannot be modified.")},
		{"PATCH", "/keys/fixed", `{` + with(first) + `}`, bad("AKV.SKR.1020: Immutable Key Release Policy cannot be modified.")},
		{"PATCH", "/keys/out", `{` + with("e30") + `}`, bad("The release policy cannot be used: the policy names no authority: anyOf is missing.")},
	} {
		if got := r.premium(tt.method, tt.path, tt.body); got.status != 400 || got.body != tt.want {
			t.Errorf("%s %s %s = %d %s\nwant 400 %s", tt.method, tt.path, tt.body, got.status, got.body, tt.want)
		}
	}
	for _, tt := range []struct{ method, path, body, want string }{
		{"PATCH", "/keys/out", `{` + with(second) + `,` + out + `}`, second},
		{"POST", "/keys/out/rotate", "", second},
		{"POST", "/keys/out/create", `{"kty":"EC-HSM",` + out + `}`, second},
		{"PUT", "/keys/new", ecImport + `,"Hsm":true,` + out + `,` + with(first) + `}`, first},
	} {
		got := r.premium(tt.method, tt.path, tt.body).want(t, 200)
		if !strings.Contains(got.body, `"data":"`+tt.want+`"`) || !strings.Contains(got.body, `"exportable":true`) || !strings.Contains(got.body, `"kty":"EC-HSM"`) {
			t.Errorf("%s %s = %s, want the policy %s", tt.method, tt.path, got.body, tt.want)
		}
	}
	if strings.Contains(r.premium("DELETE", "/keys/out", "").want(t, 200).body, "release_policy") {
		t.Error("a deleted key shows its release policy")
	}
	if got := r.send(vaultHost("premium"), "officer", "GET", strings.TrimPrefix(kid, "https://"+vaultHost("premium"))+"?api-version=7.4", ""); strings.Contains(got.body, "hsmPlatform") || !strings.Contains(got.body, `"exportable":false`) {
		t.Errorf("at 7.4 = %s", got.body)
	}
}
