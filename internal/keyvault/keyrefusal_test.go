package keyvault

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/access"
)

// inner is the inner code of a refusal.
func (a answer) inner(tb testing.TB) string {
	tb.Helper()
	e, _ := a.object(tb)["error"].(map[string]any)
	in, _ := e["innererror"].(map[string]any)
	code, _ := in["code"].(string)
	return code
}

// TestKeyStates uses one key in every state it can be in, with every
// operation.
func TestKeyStates(t *testing.T) {
	r := newRig(t)
	r.do("POST", "/keys/k/create", `{"kty":"RSA"}`).want(t, 200)
	sealed := r.do("POST", "/keys/k/encrypt", `{"alg":"RSA-OAEP","value":"`+b64(9)+`"}`).value(t)
	signature := r.do("POST", "/keys/k/sign", `{"alg":"RS256","value":"`+b64(32)+`"}`).value(t)
	operations := []struct{ name, body string }{
		{"encrypt", `{"alg":"RSA-OAEP","value":"` + b64(9) + `"}`},
		{"decrypt", `{"alg":"RSA-OAEP","value":"` + sealed + `"}`},
		{"wrapkey", `{"alg":"RSA-OAEP","value":"` + b64(9) + `"}`},
		{"unwrapkey", `{"alg":"RSA-OAEP","value":"` + sealed + `"}`},
		{"sign", `{"alg":"RS256","value":"` + b64(32) + `"}`},
		{"verify", `{"alg":"RS256","digest":"` + b64(32) + `","value":"` + signature + `"}`},
	}
	const all = "encrypt decrypt wrapkey unwrapkey sign verify"
	past, future := r.now.Unix()-100, r.now.Unix()+100
	dates := func(nbf, exp int64) string {
		return fmt.Sprintf(`{"attributes":{"enabled":true,"nbf":%d,"exp":%d}}`, nbf, exp)
	}
	for _, tt := range []struct{ state, patch, allowed, inner string }{
		{"live", `{}`, all, ""},
		{"within its dates", dates(past, future), all, ""},
		{"within the leeway", dates(r.now.Unix()+60, r.now.Unix()-59), all, ""},
		{"disabled", `{"attributes":{"enabled":false}}`, "", "KeyDisabled"},
		{"expired", dates(past-1, past), "decrypt unwrapkey verify", "KeyExpired"},
		{"not yet valid", dates(future, future+1), "decrypt unwrapkey verify", "KeyNotYetValid"},
		{"without operations", `{"key_ops":[],"attributes":{"enabled":true,"nbf":1,"exp":99999999999}}`, "", "KeyOperationForbidden"},
		{"for signatures", `{"key_ops":["sign","verify"]}`, "sign verify", "KeyOperationForbidden"},
		{"for wrapping", `{"key_ops":["wrapKey"]}`, "wrapkey", "KeyOperationForbidden"},
		{"for everything", `{"key_ops":["encrypt","decrypt","wrapKey","unwrapKey","sign","verify","import","export"]}`, all, ""},
	} {
		r.do("PATCH", "/keys/k", tt.patch).want(t, 200)
		for _, op := range operations {
			got := r.do("POST", "/keys/k/"+op.name, op.body)
			if slices.Contains(strings.Fields(tt.allowed), op.name) {
				got.want(t, 200)
				continue
			}
			if got.status != 403 || got.inner(t) != tt.inner {
				t.Errorf("%s with a key %s = %d %s, want 403 %s", op.name, tt.state, got.status, got.body, tt.inner)
			}
			if rec := r.ledger.last(); rec.Status != 403 {
				t.Errorf("%s with a key %s is recorded with %d, want 403", op.name, tt.state, rec.Status)
			}
		}
	}
	r.do("DELETE", "/keys/k", "").want(t, 200)
	for _, op := range operations {
		if got := r.do("POST", "/keys/k/"+op.name, op.body); got.status != 404 || !strings.Contains(got.body, "KeyNotFound") {
			t.Errorf("%s with a deleted key = %d %s, want 404 KeyNotFound", op.name, got.status, got.body)
		}
	}
}

