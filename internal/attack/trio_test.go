package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"postern/posterntest"
)

// newest is the api-version of the objects of today.
const newest = "?api-version=7.6"

// hand is somebody at work in one vault.
type hand struct {
	t      testing.TB
	p      *posterntest.Postern
	vault  string
	bearer string
}

func (h *hand) do(method, path, body string) answer {
	h.t.Helper()
	return send(h.t, h.p.Client(), request{method: method, url: h.p.VaultURL(h.vault) + withVersion(path), token: h.bearer, body: body})
}

// want is do for what has one right answer.
func (h *hand) want(status int, method, path, body string) answer {
	h.t.Helper()
	a := h.do(method, path, body)
	if a.status != status {
		h.t.Fatalf("%s %s = %d %.300s, want %d", method, path, a.status, a.body, status)
	}
	return a
}

// into reads the answer to a GET.
func (h *hand) into(path string, to any) {
	h.t.Helper()
	if err := json.Unmarshal([]byte(h.want(200, "GET", path, "").body), to); err != nil {
		h.t.Fatal(err)
	}
}

// ellipticPolicy is the body of a CreateCertificate whose key costs nothing.
func ellipticPolicy(issuer string, exportable, reuse bool) string {
	return fmt.Sprintf(`{"policy":{"issuer":{"name":%q},"x509_props":{"subject":"CN=a"},"key_props":{"kty":"EC","crv":"P-256","exportable":%v,"reuse_key":%v}}}`, issuer, exportable, reuse)
}

// publicKey is that of a certificate's latest request.
func (h *hand) publicKey(name string) string {
	h.t.Helper()
	var pending struct{ CSR []byte }
	h.into("/certificates/"+name+"/pending", &pending)
	csr, err := x509.ParseCertificateRequest(pending.CSR)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(csr.RawSubjectPublicKeyInfo)
}

// TestReusedKeyStaysInside: a key that was made not to leave the vault does
// not leave it in the next version of its certificate, which is exportable.
func TestReusedKeyStaysInside(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	leaves := func() bool {
		var secret struct{ Value []byte }
		h.into("/secrets/c", &secret)
		_, _, _, err := pkcs12.DecodeChain(secret.Value, "")
		return err == nil
	}
	h.want(202, "POST", "/certificates/c/create", ellipticPolicy("Self", false, true))
	first := h.publicKey("c")
	h.want(202, "POST", "/certificates/c/create", ellipticPolicy("Self", false, true))
	if h.publicKey("c") != first || leaves() {
		t.Fatal("the key was not used again, or left: this tries nothing")
	}
	h.want(200, "PATCH", "/certificates/c/policy", `{"key_props":{"exportable":true}}`)
	h.want(202, "POST", "/certificates/c/create", `{}`)
	if second := h.publicKey("c"); second == first {
		t.Error("a key that may not leave is in a certificate that is exported with its key")
	} else if !leaves() {
		t.Error("the new key does not leave, though the policy says so")
	} else if h.want(202, "POST", "/certificates/c/create", `{}`); h.publicKey("c") != second {
		t.Error("an exportable key was not used again")
	}
}

// TestPendingKeyStaysInside: a key that was made not to leave the vault does
// not leave it because the policy changed before its certificate came.
func TestPendingKeyStaysInside(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	for _, exportable := range []bool{false, true} {
		name := fmt.Sprint("c", exportable)
		h.want(202, "POST", "/certificates/"+name+"/create", ellipticPolicy("Unknown", exportable, false))
		h.want(200, "PATCH", "/certificates/"+name+"/policy", `{"key_props":{"exportable":true}}`)
		h.want(201, "POST", "/certificates/"+name+"/pending/merge", encodeJSON(t, map[string]any{"x5c": [][]byte{h.issue(name)}}))
		var secret struct{ Value []byte }
		h.into("/secrets/"+name, &secret)
		if _, _, _, err := pkcs12.DecodeChain(secret.Value, ""); (err == nil) != exportable {
			t.Errorf("made with exportable %v, the key is in the secret %v", exportable, err == nil)
		}
	}
}

// issue is a certificate for the request of a pending operation, by an
// authority of nobody.
func (h *hand) issue(name string) []byte {
	h.t.Helper()
	authority, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey([]byte(h.publicKey(name)))
	if err != nil {
		h.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(cryptorand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "merged"}, NotBefore: time.Now(), NotAfter: time.Now().Add(24 * time.Hour)},
		certified(h.t, authority, nil), public, authority)
	if err != nil {
		h.t.Fatal(err)
	}
	return der
}

