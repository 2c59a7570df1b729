package keyring_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"testing"

	. "postern/internal/keyring"
)

// The cost of an operation over that of the bare library, and of opening.

func BenchmarkOpen(b *testing.B) {
	for _, s := range specs {
		k := generate(b, s)
		material := k.Material()
		b.Run(label(s), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Open(material); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(label(s)+"/public", func(b *testing.B) {
			for b.Loop() {
				if _, err := OpenPublic(material); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRing(b *testing.B) {
	var ring Ring
	material := generate(b, specs[0]).Material()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Open(material); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for _, s := range specs {
		k := generate(b, s)
		for _, a := range Algorithms() {
			if !a.For(k) || a.Use != Signature || a.Type == RSA && a.Name != "RS256" {
				continue
			}
			d := digest(a.Digest)
			signature, _ := k.Sign(a.Name, d)
			b.Run(label(s)+"/"+a.Name, func(b *testing.B) {
				for b.Loop() {
					k.Sign(a.Name, d)
				}
			})
			b.Run(label(s)+"/"+a.Name+"/verify", func(b *testing.B) {
				for b.Loop() {
					k.Verify(a.Name, d, signature)
				}
			})
			b.Run(label(s)+"/"+a.Name+"/bare", func(b *testing.B) {
				switch private := k.Private().(type) {
				case *rsa.PrivateKey:
					for b.Loop() {
						rsa.SignPKCS1v15(nil, private, crypto.SHA256, d)
					}
				case *ecdsa.PrivateKey:
					for b.Loop() {
						ecdsa.SignASN1(rand.Reader, private, d)
					}
				}
			})
		}
	}
}

func BenchmarkDecrypt(b *testing.B) {
	k := generate(b, specs[0])
	for _, alg := range []string{"RSA-OAEP-256", "RSA1_5"} {
		sealed, err := k.Encrypt(alg, digest(32))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(alg, func(b *testing.B) {
			for b.Loop() {
				k.Decrypt(alg, sealed)
			}
		})
		b.Run(alg+"/encrypt", func(b *testing.B) {
			for b.Loop() {
				k.Encrypt(alg, sealed[:32])
			}
		})
	}
	sealed, _ := k.Encrypt("RSA-OAEP-256", digest(32))
	b.Run("RSA-OAEP-256/bare", func(b *testing.B) {
		for b.Loop() {
			rsa.DecryptOAEP(sha256.New(), nil, k.Private().(*rsa.PrivateKey), sealed, nil)
		}
	})
}

func label(s Spec) string {
	return fmt.Sprintf("%s%s%d", s.Type, s.Curve, s.Size)
}