// TestKeyErrors holds the answers of refused requests to their bytes. The
// lengths are recorded ones.
func TestKeyErrors(t *testing.T) {
	r := newRig(t)
	r.do("PUT", "/keys/ec", ecImport+`}`).want(t, 200)
	r.do("PUT", "/keys/off", ecImport+`,"attributes":{"enabled":false}}`).want(t, 200)
	r.do("PUT", "/keys/none", strings.Replace(ecImport, `"kty"`, `"key_ops":[],"kty"`, 1)+`}`).want(t, 200)
	r.do("PUT", "/keys/gone", ecImport+`}`).want(t, 200)
	r.do("DELETE", "/keys/gone", "").want(t, 200)
	kid := r.do("GET", "/keys/ec", "").kid(t)
	r.do("POST", "/keys/rsa/create", `{"kty":"RSA"}`).want(t, 200)
	rsa := r.do("GET", "/keys/rsa", "").kid(t)
	bad := func(message string) string { return body("BadParameter", message, "") }
	es256 := func(length int) string { return `{"alg":"ES256","value":"` + b64(length) + `"}` }
	for _, tt := range []struct {
		method, path, body string
		status, length     int
		want               string
	}{
		{"GET", "/keys/nonexistentkey-862/rotationpolicy", "", 404, 306, body("KeyNotFound", "A key with (name/id) nonexistentkey-862 was not found in this key vault. If you recently deleted this key you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182", "")},
		{"POST", "/keys/keynonexistent/rotate", "", 404, 302, body("KeyNotFound", "A key with (name/id) keynonexistent was not found in this key vault. If you recently deleted this key you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182", "")},
		{"GET", "/deletedkeys/testcrud4141929168", "", 404, 86, body("KeyNotFound", "Deleted Key not found: testcrud4141929168", "")},
		{"POST", "/keys/restore", `{"value":"bm9uLWV4aXN0aW5n"}`, 400, 78, body("Malformed backup blob", "Backup blob is corrupt.", "")},
		{"POST", "/keys/x/create", `{"kty":"oct"}`, 400, 112, body("BadParameter", "Invalid kty value: oct", "KeyTypeNotSupported")},
		{"POST", "/keys/x/create", `{"kty":"rsa"}`, 400, 0, body("BadParameter", "Invalid kty value: (unknown)", "KeyTypeNotSupported")},
		{"POST", "/keys/none/sign", es256(32), 403, 0, body("Forbidden", "Operation sign is not permitted on this key.", "KeyOperationForbidden")},
		{"POST", "/keys/off/sign", es256(32), 403, 0, body("Forbidden", "Operation sign is not allowed on a disabled key.", "KeyDisabled")},
		{"POST", "/keys/ec/sign", es256(10), 400, 0, bad("Invalid length of 'value': 10 bytes. ES256 requires 32 bytes, encoded with base64url.")},
		{"POST", "/keys/ec/verify", `{"alg":"ES256","digest":"AAAA","value":"AAAA"}`, 400, 0, bad("Invalid length of 'digest': 3 bytes. ES256 requires 32 bytes, encoded with base64url.")},
		{"POST", "/keys/ec/sign", `{"alg":"ES256K","value":"` + b64(32) + `"}`, 400, 0, bad("Key and signing algorithm are incompatible. Key " + kid + " uses curve 'P-256', and algorithm 'ES256K' can only be used with curve 'P-256K'.")},
		{"POST", "/keys/ec/sign", `{"alg":"RS256","value":"` + b64(32) + `"}`, 400, 0, bad("Key and algorithm are incompatible. Key " + kid + " is of type 'EC', and algorithm 'RS256' can only be used with keys of type 'RSA'.")},
		{"POST", "/keys/rsa/sign", es256(32), 400, 0, bad("Key and algorithm are incompatible. Key " + rsa + " is of type 'RSA', and algorithm 'ES256' can only be used with keys of type 'EC'.")},
		{"POST", "/keys/rsa/sign", `{"alg":"HS256","value":"` + b64(32) + `"}`, 400, 0, bad("Key and algorithm are incompatible. Key " + rsa + " is of type 'RSA', and algorithm 'HS256' can only be used with keys of type 'oct'.")},
		{"POST", "/keys/rsa/encrypt", `{"alg":"A256GCM","value":"` + b64(32) + `","iv":"AAAA"}`, 400, 0, bad("Key and algorithm are incompatible. Key " + rsa + " is of type 'RSA', and algorithm 'A256GCM' can only be used with keys of type 'oct'.")},
		{"POST", "/keys/rsa/encrypt", `{"alg":"RS256","value":"` + b64(32) + `"}`, 400, 0, bad("Invalid alg value: RS256")},
		{"POST", "/keys/rsa/encrypt", `{"alg":"none","value":"` + b64(32) + `"}`, 400, 0, bad("Invalid alg value: (unknown)")},
		{"POST", "/keys/rsa/encrypt", `{"alg":"RSA-OAEP","value":"` + b64(215) + `"}`, 400, 0, bad("Invalid length of 'value': 215 bytes. RSA-OAEP does not take that many with this key.")},
		{"POST", "/keys/rsa/unwrapkey", `{"alg":"RSA-OAEP","value":"a b"}`, 400, 0, bad("Content of 'value' is not base64url.\r\nProperty 'value' is required.\r\n")},
		{"POST", "/keys/rsa/unwrapkey", `{"alg":"RSA-OAEP"}`, 400, 0, bad("Property 'value' is required.\r\n")},
		{"POST", "/keys/rsa/sign", `{"value":"AAAA"}`, 400, 0, bad("Property 'alg' is required.\r\n")},
		{"POST", "/keys/rsa/verify", `{"alg":"RS256","value":"AAAA"}`, 400, 0, bad("Property 'digest' is required.\r\n")},
		{"POST", "/keys/x/create", `{}`, 400, 0, bad("Property 'kty' is required.\r\n")},
		{"PUT", "/keys/x", `{}`, 400, 0, bad("Property 'key' is required.\r\n")},
		{"POST", "/keys/x/create", `{"kty":"RSA-HSM"}`, 400, 0, bad("Hardware key operation not allowed on standard vault")},
		{"PUT", "/keys/x", ecImport + `,"Hsm":true}`, 400, 0, bad("Hardware key operation not allowed on standard vault")},
		{"POST", "/keys/x/create", `{"kty":"EC","attributes":{"exportable":true}}`, 400, 0, bad("AKV.SKR.1001: The exportable attribute is only supported with premium vaults and API version >= '7.3-preview'.")},
		{"POST", "/keys/gone/create", `{"kty":"EC"}`, 409, 0, body("Conflict", "Key gone is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the key can only be recovered or purged.", "ObjectIsDeletedButRecoverable")},
		{"POST", "/keys/a_b/create", `{"kty":"EC"}`, 400, 0, bad("The request URI contains an invalid name: a_b")},
		{"POST", "/keys/x/create", `{"kty":"EC","crv":"P-257"}`, 400, 0, bad("Property crv has invalid value: it is not a curve of this service.")},
		{"POST", "/keys/x/create", `{"kty":"RSA","key_size":1024}`, 400, 0, bad("Property key_size has invalid value: it is not 2048, 3072 or 4096.")},
		{"POST", "/keys/x/create", `{"kty":"RSA","key_size":2047}`, 400, 0, bad("Property key_size has invalid value: it is not 2048, 3072 or 4096.")},
		{"POST", "/keys/x/create", `{"kty":"RSA","public_exponent":2}`, 400, 0, bad("Property public_exponent has invalid value: it is not an odd number from 3 to 2147483647.")},
		{"POST", "/keys/x/create", `{"kty":"RSA","key_ops":["sing"]}`, 400, 0, bad("Property key_ops has invalid value: it has a word that is none of encrypt, decrypt, sign, verify, wrapKey, unwrapKey, import, export.")},
		{"PUT", "/keys/x", strings.Replace(ecImport, ecX, ecY, 1) + `}`, 400, 0, bad("Property x has invalid value: it and y are not a point of the curve.")},
		{"PUT", "/keys/x", strings.Replace(ecImport, `"EC"`, `"oct"`, 1) + `}`, 400, 0, body("BadParameter", "Invalid kty value: oct", "KeyTypeNotSupported")},
		{"PUT", "/keys/ec/rotationpolicy", `{"attributes":{"expiryTime":"P27D"}}`, 400, 0, bad("Property expiryTime has invalid value: it is shorter than 28 days.")},
		{"PUT", "/keys/ec/rotationpolicy", `{"lifetimeActions":[{"action":{"type":"Email"},"trigger":{}}]}`, 400, 0, bad("Property lifetimeActions has invalid value: they hold an action that is neither Rotate nor Notify.")},
	} {
		got := r.do(tt.method, tt.path, tt.body)
		if got.status != tt.status || got.body != tt.want {
			t.Errorf("%s %s %s = %d %s\nwant %d %s", tt.method, tt.path, tt.body, got.status, got.body, tt.status, tt.want)
		}
		if tt.length != 0 && len(got.body) != tt.length {
			t.Errorf("%s %s: Content-Length %d, want the recorded %d", tt.method, tt.path, len(got.body), tt.length)
		}
	}
	if items := must(r.store.Range(t.Context(), "o/uid-kv/keys/", "", 0)); len(items) != 4 {
		t.Errorf("%d keys after refused requests, want 4", len(items))
	}
}

