package wycheproof

import (
	"bytes"
	"crypto"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/internal/keyring"
)

// The vectors are data in a module; none of its code is linked.
const (
	module = "github.com/c2sp/wycheproof@v0.0.0-20260902155932-3fa63dd0344a"
	sum    = "h1:pNbL2nztRsWfW/ispAwsvcDFxs9Id38uIsR2/Up5G2c="
)

// vectors is the folder of the vectors, downloaded where they are not there
// yet.
func vectors(t *testing.T) string {
	t.Helper()
	command := exec.Command("go", "mod", "download", "-json", module)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go mod download %s: %v\n%s", module, err, out)
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Sum != sum {
		t.Fatalf("%s has the sum %s, want %s", module, got.Sum, sum)
	}
	return filepath.Join(got.Dir, "testvectors_v1")
}

// document is a file of vectors.
type document struct {
	Schema string
	Groups []group `json:"testGroups"`
}

// group is vectors with one key. Which members there are depends on its type.
type group struct {
	Type       string
	KeySize    int
	Sha        string
	MgfSha     string
	SLen       int
	PublicKey  key
	PrivateKey key
	Tests      []vector
}

// key is numbers in hexadecimal.
type key struct {
	Curve                                             string
	Wx, Wy                                            number
	Modulus, PublicExponent, PrivateExponent          number
	Prime1, Prime2, Exponent1, Exponent2, Coefficient number
}

type vector struct {
	ID      int `json:"tcId"`
	Comment string
	Flags   []string
	Msg     number
	Sig     number
	Ct      number
	Label   number
	Result  string
}

// number is bytes in hexadecimal.
type number []byte

// UnmarshalText decodes hexadecimal digits.
func (n *number) UnmarshalText(text []byte) (err error) {
	*n, err = hex.DecodeString(string(text))
	return err
}

var hashes = map[string]crypto.Hash{"SHA-1": crypto.SHA1, "SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}

var curves = map[string]string{"secp256r1": keyring.P256, "secp384r1": keyring.P384, "secp521r1": keyring.P521, "secp256k1": keyring.P256K}

// algorithm is the vault's name of what a group is about; "" when a vault
// does not have it.
func (g *group) algorithm() string {
	size := strings.TrimPrefix(g.Sha, "SHA-")
	rsa := slices.Contains([]int{2048, 3072, 4096}, g.KeySize)
	switch known := hashes[g.Sha] != 0 && g.Sha != "SHA-1"; {
	case rsa && known && (g.Type == "RsassaPkcs1Verify" || g.Type == "RsassaPkcs1Generate"):
		return "RS" + size
	case rsa && known && strings.HasPrefix(g.Type, "RsassaPss") && g.MgfSha == g.Sha && g.SLen == hashes[g.Sha].Size():
		return "PS" + size
	case rsa && g.Type == "RsaesOaepDecrypt" && g.MgfSha == g.Sha:
		return map[string]string{"SHA-1": "RSA-OAEP", "SHA-256": "RSA-OAEP-256"}[g.Sha]
	case rsa && g.Type == "RsaesPkcs1Decrypt":
		return "RSA1_5"
	case g.Type == "EcdsaP1363Verify":
		return map[string]string{"P-256 SHA-256": "ES256", "P-384 SHA-384": "ES384", "P-521 SHA-512": "ES512", "P-256K SHA-256": "ES256K"}[curves[g.PublicKey.Curve]+" "+g.Sha]
	}
	return ""
}

// TestVectors: what Wycheproof calls valid is valid, and what it calls
// invalid is refused, for every algorithm of a vault.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors(t), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	run, left := map[string]int{}, map[string]int{}
	for _, file := range files {
		base := filepath.Base(file)
		if !strings.HasPrefix(base, "rsa_") && !strings.HasPrefix(base, "ecdsa_") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d document
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", base, err)
		}
		for i := range d.Groups {
			g := &d.Groups[i]
			alg := g.algorithm()
			if alg == "" {
				left[g.Type] += len(g.Tests)
				continue
			}
			run[alg] += g.run(t, base, alg, left)
		}
	}
	for _, a := range keyring.Algorithms() {
		// RSNULL is of no standard and has no vectors; oct is for no key of a vault.
		if a.Type != "oct" && a.Name != "RSNULL" && run[a.Name] < 30 {
			t.Errorf("%s was put to %d vectors, want at least 30", a.Name, run[a.Name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(run)) {
		t.Logf("%-13s %5d vectors", name, run[name])
	}
	t.Logf("left out, as no vault has such keys or algorithms: %v", left)
}

// unbalanced is why a few keys are refused. Wycheproof made them so, either
// as keys of three primes or to get signatures of a special form.
var unbalanced = keyring.Invalid{Property: "p", Reason: "is not half as long as n"}

// run puts the vectors of a group to its key.
func (g *group) run(t *testing.T, file, alg string, left map[string]int) (count int) {
	t.Helper()
	k, err := g.key()
	if invalid := (*keyring.Invalid)(nil); errors.As(err, &invalid) && *invalid == unbalanced {
		left["with three primes or primes of different lengths"] += len(g.Tests)
		return 0
	}
	if err != nil {
		t.Errorf("%s: the key of vector %d: %v", file, g.Tests[0].ID, err)
		return 0
	}
	for _, v := range g.Tests {
		if len(v.Label) > 0 {
			left["with a label"]++ // the service has no label
			continue
		}
		count++
		ok := false
		switch {
		case strings.HasSuffix(g.Type, "Decrypt"):
			var plain []byte
			plain, err = k.Decrypt(alg, v.Ct)
			ok = err == nil && bytes.Equal(plain, v.Msg)
			if err != nil && !errors.Is(err, keyring.ErrCiphertext) || err == nil && !ok {
				t.Errorf("%s %d: Decrypt = %x, %v, want %x or %v", file, v.ID, plain, err, v.Msg, keyring.ErrCiphertext)
			}
		default:
			h := hashes[g.Sha].New()
			h.Write(v.Msg)
			digest := h.Sum(nil)
			ok, err = k.Verify(alg, digest, v.Sig)
			if g.Type == "RsassaPkcs1Generate" {
				if signature, back := k.Sign(alg, digest); back != nil || !bytes.Equal(signature, v.Sig) {
					t.Errorf("%s %d: Sign = %x, %v, want %x", file, v.ID, signature, back, v.Sig)
				}
			}
			if err != nil {
				t.Errorf("%s %d: Verify: %v", file, v.ID, err)
			}
		}
		if v.Result != "acceptable" && ok != (v.Result == "valid") {
			t.Errorf("%s %d (%s %v): got %v, %v, want it %s", file, v.ID, v.Comment, v.Flags, ok, err, v.Result)
		}
	}
	return count
}

// key is the key of a group, imported as a client would do it.
func (g *group) key() (*keyring.Key, error) {
	p := g.PrivateKey
	switch {
	case len(p.Modulus) > 0:
		return keyring.Import(keyring.JWK{Type: keyring.RSA, N: p.Modulus, E: p.PublicExponent, D: p.PrivateExponent,
			P: p.Prime1, Q: p.Prime2, DP: p.Exponent1, DQ: p.Exponent2, QI: p.Coefficient})
	case g.PublicKey.Curve != "":
		return keyring.ImportPublic(keyring.JWK{Type: keyring.EC, Curve: curves[g.PublicKey.Curve], X: g.PublicKey.Wx, Y: g.PublicKey.Wy})
	}
	return keyring.ImportPublic(keyring.JWK{Type: keyring.RSA, N: g.PublicKey.Modulus, E: g.PublicKey.PublicExponent})
}
