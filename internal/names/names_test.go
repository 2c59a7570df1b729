package names

import "testing"

func TestResolve(t *testing.T) {
	n := New("Postern.localhost", 8443)
	for _, c := range []struct {
		host   string
		plane  Plane
		vault  string
		public bool
	}{
		{"myvault.vault.azure.net", Vault, "myvault", true},
		{"MyVault.vault.Azure.net:443", Vault, "myvault", true},
		{"myvault.vault.azure.net.", Vault, "myvault", true},
		{"a.b.vault.azure.net", None, "", false},
		{".vault.azure.net", None, "", false},
		{"vault.azure.net", None, "", false},
		{"xvault.azure.net", None, "", false},
		{"myvault.vault.azure.net.evil.test", None, "", false},
		{"myvault.vault.postern.localhost:8443", Vault, "myvault", false},
		{"login.postern.localhost:8443", Login, "", false},
		{"arm.postern.localhost:8443", Management, "", false},
		{"management.postern.localhost", Management, "", false},
		{"graph.microsoft.com", Graph, "", true},
		{"login.windows.net", Login, "", true},
		{"management.core.windows.net", Management, "", true},
		{"localhost:8443", None, "", false},
		{"127.0.0.1:8443", None, "", false},
		{"[::1]:8443", None, "", false},
		{"", None, "", false},
	} {
		h := n.Resolve(c.host)
		if h.Plane != c.plane || h.Vault != c.vault || h.Family != nil && h.Family.Public != c.public {
			t.Errorf("Resolve(%q) = %v %q, want %v %q", c.host, h.Plane, h.Vault, c.plane, c.vault)
		}
	}
	if got := testing.AllocsPerRun(100, func() { n.Resolve("myvault.vault.postern.localhost:8443") }); got != 0 {
		t.Errorf("Resolve allocates %v times, want 0", got)
	}
}

func TestURLs(t *testing.T) {
	n := New("postern.localhost", 8443)
	for _, c := range []struct{ got, want string }{
		{n.Private.LoginURL(), "https://login.postern.localhost:8443"},
		{n.Private.VaultURL("kv"), "https://kv.vault.postern.localhost:8443"},
		{n.Private.VaultResource(), "https://vault.postern.localhost:8443"},
		{n.Private.VaultSuffix(), "vault.postern.localhost:8443"},
		{n.Public.VaultURL("kv"), "https://kv.vault.azure.net"},
		{n.Public.ManagementURL(), "https://management.azure.com"},
		{New("kv.example.test", 443).Private.VaultURL("a"), "https://a.vault.kv.example.test"},
	} {
		if c.got != c.want {
			t.Errorf("URL = %q, want %q", c.got, c.want)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("myvault.vault.azure.net:443")
	f.Add("[::1]:8443")
	n := New("postern.localhost", 8443)
	f.Fuzz(func(t *testing.T, host string) {
		h := n.Resolve(host)
		if (h.Plane == None) != (h.Family == nil) || (h.Plane == Vault) != (h.Vault != "") {
			t.Fatalf("Resolve(%q) = %+v", host, h)
		}
	})
}

func TestServes(t *testing.T) {
	n := New("postern.localhost", 8443)
	for target, want := range map[string]bool{"kv.vault.azure.net:443": true, "kv.vault.azure.net:8443": true, "kv.vault.postern.localhost:8443": true,
		"kv.vault.azure.net:22": false, "kv.vault.azure.net": false, "example.test:443": false, "localhost:8443": false} {
		if got := n.Serves(target); got != want {
			t.Errorf("Serves(%q) = %v, want %v", target, got, want)
		}
	}
}
