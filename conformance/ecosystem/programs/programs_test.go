package programs

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
)

// versions are the programs.
var versions = map[string]string{
	"sops":   "github.com/getsops/sops/v3/cmd/sops@v3.13.3",
	"cosign": "github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3",
	"vals":   "github.com/helmfile/vals/cmd/vals@v0.46.1",
}

// install builds a program into the cache, unless it is there.
func install(t *testing.T, name string) string {
	t.Helper()
	path := versions[name]
	defer lab.Lock(t, name)()
	folder := lab.Cache(t, filepath.Join("programs", name+path[strings.LastIndexByte(path, '@'):]))
	program := filepath.Join(folder, name)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", path)
	cmd.Env = append(os.Environ(), "GOBIN="+folder, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go install %s: %v\n%s", path, err, out)
	}
	t.Logf("note: built %s in %s", path, time.Since(start).Round(time.Second))
	return program
}

// site is a server with a vault, and a client in a folder of its own.
type site struct {
	*testing.T
	client  *lab.Client
	program string
	folder  string
	// url is the vault's.
	url string
}

// each runs a test with each family of names that the program can use.
func each(t *testing.T, name string, families []lab.Family, run func(s site, p *lab.Postern)) {
	program := install(t, name)
	for _, family := range families {
		t.Run(string(family), func(t *testing.T) {
			p := lab.Start(t)
			p.Vault(t, name, nil)
			s := site{t, p.Client(t, family), program, t.TempDir(), p.VaultURL(family, name)}
			s.client.Set("HOME", s.folder)
			run(s, p)
		})
	}
}

// ok runs the program and returns what it prints.
func (s site) ok(args ...string) string {
	s.Helper()
	out, errs, err := s.try(args...)
	if err != nil {
		s.Fatalf("%s %q: %v\n%s%s", filepath.Base(s.program), args, err, out, errs)
	}
	return out
}

func (s site) try(args ...string) (out, errs string, err error) {
	var stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	cmd := s.client.Command(ctx, s.program, args...)
	cmd.Dir, cmd.Stderr = s.folder, &stderr
	text, err := cmd.Output()
	return string(text), stderr.String(), err
}

func (s site) write(name, text string) string {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, name), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return name
}

func (s site) read(name string) string {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, name))
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// TestSops encrypts, decrypts and rotates a file, goes on reading it after
// the key was rotated, and cannot when the key is disabled.
func TestSops(t *testing.T) {
	each(t, "sops", lab.Families, func(s site, p *lab.Postern) {
		const plain = "password: planted-plain\n"
		key := p.Key(s, "sops", "sops", map[string]any{"kty": "RSA"})
		id := s.url + "/keys/sops/" + key
		s.write("plain.yaml", plain)
		s.write("sealed.yaml", s.ok("encrypt", "--azure-kv", id, "plain.yaml"))
		if text := s.read("sealed.yaml"); strings.Contains(text, "planted") || !strings.Contains(text, key) {
			s.Errorf("the encrypted file:\n%s", text)
		}
		if got := s.ok("decrypt", "sealed.yaml"); got != plain {
			s.Errorf("sops decrypt = %q, want %q", got, plain)
		}
		before := s.read("sealed.yaml")
		s.ok("rotate", "--in-place", "sealed.yaml")
		if s.read("sealed.yaml") == before {
			s.Error("sops rotate changed nothing")
		}
		newer := p.Key(s, "sops", "sops", map[string]any{"kty": "RSA"})
		if got := s.ok("decrypt", "sealed.yaml"); got != plain {
			s.Errorf("after the key has a new version: sops decrypt = %q, want %q", got, plain)
		}
		s.ok("rotate", "--in-place", "--add-azure-kv", s.url+"/keys/sops/"+newer, "--rm-azure-kv", id, "sealed.yaml")
		if got := s.ok("decrypt", "sealed.yaml"); got != plain {
			s.Errorf("with the new version: sops decrypt = %q, want %q", got, plain)
		}
		p.DisableKey(s, "sops", "sops", newer)
		if out, _, err := s.try("decrypt", "sealed.yaml"); err == nil {
			s.Errorf("with a disabled key: sops decrypt = %q, want a refusal", out)
		}
	})
}

// TestCosign makes a key, signs and verifies a file, with the key in the
// vault and with its public part alone.
func TestCosign(t *testing.T) {
	each(t, "cosign", []lab.Family{lab.Public}, func(s site, _ *lab.Postern) {
		key := "azurekms://" + strings.TrimPrefix(s.url, "https://") + "/cosign"
		s.ok("generate-key-pair", "--kms", key)
		s.write("blob", "contents")
		s.ok("sign-blob", "--key", key, "--tlog-upload=false", "--use-signing-config=false", "--bundle", "bundle.json", "--yes", "blob")
		for _, verifier := range []string{key, "cosign.pub"} {
			s.ok("verify-blob", "--key", verifier, "--bundle", "bundle.json", "--insecure-ignore-tlog=true", "blob")
		}
		if got, want := s.ok("public-key", "--key", key), s.read("cosign.pub"); got != want {
			s.Errorf("cosign public-key = %q, want %q", got, want)
		}
		s.write("blob", "other contents")
		if out, _, err := s.try("verify-blob", "--key", key, "--bundle", "bundle.json", "--insecure-ignore-tlog=true", "blob"); err == nil {
			s.Errorf("cosign verify-blob of another file = %q, want a refusal", out)
		}
	})
}

// TestVals fills secrets into a file.
func TestVals(t *testing.T) {
	each(t, "vals", lab.Families, func(s site, p *lab.Postern) {
		first := p.Secret(s, "vals", "password", "planted-one")
		p.Secret(s, "vals", "password", "planted-two")
		reference := "ref+azurekeyvault://" + strings.TrimPrefix(s.url, "https://") + "/password"
		text, err := json.Marshal(map[string]string{"latest": reference, "first": reference + "/" + first})
		if err != nil {
			s.Fatal(err)
		}
		s.write("values.json", string(text))
		var got map[string]string
		if err := json.Unmarshal([]byte(s.ok("eval", "-f", "values.json", "-o", "json")), &got); err != nil {
			s.Fatal(err)
		}
		if got["latest"] != "planted-two" || got["first"] != "planted-one" {
			s.Errorf("vals eval = %q", got)
		}
	})
}
