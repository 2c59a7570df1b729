package certificate

import (
	"encoding/base64"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/conformance/lab"
	"postern/internal/issuance"
)

// readers are programs of a few lines, as applications have them: each opens
// a file without a password, and prints the kind of its key, the first
// certificate's name and how many others there are.
var readers = map[string]func(t *testing.T, file string) *exec.Cmd{
	"Python": func(t *testing.T, file string) *exec.Cmd {
		return exec.Command(filepath.Join(lab.Python(t, "python", "../python/requirements.txt"), "python"), "-c", `
import sys
from cryptography.hazmat.primitives.serialization import pkcs12
key, leaf, others = pkcs12.load_key_and_certificates(open(sys.argv[1], "rb").read(), None)
assert key.public_key() == leaf.public_key()
print(type(key).__name__[:2], leaf.subject.rfc4514_string(), len(others))`, file)
	},
	"Node": func(t *testing.T, file string) *exec.Cmd {
		return exec.Command(lab.Tool(t, "node", "nodejs"), "-e", `
const tls = require("tls"), fs = require("fs");
const server = tls.createServer({pfx: fs.readFileSync(process.argv[1])}, s => s.end()).listen(0, "127.0.0.1", () => {
  const s = tls.connect({port: server.address().port, host: "127.0.0.1", rejectUnauthorized: false}, () => {
    const leaf = s.getPeerCertificate(true);
    let others = 0;
    for (let c = leaf; c.issuerCertificate && c.issuerCertificate !== c; c = c.issuerCertificate) others++;
    console.log(leaf.asn1Curve ? "EC" : "RS", "CN=" + leaf.subject.CN, others);
    s.destroy(); server.close();
  });
});`, file)
	},
}

// TestReaders: Python opens the secret of a certificate, and Node serves TLS
// with it, chain and all.
func TestReaders(t *testing.T) {
	dir := t.TempDir()
	authority(t, dir)
	all := keys(t)
	for _, kind := range []string{"RSA2048", "EC0P-256"} {
		csr, err := policy(t, `{"x509_props":{"subject":"CN=localhost","sans":{"dns_names":["localhost"]}}}`).Request(all[kind])
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "leaf.csr", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))
		issue(t, dir)
		var x5c [][]byte
		for _, f := range []string{"root.pem", "between.pem", "leaf.pem"} {
			block, _ := pem.Decode(read(t, dir, f))
			x5c = append(x5c, block.Bytes)
		}
		b, err := issuance.Merge(csr, all[kind], x5c)
		if err != nil {
			t.Fatal(err)
		}
		value, _, err := b.Secret(issuance.PKCS12, true, false)
		if err != nil {
			t.Fatal(err)
		}
		file, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "secret.pfx", file)
		for name, reader := range readers {
			t.Run(kind+" "+name, func(t *testing.T) {
				out, err := reader(t, filepath.Join(dir, "secret.pfx")).CombinedOutput()
				if got, want := strings.TrimSpace(string(out)), kind[:2]+" CN=localhost 2"; err != nil || got != want {
					t.Errorf("%s reads %q, %v, want %q", name, got, err, want)
				}
			})
		}
	}
}
