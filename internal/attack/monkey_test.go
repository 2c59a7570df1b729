package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/keyvault"
	"postern/posterntest"
)

// TestMonkey sends every operation the bodies of every other one, whole, cut
// off and with a byte of another value, to objects of three names in whatever
// state they are, while time passes and the server does what is due. Nothing
// is answered with a failure of the server, and in the end every certificate
// is whole.
func TestMonkey(t *testing.T) {
	t.Parallel()
	const workers, rounds = 8, 500
	c, log := &clock{}, &safeBuffer{}
	p := posterntest.Start(t, c.option(), posterntest.WithThrottle(0), posterntest.WithLog(log))
	p.CreateVault("kv1", map[string]any{"sku": map[string]any{"family": "A", "name": "premium"}})
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := certified(t, key, nil)
	release := base64.RawURLEncoding.EncodeToString([]byte(`{"version":"1.0.0","anyOf":[{"authority":"https://a.example","anyOf":[{"claim":"a","equals":"b"}]}]}`))
	bodies := []string{
		"", "{}", "null", "[]", `{"value":"v"}`, `{"value":"v","contentType":"application/x-pkcs12"}`, `{"value":"v","attributes":{"enabled":false,"exp":1}}`, `{"kty":"EC"}`, `{"kty":"EC-HSM","crv":"P-256K","attributes":{"exp":1795400000}}`,
		`{"kty":"EC-HSM","attributes":{"exportable":true},"release_policy":{"data":"` + release + `"}}`, encodeJSON(t, map[string]any{"key": jwkOf(t, key)}), `{"alg":"ES256","value":"` + strings.Repeat("A", 43) + `","digest":"` + strings.Repeat("A", 43) + `"}`,
		`{"alg":"RSA-OAEP","value":"AAAA"}`, `{"key_ops":["sign"],"attributes":{"enabled":true,"nbf":1,"exp":253402300799},"tags":{"a":"b"}}`, `{"attributes":{"expiryTime":"P28D"},"lifetimeActions":[{"trigger":{"timeAfterCreate":"P7D"},"action":{"type":"Rotate"}}]}`,
		ellipticPolicy("Self", true, true), ellipticPolicy("Self", false, true), ellipticPolicy("Unknown", true, true), ellipticPolicy("one", true, false), encodeJSON(t, map[string]any{"value": pemOf(t, leaf, key)}), encodeJSON(t, map[string]any{"x5c": [][]byte{leaf.Raw}}),
		`{"cancellation_requested":true}`, `{"cancellation_requested":false}`, `{"provider":"p","credentials":{"account_id":"a","pwd":"b"},"attributes":{"enabled":true}}`, `{"contacts":[{"email":"a@b.example"}]}`, `{"issuer":{"name":"Self"},"lifetime_actions":[{"trigger":{"lifetime_percentage":1},"action":{"action_type":"AutoRenew"}}]}`,
		`{"policy":{"key_props":{"exportable":true}},"attributes":{"enabled":false}}`, `{"target":"a.b.c","enc":"RSA_AES_KEY_WRAP_256","nonce":"n"}`,
	}
	var mu sync.Mutex
	outcomes := map[int]int{}
	routes := keyvault.Routes()
	each(t, workers, workers, func(worker int) error {
		r := mathrand.New(mathrand.NewPCG(uint64(worker), 3))
		for i := range rounds {
			if worker == 0 && i%100 == 99 {
				c.move(8 * time.Minute) // tokens live longer
				p.Upkeep()
			}
			route := routes[r.IntN(len(routes))]
			path := strings.NewReplacer("{name}", []string{"one", "Two", "three"}[r.IntN(3)], "/{version}", "").Replace(route.Pattern)
			body := ""
			if route.Body > 0 {
				mu.Lock()
				body = bodies[r.IntN(len(bodies))]
				mu.Unlock()
				switch n := len(body); {
				case n > 0 && r.IntN(8) == 0:
					body = body[:r.IntN(n)]
				case n > 0 && r.IntN(8) == 0:
					at := r.IntN(n)
					body = body[:at] + string(rune(' '+r.IntN(90))) + body[at+1:]
				}
			}
			a, err := trySend(p.Client(), request{method: route.Method, url: p.VaultURL("kv1") + withVersion(path), token: h.bearer, body: body})
			if err != nil {
				return err
			}
			if a.status >= 500 || a.status == 401 {
				return fmt.Errorf("%s %s with %.300q = %d %s", route.Method, path, body, a.status, a.body)
			}
			mu.Lock()
			outcomes[a.status]++
			if strings.HasSuffix(path, "/backup") && a.status == 200 && len(bodies) < 60 {
				bodies = append(bodies, a.body)
			}
			mu.Unlock()
		}
		return nil
	})
	for _, status := range []int{200, 202, 204, 400, 403, 404, 409} {
		if outcomes[status] == 0 {
			t.Errorf("nothing was answered %d: this tries too little (%v)", status, outcomes)
		}
	}
	for _, name := range []string{"one", "two", "three"} {
		h.whole(name)
	}
	for line := range strings.Lines(string(log.bytes())) {
		if strings.Contains(line, "level=ERROR") {
			t.Errorf("the log says %s", line)
		}
	}
}