// TestNoOracle: whatever is wrong with a ciphertext, the answer is the same.
func TestNoOracle(t *testing.T) {
	r := newRig(t)
	r.do("POST", "/keys/k/create", `{"kty":"RSA"}`).want(t, 200)
	encode := base64.RawURLEncoding.EncodeToString
	seal := func(alg string) []byte {
		return must(base64.RawURLEncoding.DecodeString(r.do("POST", "/keys/k/encrypt", `{"alg":"`+alg+`","value":"`+b64(9)+`"}`).value(t)))
	}
	for _, alg := range []string{"RSA-OAEP", "RSA-OAEP-256", "RSA1_5"} {
		good := seal(alg)
		flipped := bytes.Clone(good)
		flipped[100] ^= 1
		other := "RSA1_5"
		if alg == other {
			other = "RSA-OAEP"
		}
		for what, probe := range map[string][]byte{"nothing": {}, "one byte": good[:1], "a truncated one": good[:255], "a longer one": append(bytes.Clone(good), 0),
			"zeros": make([]byte, 256), "one": append(make([]byte, 255), 1), "more than the modulus": bytes.Repeat([]byte{0xff}, 256), "an altered one": flipped,
			"one of another padding": seal(other), "half": good[:128], "a huge one": bytes.Repeat([]byte{7}, 20000)} {
			for _, op := range []string{"decrypt", "unwrapkey"} {
				got := r.do("POST", "/keys/k/"+op, `{"alg":"`+alg+`","value":"`+encode(probe)+`"}`)
				want := body("BadParameter", "The value cannot be decrypted with this key and algorithm.", "")
				if got.status != 400 || got.body != want {
					t.Errorf("%s of %s with %s = %d %s\nwant 400 %s", op, what, alg, got.status, got.body, want)
				}
			}
		}
	}
}