// TestForeignKeyIsNotUsed: who makes certificates does not come by a key of
// the same name that is none of a certificate, in a request or in a secret.
func TestForeignKeyIsNotUsed(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	for name, setUp := range map[string]func(name string){
		"while": func(name string) { // made while the certificate waits
			h.want(202, "POST", "/certificates/"+name+"/create", ellipticPolicy("Unknown", true, true))
			h.want(200, "POST", "/keys/"+name+"/create", `{"kty":"EC"}`)
			h.want(200, "DELETE", "/certificates/"+name+"/pending", "")
		},
		"before": func(name string) { // made while it was deleted
			h.want(202, "POST", "/certificates/"+name+"/create", ellipticPolicy("Unknown", true, true))
			h.want(200, "DELETE", "/certificates/"+name, "")
			h.want(200, "POST", "/keys/"+name+"/create", `{"kty":"EC"}`)
			h.want(200, "POST", "/deletedcertificates/"+name+"/recover", "")
		},
	} {
		setUp(name)
		h.want(409, "POST", "/certificates/"+name+"/create", ellipticPolicy("Unknown", true, true))
		h.want(409, "POST", "/certificates/"+name+"/create", ellipticPolicy("Self", true, true))
		var key struct {
			Key struct{ X string }
		}
		h.into("/keys/"+name, &key)
		x, err := base64.RawURLEncoding.DecodeString(key.Key.X)
		if err != nil {
			t.Fatal(err)
		}
		a := h.do("GET", "/certificates/"+name+"/pending", "")
		var pending struct{ CSR []byte }
		if err := json.Unmarshal([]byte(a.body), &pending); err != nil || strings.Contains(string(pending.CSR), string(x)) {
			t.Errorf("%s: the pending operation is %d %s, want nothing of the key in it", name, a.status, a.body)
		}
	}
}

