package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"

	"postern/posterntest"
)

// plantInKeys plants marks in the private parts of keys: the scalar of a
// curve is the mark and more text, the primes of RSA begin with one. Then
// the keys live as keys do.
func plantInKeys(p *posterntest.Postern, s *planted) {
	kv, arm := p.VaultURL("kv1"), p.ManagementURL+p.VaultID("kv1")+"/keys/"
	for name, jwk := range map[string]map[string]any{"p256": scalar(s, "P-256", elliptic.P256()), "p384": scalar(s, "P-384", elliptic.P384()),
		"p521": scalar(s, "P-521", elliptic.P521()), "rsa": primes(s)} {
		key := kv + "/keys/planted-" + name
		answers := []string{
			must(s.t, p, "PUT", key+api, map[string]any{"key": jwk, "tags": map[string]string{"tag": "t"}}),
			must(s.t, p, "GET", key+api, nil),
			must(s.t, p, "PATCH", key+api, map[string]any{"attributes": map[string]any{"enabled": true}}),
			must(s.t, p, "GET", kv+"/keys"+api, nil),
			must(s.t, p, "GET", key+"/versions"+api, nil),
			must(s.t, p, "GET", arm+"planted-"+name+armAPI, nil),
		}
		operations := map[string]map[string]any{"sign": {"alg": map[string]string{"p256": "ES256", "p384": "ES384", "p521": "ES512", "rsa": "PS256"}[name],
			"value": b64(make([]byte, map[string]int{"p256": 32, "p384": 48, "p521": 64, "rsa": 32}[name]))}}
		if name == "rsa" {
			var sealed struct{ Value string }
			plain := s.mark("a text that is decrypted")
			if err := json.Unmarshal([]byte(must(s.t, p, "POST", key+"/encrypt"+api, map[string]any{"alg": "RSA-OAEP", "value": b64([]byte(plain))})), &sealed); err != nil {
				s.t.Fatal(err)
			}
			if got := must(s.t, p, "POST", key+"/decrypt"+api, map[string]any{"alg": "RSA-OAEP", "value": sealed.Value}); !strings.Contains(got, b64([]byte(plain))) {
				s.t.Errorf("decrypt = %s", got)
			}
		}
		for op, body := range operations {
			answers = append(answers, must(s.t, p, "POST", key+"/"+op+api, body))
		}
		var backup struct{ Value string }
		if err := json.Unmarshal([]byte(must(s.t, p, "POST", key+"/backup"+api, nil)), &backup); err != nil {
			s.t.Fatal(err)
		}
		blob, err := base64.RawURLEncoding.DecodeString(backup.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		answers = append(answers, string(blob), must(s.t, p, "POST", key+"/rotate"+api, nil),
			must(s.t, p, "DELETE", key+api, nil), must(s.t, p, "GET", kv+"/deletedkeys"+api, nil),
			must(s.t, p, "POST", kv+"/deletedkeys/planted-"+name+"/recover"+api, nil), must(s.t, p, "DELETE", key+api, nil))
		must(s.t, p, "DELETE", kv+"/deletedkeys/planted-"+name+api, nil)
		answers = append(answers, must(s.t, p, "POST", kv+"/keys/restore"+api, map[string]string{"value": backup.Value}))
		for i, a := range answers {
			for _, place := range s.found([]byte(a)) {
				s.t.Errorf("answer %d of the key %s tells %s", i, name, place)
			}
		}
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// scalar is a key on a curve whose private part holds a mark.
func scalar(s *planted, name string, curve elliptic.Curve) map[string]any {
	d := make([]byte, (curve.Params().BitSize+7)/8)
	copy(d[1:], s.mark("the scalar of "+name))
	d[len(d)-1] = 1
	key, err := ecdsa.ParseRawPrivateKey(curve, d)
	if err != nil {
		s.t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		s.t.Fatal(err)
	}
	half := len(point) / 2
	return map[string]any{"kty": "EC", "crv": name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:]), "d": b64(d)}
}

// primes is an RSA key whose primes begin with marks.
func primes(s *planted) map[string]any {
	e, one := big.NewInt(65537), big.NewInt(1)
	prime := func(place string) *big.Int {
		b := make([]byte, 128)
		if _, err := rand.Read(b); err != nil {
			s.t.Fatal(err)
		}
		b[0] = 0xf1
		copy(b[1:], s.mark(place))
		b[127] |= 1
		for p := new(big.Int).SetBytes(b); ; p.Add(p, big.NewInt(2)) {
			if p.ProbablyPrime(20) && new(big.Int).GCD(nil, nil, e, new(big.Int).Sub(p, one)).Cmp(one) == 0 {
				return p
			}
		}
	}
	p, q := prime("a prime"), prime("another prime")
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(e, phi)
	return map[string]any{"kty": "RSA", "n": b64(new(big.Int).Mul(p, q).Bytes()), "e": "AQAB", "d": b64(d.Bytes()), "p": b64(p.Bytes()), "q": b64(q.Bytes())}
}
