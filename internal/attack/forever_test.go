package attack

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/posterntest"
)

// TestNothingIsDueForever: whatever users do to operations, policies and
// dates, what has come due is done with, or put off; nothing stays at the head
// of the index, where it would keep what belongs to others from its turn.
func TestNothingIsDueForever(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old := pemOf(t, certified(t, key, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Unix(0, 0), time.Unix(86400, 0) }), key)
	renewed := func(issuer string) string {
		return encodeJSON(t, map[string]any{"value": old, "policy": map[string]any{"issuer": map[string]any{"name": issuer}, "lifetime_actions": []any{
			map[string]any{"trigger": map[string]any{"lifetime_percentage": 1}, "action": map[string]any{"action_type": "AutoRenew"}}}}})
	}
	soon := time.Now().Unix() + 60
	for _, q := range []struct {
		want               int
		method, path, body string
	}{
		{202, "POST", "/certificates/asked/create", ellipticPolicy("Unknown", true, true)}, {200, "PATCH", "/certificates/asked/pending", `{"cancellation_requested":false}`},
		{202, "POST", "/certificates/twice/create", ellipticPolicy("Unknown", true, true)}, {200, "PATCH", "/certificates/twice/pending", `{"cancellation_requested":true}`}, {200, "PATCH", "/certificates/twice/pending", `{"cancellation_requested":false}`},
		{202, "POST", "/certificates/cancelled/create", ellipticPolicy("Unknown", true, true)}, {200, "PATCH", "/certificates/cancelled/pending", `{"cancellation_requested":true}`},
		{200, "PUT", "/certificates/issuers/shop", `{"provider":"nobody"}`}, {202, "POST", "/certificates/shop/create", ellipticPolicy("shop", true, true)},
		{200, "POST", "/certificates/orphan/import", renewed("shop")}, {200, "DELETE", "/certificates/issuers/shop", ""},
		{200, "POST", "/certificates/past/import", renewed("Self")}, {200, "POST", "/certificates/busy/import", renewed("Self")}, {202, "POST", "/certificates/busy/create", ellipticPolicy("Unknown", true, false)},
		{200, "POST", "/keys/zero/create", `{"kty":"EC","attributes":{"exp":0}}`}, {200, "PUT", "/secrets/zero", `{"value":"v","attributes":{"exp":0,"nbf":253402300799}}`}, {200, "PUT", "/secrets/last", `{"value":"v","attributes":{"exp":253402300799}}`},
		{200, "POST", "/keys/rotated/create", fmt.Sprintf(`{"kty":"EC","attributes":{"exp":%d}}`, soon)}, {200, "PUT", "/keys/rotated/rotationpolicy", `{"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P99999D"},"action":{"type":"Rotate"}},{"trigger":{"timeBeforeExpiry":"P99999Y"},"action":{"type":"Notify"}}]}`},
	} {
		h.want(q.want, q.method, q.path, q.body)
	}
	// What is signed is larger than a vault keeps.
	names := make([]string, 120)
	for i := range names {
		names[i] = strings.Repeat(strings.Repeat("a", 60)+".", 3) + fmt.Sprintf("h%d.example.com", i)
	}
	h.want(202, "POST", "/certificates/huge/create", encodeJSON(t, map[string]any{"policy": map[string]any{"issuer": map[string]any{"name": "Self"}, "key_props": map[string]any{"kty": "EC"},
		"x509_props": map[string]any{"subject": "CN=a", "sans": map[string]any{"dns_names": names}}}}))
	for range 4 {
		p.Upkeep()
	}
	var huge struct{ Status string }
	if h.into("/certificates/huge/pending", &huge); huge.Status != "failed" {
		t.Errorf("an operation whose certificate is too large is %s, want it failed", huge.Status)
	}
	for kind, most := range map[string]int{"certificates/past": 2, "certificates/busy": 1, "certificates/orphan": 1, "keys/rotated": 2} {
		ids, _ := h.versionsOf(kind[:strings.IndexByte(kind, '/')], kind[strings.IndexByte(kind, '/')+1:])
		if got := len(strings.Fields(ids)); got != most {
			t.Errorf("%s has %d versions after four passes, want %d", kind, got, most)
		}
	}
	p.Stop()
	open(t, p.Data, func(f closedFolder) {
		items, err := f.store.Range(context.Background(), "o/", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			_, due, ok := strings.Cut(item.Key, "/due/")
			if !ok {
				continue
			}
			if at, err := strconv.ParseInt(due[:12], 10, 64); err != nil || at <= time.Now().Unix() {
				t.Errorf("after four passes %s is still due (%v)", due, err)
			}
		}
	})
}

