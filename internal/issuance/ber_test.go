package issuance

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

// loosened writes a value as BER writers do: every length open that may be,
// every string of octets in pieces of n; those inside of which are values
// themselves are loosened, too.
func (e element) loosened(n int, tag byte) []byte {
	if e.constructed {
		out := append(bytes.Clone(e.identifier), 0x80)
		for i, c := range e.children {
			tag := byte(identifierOctets)
			if i == 2 && len(e.children) == 3 && c.identifier[0] == identifierFirst&^identifierConstructed {
				tag = identifierFirst
			}
			out = append(out, c.loosened(n, tag)...)
		}
		return append(out, 0, 0)
	}
	if tag != identifierFirst && e.identifier[0] != identifierOctets {
		return appendElement(nil, e.identifier, e.content)
	}
	out := []byte{tag | identifierConstructed, 0x80}
	for rest := e.content; len(rest) > 0; {
		piece := rest[:min(n, len(rest))]
		out, rest = appendElement(out, []byte{identifierOctets}, piece), rest[len(piece):]
	}
	return append(out, 0, 0)
}

func TestDefinite(t *testing.T) {
	for _, c := range []struct{ ber, der string }{
		{"0500", "0500"}, {"3080020101" + "0000", "3003020101"}, {"308104" + "04020102", "300404020102"}, {"2480" + "040101" + "2480" + "040102" + "0000" + "040103" + "0000", "0403010203"},
		{"24060401010401ff", "040201ff"}, {"3080" + "0601" + "01" + "3000" + "a080" + "040101" + "040102" + "0000" + "0000", "30" + "09" + "060101" + "3000" + "80020102"},
		{"3080" + "060101" + "a080" + "2480" + "040107" + "0000" + "0000" + "0000", "30" + "08" + "060101" + "a003" + "040107"}, {"1f8100" + "01" + "aa", "1f810001aa"},
		{"3080" + "24030500" + "00", ""}, {"3080", ""}, {"0480040101" + "0000", ""}, {"30", ""}, {"", ""}, {"308500000000010500", ""}, {"3003020101ff", ""}, {"1f81", ""}, {"30847fffffff", ""},
		{strings.Repeat("3080", maxBER+2) + strings.Repeat("0000", maxBER+2), ""},
	} {
		ber, err := hex.DecodeString(c.ber)
		if err != nil {
			t.Fatal(err)
		}
		der, ok := definite(ber)
		if hex.EncodeToString(der) != c.der || ok != (c.der != "") {
			t.Errorf("definite(%s) = %x, %v, want %s", c.ber, der, ok, c.der)
		}
	}
}

// TestImportBER: files as other programs write them, their content in pieces
// of several sizes.
func TestImportBER(t *testing.T) {
	key := ecKey(t)
	list := chain(t, key)
	for name, enc := range map[string]*pkcs12.Encoder{"DES": pkcs12.LegacyDES, "2023": pkcs12.Modern2023, "none": pkcs12.Passwordless} {
		file := must(enc.Encode(key, list[0], list[1:], ""))
		whole, rest, ok := readElement(file, 0)
		if !ok || len(rest) > 0 {
			t.Fatalf("%s: the file cannot be read", name)
		}
		for _, n := range []int{1, 7, 1000, 1 << 20} {
			loose := whole.loosened(n, 0)
			if bytes.Equal(loose, file) {
				t.Fatalf("%s: the file is DER still", name)
			}
			b, err := Import(encodeBase64(loose), "", "")
			expect(t, name, b, err, key, PKCS12)
		}
	}
}

// FuzzDefinite: what comes out is stable, and what was DER is as it was.
func FuzzDefinite(f *testing.F) {
	key := ecKey(f)
	leaf := chain(f, key)[0]
	f.Add(leaf.Raw)
	file := must(pkcs12.Passwordless.Encode(key, leaf, nil, ""))
	f.Add(file)
	whole, _, _ := readElement(file, 0)
	f.Add(whole.loosened(5, 0))
	f.Fuzz(func(t *testing.T, ber []byte) {
		der, ok := definite(ber)
		if !ok {
			return
		}
		if again, ok := definite(der); !ok || !bytes.Equal(again, der) {
			t.Fatalf("definite(%x) = %x, and of that %x, %v", ber, der, again, ok)
		}
		if len(der) > len(ber)+8*bytes.Count(ber, []byte{0x80}) {
			t.Fatalf("definite makes %d bytes of %d", len(der), len(ber))
		}
	})
}
