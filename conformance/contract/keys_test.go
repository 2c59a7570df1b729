package contract

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"testing"

	"postern/access"
)

func init() {
	for operation, body := range map[access.Operation]any{
		access.KeyCreate: fields{"kty": "EC"}, access.KeyImport: fields{"key": webKey(importedRSA)}, access.KeyUpdate: fields{},
		access.KeyRestore: fields{"value": "AAAA"}, access.KeyEncrypt: fields{"alg": "RSA-OAEP", "value": "AAAA"},
		access.KeyDecrypt: fields{"alg": "RSA-OAEP", "value": "AAAA"}, access.KeyWrap: fields{"alg": "RSA-OAEP", "value": "AAAA"},
		access.KeyUnwrap: fields{"alg": "RSA-OAEP", "value": "AAAA"}, access.KeySign: fields{"alg": "RS256", "value": digest},
		access.KeyVerify: fields{"alg": "RS256", "digest": digest, "value": "AAAA"}, access.KeyRelease: fields{"target": "a.b.c"},
		access.KeyRotationPolicySet: fields{"lifetimeActions": []any{}, "attributes": fields{"expiryTime": "P1Y"}},
	} {
		bodies[operation] = body
	}
	missing = append(missing, access.KeyCreate, access.KeyImport)
	for id, prepare := range keyPreparations {
		preparations[id] = prepare
	}
}

var encode = base64.RawURLEncoding.EncodeToString

// digest is one of 32 bytes, plain is a short text.
var (
	digest = encode(func() []byte { d := sha256.Sum256([]byte("x")); return d[:] }())
	plain  = encode([]byte("plain text"))
)

var (
	importedRSA = must(rsa.GenerateKey(rand.Reader, 2048))
	importedEC  = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// webKey is a private key as ImportKey takes it.
func webKey(key any) fields {
	n := func(x *big.Int) string { return encode(x.Bytes()) }
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return fields{"kty": "RSA", "n": n(k.N), "e": n(big.NewInt(int64(k.E))), "d": n(k.D), "p": n(k.Primes[0]), "q": n(k.Primes[1]),
			"dp": n(k.Precomputed.Dp), "dq": n(k.Precomputed.Dq), "qi": n(k.Precomputed.Qinv)}
	case *ecdsa.PrivateKey:
		point, private := must(k.PublicKey.Bytes()), must(k.Bytes())
		size := len(private)
		return fields{"kty": "EC", "crv": k.Params().Name, "x": encode(point[1 : 1+size]), "y": encode(point[1+size:]), "d": encode(private)}
	}
	panic("no such key")
}

// keys drives the operations of keys.
func keys(d driver) {
	for _, part := range []struct {
		name string
		run  func(d driver)
	}{{"made", keysMade}, {"types", keyTypes}, {"cryptography", keyCryptography}, {"state", keyState}, {"rotation", keyRotation}, {"release", keyRelease}, {"cycle", keyCycle}, {"hardware", keyHardware}} {
		d.t.Run(part.name, func(t *testing.T) { part.run(d.at(t)) })
	}
}

