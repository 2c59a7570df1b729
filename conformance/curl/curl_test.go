package curl

import (
	"strings"
	"testing"

	"postern/conformance/lab"
	"postern/conformance/transcript"
)

func TestWire(t *testing.T) {
	lab.Tool(t, "curl", "curl")
	p := lab.Start(t)
	p.Vault(t, "curl", nil)
	direct := p.Client(t, lab.Private)
	direct.Set("HTTPS_PROXY", "")
	direct.Set("https_proxy", "")
	for _, way := range []struct {
		name   string
		family lab.Family
		client *lab.Client
	}{{"direct", lab.Private, direct}, {"private", lab.Private, p.Client(t, lab.Private)}, {"public", lab.Public, p.Client(t, lab.Public)}} {
		family, c := way.family, way.client
		vault := p.VaultURL(family, "curl")
		resource := strings.Replace(vault, "curl.", "", 1)
		login, management := c.Get("AZURE_AUTHORITY_HOST"), "https://management.azure.com"
		if family == lab.Private {
			management = "https://management.postern.localhost" + resource[strings.LastIndex(resource, ":"):]
		}
		if login == "" {
			login = "https://login.microsoftonline.com"
		}
		login = strings.TrimRight(login, "/")
		origin := strings.Join(strings.SplitN(login, "/", 4)[:3], "/")
		challenge := `Bearer authorization="` + origin + "/" + c.Get("AZURE_TENANT_ID") + `", resource="` + resource + `"`
		const status, headers = "%{http_code}", "%header{www-authenticate}"
		tests := []struct {
			name string
			args []string
			want string
		}{
			{"challenge", []string{"-o", "/dev/null", "-w", status + " " + headers, vault + "/secrets/x?api-version=7.4"}, "401 " + challenge},
			{"challenge of a PUT without a body", []string{"-X", "PUT", "-o", "/dev/null", "-w", status + " " + headers, vault + "/secrets/x?api-version=7.4"}, "401 " + challenge},
			{"no token", []string{vault + "/secrets/x?api-version=2026-04-01"}, `{"error":{"code":"Unauthorized","message":"AKV10000: Request is missing a Bearer…token."}}`},
			{"HTTP/2", []string{"--http2", "-o", "/dev/null", "-w", "%{http_version}", vault + "/healthstatus"}, "2"},
			{"HTTP/1.1", []string{"--http1.1", "-o", "/dev/null", "-w", "%{http_version}", vault + "/healthstatus"}, "1.1"},
			{"TLS 1.2", []string{"--tlsv1.2", "--tls-max", "1.2", "-o", "/dev/null", "-w", status, vault + "/healthstatus"}, "200"},
			{"health", []string{"-o", "/dev/null", "-w", status, vault + "/healthstatus"}, "200"},
			{"a vault's root without a token", []string{"-o", "/dev/null", "-w", "answered %{http_code}", vault + "/"}, "answered …"},
			{"metadata as an object", []string{management + "/metadata/endpoints?api-version=2022-09-01"},
				`{"name":"…","resourceManager":"…","microsoftGraphResourceId":"…/","graphAudience":"…","authentication":{"loginEndpoint":"…","audiences":["…","…"],"…":"…"},"suffixes":{"keyVaultDns":"…` + strings.TrimPrefix(resource, "https://") + `","…":"…"},"…":"…"}`},
			{"metadata as a list", []string{management + "/metadata/endpoints?api-version=2019-05-01"}, `[{"name":"…","…":"…"},"…"]`},
			{"metadata of 2015", []string{management + "/metadata/endpoints?api-version=2015-01-01"},
				`{"galleryEndpoint":"…","graphEndpoint":"…","portalEndpoint":"…","authentication":{"loginEndpoint":"…","audiences":["…","…"],"…":"…"},"…":"…"}`},
			{"instance discovery", []string{origin + "/common/discovery/instance?api-version=1.1&authorization_endpoint=https%3A%2F%2Fx%2F"}, `{"tenant_discovery_endpoint":"…","metadata":"…","…":"…"}`},
			{"openid of a tenant", []string{origin + "/" + c.Get("AZURE_TENANT_ID") + "/v2.0/.well-known/openid-configuration"}, `{"token_endpoint":"` + origin + `/…","authorization_endpoint":"…","issuer":"…","jwks_uri":"…","…":"…"}`},
		}
		for _, test := range tests {
			t.Run(way.name+"/"+test.name, func(t *testing.T) {
				out, err := c.Command(t.Context(), "curl", append([]string{"-sS"}, test.args...)...).CombinedOutput()
				if err != nil {
					t.Fatalf("curl %q: %v\n%s", test.args, err, out)
				}
				if err := transcript.Match(test.want, string(out)); err != nil {
					t.Errorf("curl %q: %v", test.args, err)
				}
			})
		}
	}
}

func TestRefused(t *testing.T) {
	lab.Tool(t, "curl", "curl")
	p := lab.Start(t)
	p.Vault(t, "curl", nil)
	public, private := p.Client(t, lab.Public), p.Client(t, lab.Private)
	// The exit statuses are curl's: 56 is a CONNECT refused, 60 a
	// certificate that is not trusted.
	tests := []struct {
		name   string
		client *lab.Client
		args   []string
		want   string
	}{
		{"a foreign name through the proxy", public, []string{"https://example.com/"}, "exit status 56"},
		{"an address through the proxy", public, []string{"https://127.0.0.1:" + p.Listen[strings.LastIndex(p.Listen, ":")+1:] + "/"}, "exit status 56"},
		{"a certificate that is not trusted", private, []string{"--cacert", "/etc/ssl/certs/ca-certificates.crt", p.VaultURL(lab.Private, "curl") + "/healthstatus"}, "exit status 60"},
		{"TLS 1.1", private, []string{"--tls-max", "1.1", p.VaultURL(lab.Private, "curl") + "/healthstatus"}, "exit status 35"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := test.client.Command(t.Context(), "curl", append([]string{"-sS"}, test.args...)...).CombinedOutput()
			if err == nil || err.Error() != test.want {
				t.Errorf("curl %q: %v, want %s\n%s", test.args, err, test.want, out)
			}
		})
	}
}
