package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The files of a data folder.
const (
	unsealFile = "unseal.key"
	rootFile   = "root.sealed"
)

// Env is the environment variable that replaces the file unseal.key: 32
// bytes in base64.
const Env = "POSTERN_UNSEAL_KEY"

// rootAAD binds root.sealed to what it is.
const rootAAD = "root.sealed"

// maxFile bounds what is read of either file.
const maxFile = 4096

// Error is a failure to make or open the root key, with what to do next.
type Error struct {
	// Problem is what is wrong, Hint what to do about it.
	Problem, Hint string
	// Cause is the error below it; nil for none.
	Cause error
}

// Error is the problem and its cause, without the hint.
func (e *Error) Error() string {
	if e.Cause != nil {
		return "seal: " + e.Problem + ": " + e.Cause.Error()
	}
	return "seal: " + e.Problem
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Exists reports whether dir has a root key, that is whether Open and not
// Create is the call to make.
func Exists(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, rootFile))
	return err == nil
}

// Create makes a root key from random and keeps it in dir, sealed by the
// unseal key: that of the environment, or a new one in the file unseal.key,
// which only the owner may read. It never replaces a root key.
func Create(dir string, random io.Reader) (*Root, error) {
	if Exists(dir) {
		return nil, &Error{Problem: filepath.Join(dir, rootFile) + " exists already",
			Hint: "what was sealed by it could never be opened again; start with this folder as it is, or choose an empty one"}
	}
	unseal, err := unsealKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		unseal, err = createUnsealKey(dir, random)
	}
	if err != nil {
		return nil, err
	}
	secret := make([]byte, keySize)
	if _, err := io.ReadFull(random, secret); err != nil {
		return nil, &Error{Problem: "reading randomness", Cause: err}
	}
	sealed := wrapping(unseal).Seal(rootAAD, secret)
	if err := writeFile(dir, rootFile, []byte(base64.StdEncoding.EncodeToString(sealed)+"\n")); err != nil {
		return nil, &Error{Problem: "keeping the root key", Cause: err}
	}
	return newRoot(secret), nil
}

// Open reads the root key of dir, with the unseal key of the environment or,
// when there is none, of the file unseal.key.
func Open(dir string) (*Root, error) {
	path := filepath.Join(dir, rootFile)
	text, err := readFile(path)
	if err != nil {
		return nil, &Error{Problem: "reading the root key", Cause: err,
			Hint: "is " + dir + " a data folder of postern? `postern serve` makes one on its first start"}
	}
	unseal, err := unsealKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Problem: "there is no unseal key", Cause: err,
			Hint: "bring " + filepath.Join(dir, unsealFile) + " back, or set " + Env}
	}
	if err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, &Error{Problem: path + " is damaged", Hint: "bring it back from a backup", Cause: ErrSealed}
	}
	secret, err := wrapping(unseal).Open(rootAAD, sealed)
	if err != nil || len(secret) != keySize {
		return nil, &Error{Problem: path + " does not open", Cause: ErrSealed,
			Hint: "the unseal key is not the one it was sealed with, or the file is damaged; look at " + Env + " and " + unsealFile}
	}
	return newRoot(secret), nil
}

// wrapping is the key that seals the root key.
func wrapping(unseal []byte) *Key { return derive(unseal, "postern/v1/unseal") }

// unsealKey finds the unseal key; an error that is fs.ErrNotExist when there
// is none.
func unsealKey(dir string) ([]byte, error) {
	if text, ok := os.LookupEnv(Env); ok && text != "" {
		return decodeKey(text, Env)
	}
	path := filepath.Join(dir, unsealFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, &Error{Problem: fmt.Sprintf("%s can be read by others (mode %04o)", path, mode), Hint: "chmod 600 " + path}
	}
	text, err := readFile(path)
	if err != nil {
		return nil, &Error{Problem: "reading the unseal key", Cause: err}
	}
	return decodeKey(string(text), path)
}

// decodeKey reads a key in base64. Nothing of the text is shown when it is
// wrong.
func decodeKey(text, from string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != keySize {
		return nil, &Error{Problem: from + " is no unseal key", Hint: "it must be 32 random bytes in base64: head -c 32 /dev/urandom | base64"}
	}
	return key, nil
}

func createUnsealKey(dir string, random io.Reader) ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, &Error{Problem: "reading randomness", Cause: err}
	}
	if err := writeFile(dir, unsealFile, []byte(base64.StdEncoding.EncodeToString(key)+"\n")); err != nil {
		return nil, &Error{Problem: "keeping the unseal key", Cause: err}
	}
	return key, nil
}

// readFile is os.ReadFile with a bound.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxFile)
	}
	return b, err
}

// writeFile makes a file that only its owner may read, whole or not at all,
// and durable. A key that is lost in a crash would take everything with it.
func writeFile(dir, name string, data []byte) (err error) {
	f, err := os.CreateTemp(dir, name+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	// Link, not rename: what is there is never replaced.
	if err = os.Link(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	if err = os.Remove(f.Name()); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