// TestNobodyIsDialled: no address that a user of a vault writes anywhere is
// ever asked for anything: in certificates, in issuers, in release policies
// and attestations, in tokens.
func TestNobodyIsDialled(t *testing.T) {
	t.Parallel()
	canary, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer canary.Close()
	var dialled atomic.Int64
	go func() {
		for {
			conn, err := canary.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			conn.Close()
		}
	}()
	url := "https://" + canary.Addr().String()
	p := posterntest.Start(t)
	p.CreateVault("kv1", map[string]any{"sku": map[string]any{"family": "A", "name": "premium"}})
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := certified(t, key, func(c *x509.Certificate) {
		c.OCSPServer, c.IssuingCertificateURL, c.CRLDistributionPoints = []string{url + "/ocsp"}, []string{url + "/aia"}, []string{url + "/crl"}
	})
	h.want(200, "POST", "/certificates/leaf/import", encodeJSON(t, map[string]any{"value": pemOf(t, leaf, key)}))
	h.want(200, "PUT", "/certificates/issuers/acme", encodeJSON(t, map[string]any{"provider": "ACME", "credentials": map[string]any{"account_id": url, "pwd": "AAAA"}, "org_details": map[string]any{"id": url,
		"admin_details": []any{map[string]any{"email": "a@" + canary.Addr().String()}}}}))
	h.do("POST", "/certificates/ordered/create", ellipticPolicy("acme", true, false))
	h.do("GET", "/certificates/ordered/pending", "")
	h.want(202, "POST", "/certificates/merged/create", ellipticPolicy("Unknown", true, false))
	h.do("POST", "/certificates/merged/pending/merge", encodeJSON(t, map[string]any{"x5c": [][]byte{leaf.Raw}}))
	release := base64.RawURLEncoding.EncodeToString([]byte(`{"version":"1.0.0","anyOf":[{"authority":"` + url + `","anyOf":[{"claim":"a","equals":"b"}]}]}`))
	h.do("POST", "/keys/out/create", `{"kty":"EC-HSM","attributes":{"exportable":true},"release_policy":{"data":"`+release+`"}}`)
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	forged := encode(`{"alg":"RS256","kid":"k","jku":"`+url+`/jku","x5u":"`+url+`/x5u"}`) + "." + encode(`{"iss":"`+url+`","aud":"https://vault.azure.net","exp":9999999999}`) + "." + encode("signature")
	h.do("POST", "/keys/out/release", encodeJSON(t, map[string]any{"target": forged}))
	for _, bearer := range []string{forged, "x." + encode(`{"iss":"`+url+`"}`) + ".x"} {
		if a := send(t, p.Client(), request{method: "GET", url: p.VaultURL("kv1") + "/keys/out" + newest, token: bearer}); a.status != 401 {
			t.Errorf("a forged token = %d %s, want 401", a.status, a.body)
		}
	}
	p.Upkeep()
	p.Stop()
	if n := dialled.Load(); n != 0 {
		t.Errorf("the address was dialled %d times, want never", n)
	}
	if conn, err := net.Dial("tcp", canary.Addr().String()); err != nil {
		t.Errorf("the address cannot be dialled: this tries nothing: %v", err)
	} else {
		conn.Close()
	}
}

// TestNothingPilesUp: what is begun and cancelled, written and taken away,
// deleted and purged again and again takes no more room than once.
func TestNothingPilesUp(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t, posterntest.WithThrottle(0))
	p.CreateVault("kv1")
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	loop := func() {
		h.want(202, "POST", "/certificates/c/create", ellipticPolicy("Unknown", true, true))
		h.want(200, "PATCH", "/certificates/c/pending", `{"cancellation_requested":true}`)
		h.want(200, "GET", "/certificates/c/pending", "")
		h.want(202, "POST", "/certificates/c/create", ellipticPolicy("Unknown", true, true))
		h.want(200, "PATCH", "/certificates/c/policy", `{"x509_props":{"subject":"CN=b"}}`)
		h.want(200, "DELETE", "/certificates/c/pending", "")
		h.want(202, "POST", "/certificates/d/create", ellipticPolicy("Self", true, true))
		h.want(200, "DELETE", "/certificates/d", "")
		h.want(200, "POST", "/deletedcertificates/d/recover", "")
		h.want(200, "DELETE", "/certificates/d", "")
		h.want(204, "DELETE", "/deletedcertificates/d", "")
		h.want(200, "PUT", "/certificates/issuers/i", `{"provider":"p"}`)
		h.want(200, "DELETE", "/certificates/issuers/i", "")
		h.want(200, "PUT", "/certificates/contacts", `{"contacts":[{"email":"a@b.example"}]}`)
		h.want(200, "DELETE", "/certificates/contacts", "")
		h.want(200, "POST", "/keys/k/create", `{"kty":"EC","attributes":{"exp":2000000000}}`)
		h.want(200, "PUT", "/keys/k/rotationpolicy", `{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}}]}`)
		h.want(200, "POST", "/keys/k/rotate", "")
		h.want(200, "DELETE", "/keys/k", "")
		h.want(204, "DELETE", "/deletedkeys/k", "")
	}
	items := func() (keys []string) {
		p.Stop()
		for key := range state(t, p.Data) {
			if strings.HasPrefix(key, "o/") {
				keys = append(keys, key[strings.IndexByte(key[2:], '/')+3:])
			}
		}
		p = posterntest.Start(t, posterntest.WithThrottle(0), posterntest.WithData(p.Data))
		h = &hand{t, p, "kv1", p.Token(vaultResource)}
		return keys
	}
	loop()
	p.Upkeep()
	once := items()
	for range 10 {
		loop()
	}
	p.Upkeep()
	if often := items(); len(often) != len(once) || len(once) == 0 {
		t.Errorf("after one time there is %q, after ten more %q, want the same", once, often)
	}
}
