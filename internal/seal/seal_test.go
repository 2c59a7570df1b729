package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testRoot makes a root key in a folder of its own, with the unseal key in
// its file.
func testRoot(t testing.TB) (root *Root, dir string) {
	t.Helper()
	t.Setenv(Env, "")
	dir = t.TempDir()
	root, err := Create(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return root, dir
}

func TestSealOpen(t *testing.T) {
	root, _ := testRoot(t)
	k := root.Key("vault/1")
	for _, plain := range []string{"", "x", strings.Repeat("long", 10_000)} {
		sealed := k.Seal("place", []byte(plain))
		if len(sealed) != len(plain)+Overhead {
			t.Errorf("len(Seal(%d bytes)) = %d, want %d", len(plain), len(sealed), len(plain)+Overhead)
		}
		got, err := k.Open("place", sealed)
		if err != nil || string(got) != plain {
			t.Errorf("Open(Seal(%d bytes)) = %d bytes, %v", len(plain), len(got), err)
		}
		if len(plain) > 8 && bytes.Contains(sealed, []byte(plain[:8])) {
			t.Errorf("the sealed value holds the plain one")
		}
	}
	if a, b := k.Seal("place", []byte("x")), k.Seal("place", []byte("x")); bytes.Equal(a, b) {
		t.Errorf("Seal gave the same bytes twice, want another nonce")
	}
}

// TestTamper ensures that no byte of a sealed value can be changed, and that
// it opens at its place and with its key alone.
func TestTamper(t *testing.T) {
	root, _ := testRoot(t)
	other, _ := testRoot(t)
	k := root.Key("vault/1")
	sealed := k.Seal("place", []byte("secret"))
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open("place", bad); !errors.Is(err, ErrSealed) {
			t.Errorf("Open with byte %d changed = %v, want %v", i, err, ErrSealed)
		}
		if _, err := k.Open("place", sealed[:i]); !errors.Is(err, ErrSealed) {
			t.Errorf("Open of the first %d bytes = %v, want %v", i, err, ErrSealed)
		}
	}
	for _, test := range []struct {
		name string
		key  *Key
		aad  string
	}{
		{"another place", k, "place2"},
		{"no place", k, ""},
		{"another purpose", root.Key("vault/2"), "place"},
		{"another root key", other.Key("vault/1"), "place"},
	} {
		if _, err := test.key.Open(test.aad, sealed); !errors.Is(err, ErrSealed) {
			t.Errorf("Open with %s = %v, want %v", test.name, err, ErrSealed)
		}
	}
}

func TestReopen(t *testing.T) {
	root, dir := testRoot(t)
	sealed := root.Key("pki").Seal("ca", []byte("key"))
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Key("pki").Open("ca", sealed); err != nil || string(got) != "key" {
		t.Errorf("Open after a restart = %q, %v, want key", got, err)
	}
	for _, name := range []string{unsealFile, rootFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode of %s = %v, %v, want 0600", name, info.Mode(), err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the folder has %v, %v, want the two files alone", entries, err)
	}
}

func TestCreateNeverReplaces(t *testing.T) {
	_, dir := testRoot(t)
	if _, err := Create(dir, rand.Reader); err == nil {
		t.Errorf("Create over a root key = nil, want an error")
	}
	if _, err := Open(dir); err != nil {
		t.Errorf("Open after that = %v, want nil", err)
	}
}

// TestCreateGoesOn ensures that an unseal key that a crash left behind, or
// that the operator put there, is used and not replaced.
func TestCreateGoesOn(t *testing.T) {
	_, dir := testRoot(t)
	if err := os.Remove(filepath.Join(dir, rootFile)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, unsealFile))
	if err != nil {
		t.Fatal(err)
	}
	if Exists(dir) {
		t.Errorf("Exists without a root key = true, want false")
	}
	if _, err := Create(dir, rand.Reader); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, unsealFile))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the unseal key was replaced (%v)", err)
	}
}