// TestLinkedObjects: the key and the secret of a certificate, and backups of
// any of the three, cannot be had, changed or moved by the routes of their own
// kinds; backups are of one kind and of one subscription.
func TestLinkedObjects(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	p.CreateVault("kv2")
	h, other := &hand{t, p, "kv1", p.Token(vaultResource)}, &hand{t, p, "kv2", p.Token(vaultResource)}
	h.want(202, "POST", "/certificates/Own/create", ellipticPolicy("Self", true, false))
	h.want(200, "PUT", "/secrets/s", `{"value":"v"}`)
	h.want(200, "POST", "/keys/k/create", `{"kty":"EC"}`)
	for _, tt := range []struct {
		method, path, body string
		want               int
	}{
		{"PUT", "/secrets/own", `{"value":"x"}`, 403}, {"PATCH", "/secrets/OWN", `{"attributes":{"enabled":false}}`, 403}, {"DELETE", "/secrets/own/", "", 403}, {"POST", "/secrets//own/backup", "", 403},
		{"PUT", "/keys/own", `{"key":{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}}`, 400}, {"POST", "/keys/OWN/create", `{"kty":"EC"}`, 403}, {"PATCH", "/keys/own", `{"key_ops":["encrypt"]}`, 403},
		{"DELETE", "/keys/own", "", 403}, {"POST", "/keys/own/backup", "", 403}, {"POST", "/keys/own/rotate", "", 403}, {"PUT", "/keys/own/rotationpolicy", `{"lifetimeActions":[]}`, 403},
		{"POST", "/certificates/s/create", ellipticPolicy("Self", true, false), 409}, {"POST", "/certificates/K/create", ellipticPolicy("Self", true, true), 409},
	} {
		h.want(tt.want, tt.method, tt.path, tt.body)
	}
	secret, manager := p.ManagementURL+p.VaultID("kv1")+"/secrets/own"+armAPI, p.Token(p.ManagementURL)
	for method, body := range map[string]string{"PUT": `{"properties":{"value":"x"}}`, "PATCH": `{"properties":{"attributes":{"enabled":false}}}`} {
		if a := send(t, p.Client(), request{method: method, url: secret, token: manager, body: body}); a.status != 403 {
			t.Errorf("%s of a certificate's secret by the resource manager = %d %s, want 403", method, a.status, a.body)
		}
	}
	h.whole("own")
	backups := map[string]string{}
	for kind, name := range map[string]string{"certificates": "own", "secrets": "s", "keys": "k"} {
		backups[kind] = h.want(200, "POST", "/"+kind+"/"+name+"/backup", "").body
	}
	must(t, p, "PUT", p.ManagementURL+p.VaultID("abroad")+armAPI, map[string]any{"location": "westeurope", "properties": map[string]any{"tenantId": p.TenantID,
		"sku": map[string]any{"family": "A", "name": "standard"}, "enableRbacAuthorization": true}})
	abroad := &hand{t, p, "abroad", p.Token(vaultResource)}
	for kind, blob := range backups {
		if a := abroad.want(400, "POST", "/"+kind+"/restore", blob); !strings.Contains(a.body, "Cannot decrypt backup blob") {
			t.Errorf("a backup of another geography = %s", a.body)
		}
		for to := range backups {
			if want := map[bool]int{true: 200, false: 400}[kind == to]; other.do("POST", "/"+to+"/restore", blob).status != want {
				t.Errorf("a backup of %s offered to %s is not answered %d", kind, to, want)
			}
			h.want(map[bool]int{true: 409, false: 400}[kind == to], "POST", "/"+to+"/restore", blob)
		}
	}
	h.want(200, "DELETE", "/certificates/own", "")
	for _, tt := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/deletedsecrets/own/recover", "", 403}, {"DELETE", "/deletedsecrets/own", "", 403}, {"POST", "/deletedkeys/OWN/recover", "", 403}, {"DELETE", "/deletedkeys/own", "", 403},
		{"PUT", "/secrets/own", `{"value":"x"}`, 409}, {"POST", "/keys/own/create", `{"kty":"EC"}`, 409}, {"POST", "/certificates/own/create", ellipticPolicy("Self", true, false), 409},
		{"POST", "/certificates/restore", backups["certificates"], 409}, {"GET", "/secrets/own", "", 404}, {"POST", "/keys/own/sign", `{"alg":"ES256","value":"` + strings.Repeat("A", 43) + `"}`, 404},
		{"DELETE", "/deletedcertificates/OWN", "", 204}, {"GET", "/deletedsecrets/own", "", 404}, {"GET", "/deletedkeys/own", "", 404}, {"PUT", "/secrets/own", `{"value":"x"}`, 200},
		{"POST", "/certificates/restore", backups["certificates"], 409},
	} {
		h.want(tt.want, tt.method, tt.path, tt.body)
	}
}