// keysMade makes, reads, changes and lists.
func keysMade(d driver) {
	first := d.send(200, "POST", "/keys/k/create", fields{"kty": "RSA", "key_size": 2048, "key_ops": []string{"encrypt", "decrypt"},
		"attributes": fields{"enabled": true, "nbf": 1500000000, "exp": 4000000000}, "tags": fields{"a": "b"}})
	first.expect("attributes.exp", 4000000000)
	first.expect("key.key_ops", []string{"encrypt", "decrypt"})
	first.expect("key.e", "AQAB")
	version := first.versionOf("key.kid")
	second := d.send(200, "POST", "/keys/k/create", fields{"kty": "RSA"}).text("key.kid")
	for path, want := range map[string]string{"/keys/k": second, "/keys/k/": second, "/keys/k/" + version: first.text("key.kid")} {
		a := d.send(200, "GET", path, nil)
		a.expect("key.kid", want)
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			a.expect("key."+private, nil)
		}
	}
	d.send(404, "GET", "/keys/k/"+strings.Repeat("0", 32), nil).expect("error.code", "KeyNotFound")
	d.send(200, "PATCH", "/keys/k/"+version, fields{"attributes": fields{"enabled": false}, "key_ops": []string{"wrapKey"}, "tags": fields{}}).expect("attributes.enabled", false)
	d.send(200, "GET", "/keys/k/"+version, nil).expect("key.key_ops", []string{"wrapKey"})
	d.send(200, "PUT", "/keys/imported", fields{"key": webKey(importedRSA), "attributes": fields{"enabled": true}, "tags": fields{"a": "b"}}).
		expect("key.n", encode(importedRSA.N.Bytes()))
	d.send(200, "PUT", "/keys/imported-ec", fields{"key": webKey(importedEC)}).expect("key.crv", "P-256")
	for path, want := range map[string]int{"/keys": 3, "/keys?maxresults=1": 3, "/keys/k/versions": 2, "/keys/k/versions?maxresults=1": 2} {
		if got := len(d.all(path)); got != want {
			d.t.Errorf("%s has %d items, want %d", path, got, want)
		}
	}
	for _, bad := range []fields{{}, {"kty": "oct"}, {"kty": "RSB"}, {"kty": "RSA", "key_size": 1024}, {"kty": "EC", "crv": "P-255"},
		{"kty": "RSA", "key_ops": []string{"fly"}}, {"kty": "RSA", "attributes": fields{"exp": "soon"}}} {
		d.send(400, "POST", "/keys/bad/create", bad).expect("error.code", "BadParameter")
	}
	d.send(400, "POST", "/keys/b_d/create", fields{"kty": "EC"})
	broken := webKey(importedRSA)
	broken["n"] = encode(importedEC.X.Bytes()) //nolint:staticcheck // any other number
	for _, bad := range []fields{{}, {"key": fields{"kty": "RSA"}}, {"key": broken}} {
		d.send(400, "PUT", "/keys/bad", bad).expect("error.code", "BadParameter")
	}
	d.send(404, "GET", "/keys/bad", nil)
	d.send(400, "GET", "/keys?maxresults=26", nil)
}

// keyTypes makes a key of each type and signs with each.
func keyTypes(d driver) {
	for name, want := range map[string]struct {
		body           fields
		curve, alg     string
		digest, length int
	}{
		"ec":      {fields{"kty": "EC"}, "P-256", "ES256", 32, 64},
		"ec-384":  {fields{"kty": "EC", "crv": "P-384"}, "P-384", "ES384", 48, 96},
		"ec-521":  {fields{"kty": "EC", "crv": "P-521"}, "P-521", "ES512", 64, 132},
		"ec-256k": {fields{"kty": "EC", "crv": "P-256K"}, "P-256K", "ES256K", 32, 64},
		"ec-hsm":  {fields{"kty": "EC-HSM"}, "P-256", "ES256", 32, 64},
		"rsa":     {fields{"kty": "RSA"}, "", "PS256", 32, 256},
		"rsa-hsm": {fields{"kty": "RSA-HSM", "key_size": 2048}, "", "RS512", 64, 256},
	} {
		a := d.send(200, "POST", "/keys/"+name+"/create", want.body)
		a.expect("key.kty", want.body["kty"])
		if want.curve != "" {
			a.expect("key.crv", want.curve)
		}
		hash := encode(make([]byte, want.digest))
		signature := d.send(200, "POST", "/keys/"+name+"/sign", fields{"alg": want.alg, "value": hash}).text("value")
		if got := len(must(base64.RawURLEncoding.DecodeString(signature))); got != want.length {
			d.t.Errorf("%s: a signature of %d bytes, want %d", name, got, want.length)
		}
		d.send(200, "POST", "/keys/"+name+"/verify", fields{"alg": want.alg, "digest": hash, "value": signature}).expect("value", true)
	}
}

