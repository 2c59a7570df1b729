package entra

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"postern/access"
)

// forger makes tokens that the directory would not make.
type forger struct {
	t      testing.TB
	key    *signingKey
	claims map[string]string // raw JSON by name
}

func newForger(t testing.TB, w *world) *forger {
	now := w.clock.Now().Unix()
	quote := func(s string) string { return `"` + s + `"` }
	return &forger{t, w.state.Load().keys.current, map[string]string{
		"aud": quote(vaultAudience), "iss": quote(Issuer(w.home.ID)), "iat": fmt.Sprint(now), "nbf": fmt.Sprint(now),
		"exp": fmt.Sprint(now + 3600), "appid": quote(w.alice.App.String()), "oid": quote(w.alice.Object.String()),
		"tid": quote(w.home.ID.String()), "idtyp": `"app"`, "ver": `"1.0"`}}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// payload is the claims with some replaced: name, raw value, …; the value ""
// leaves a claim out.
func (f *forger) payload(edits ...string) string {
	c := maps.Clone(f.claims)
	for i := 0; i < len(edits); i += 2 {
		c[edits[i]] = edits[i+1]
	}
	var members []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if c[name] != "" {
			members = append(members, `"`+name+`":`+c[name])
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// header is the usual header with more members before it.
func (f *forger) header(more string) string {
	return "{" + more + `"typ":"JWT","alg":"RS256","kid":"` + f.key.id + `"}`
}

// sign makes a token of any header and payload with the directory's own key.
func (f *forger) sign(header, payload string) string {
	return signWith(f.t, f.key.private, header, payload)
}

func signWith(t testing.TB, key *rsa.PrivateKey, header, payload string) string {
	t.Helper()
	input := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// claim is a token of the usual header with some claims replaced.
func (f *forger) claim(edits ...string) string { return f.sign(f.header(""), f.payload(edits...)) }

// head is a token of the usual claims with another header.
func (f *forger) head(header string) string {
	return f.sign(strings.ReplaceAll(header, "KID", f.key.id), f.payload())
}

// raw is a token with another payload.
func (f *forger) raw(payload string) string { return f.sign(f.header(""), payload) }

// hs256 signs with a secret where a key pair is expected.
func (f *forger) hs256(secret []byte) string {
	input := b64(`{"typ":"JWT","alg":"HS256","kid":"`+f.key.id+`"}`) + "." + b64(f.payload())
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// other signs with another RSA algorithm and the directory's key.
func (f *forger) other(alg string) string {
	input := b64(`{"typ":"JWT","alg":"`+alg+`","kid":"`+f.key.id+`"}`) + "." + b64(f.payload())
	var signature []byte
	var err error
	switch alg {
	case "PS256":
		sum := sha256.Sum256([]byte(input))
		signature, err = rsa.SignPSS(rand.Reader, f.key.private, crypto.SHA256, sum[:], nil)
	case "RS512":
		sum := sha512.Sum512([]byte(input))
		signature, err = rsa.SignPKCS1v15(rand.Reader, f.key.private, crypto.SHA512, sum[:])
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// edit changes one part of a good token.
func (f *forger) edit(part int, fn func(string) string) string {
	parts := strings.Split(f.claim(), ".")
	parts[part] = fn(parts[part])
	return strings.Join(parts, ".")
}

// stray sets a bit of the last character of a part that no byte needs.
func stray(p string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return p[:len(p)-1] + string(alphabet[strings.IndexByte(alphabet, p[len(p)-1])|1])
}

// jwe is an encrypted token to the directory's public key, with a good token
// within.
func (f *forger) jwe() string {
	enc, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: &f.key.private.PublicKey, KeyID: f.key.id}, (&jose.EncrypterOptions{}).WithContentType("JWT"))
	if err != nil {
		f.t.Fatal(err)
	}
	box, err := enc.Encrypt([]byte(f.claim()))
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := box.CompactSerialize()
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// jsonForm is a good token in the JSON serialization of JWS.
func (f *forger) jsonForm() string {
	p := strings.Split(f.claim(), ".")
	return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, p[0], p[1], p[2])
}

// unsecured is a token without a signature.
func (f *forger) unsecured(alg, signature string) string {
	return b64(`{"typ":"JWT","alg":"`+alg+`","kid":"`+f.key.id+`"}`) + "." + b64(f.payload()) + "." + signature
}

type forgery struct {
	name, token string
	want        access.TokenState
}

const (
	malformed = access.TokenMalformed
	unknown   = access.TokenUnknownKey
	expired   = access.TokenExpired
	early     = access.TokenNotYetValid
	elsewhere = access.TokenWrongAudience
	valid     = access.TokenValid
)

// forgeries is the corpus. Rows that are valid are there to show that their
// neighbours fail for the reason in their name.
func forgeries(t testing.TB, w *world) []forgery {
	f := newForger(t, w)
	public := &f.key.private.PublicKey
	spki, _ := x509.MarshalPKIXPublicKey(public)
	spkiPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(public)})
	mallory, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwk, _ := json.Marshal(jose.JSONWebKey{Key: &mallory.PublicKey, KeyID: f.key.id})
	certificate := base64.StdEncoding.EncodeToString(f.key.certificate)
	now := w.clock.Now().Unix()
	at := func(seconds int64) string { return fmt.Sprint(now + seconds) }
	foreign := `"11111111-2222-3333-4444-555555555555"`
	home := w.home.ID.String()
	good := f.claim()
	upper := strings.ToUpper(home)
	nested := strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)
	return []forgery{
		{"good", good, valid},
		{"empty parts", "..", malformed},
		{"one part", "abc", malformed},
		{"two parts", good[:strings.LastIndexByte(good, '.')], malformed},
		{"four parts", good + ".AAAA", malformed},
		{"five parts", good + ".AAAA.AAAA", malformed},
		{"alg none, no signature", f.unsecured("none", ""), malformed},
		{"alg none, a signature", f.unsecured("none", "AAAA"), malformed},
		{"alg None", f.unsecured("None", ""), malformed},
		{"alg NONE, the good signature", f.unsecured("NONE", good[strings.LastIndexByte(good, '.')+1:]), malformed},
		{"alg RS256, no signature", f.unsecured("RS256", ""), malformed},
		{"alg empty", f.head(`{"alg":"","kid":"KID"}`), malformed},
		{"alg missing", f.head(`{"typ":"JWT","kid":"KID"}`), malformed},
		{"alg lower-case", f.head(`{"alg":"rs256","kid":"KID"}`), malformed},
		{"alg a number", f.head(`{"alg":256,"kid":"KID"}`), malformed},
		{"alg a list", f.head(`{"alg":["RS256"],"kid":"KID"}`), malformed},
		{"ALG instead of alg", f.head(`{"ALG":"RS256","kid":"KID"}`), malformed},
		{"alg none hidden behind Alg", f.head(`{"Alg":"RS256","alg":"none","kid":"KID"}`), malformed},
		{"HS256 with the public key, SPKI PEM", f.hs256(spkiPEM), malformed},
		{"HS256 with the public key, PKCS #1 PEM", f.hs256(pkcs1), malformed},
		{"HS256 with the public key, DER", f.hs256(spki), malformed},
		{"HS256 with the modulus", f.hs256(public.N.Bytes()), malformed},
		{"HS256 with no secret", f.hs256(nil), malformed},
		{"HS256 with the certificate", f.hs256(f.key.certificate), malformed},
		{"PS256 with the right key", f.other("PS256"), malformed},
		{"RS512 with the right key", f.other("RS512"), malformed},
		{"kid missing", f.head(`{"alg":"RS256"}`), malformed},
		{"kid empty", f.head(`{"alg":"RS256","kid":""}`), malformed},
		{"kid a number", f.head(`{"alg":"RS256","kid":1}`), malformed},
		{"kid null", f.head(`{"alg":"RS256","kid":null}`), malformed},
		{"kid unknown", f.head(`{"alg":"RS256","kid":"nobody"}`), unknown},
		{"kid a path", f.head(`{"alg":"RS256","kid":"../../../../dev/null"}`), unknown},
		{"kid a query", f.head(`{"alg":"RS256","kid":"x' UNION SELECT 'k"}`), unknown},
		{"kid in another letter case", f.head(`{"alg":"RS256","kid":"` + strings.ToLower(f.key.id) + `"}`), unknown},
		{"kid with a blank", f.head(`{"alg":"RS256","kid":"KID "}`), unknown},
		{"kid twice", f.head(`{"alg":"RS256","kid":"nobody","kid":"KID"}`), malformed},
		{"kid twice, once escaped", f.head(`{"alg":"RS256","\u006bid":"nobody","kid":"KID"}`), malformed},
		{"alg twice", f.head(`{"alg":"none","alg":"RS256","kid":"KID"}`), malformed},
		{"kid ours, key another's", signWith(t, mallory, f.header(""), f.payload()), malformed},
		{"jwk brings another's key", signWith(t, mallory, f.header(`"jwk":`+string(jwk)+`,`), f.payload()), malformed},
		{"jku points to another's keys", signWith(t, mallory, f.header(`"jku":"https://login.microsoftonline.com/common/discovery/keys",`), f.payload()), malformed},
		{"x5u points to another's certificate", signWith(t, mallory, f.header(`"x5u":"http://127.0.0.1:1/c.pem",`), f.payload()), malformed},
		{"x5c brings our certificate, key another's", signWith(t, mallory, f.header(`"x5c":["`+certificate+`"],`), f.payload()), malformed},
		{"jku beside a right signature is ignored", f.head(`{"jku":"http://127.0.0.1:1/","alg":"RS256","kid":"KID"}`), valid},
		{"crit empty", f.head(`{"crit":[],"alg":"RS256","kid":"KID"}`), malformed},
		{"crit exp", f.head(`{"crit":["exp"],"exp":1,"alg":"RS256","kid":"KID"}`), malformed},
		{"crit b64", f.head(`{"crit":["b64"],"b64":true,"alg":"RS256","kid":"KID"}`), malformed},
		{"b64 without crit", f.head(`{"b64":false,"alg":"RS256","kid":"KID"}`), malformed},
		{"compressed", f.head(`{"zip":"DEF","alg":"RS256","kid":"KID"}`), malformed},
		{"typ of an ID token's cousin", f.head(`{"typ":"dpop+jwt","alg":"RS256","kid":"KID"}`), malformed},
		{"typ a number", f.head(`{"typ":7,"alg":"RS256","kid":"KID"}`), malformed},
		{"typ missing", f.head(`{"alg":"RS256","kid":"KID"}`), valid},
		{"typ in small letters", f.head(`{"typ":"jwt","alg":"RS256","kid":"KID"}`), valid},
		{"nested, cty JWT", f.sign(f.header(`"cty":"JWT",`), good), malformed},
		{"nested, no cty", f.raw(good), malformed},
		{"encrypted", f.jwe(), malformed},
		{"JSON serialization", f.jsonForm(), malformed},
		{"header no object", f.sign(`["RS256"]`, f.payload()), malformed},
		{"header null", f.sign(`null`, f.payload()), malformed},
		{"header not JSON", f.sign(`alg=RS256`, f.payload()), malformed},
		{"header with more behind it", f.sign(f.header("")+`{}`, f.payload()), malformed},
		{"header too deep", f.sign(f.header(`"a":`+nested+`,`), f.payload()), malformed},
		{"header too large", f.sign(f.header(`"a":"`+strings.Repeat("x", maxHeader)+`",`), f.payload()), malformed},
		{"signature of another payload", f.edit(1, func(string) string { return b64(f.payload("oid", foreign)) }), malformed},
		{"signature of another header", f.edit(0, func(string) string { return b64(f.header(`"x":1,`)) }), malformed},
		{"signature cut by a byte", f.edit(2, func(s string) string { return s[:len(s)-4] + "AA" }), malformed},
		{"signature cut by a character", f.edit(2, func(s string) string { return s[:len(s)-1] }), malformed},
		{"signature longer by zero bytes", f.edit(2, func(s string) string { return s[:len(s)-2] + "AAAA" }), malformed},
		{"signature all zeros", f.edit(2, func(s string) string { return strings.Repeat("A", len(s)) }), malformed},
		{"signature of one", f.edit(2, func(s string) string { return strings.Repeat("A", len(s)-2) + "AQ" }), malformed},
		{"signature with a stray bit", f.edit(2, stray), malformed},
		{"signature padded", f.edit(2, func(s string) string { return s + "==" }), malformed},
		{"header padded", f.edit(0, func(s string) string { return s + "=" }), malformed},
		{"signature in the other alphabet", f.edit(2, func(s string) string { return "+/" + s[2:] }), malformed},
		{"line break in the signature", f.edit(2, func(s string) string { return s[:10] + "\n" + s[10:] }), malformed},
		{"carriage return in the header", f.edit(0, func(s string) string { return s[:10] + "\r" + s[10:] }), malformed},
		{"blank before", " " + good, malformed},
		{"blank behind", good + " ", malformed},
		{"tab behind", good + "\t", malformed},
		{"line break behind", good + "\n", malformed},
		{"null byte behind", good + "\x00", malformed},
		{"two tokens", good + "," + good, malformed},
		{"quoted", `"` + good + `"`, malformed},
		{"too long, right signature", f.claim("x", `"`+strings.Repeat("x", MaxToken)+`"`), malformed},
		{"too long, rubbish", strings.Repeat("A", MaxToken+1), malformed},
		{"claims no object", f.raw(`[]`), malformed},
		{"claims null", f.raw(`null`), malformed},
		{"claims empty", f.raw(`{}`), malformed},
		{"claims not UTF-8", f.raw("{\"x\":\"\xff\"," + f.payload()[1:]), malformed},
		{"claims with more behind them", f.raw(f.payload() + `{}`), malformed},
		{"claims too deep", f.claim("x", nested), malformed},
		{"aud twice", f.raw(`{"aud":"https://vault.azure.net",` + f.payload()[1:]), malformed},
		{"exp twice", f.raw(`{"exp":99999999999,` + f.payload()[1:]), malformed},
		{"oid twice, once escaped", f.raw(`{"\u006fid":` + foreign + `,` + f.payload()[1:]), malformed},
		{"key twice deep within", f.claim("x", `{"a":[{"b":1,"b":2}]}`), malformed},
		{"OID beside oid", f.claim("OID", foreign), valid},
		{"TID instead of tid", f.claim("tid", "", "TID", `"`+home+`"`), malformed},
		{"no exp", f.claim("exp", ""), malformed},
		{"exp null", f.claim("exp", "null"), malformed},
		{"exp text", f.claim("exp", `"`+at(3600)+`"`), malformed},
		{"exp a fraction", f.claim("exp", at(3600)+".5"), malformed},
		{"exp with a zero fraction", f.claim("exp", at(3600)+".0"), malformed},
		{"exp with an exponent", f.claim("exp", "1e18"), malformed},
		{"exp negative", f.claim("exp", "-1"), malformed},
		{"exp over 64 bits", f.claim("exp", "18446744073709551617"), malformed},
		{"exp that wraps to now", f.claim("exp", fmt.Sprint(uint64(now+60)+1<<63)), malformed},
		{"exp after the year 9999", f.claim("exp", "253402300800"), malformed},
		{"exp in the year 9999", f.claim("exp", "253402300799"), valid},
		{"exp zero", f.claim("exp", "0"), expired},
		{"expired beyond the skew", f.claim("exp", at(-300)), expired},
		{"expired within the skew", f.claim("exp", at(-299)), valid},
		{"expired and for another resource", f.claim("exp", at(-4000), "aud", `"x"`), expired},
		{"nbf ahead beyond the skew", f.claim("nbf", at(301)), early},
		{"nbf ahead within the skew", f.claim("nbf", at(300)), valid},
		{"nbf in the year 9999", f.claim("nbf", "253402300799"), early},
		{"nbf a fraction", f.claim("nbf", "0.5"), malformed},
		{"nbf text", f.claim("nbf", `"0"`), malformed},
		{"nbf missing", f.claim("nbf", ""), valid},
		{"iat text", f.claim("iat", `"now"`), malformed},
		{"iss missing", f.claim("iss", ""), malformed},
		{"iss of another tenant than tid", f.claim("iss", `"`+Issuer(w.away.ID)+`"`), malformed},
		{"tid of another tenant than iss", f.claim("tid", `"`+w.away.ID.String()+`"`), malformed},
		{"tenant that is not here", f.claim("tid", foreign, "iss", `"https://sts.windows.net/11111111-2222-3333-4444-555555555555/"`), malformed},
		{"tenant zero", f.claim("tid", `"00000000-0000-0000-0000-000000000000"`, "iss", `"https://sts.windows.net/00000000-0000-0000-0000-000000000000/"`), malformed},
		{"iss of version 2.0", f.claim("iss", `"https://login.microsoftonline.com/`+home+`/v2.0"`), malformed},
		{"iss over http", f.claim("iss", `"http://sts.windows.net/`+home+`/"`), malformed},
		{"iss without its slash", f.claim("iss", `"https://sts.windows.net/`+home+`"`), malformed},
		{"iss of a host alike", f.claim("iss", `"https://sts.windows.net.evil.example/`+home+`/"`), malformed},
		{"iss in capitals", f.claim("iss", `"https://sts.windows.net/`+upper+`/"`), malformed},
		{"iss a list", f.claim("iss", `["`+Issuer(w.home.ID)+`"]`), malformed},
		{"tid in capitals", f.claim("tid", `"`+upper+`"`), valid},
		{"another tenant of this directory", f.claim("tid", `"`+w.away.ID.String()+`"`, "iss", `"`+Issuer(w.away.ID)+`"`, "oid", `"`+w.stranger.Object.String()+`"`), valid},
		{"another tenant, about one of ours", f.claim("tid", `"`+w.away.ID.String()+`"`, "iss", `"`+Issuer(w.away.ID)+`"`), expired},
		{"about nobody", f.claim("oid", foreign), expired},
		{"about a tenant", f.claim("oid", `"`+home+`"`), expired},
		{"about an application", f.claim("oid", `"`+w.alice.App.String()+`"`), expired},
		{"groups and their overage", f.claim("groups", `[]`, "_claim_names", `{"groups":"src1"}`), malformed},
		{"overage no object", f.claim("_claim_names", `"groups"`), malformed},
		{"overage of a number", f.claim("_claim_names", `{"groups":1}`), malformed},
		{"overage of nothing", f.claim("_claim_names", `{}`), valid},
		{"overage", f.claim("_claim_names", `{"groups":"src1"}`), valid},
		{"tid missing", f.claim("tid", ""), malformed},
		{"oid missing", f.claim("oid", ""), malformed},
		{"oid no GUID", f.claim("oid", `"alice"`), malformed},
		{"oid zero", f.claim("oid", `"00000000-0000-0000-0000-000000000000"`), malformed},
		{"oid with a line break", f.claim("oid", `"`+w.alice.Object.String()+`\n"`), malformed},
		{"appid missing", f.claim("appid", ""), malformed},
		{"appid a list", f.claim("appid", `["`+w.alice.App.String()+`"]`), malformed},
		{"idtyp missing", f.claim("idtyp", ""), malformed},
		{"idtyp unheard of", f.claim("idtyp", `"root"`), malformed},
		{"groups no list", f.claim("groups", foreign), malformed},
		{"groups no GUIDs", f.claim("groups", `["admins"]`), malformed},
		{"groups too many", f.claim("groups", "["+strings.Repeat(foreign+",", maxGroups)+foreign+"]"), malformed},
		{"mirid with a line break", f.claim("xms_mirid", `"/a\r\nb"`), malformed},
		{"mirid a number", f.claim("xms_mirid", `1`), malformed},
		{"aud missing", f.claim("aud", ""), malformed},
		{"aud empty", f.claim("aud", `""`), malformed},
		{"aud null", f.claim("aud", `null`), malformed},
		{"aud of nobody in a list", f.claim("aud", `[]`), malformed},
		{"aud of two in a list", f.claim("aud", `["https://vault.azure.net","https://management.azure.com"]`), malformed},
		{"aud of two, both ours", f.claim("aud", `["https://vault.azure.net","https://vault.azure.net/"]`), malformed},
		{"aud of one in a list", f.claim("aud", `["https://vault.azure.net"]`), valid},
		{"aud an object", f.claim("aud", `{"https://vault.azure.net":1}`), malformed},
		{"aud of the control plane", f.claim("aud", `"https://management.azure.com"`), elsewhere},
		{"aud with the slash", f.claim("aud", `"https://vault.azure.net/"`), valid},
		{"aud with two slashes", f.claim("aud", `"https://vault.azure.net//"`), elsewhere},
		{"aud with more behind it", f.claim("aud", `"https://vault.azure.net.evil.example"`), elsewhere},
		{"aud over http", f.claim("aud", `"http://vault.azure.net"`), elsewhere},
		{"aud in capitals", f.claim("aud", `"https://VAULT.azure.net"`), elsewhere},
		{"alg ES256", f.head(`{"alg":"ES256","kid":"KID"}`), malformed},
		{"alg EdDSA", f.head(`{"alg":"EdDSA","kid":"KID"}`), malformed},
		{"alg RS384", f.head(`{"alg":"RS384","kid":"KID"}`), malformed},
		{"alg with a blank", f.head(`{"alg":"RS256 ","kid":"KID"}`), malformed},
		{"alg null", f.head(`{"alg":null,"kid":"KID"}`), malformed},
		{"kid a list", f.head(`{"alg":"RS256","kid":["KID"]}`), malformed},
		{"kid with a null byte", f.head(`{"alg":"RS256","kid":"KID\u0000"}`), unknown},
		{"typ null", f.head(`{"typ":null,"alg":"RS256","kid":"KID"}`), malformed},
		{"encrypted by its header alone", f.head(`{"enc":"A128GCM","alg":"RS256","kid":"KID"}`), malformed},
		{"exp true", f.claim("exp", "true"), malformed},
		{"exp a list", f.claim("exp", "["+at(60)+"]"), malformed},
		{"exp with a plus", f.claim("exp", `"+`+at(60)+`"`), malformed},
		{"nbf null", f.claim("nbf", "null"), malformed},
		{"nbf negative", f.claim("nbf", "-1"), malformed},
		{"iat negative", f.claim("iat", "-1"), malformed},
		{"iat a fraction", f.claim("iat", "1.5"), malformed},
		{"iss null", f.claim("iss", "null"), malformed},
		{"iss a number", f.claim("iss", "1"), malformed},
		{"iss with two slashes", f.claim("iss", `"https://sts.windows.net/`+home+`//"`), malformed},
		{"iss with a query", f.claim("iss", `"https://sts.windows.net/`+home+`/?"`), malformed},
		{"tid null", f.claim("tid", "null"), malformed},
		{"tid a list", f.claim("tid", `["`+home+`"]`), malformed},
		{"tid in braces", f.claim("tid", `"{`+home+`}"`), malformed},
		{"oid null", f.claim("oid", "null"), malformed},
		{"oid a list", f.claim("oid", `["`+w.alice.Object.String()+`"]`), malformed},
		{"oid without its dashes", f.claim("oid", `"`+strings.ReplaceAll(w.alice.Object.String(), "-", "")+`"`), malformed},
		{"appid null", f.claim("appid", "null"), malformed},
		{"appid zero", f.claim("appid", `"00000000-0000-0000-0000-000000000000"`), malformed},
		{"idtyp in capitals", f.claim("idtyp", `"APP"`), malformed},
		{"idtyp a list", f.claim("idtyp", `["app"]`), malformed},
		{"idtyp null", f.claim("idtyp", "null"), malformed},
		{"upn a number", f.claim("upn", "1"), malformed},
		{"upn with a line break", f.claim("upn", `"a@b\r\nX: y"`), malformed},
		{"groups of numbers", f.claim("groups", "[1]"), malformed},
		{"groups with a zero", f.claim("groups", `["00000000-0000-0000-0000-000000000000"]`), malformed},
		{"groups in a list of lists", f.claim("groups", `[[`+foreign+`]]`), malformed},
		{"mirid null", f.claim("xms_mirid", "null"), malformed},
		{"mirid a list", f.claim("xms_mirid", `["/a"]`), malformed},
		{"aud true", f.claim("aud", "true"), malformed},
		{"aud a number", f.claim("aud", "1"), malformed},
		{"aud of one in two lists", f.claim("aud", `[["https://vault.azure.net"]]`), malformed},
		{"an identity token", f.claim("aud", `"`+w.alice.App.String()+`"`, "iss", `"https://login.microsoftonline.com/`+home+`/v2.0"`, "ver", `"2.0"`), malformed},
		{"a client assertion", f.claim("aud", `"https://login.microsoftonline.com/`+home+`/oauth2/v2.0/token"`, "iss", `"`+w.alice.App.String()+`"`), malformed},
		{"aud with a null byte", f.claim("aud", `"https://vault.azure.net\u0000"`), elsewhere},
	}
}
