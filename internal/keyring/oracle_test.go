package keyring_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/big"
	"testing"

	. "postern/internal/keyring"
)

// probe is a ciphertext made by somebody who wants to learn from the answer.
type probe struct {
	name, alg  string
	ciphertext []byte
	valid      bool
}

// probes are ciphertexts that fail at each place where a decryption can fail.
// Whoever has the public key can make them: an encoded message of any form,
// to the power of e.
func probes(t testing.TB, k *Key) (list []probe) {
	t.Helper()
	public := k.Public().(*rsa.PublicKey)
	size := public.Size()
	add := func(alg, name string, valid bool, encoded []byte) {
		c := new(big.Int).Exp(new(big.Int).SetBytes(encoded), big.NewInt(int64(public.E)), public.N)
		list = append(list, probe{name, alg, c.FillBytes(make([]byte, size)), valid})
	}
	padded := func(change func([]byte)) []byte {
		em := bytes.Repeat([]byte{0xaa}, size)
		em[0], em[1], em[size-33] = 0, 2, 0
		change(em)
		return em
	}
	for _, c := range []struct {
		name  string
		valid bool
		em    []byte
	}{
		{"valid", true, padded(func([]byte) {})},
		{"valid and empty", true, padded(func(em []byte) { em[size-33], em[size-1] = 0xaa, 0 })},
		{"valid and full", true, padded(func(em []byte) { em[10] = 0 })},
		{"first byte not 0", false, padded(func(em []byte) { em[0] = 1 })},
		{"block type 0", false, padded(func(em []byte) { em[1] = 0 })},
		{"block type 1", false, padded(func(em []byte) { em[1] = 1 })},
		{"block type 3", false, padded(func(em []byte) { em[1] = 3 })},
		{"no end of the padding", false, padded(func(em []byte) { em[size-33] = 0xaa })},
		{"padding empty", false, padded(func(em []byte) { em[2] = 0 })},
		{"padding of 7 bytes", false, padded(func(em []byte) { em[9] = 0 })},
		{"all 0", false, make([]byte, size)},
		{"one", false, append(make([]byte, size-1), 1)},
	} {
		add("RSA1_5", c.name, c.valid, c.em)
	}
	for alg, h := range map[string]hash.Hash{"RSA-OAEP": sha1.New(), "RSA-OAEP-256": sha256.New()} {
		for _, c := range []struct {
			name   string
			valid  bool
			change func(db []byte)
			first  byte
		}{
			{"valid", true, func([]byte) {}, 0},
			{"first byte not 0 (Manger)", false, func([]byte) {}, 1},
			{"label wrong", false, func(db []byte) { db[0] ^= 1 }, 0},
			{"label wrong at its end", false, func(db []byte) { db[h.Size()-1] ^= 0x80 }, 0},
			{"padding not 0", false, func(db []byte) { db[h.Size()] = 2 }, 0},
			{"no separator", false, func(db []byte) { clear(db[h.Size():]) }, 0},
			{"everything wrong", false, func(db []byte) { copy(db, bytes.Repeat([]byte{7}, len(db))) }, 9},
		} {
			add(alg, c.name, c.valid, encodeOAEP(h, size, c.first, c.change))
		}
	}
	return list
}

// encodeOAEP is EME-OAEP of 32 bytes (RFC 8017 §7.1.1), with something done
// to the data block before it is masked.
func encodeOAEP(h hash.Hash, size int, first byte, change func(db []byte)) []byte {
	h.Reset()
	db := make([]byte, size-h.Size()-1)
	copy(db, h.Sum(nil))
	db[len(db)-33] = 1
	change(db)
	seed := bytes.Repeat([]byte{0x5e}, h.Size())
	mask(h, seed, db)
	mask(h, db, seed)
	return append(append([]byte{first}, seed...), db...)
}

// mask is MGF1, applied.
func mask(h hash.Hash, seed, b []byte) {
	for i := 0; i*h.Size() < len(b); i++ {
		h.Reset()
		h.Write(seed)
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(i)))
		for j, m := range h.Sum(nil) {
			if at := i*h.Size() + j; at < len(b) {
				b[at] ^= m
			}
		}
	}
}