// keyCryptography does what keys are for, and what they refuse.
func keyCryptography(d driver) {
	kid := d.send(200, "POST", "/keys/c/create", fields{"kty": "RSA"}).text("key.kid")
	version := kid[strings.LastIndexByte(kid, '/')+1:]
	for _, alg := range []string{"RSA1_5", "RSA-OAEP", "RSA-OAEP-256"} {
		for there, back := range map[string]string{"encrypt": "decrypt", "wrapkey": "unwrapkey"} {
			a := d.send(200, "POST", "/keys/c/"+version+"/"+there, fields{"alg": alg, "value": plain})
			a.expect("kid", kid)
			d.send(200, "POST", "/keys/c/"+version+"/"+back, fields{"alg": alg, "value": a.text("value")}).expect("value", plain)
		}
	}
	for _, alg := range []string{"RS256", "PS256"} {
		a := d.send(200, "POST", "/keys/c//sign", fields{"alg": alg, "value": digest})
		d.send(200, "POST", "/keys/c/"+version+"/verify", fields{"alg": alg, "digest": digest, "value": a.text("value")}).expect("value", true)
		d.send(200, "POST", "/keys/c/"+version+"/verify", fields{"alg": alg, "digest": encode(make([]byte, 32)), "value": a.text("value")}).expect("value", false)
	}
	bad := []struct {
		operation string
		body      fields
	}{
		{"encrypt", fields{"alg": "RSA-OAEP-512", "value": plain}},
		{"encrypt", fields{"alg": "A128GCM", "value": plain}},
		{"encrypt", fields{"alg": "RSA-OAEP", "value": encode(make([]byte, 300))}},
		{"encrypt", fields{"alg": "RSA-OAEP"}},
		{"encrypt", fields{"value": plain}},
		{"decrypt", fields{"alg": "RSA-OAEP", "value": encode(make([]byte, 256))}},
		{"decrypt", fields{"alg": "RSA-OAEP", "value": encode(make([]byte, 255))}},
		{"wrapkey", fields{"alg": "ES256", "value": plain}},
		{"unwrapkey", fields{"alg": "RSA1_5", "value": encode(make([]byte, 256))}},
		{"sign", fields{"alg": "RS256", "value": plain}},
		{"sign", fields{"alg": "ES256", "value": digest}},
		{"sign", fields{"alg": "RS256", "value": "!"}},
		{"verify", fields{"alg": "RS384", "digest": digest, "value": plain}},
		{"verify", fields{"alg": "ES256", "digest": digest, "value": plain}},
	}
	for _, b := range bad {
		d.send(400, "POST", "/keys/c/"+version+"/"+b.operation, b.body).expect("error.code", "BadParameter")
	}
}

// keyState uses keys that may not be used.
func keyState(d driver) {
	d.send(200, "POST", "/keys/off/create", fields{"kty": "RSA", "attributes": fields{"enabled": false}})
	d.send(200, "POST", "/keys/early/create", fields{"kty": "RSA", "attributes": fields{"nbf": 4000000000}})
	d.send(200, "POST", "/keys/late/create", fields{"kty": "RSA", "attributes": fields{"exp": 1500000000}})
	d.send(200, "POST", "/keys/narrow/create", fields{"kty": "RSA", "key_ops": []string{"sign"}})
	operations := map[string]fields{"encrypt": {"alg": "RSA-OAEP", "value": plain}, "decrypt": {"alg": "RSA-OAEP", "value": encode(make([]byte, 256))},
		"wrapkey": {"alg": "RSA-OAEP", "value": plain}, "unwrapkey": {"alg": "RSA-OAEP", "value": encode(make([]byte, 256))},
		"sign": {"alg": "RS256", "value": digest}, "verify": {"alg": "RS256", "digest": digest, "value": encode(make([]byte, 256))}}
	for operation, body := range operations {
		d.send(403, "POST", "/keys/off/"+operation, body).expect("error.code", "Forbidden")
		if operation != "sign" {
			d.send(403, "POST", "/keys/narrow/"+operation, body).expect("error.code", "Forbidden")
		}
	}
	for _, operation := range []string{"encrypt", "wrapkey", "sign"} {
		d.send(403, "POST", "/keys/early/"+operation, operations[operation])
		d.send(403, "POST", "/keys/late/"+operation, operations[operation])
	}
	d.send(200, "POST", "/keys/late/verify", operations["verify"]).expect("value", false)
}