// TestKeyBodiesTooLarge: the bounds of the table hold.
func TestKeyBodiesTooLarge(t *testing.T) {
	r := newRig(t)
	r.do("PUT", "/keys/k", ecImport+`}`).want(t, 200)
	for _, route := range keyRoutes {
		path := strings.NewReplacer("{name}", "k", "{version}", strings.Repeat("0", 32)).Replace(route.Pattern)
		if route.Body == 0 {
			continue
		}
		if got := r.do(route.Method, path, strings.Repeat(" ", int(route.Body)+1)); got.status != 413 {
			t.Errorf("%s %s with too large a body = %d, want 413", route.Method, path, got.status)
		}
	}
}

// TestKeyRoutes: the table has every operation of a vault.
func TestKeyRoutes(t *testing.T) {
	seen := map[access.Operation]bool{}
	for _, route := range keyRoutes {
		seen[route.Operation] = true
	}
	for _, o := range access.Operations() {
		if o.Info().Kind == access.KindKey && !seen[o] {
			t.Errorf("no route for %v", o)
		}
	}
	if got := len(keyRoutes); got != 23 {
		t.Errorf("%d routes of keys, want the 23 of the specification that a vault has", got)
	}
	r := newRig(t)
	for _, tt := range []struct{ method, path string }{{"POST", "/keys/k/rotate"}, {"GET", "/keys/k/rotationpolicy"}, {"PUT", "/keys/k/rotationpolicy"}, {"POST", "/keys/k/v/release"}} {
		if got := r.send(host, "officer", tt.method, tt.path+"?api-version=7.2", ""); got.status != 400 || !strings.Contains(got.body, "api-version") {
			t.Errorf("%s %s at 7.2 = %d %s, want 400: it came with 7.3", tt.method, tt.path, got.status, got.body)
		}
	}
}
