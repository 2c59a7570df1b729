package java

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
)

var premium = map[string]any{"sku": map[string]any{"family": "A", "name": "premium"}}

// The cases of Keys.java and Certificates.java.
var (
	keyCases = []string{
		"create", "create in hardware", "import", "get", "get a version", "list", "versions", "update", "encrypt and decrypt", "wrap and unwrap",
		"sign and verify", "sign and verify with curves", "rotation policy", "rotate", "delete", "the name of a deleted key is taken", "recover",
		"backup", "purge", "restore", "a broken backup", "404", "403 of a disabled key", "403 of an operation that the key does not have",
		"what only hardware has",
	}
	certificateCases = []string{
		"create", "create with curves", "get", "get a version", "its key and its secret", "list", "versions", "update", "policy",
		"import PKCS#12", "merge", "pending operations", "contacts", "issuers", "delete", "recover", "backup", "purge", "restore", "404",
	}
)

func TestKeys(t *testing.T) {
	program(t, "Keys", keyCases, func(t *testing.T, p *lab.Postern, family lab.Family) string {
		p.BlindVault(t, "blind")
		return p.VaultURL(family, "blind")
	})
}

func TestCertificates(t *testing.T) {
	lab.Tool(t, "openssl", "openssl")
	program(t, "Certificates", certificateCases, func(t *testing.T, _ *lab.Postern, _ lab.Family) string { return t.TempDir() })
}

// program runs a program through both families of names, with the vault's
// URL and one argument more.
func program(t *testing.T, name string, cases []string, prepare func(*testing.T, *lab.Postern, lab.Family) string) {
	path := build(t)
	for _, family := range lab.Families {
		t.Run(string(family), func(t *testing.T) {
			p := lab.Start(t)
			p.Vault(t, "java", premium)
			out, err := p.Client(t, family).Command(t.Context(), "java", "-cp", path, name, p.VaultURL(family, "java"), prepare(t, p, family)).CombinedOutput()
			if err != nil {
				t.Errorf("java %s: %v", name, err)
			}
			lab.Report(t, string(out), cases)
		})
	}
}

// build fetches the SDK and compiles the programs, in the cache, and returns
// the class path.
func build(t *testing.T) string {
	t.Helper()
	lab.Tool(t, "javac", "default-jdk-headless")
	lab.Tool(t, "mvn", "maven")
	sources, err := filepath.Glob("*.java")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for _, name := range append(sources, "pom.xml") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(text)
	}
	defer lab.Lock(t, "java")()
	cache := lab.Cache(t, "java")
	classes := filepath.Join(cache, hex.EncodeToString(sum.Sum(nil)[:6]))
	list := filepath.Join(classes, "classpath")
	if _, err := os.Stat(list); err != nil {
		if err := os.MkdirAll(classes, 0o755); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		lab.Do(t, 10*time.Minute, "", "mvn", "-q", "-B", "-Dmaven.repo.local="+filepath.Join(cache, "repository"),
			"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath", "-Dmdep.outputFile="+list+".partial", "-Dmdep.includeScope=runtime")
		lab.Do(t, 5*time.Minute, "", "javac", append([]string{"-nowarn", "-cp", read(t, list+".partial"), "-d", classes}, sources...)...)
		if err := os.Rename(list+".partial", list); err != nil {
			t.Fatal(err)
		}
		t.Logf("note: fetched the Java SDK and compiled %s in %s", strings.Join(sources, " "), time.Since(start).Round(time.Second))
	}
	return classes + string(os.PathListSeparator) + read(t, list)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