// keyRotation reads and sets the policy and rotates.
func keyRotation(d driver) {
	version := d.send(200, "POST", "/keys/r/create", fields{"kty": "EC", "tags": fields{"a": "b"}}).versionOf("key.kid")
	d.send(200, "GET", "/keys/r/rotationpolicy", nil).expect("attributes", nil)
	policy := fields{"lifetimeActions": []any{
		fields{"trigger": fields{"timeAfterCreate": "P90D"}, "action": fields{"type": "Rotate"}},
		fields{"trigger": fields{"timeBeforeExpiry": "P30D"}, "action": fields{"type": "Notify"}},
	}, "attributes": fields{"expiryTime": "P2Y"}}
	a := d.send(200, "PUT", "/keys/r/rotationpolicy", policy)
	a.expect("attributes.expiryTime", "P2Y")
	a.expect("lifetimeActions.0.trigger.timeAfterCreate", "P90D")
	d.send(200, "GET", "/keys/r/rotationpolicy", nil).expect("attributes.expiryTime", "P2Y")
	rotated := d.send(200, "POST", "/keys/r/rotate", nil)
	if rotated.versionOf("key.kid") == version || rotated.get("attributes.exp") == nil {
		d.t.Errorf("the rotated key: %s", rotated.body)
	}
	rotated.expect("tags", fields{"a": "b"})
	for _, bad := range []fields{{"attributes": fields{"expiryTime": "soon"}}, {"attributes": fields{"expiryTime": "P3D"}},
		{"lifetimeActions": []any{fields{"trigger": fields{"timeAfterCreate": "P1D"}, "action": fields{"type": "Rotate"}}}},
		{"lifetimeActions": []any{fields{"trigger": fields{"timeAfterCreate": "P90D"}, "action": fields{"type": "Fly"}}}}} {
		d.send(400, "PUT", "/keys/r/rotationpolicy", bad)
	}
}

// releasable makes a key that may be released to what the authority attests.
func (d driver) releasable(name string) (version string) {
	d.t.Helper()
	policy := must(json.Marshal(fields{"version": "1.0.0", "anyOf": []any{fields{"authority": d.authority.URL,
		"allOf": []any{fields{"claim": "sdk-test", "equals": "true"}}}}}))
	return d.send(200, "POST", "/keys/"+name+"/create", fields{"kty": "RSA-HSM", "attributes": fields{"exportable": true},
		"release_policy": fields{"data": encode(policy), "contentType": "application/json; charset=utf-8"}}).versionOf("key.kid")
}

// keyRelease releases a key, and does not.
func keyRelease(d driver) {
	version := d.releasable("out")
	path := "/keys/out/" + version + "/release"
	value := d.send(200, "POST", path, fields{"target": d.authority.Token(d.t, nil), "nonce": "n", "enc": "CKM_RSA_AES_KEY_WRAP"}).text("value")
	d.opened(strings.Split(value, "."))
	for name, change := range map[string]func(claims map[string]any){
		"another claim": func(c map[string]any) { c["sdk-test"] = false }, "no key": func(c map[string]any) { delete(c, "x-ms-runtime") },
		"expired": func(c map[string]any) { c["exp"] = 1500000000 }, "another issuer": func(c map[string]any) { c["iss"] = "https://example.com" },
	} {
		if a := d.send(0, "POST", path, fields{"target": d.authority.Token(d.t, change)}); a.status < 400 || a.status > 403 {
			d.t.Errorf("release with %s = %d %s, want a refusal", name, a.status, a.body)
		}
	}
	d.send(400, "POST", path, fields{})
	d.send(400, "POST", path, fields{"target": d.authority.Token(d.t, nil), "enc": "rot13"})
	// A release needs a key that may be exported, and such a key a policy.
	d.send(403, "POST", "/keys/r/release", fields{"target": d.authority.Token(d.t, nil)})
	d.send(400, "POST", "/keys/bad/create", fields{"kty": "RSA-HSM", "attributes": fields{"exportable": true}})
}