func TestEnvironmentKey(t *testing.T) {
	dir := t.TempDir()
	text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, keySize))
	t.Setenv(Env, text)
	root, err := Create(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, unsealFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s beside %s = %v, want none", unsealFile, Env, err)
	}
	sealed := root.Key("p").Seal("", []byte("x"))
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Key("p").Open("", sealed); err != nil {
		t.Errorf("Open after a restart = %v, want nil", err)
	}
	for name, value := range map[string]string{"unset": "", "another key": base64.StdEncoding.EncodeToString(make([]byte, keySize)),
		"short": "c2hvcnQ=", "no base64": text + "!"} {
		t.Setenv(Env, value)
		_, err := Open(dir)
		var e *Error
		if !errors.As(err, &e) || e.Hint == "" {
			t.Errorf("Open with %s %s = %v, want an error with a hint", Env, name, err)
		}
		if value != "" && err != nil && strings.Contains(err.Error()+e.Hint, value) {
			t.Errorf("Open with %s %s shows the key: %v", Env, name, err)
		}
	}
}

func TestUnsealFileMode(t *testing.T) {
	_, dir := testRoot(t)
	path := filepath.Join(dir, unsealFile)
	for _, test := range []struct {
		mode os.FileMode
		ok   bool
	}{
		{0o600, true}, {0o400, true}, {0o640, false}, {0o604, false}, {0o620, false}, {0o644, false}, {0o666, false},
	} {
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		var e *Error
		if test.ok && err != nil || !test.ok && (!errors.As(err, &e) || e.Hint != "chmod 600 "+path) {
			t.Errorf("Open with mode %04o = %v, want ok %t", test.mode, err, test.ok)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	for _, test := range []struct{ name, file, text string }{
		{"empty root key", rootFile, ""},
		{"root key that is no base64", rootFile, "!"},
		{"root key of another unseal key", rootFile, base64.StdEncoding.EncodeToString(make([]byte, keySize+Overhead))},
		{"huge root key", rootFile, strings.Repeat("A", maxFile+1)},
		{"empty unseal key", unsealFile, ""},
		{"short unseal key", unsealFile, "AAAA"},
		{"huge unseal key", unsealFile, strings.Repeat("A", maxFile+1)},
	} {
		_, dir := testRoot(t)
		if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil {
			t.Errorf("Open with %s = nil, want an error", test.name)
		}
	}
}

// TestRandomnessFails ensures that no key is made of less randomness than it
// needs.
func TestRandomnessFails(t *testing.T) {
	t.Setenv(Env, "")
	for n := range 2 * keySize {
		dir := t.TempDir()
		if _, err := Create(dir, io.LimitReader(rand.Reader, int64(n))); err == nil || Exists(dir) {
			t.Errorf("Create with %d random bytes = %v, want an error and no root key", n, err)
		}
	}
}

// TestAllocations holds what a request pays: no allocation for a key that is
// known, the plain value and the bound place for opening it.
func TestAllocations(t *testing.T) {
	root, _ := testRoot(t)
	purpose := "vault/" + strings.Repeat("u", 32)
	k := root.Key(purpose)
	sealed := k.Seal("place", []byte("secret"))
	if n := testing.AllocsPerRun(100, func() { root.Key(purpose) }); n > 0 {
		t.Errorf("allocations of Key = %v, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = k.Open("place", sealed) }); n > 2 {
		t.Errorf("allocations of Open = %v, want at most 2", n)
	}
}

func FuzzOpen(f *testing.F) {
	root, _ := testRoot(f)
	k := root.Key("fuzz")
	good := k.Seal("place", []byte("plain"))
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte{version})
	f.Add(make([]byte, Overhead))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if plain, err := k.Open("place", sealed); err == nil && !bytes.Equal(sealed, good) {
			t.Errorf("Open(%x) = %x, want %v", sealed, plain, ErrSealed)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	root, _ := testRoot(b)
	k := root.Key("bench")
	sealed := k.Seal("o/vault/secrets/name", make([]byte, 256))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open("o/vault/secrets/name", sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	root, _ := testRoot(b)
	b.ReportAllocs()
	for b.Loop() {
		root.Key("vault/0123456789abcdef")
	}
}
