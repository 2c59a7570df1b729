package entra

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postern/access"
)

func TestForgeries(t *testing.T) {
	w := newWorld(t)
	rows := forgeries(t, w)
	if len(rows) < 200 {
		t.Errorf("%d rows, want at least 200", len(rows))
	}
	v := w.Verifier(VaultAudiences(testName))
	for range 2 { // the second time the valid ones are in the cache
		for _, row := range rows {
			id := v.Verify("Bearer " + row.token)
			if id.Token != row.want {
				t.Errorf("%s: Verify = %v, want %v", row.name, id.Token, row.want)
			}
			if id.Token == unknown && id.Header == "" || id.Token == elsewhere && id.Audience == "" {
				t.Errorf("%s: the text of the answer is missing: %+v", row.name, id)
			}
		}
	}
	none := w.Verifier(nil)
	if got := none.Verify("Bearer " + newForger(t, w).claim()).Token; got != elsewhere {
		t.Errorf("a verifier without audiences = %v, want %v", got, elsewhere)
	}
	if got := newWorld(t).Verifier([]string{vaultAudience}).Verify(w.bearer(t, w.alice, vaultAudience)).Token; got != unknown {
		t.Errorf("a token of another directory = %v, want %v", got, unknown)
	}
}

func TestSchemes(t *testing.T) {
	w := newWorld(t)
	v := w.Verifier([]string{vaultAudience})
	token := strings.TrimPrefix(w.bearer(t, w.alice, vaultAudience), "Bearer ")
	for _, row := range []struct {
		header string
		want   access.TokenState
	}{
		{"Bearer " + token, valid},
		{"bearer " + token, valid},
		{"BEARER " + token, valid},
		{"", access.TokenAbsent},
		{"Bearer", access.TokenAbsent},
		{"Bearer ", access.TokenAbsent},
		{"PoP " + token, access.TokenAbsent},
		{"MTLS_POP " + token, access.TokenAbsent},
		{"Basic YTpi", access.TokenAbsent},
		{token, access.TokenAbsent},
		{"Bearer" + token, access.TokenAbsent},
		{"Bearer\t" + token, access.TokenAbsent},
		{" Bearer " + token, access.TokenAbsent},
		{"Bearer  " + token, malformed},
		{"Bearer Bearer " + token, malformed},
		{"Bearer null", malformed},
		{"Bearer undefined", malformed},
		{"Bea\u0280er " + token, access.TokenAbsent},
	} {
		if got := v.Verify(row.header).Token; got != row.want {
			t.Errorf("Verify(%.20q…) = %v, want %v", row.header, got, row.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	w := newWorld(t)
	v := w.Verifier(VaultAudiences(testName))
	f := newForger(t, w)
	app, object, issuer := w.alice.App.String(), w.alice.Object.String(), Issuer(w.home.ID)
	group := access.MustGUID("aaaaaaaa-0000-0000-0000-000000000001")
	mirid := "/subscriptions/bbbbbbbb-0000-0000-0000-000000000001/resourcegroups/RG/providers/Microsoft.Web/sites/App"
	caller := access.Caller{Token: valid, Tenant: w.home.ID, Object: w.alice.Object, App: w.alice.App}
	plain := "appid=" + app + ";oid=" + object + ";iss=" + issuer
	grouped, managed, user := caller, caller, caller
	grouped.Groups = []access.GUID{group}
	managed.IdentityResource, managed.Subscription = strings.ToLower(mirid), access.MustGUID("bbbbbbbb-0000-0000-0000-000000000001")
	user.User = true
	for _, row := range []struct {
		name, token string
		want        Identity
	}{
		{"application", f.claim(), Identity{Caller: caller, IDType: "app", Text: plain, PolicyText: plain}},
		{"groups", f.claim("groups", `["`+group.String()+`"]`), Identity{Caller: grouped, IDType: "app", Text: plain,
			PolicyText: "appid=" + app + ";oid=" + object + ";numgroups=1;iss=" + issuer}},
		{"managed identity", f.claim("xms_mirid", `"`+mirid+`"`), Identity{Caller: managed, IDType: "app", ResourceID: mirid,
			Text: plain + ";xms_mirid=" + mirid, PolicyText: plain + ";xms_mirid=" + mirid}},
		{"user", f.claim("idtyp", `"user"`, "upn", `"a@home.example"`), Identity{Caller: user, IDType: "user", UPN: "a@home.example", Text: plain, PolicyText: plain}},
	} {
		row.want.Audience, row.want.Issuer, row.want.AppID, row.want.ObjectID = vaultAudience, issuer, app, object
		row.want.Header = row.token[:strings.IndexByte(row.token, '.')]
		if diff := cmp.Diff(&row.want, v.Verify("Bearer "+row.token)); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
	}
	token, _, _ := strings.Cut(strings.TrimPrefix(w.bearer(t, w.alice, "https://vault.azure.net/"), "Bearer "), " ")
	if got := v.Verify("Bearer " + token); got.Audience != "https://vault.azure.net/" || got.Token != valid {
		t.Errorf("audience = %q, %v, want the slash to survive", got.Audience, got.Token)
	}
}

// TestCacheLifetime: what the cache knows ends with the token, both ways of
// the clock, and with the keys.
func TestCacheLifetime(t *testing.T) {
	w := newWorld(t)
	v := w.Verifier([]string{vaultAudience})
	header := w.bearer(t, w.alice, vaultAudience)
	first := v.Verify(header)
	if again := v.Verify(header); again != first {
		t.Error("the second time another identity, want the one of the cache")
	}
	for _, row := range []struct {
		add  time.Duration
		want access.TokenState
	}{
		{time.Hour + MaxSkew - time.Second, valid},
		{time.Second, expired},
		{-time.Second, valid},
		{-time.Hour - 2*MaxSkew, early},
		{2 * MaxSkew, valid},
	} {
		w.clock.add(row.add)
		if got := v.Verify(header).Token; got != row.want {
			t.Errorf("at %v: %v, want %v", w.clock.Now(), got, row.want)
		}
	}
	bare := w.state.Load().clone()
	bare.keys = newKeyring(nil)
	w.state.Store(bare)
	if got := v.Verify(header).Token; got != unknown {
		t.Errorf("without keys: %v, want %v", got, unknown)
	}
}

// TestCacheIsBounded: more tokens than places leave the cache full, right
// and no larger; refused tokens leave nothing.
func TestCacheIsBounded(t *testing.T) {
	c := &cache{}
	now := time.Unix(1e9, 0)
	for i := range 3 * buckets * ways {
		sum := sha256.Sum256(fmt.Append(nil, i))
		id := &Identity{Audience: fmt.Sprint(i)}
		c.put(&sum, id, now, now.Add(time.Hour+time.Duration(i)*time.Second))
		c.put(&sum, id, now, now.Add(time.Hour+time.Duration(i)*time.Second))
		if got := c.get(&sum, now); got != id {
			t.Fatalf("token %d = %v, want it at once", i, got)
		}
	}
	seen := map[[32]byte]bool{}
	for i := range c.table {
		for j := range c.table[i] {
			e := c.table[i][j].Load()
			if e == nil {
				continue
			}
			if seen[e.sum] {
				t.Fatal("a token is there twice")
			}
			seen[e.sum] = true
		}
	}
	if len(seen) < buckets*ways*99/100 {
		t.Errorf("%d entries, want about %d", len(seen), buckets*ways)
	}
	w := newWorld(t)
	v := w.Verifier([]string{"x"})
	v.Verify(w.bearer(t, w.alice, vaultAudience))
	for i := range v.cache.p.Load().table {
		for j := range v.cache.p.Load().table[i] {
			if v.cache.p.Load().table[i][j].Load() != nil {
				t.Fatal("a refused token is in the cache")
			}
		}
	}
}

// TestVerifyConcurrently is for the race detector: verification while the
// keys change.
func TestVerifyConcurrently(t *testing.T) {
	w := newWorld(t)
	v := w.Verifier([]string{vaultAudience})
	header := w.bearer(t, w.alice, vaultAudience)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if got := v.Verify(header).Token; got != valid {
					t.Errorf("Verify = %v, want %v", got, valid)
					return
				}
			}
		})
	}
	if err := w.RotateKeys(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// TestVerifyAllocations: a token that is known costs nothing.
func TestVerifyAllocations(t *testing.T) {
	w := newWorld(t)
	v := w.Verifier([]string{vaultAudience})
	header := w.bearer(t, w.alice, vaultAudience)
	v.Verify(header)
	if got := testing.AllocsPerRun(100, func() { v.Verify(header) }); got != 0 {
		t.Errorf("allocations on a hit = %v, want 0", got)
	}
	if got := testing.AllocsPerRun(100, func() { v.Verify("") }); got != 0 {
		t.Errorf("allocations without a token = %v, want 0", got)
	}
}

// TestMutations: a token that differs in anything from one that was issued
// is not valid.
func TestMutations(t *testing.T) {
	w := newWorld(t)
	v := w.Verifier([]string{vaultAudience})
	token := strings.TrimPrefix(w.bearer(t, w.alice, vaultAudience), "Bearer ")
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(token)
		switch at := rapid.IntRange(0, len(b)-1).Draw(t, "at"); rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			b[at] = rapid.Byte().Draw(t, "byte")
		case 1:
			b = slices.Delete(b, at, at+1)
		case 2:
			b = slices.Insert(b, at, rapid.Byte().Draw(t, "byte"))
		case 3:
			b = append(b, b[at:]...)
		}
		if got := v.Verify("Bearer " + string(b)).Token; got == valid && string(b) != token {
			t.Errorf("Verify(%q) = valid, want anything else", b)
		}
	})
}