// opened opens a released key as its environment does: the signature is one
// of the server, and what wraps the key is for the environment.
func (d driver) opened(parts []string) {
	d.t.Helper()
	decode := func(text string) []byte { return must(base64.RawURLEncoding.DecodeString(text)) }
	var header struct {
		Chain [][]byte `json:"x5c"`
	}
	if err := json.Unmarshal(decode(parts[0]), &header); err != nil {
		d.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	leaf := must(x509.ParseCertificate(header.Chain[0]))
	if err := rsa.VerifyPKCS1v15(leaf.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], decode(parts[2])); err != nil {
		d.t.Errorf("the signature of the released key: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(d.p.CAFile())))
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		d.t.Errorf("the certificate of the released key: %v", err)
	}
	var payload struct {
		Response struct {
			Key struct {
				Key struct {
					N   string
					HSM string `json:"key_hsm"`
				}
			}
		}
	}
	if err := json.Unmarshal(decode(parts[1]), &payload); err != nil {
		d.t.Fatal(err)
	}
	var sealed struct{ Ciphertext string }
	if err := json.Unmarshal(decode(payload.Response.Key.Key.HSM), &sealed); err != nil {
		d.t.Fatalf("%v: %s", err, decode(parts[1]))
	}
	secret, err := rsa.DecryptOAEP(sha1.New(), nil, d.authority.Target, decode(sealed.Ciphertext)[:256], nil)
	if err != nil || len(secret) != 32 {
		d.t.Errorf("the wrapping key has %d bytes, %v, want 32", len(secret), err)
	}
}

// keyCycle deletes, recovers, backs up, purges and restores.
func keyCycle(d driver) {
	kid := d.send(200, "POST", "/keys/gone/create", fields{"kty": "EC"}).text("key.kid")
	d.send(200, "POST", "/keys/other/create", fields{"kty": "EC"})
	backup := d.send(200, "POST", "/keys/gone/backup", nil).text("value")
	d.send(409, "POST", "/keys/restore", fields{"value": backup})
	d.send(200, "DELETE", "/keys/gone", nil).text("recoveryId")
	d.send(200, "DELETE", "/keys/other", nil)
	d.send(409, "POST", "/keys/gone/create", fields{"kty": "EC"}).expect("error.innererror.code", "ObjectIsDeletedButRecoverable")
	d.send(409, "PUT", "/keys/gone", fields{"key": webKey(importedEC)}).expect("error.innererror.code", "ObjectIsDeletedButRecoverable")
	d.send(404, "POST", "/keys/gone/sign", fields{"alg": "ES256", "value": digest})
	d.send(200, "GET", "/deletedkeys/gone", nil).expect("key.kid", kid)
	if got := len(d.all("/deletedkeys?maxresults=1")); got != 2 {
		d.t.Errorf("%d deleted keys, want 2", got)
	}
	d.send(200, "POST", "/deletedkeys/other/recover", nil).text("key.kid")
	d.send(204, "DELETE", "/deletedkeys/gone", nil)
	d.send(200, "POST", "/keys/restore", fields{"value": backup}).expect("key.kid", kid)
	d.send(200, "GET", "/keys/gone", nil).expect("key.kid", kid)
	d.send(400, "POST", "/keys/restore", fields{"value": "AAAA"}).expect("error.code", "Malformed backup blob")
}

// keyHardware asks for what a vault does not have.
func keyHardware(d driver) {
	version := d.send(200, "POST", "/keys/h/create", fields{"kty": "RSA-HSM"}).versionOf("key.kid")
	for _, asked := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/rng", fields{"count": 8}},
		{"GET", "/keys/h/" + version + "/attestation", nil},
		{"POST", "/keys/h/" + version + "/securewrapkey", fields{"alg": "RSA-OAEP-256"}},
		{"POST", "/keys/h/" + version + "/secureunwrapkey", fields{"alg": "RSA-OAEP-256", "value": plain, "target": "a.b.c"}},
		{"POST", "/keys/h2/create", fields{"kty": "oct-HSM"}},
	} {
		if a := d.send(0, asked.method, asked.path, asked.body); a.status < 400 || a.status >= 500 {
			d.t.Errorf("%s %s = %d %s, want a refusal", asked.method, asked.path, a.status, a.body)
		}
	}
}

