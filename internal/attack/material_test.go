package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"postern/posterntest"
)

// lopsided is an RSA key whose primes are not of the same length, which is a
// key by the numbers and none that a vault keeps.
func lopsided(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	one := big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, 1200)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, 848)
		if err != nil {
			t.Fatal(err)
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		if d := new(big.Int).ModInverse(big.NewInt(65537), phi); d != nil {
			return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: d, Primes: []*big.Int{p, q}}
		}
	}
}

// TestHostileMaterial: numbers that are no key, files that are too much, and
// policies without bounds are refused in the service's form; nothing of them
// is kept, and every refusal is recorded.
func TestHostileMaterial(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var answers []answer
	refuse := func(what, method, path, body string) {
		t.Helper()
		a := h.do(method, path, body)
		if a.status != 400 && a.status != 413 {
			t.Errorf("%s: %s %s = %d %.300s, want a refusal", what, method, path, a.status, a.body)
		}
		answers = append(answers, a)
	}
	with := func(changes map[string]any) map[string]any {
		j := jwkOf(t, key)
		maps.Copy(j, changes)
		maps.DeleteFunc(j, func(_ string, v any) bool { return v == nil })
		return j
	}
	onlyD := func(d *big.Int) map[string]any {
		return with(map[string]any{"d": url64(d), "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil})
	}
	square := new(big.Int).Mul(key.Primes[0], key.Primes[0])
	// The order of every number divides e×d-1 = 2^2040 and it is a long way
	// to the end of the twos.
	twos := new(big.Int).ModInverse(big.NewInt(65537), new(big.Int).Lsh(big.NewInt(1), 2040))
	for what, jwk := range map[string]map[string]any{
		"e is 1": with(map[string]any{"e": "AQ"}), "e is even": with(map[string]any{"e": "Ag"}), "e is above 2^31": with(map[string]any{"e": "gAAAAQ"}), "e is 0": with(map[string]any{"e": "AA"}), "e is another": with(map[string]any{"e": "Aw"}),
		"d is 0": with(map[string]any{"d": "AA"}), "d is 1": with(map[string]any{"d": "AQ"}), "d is n": with(map[string]any{"d": url64(key.N)}), "d is empty": with(map[string]any{"d": ""}), "d is twos": onlyD(twos), "d is n-1 alone": onlyD(new(big.Int).Sub(key.N, big.NewInt(1))),
		"n is even": with(map[string]any{"n": url64(new(big.Int).Lsh(big.NewInt(1), 2047))}), "n is huge": with(map[string]any{"n": strings.Repeat("_", 100_000)}), "n is short": with(map[string]any{"n": "AQ"}), "n is a square": with(map[string]any{"n": url64(square), "q": url64(key.Primes[0])}), "n is a square alone": with(map[string]any{"n": url64(square), "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil}),
		"p is 1": with(map[string]any{"p": "AQ", "q": url64(key.N)}), "p is composite": with(map[string]any{"p": url64(new(big.Int).Add(key.Primes[0], big.NewInt(2)))}), "p is missing": with(map[string]any{"p": nil}), "dp is another": with(map[string]any{"dp": url64(key.Primes[1])}), "p and q are lopsided": jwkLopsided(t),
		"numbers are numbers": {"kty": "RSA", "n": 5, "e": -1, "d": 1.5}, "nothing": {}, "a type that no vault has": {"kty": "oct", "k": "AAAA"}, "an EC key without a curve": {"kty": "EC", "x": "AA", "y": "AA", "d": "AA"},
		"the point at infinity": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}, "the same on P-256K": {"kty": "EC", "crv": "P-256K", "x": "AA", "y": "AA", "d": "AQ"}, "a curve that is none": {"kty": "EC", "crv": "P-224", "x": "AQ", "y": "AQ", "d": "AQ"},
	} {
		refuse(what, "PUT", "/keys/k", encodeJSON(t, map[string]any{"key": jwk}))
	}
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	tags := map[string]string{}
	for i := range 10_000 {
		tags[fmt.Sprint(i)] = "x"
	}
	for what, body := range map[string]string{
		"a size without end": `{"kty":"RSA","key_size":99999999999999999999}`, "a size that is negative": `{"kty":"RSA","key_size":-2048}`, "a size of 1024": `{"kty":"RSA","key_size":1024}`, "a size of 16384": `{"kty":"RSA","key_size":16384}`, "an exponent that is even": `{"kty":"RSA","public_exponent":65536}`, "an exponent of 63 bits": `{"kty":"RSA","public_exponent":9223372036854775807}`,
		"a date before all time": `{"kty":"EC","attributes":{"exp":-1}}`, "a date after the calendar": `{"kty":"EC","attributes":{"exp":253402300800}}`, "a date with an exponent": `{"kty":"EC","attributes":{"nbf":1e400}}`, "10,000 tags": encodeJSON(t, map[string]any{"kty": "EC", "tags": tags}), "depth": deep(40_000),
	} {
		refuse(what, "POST", "/keys/k/create", body)
	}
	refuseFiles(t, refuse)
	policy := func(more string) string {
		return `{"policy":{"issuer":{"name":"Self"},"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=a"` + more + `}}`
	}
	for what, body := range map[string]string{
		"depth": `{"policy":` + deep(40_000) + `}`, "a long subject": policy(`,"subject":"` + strings.Repeat("CN=a,", 5_000) + `CN=b"}`), "many names": policy(`,"sans":{"dns_names":[` + strings.Repeat(`"a.b",`, 9_000) + `"a.b"]}}`), "an identifier without end": policy(`,"ekus":["1.2.` + strings.Repeat("9", 5_000) + `"]}`),
		"months without end": policy(`,"validity_months":9999999}`), "a key without end": `{"policy":{"issuer":{"name":"Self"},"key_props":{"kty":"RSA","key_size":1000000000},"x509_props":{"subject":"CN=a"}}}`,
		"a renewal before the beginning": policy(`,"validity_months":1},"lifetime_actions":[{"trigger":{"days_before_expiry":31},"action":{"action_type":"AutoRenew"}}]`),
	} {
		refuse(what, "POST", "/certificates/k/create", body)
	}
	for _, list := range []string{"/keys", "/secrets", "/certificates?includePending=true"} {
		if a := h.want(200, "GET", list, ""); !strings.HasPrefix(a.body, `{"value":[],`) {
			t.Errorf("after the refusals %s has %s", list, a.body)
		}
	}
	p.Upkeep()
	p.Stop()
	recorded(t, p.Data, answers)
}

func jwkLopsided(t testing.TB) map[string]any {
	k := lopsided(t)
	return map[string]any{"kty": "RSA", "n": url64(k.N), "e": "AQAB", "d": url64(k.D), "p": url64(k.Primes[0]), "q": url64(k.Primes[1])}
}

// refuseFiles imports certificates that cannot be.
func refuseFiles(t testing.TB, refuse func(what, method, path, body string)) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	fine := pemOf(t, certified(t, key, nil), key)
	uneven := lopsided(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)},
		&x509.Certificate{SerialNumber: big.NewInt(1)}, uneven.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	shaped := func(change func(*x509.Certificate)) string { return pemOf(t, certified(t, key, change), key) }
	for what, value := range map[string]string{
		"primes of different lengths": pemOf(t, made, uneven), "100,000 lines of a beginning": fine + strings.Repeat("-----BEGIN X-----\n", 9_000), "thousands of certificates": fine + strings.Repeat("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 3_000),
		"a long name": shaped(func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("x", 30_000) }), "a long extension": shaped(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Value: make([]byte, 30_000)}}
		}),
		"many names": shaped(func(c *x509.Certificate) {
			for i := range 2_000 {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf("h%d.example.com", i))
			}
		}),
	} {
		refuse(what, "POST", "/certificates/k/import", encodeJSON(t, map[string]any{"value": value}))
	}
}