// TestTrioHammer has many clients create, import, merge, delete, recover,
// purge, back up and restore certificates of two names, and keys and secrets
// of the same names, without any order. Whatever came of it, a certificate
// has its key and its secret with the same versions, or none of the three is
// there.
func TestTrioHammer(t *testing.T) {
	t.Parallel()
	const workers, rounds = 12, 80
	p := posterntest.Start(t, posterntest.WithThrottle(0))
	p.CreateVault("kv1")
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	names := []string{"one", "Two"}
	h.want(202, "POST", "/certificates/one/create", ellipticPolicy("Self", true, false))
	blob := h.want(200, "POST", "/certificates/one/backup", "").body
	var mu sync.Mutex
	succeeded := map[string]int{}
	wanted := []string{"create", "begin", "delete", "recover", "purge", "backup", "own key", "own secret"}
	// Who wins is chance: it goes on until everything has been won once.
	missing := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.ContainsFunc(wanted, func(what string) bool { return succeeded[what] == 0 })
	}
	each(t, workers, workers, func(worker int) error {
		r := rand.New(rand.NewPCG(uint64(worker), 2))
		for n := 0; n < rounds || n < 20*rounds && missing(); n++ {
			name := names[r.IntN(2)]
			if r.IntN(2) == 0 {
				name = strings.ToUpper(name)
			}
			strikes := []struct{ what, method, path, body string }{
				{"create", "POST", "/certificates/" + name + "/create", ellipticPolicy("Self", true, true)}, {"begin", "POST", "/certificates/" + name + "/create", ellipticPolicy("Unknown", true, true)},
				{"cancel", "PATCH", "/certificates/" + name + "/pending", `{"cancellation_requested":true}`}, {"poll", "GET", "/certificates/" + name + "/pending", ""}, {"drop", "DELETE", "/certificates/" + name + "/pending", ""},
				{"delete", "DELETE", "/certificates/" + name, ""}, {"recover", "POST", "/deletedcertificates/" + name + "/recover", ""}, {"purge", "DELETE", "/deletedcertificates/" + name, ""},
				{"restore", "POST", "/certificates/restore", blob}, {"update", "PATCH", "/certificates/" + name, `{"attributes":{"enabled":false}}`}, {"backup", "POST", "/certificates/" + name + "/backup", ""},
				{"own key", "POST", "/keys/" + name + "/create", `{"kty":"EC"}`}, {"own secret", "PUT", "/secrets/" + name, `{"value":"own"}`}, {"no key", "DELETE", "/keys/" + name, ""}, {"no secret", "DELETE", "/secrets/" + name, ""},
				{"purge key", "DELETE", "/deletedkeys/" + name, ""}, {"purge secret", "DELETE", "/deletedsecrets/" + name, ""}, {"delete", "DELETE", "/certificates/" + name, ""}, {"purge", "DELETE", "/deletedcertificates/" + name, ""},
			}
			q := strikes[r.IntN(len(strikes))]
			if strings.HasPrefix(q.what, "own ") && r.IntN(6) > 0 {
				q = strikes[0] // who comes first has the name for long
			}
			a, err := trySend(p.Client(), request{method: q.method, url: p.VaultURL("kv1") + q.path + newest, token: h.bearer, body: q.body})
			if err != nil {
				return err
			}
			if a.status >= 500 || a.status == 401 {
				return fmt.Errorf("%s %s = %d %s", q.method, q.path, a.status, a.body)
			}
			if a.status < 300 {
				mu.Lock()
				succeeded[q.what]++
				mu.Unlock()
			}
		}
		return nil
	})
	for _, what := range wanted {
		if succeeded[what] == 0 {
			t.Errorf("no %s succeeded: this tries nothing (%v)", what, succeeded)
		}
	}
	for _, name := range names {
		h.whole(name)
	}
	p.Stop()
}

// versionsOf are the versions of an object; managed is whether it belongs to
// a certificate.
func (h *hand) versionsOf(kind, name string) (ids string, managed bool) {
	h.t.Helper()
	for target := h.p.VaultURL(h.vault) + "/" + kind + "/" + name + "/versions" + newest; target != ""; {
		a := send(h.t, h.p.Client(), request{method: "GET", url: target, token: h.bearer})
		if a.status == http.StatusNotFound && ids == "" {
			return "", false
		}
		var page struct {
			Value []struct {
				ID, KID string
				Managed bool
			}
			NextLink string
		}
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != 200 {
			h.t.Fatalf("versions of %s %s = %d %s", kind, name, a.status, a.body)
		}
		for _, v := range page.Value {
			ids += " " + (v.ID + v.KID)[strings.LastIndexByte(v.ID+v.KID, '/')+1:]
			managed = v.Managed
		}
		target = page.NextLink
	}
	return ids, managed
}

// whole checks that a certificate has a key and a secret of the same
// versions, or neither, whether it is live or deleted.
func (h *hand) whole(name string) {
	h.t.Helper()
	certificate, _ := h.versionsOf("certificates", name)
	for _, kind := range []string{"keys", "secrets"} {
		ids, managed := h.versionsOf(kind, name)
		if managed != (certificate != "") || managed && ids != certificate {
			h.t.Errorf("%s: the certificate has the versions %q, of its %s there are %q (managed %v)", name, certificate, kind, ids, managed)
		}
	}
	gone := h.do("GET", "/deletedcertificates/"+name, "")
	issued := gone.status == 200 && strings.Contains(gone.body, `"x5t"`)
	for _, kind := range []string{"keys", "secrets"} {
		a := h.do("GET", "/deleted"+kind+"/"+name, "")
		if managed := strings.Contains(a.body, `"managed":true`); managed != issued {
			h.t.Errorf("%s: among the deleted certificates %d, issued %v; among the deleted %s %d, managed %v", name, gone.status, issued, kind, a.status, managed)
		}
	}
}

// withVersion puts the api-version behind a path that may have a query.
func withVersion(path string) string {
	if strings.Contains(path, "?") {
		return path + "&" + newest[1:]
	}
	return path + newest
}