// keyPreparations are those of the examples of keys.
var keyPreparations = map[string]func(d driver, e map[string]any){
	"CreateKey": nil,
	"ImportKey": func(_ driver, e map[string]any) {
		// The private parts are not in the documents.
		e["body"].(fields)["key"] = webKey(importedRSA)
	},
	"GetKey": madeKey, "UpdateKey": madeKey, "DeleteKey": madeKey, "BackupKey": madeKey, "RotateKey": madeKey,
	"UpdateKeyRotationPolicy": madeKey, "encrypt": madeKey, "wrapKey": madeKey,
	"GetKeyVersions": func(d driver, e map[string]any) { madeKey(d, e); madeKey(d, e) },
	"GetKeyRotationPolicy": func(d driver, e map[string]any) {
		madeKey(d, e)
		d.send(200, "PUT", "/keys/"+e["key-name"].(string)+"/rotationpolicy", fields{"lifetimeActions": []any{
			fields{"trigger": fields{"timeAfterCreate": "P90D"}, "action": fields{"type": "Rotate"}},
			fields{"trigger": fields{"timeBeforeExpiry": "P30D"}, "action": fields{"type": "Notify"}},
		}, "attributes": fields{"expiryTime": "P2Y"}})
	},
	"GetKeys": func(d driver, _ map[string]any) {
		madeKey(d, fields{"key-name": "one"})
		madeKey(d, fields{"key-name": "two"})
	},
	"GetDeletedKey": deletedKey, "PurgeDeletedKey": deletedKey, "RecoverDeletedKey": deletedKey,
	"GetDeletedKeys": func(d driver, _ map[string]any) {
		deletedKey(d, fields{"key-name": "one"})
		deletedKey(d, fields{"key-name": "two"})
	},
	"RestoreKey": func(d driver, e map[string]any) {
		madeKey(d, fields{"key-name": "kept"})
		e["body"].(fields)["value"] = d.send(200, "POST", "/keys/kept/backup", nil).text("value")
		d.send(200, "DELETE", "/keys/kept", nil)
		d.send(204, "DELETE", "/deletedkeys/kept", nil)
	},
	"release": func(d driver, e map[string]any) {
		e["key-version"] = d.releasable(e["key-name"].(string))
		e["body"].(fields)["target"] = d.authority.Token(d.t, nil)
	},
	"decrypt":   func(d driver, e map[string]any) { ciphertext(d, e, "encrypt") },
	"unwrapKey": func(d driver, e map[string]any) { ciphertext(d, e, "wrapkey") },
	// The digests of the examples are not of the length that RS512 has.
	"sign": func(d driver, e map[string]any) {
		madeKey(d, e)
		e["body"].(fields)["value"] = encode(make([]byte, 64))
	},
	"verify": func(d driver, e map[string]any) {
		madeKey(d, e)
		body := e["body"].(fields)
		body["digest"] = encode(make([]byte, 64))
		body["value"] = d.send(200, "POST", "/keys/"+e["key-name"].(string)+"/sign", fields{"alg": body["alg"], "value": body["digest"]}).text("value")
	},
}

func madeKey(d driver, e map[string]any) {
	path := "/keys/" + e["key-name"].(string) + "/create"
	e["key-version"] = d.send(200, "POST", path, fields{"kty": "RSA", "tags": fields{"a": "b"}, "attributes": fields{"nbf": 1, "exp": 4000000000}}).versionOf("key.kid")
}

func deletedKey(d driver, e map[string]any) {
	madeKey(d, e)
	d.send(200, "DELETE", "/keys/"+e["key-name"].(string), nil)
}

func ciphertext(d driver, e map[string]any, operation string) {
	madeKey(d, e)
	body := e["body"].(fields)
	body["value"] = d.send(200, "POST", "/keys/"+e["key-name"].(string)+"/"+operation, fields{"alg": body["alg"], "value": plain}).text("value")
}
