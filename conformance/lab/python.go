package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Python makes a virtual environment with the packages of a requirements
// file, in the cache, and returns the folder of its programs.
func Python(t testing.TB, name, requirements string) string {
	t.Helper()
	text, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	python := Tool(t, "python3", "python3")
	version, err := Try(time.Minute, "", python, "--version")
	if err != nil {
		t.Fatalf("python3 --version: %v\n%s", err, version)
	}
	sum := sha256.Sum256(append([]byte(python+version), text...))
	defer Lock(t, "python-"+name)()
	dir := filepath.Join(Cache(t, "python"), name+"-"+hex.EncodeToString(sum[:6]))
	programs, complete := filepath.Join(dir, "bin"), filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return programs
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if out, err := Try(2*time.Minute, "", python, "-m", "venv", dir); err != nil {
		t.Logf("note: python3 -m venv failed (%v), installing python3-venv", err)
		t.Log(out)
		Package(t, "python3-venv")
		Do(t, 2*time.Minute, "", python, "-m", "venv", "--clear", dir)
	}
	start := time.Now()
	Do(t, 15*time.Minute, "", filepath.Join(programs, "pip"), "install", "-q", "--no-input", "--no-compile",
		"--disable-pip-version-check", "-r", requirements)
	t.Logf("note: installed %s from %s in %s", name, requirements, time.Since(start).Round(time.Second))
	if err := os.WriteFile(complete, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return programs
}