func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	v := w.Verifier([]string{vaultAudience})
	signed := map[string]bool{} // all that the key ever signed
	for _, row := range forgeries(f, w) {
		header := "Bearer " + row.token
		signed[header] = row.want == valid
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		id := v.Verify(header)
		scheme, token, _ := strings.Cut(header, " ")
		if id.Token == valid && (!signed["Bearer "+token] || !strings.EqualFold(scheme, "Bearer")) {
			t.Errorf("Verify(%q) = valid, want a token that was signed", header)
		}
		if id.Token != valid && id.Token != elsewhere && id.Token != expired && id.Token != early && id.Text != "" && id.Token != malformed {
			t.Errorf("Verify(%q) = %v with text %q, want no text", header, id.Token, id.Text)
		}
	})
}

func FuzzReadObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{"a":[1,{"b":"c"}]}`, `{"a":1} `, `{"a":1}x`, `{"\u0061":1,"a":2}`,
		`[]`, `null`, `"`, `{"a"`, `{"a":}`, `{"a":1,}`, "{\"\xff\":1}", `{"":{}}`, `{"a":{"a":{"a":1}}}`, `{"a":"b","b":"a"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := readObject(data)
		if err != nil {
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(data, &plain); err != nil || len(plain) != len(members) {
			t.Errorf("readObject(%q) = %d members, encoding/json says %d, %v", data, len(members), len(plain), err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	header := w.bearer(b, w.alice, vaultAudience)
	v := w.Verifier([]string{vaultAudience})
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v.Verify(header)
		}
	})
	b.Run("known/parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				v.Verify(header)
			}
		})
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		refused := w.Verifier(nil) // refused tokens are not kept
		for b.Loop() {
			refused.Verify(header)
		}
	})
}

func BenchmarkToken(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		w.bearer(b, w.alice, vaultAudience)
	}
}