// TestFailedDecryptionsAreAlike: each probe fails with the very same error and
// no bytes, and with as many allocations, so that it took the same way.
// BenchmarkProbe shows the time.
func TestFailedDecryptionsAreAlike(t *testing.T) {
	k := generate(t, specs[0])
	work := map[string]float64{}
	for _, p := range probes(t, k) {
		plain, err := k.Decrypt(p.alg, p.ciphertext)
		if p.valid {
			if err != nil {
				t.Errorf("Decrypt(%s, %s) = %v", p.alg, p.name, err)
			}
			continue
		}
		if plain != nil || err != ErrCiphertext {
			t.Errorf("Decrypt(%s, %s) = %x, %v, want %v", p.alg, p.name, plain, err, ErrCiphertext)
		}
		if plain, err := k.Unwrap(p.alg, p.ciphertext); plain != nil || err != ErrCiphertext {
			t.Errorf("Unwrap(%s, %s) = %x, %v, want %v", p.alg, p.name, plain, err, ErrCiphertext)
		}
		allocs := testing.AllocsPerRun(2, func() { k.Decrypt(p.alg, p.ciphertext) })
		if first, ok := work[p.alg]; !ok {
			work[p.alg] = allocs
		} else if allocs != first {
			t.Errorf("Decrypt(%s, %s) allocates %v times, other failures %v", p.alg, p.name, allocs, first)
		}
	}
}

// BenchmarkProbe is the statistical side: the times of all probes of an
// algorithm, the valid ones too, lie within each other's noise.
func BenchmarkProbe(b *testing.B) {
	k := generate(b, specs[0])
	for _, p := range probes(b, k) {
		b.Run(p.alg+"/"+p.name, func(b *testing.B) {
			for b.Loop() {
				k.Decrypt(p.alg, p.ciphertext)
			}
		})
	}
}

// TestWrongCiphertexts: truncated, garbled, of another key, too long: the one
// error.
func TestWrongCiphertexts(t *testing.T) {
	for _, s := range specs[:4] {
		k := generate(t, s)
		n := k.Public().(*rsa.PublicKey).N
		other := generate(t, specs[map[Spec]int{specs[0]: 3}[s]])
		for _, alg := range []string{"RSA-OAEP", "RSA-OAEP-256", "RSA1_5"} {
			good, err := k.Encrypt(alg, digest(24))
			if err != nil {
				t.Fatal(err)
			}
			foreign, err := other.Encrypt(alg, digest(24))
			if err != nil {
				t.Fatal(err)
			}
			for name, c := range map[string][]byte{
				"nil": nil, "empty": {}, "one byte": {1}, "all but the first": good[1:], "all but the last": good[:len(good)-1], "half": good[:len(good)/2],
				"with a byte behind": append(bytes.Clone(good), 0), "with a zero before": append([]byte{0}, good...), "twice": append(bytes.Clone(good), good...),
				"one bit wrong": flip(good, len(good)/2), "zeros": make([]byte, len(good)), "one": append(make([]byte, len(good)-1), 1),
				"the modulus": n.Bytes(), "one less than the modulus": new(big.Int).Sub(n, big.NewInt(1)).Bytes(), "ones": bytes.Repeat([]byte{0xff}, len(good)),
				"of another key": foreign, "large": make([]byte, 1<<20),
			} {
				if plain, err := k.Decrypt(alg, c); plain != nil || err != ErrCiphertext {
					t.Errorf("Decrypt(%s, %s) with %v = %x, %v, want %v", alg, name, s, plain, err, ErrCiphertext)
				}
			}
			for _, not := range []string{"RSA-OAEP", "RSA-OAEP-256", "RSA1_5"} {
				if plain, err := k.Decrypt(not, good); not != alg && (plain != nil || err != ErrCiphertext) {
					t.Errorf("Decrypt(%s) of what %s made = %x, %v, want %v", not, alg, plain, err, ErrCiphertext)
				}
			}
		}
	}
}

// TestPlainTextsOfEveryLength: what fits is encrypted, one byte more is not.
func TestPlainTextsOfEveryLength(t *testing.T) {
	for _, s := range specs[:3] {
		k := generate(t, s)
		for alg, overhead := range map[string]int{"RSA1_5": 11, "RSA-OAEP": 2*20 + 2, "RSA-OAEP-256": 2*32 + 2} {
			limit := s.Size/8 - overhead
			for _, n := range []int{0, 1, limit - 1, limit} {
				plain := digest(n)
				sealed, err := k.Encrypt(alg, plain)
				if got, back := k.Decrypt(alg, sealed); err != nil || back != nil || !bytes.Equal(got, plain) {
					t.Errorf("Encrypt(%s) of %d bytes and back = %d bytes, %v, %v", alg, n, len(got), err, back)
				}
			}
			for _, n := range []int{limit + 1, s.Size / 8, 1 << 20} {
				if _, err := k.Encrypt(alg, make([]byte, n)); err != ErrSize {
					t.Errorf("Encrypt(%s) of %d bytes with %v = %v, want %v", alg, n, s, err, ErrSize)
				}
			}
		}
	}
}
