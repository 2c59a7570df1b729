package posterntest

import (
	"net/http"
	"strings"
	"testing"
)

// TestFlags: the platform services that a vault's flags let in, under both
// permission models; a flag opens nothing to anybody else, and nothing
// beyond its scenario.
func TestFlags(t *testing.T) {
	p := Start(t)
	flags := []string{"enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment"}
	services := []string{"Azure Virtual Machines deployment service", "Azure Disk Encryption volume encryption service", "Azure Resource Manager template deployment service"}
	stranger := p.CreatePrincipal("stranger")
	for _, roleBased := range []bool{true, false} {
		for i, flag := range flags {
			name := map[bool]string{true: "roles-", false: "policies-"}[roleBased] + []string{"vm", "disk", "arm"}[i]
			properties := closed("AzureServices", "Enabled")
			properties["enableRbacAuthorization"], properties["accessPolicies"] = roleBased, []any{}
			kv := p.CreateVault(name, properties)
			set := func(flag string, on bool) {
				t.Helper()
				status, answer := p.Do("PATCH", p.ManagementURL+kv.ID+"?api-version=2026-02-01", map[string]any{"properties": map[string]any{flag: on}})
				if status != http.StatusOK {
					t.Fatalf("PATCH %s = %d %s", flag, status, answer)
				}
			}
			who := p.Service(services[i])
			proof := p.Showing(p.IssueCertificate(services[i], 0).Certificate)
			read := func(over *Postern, who Principal, method string) string {
				t.Helper()
				_, domain, _ := strings.Cut(kv.URL, kv.Name+".")
				token := p.TokenFor(who.ClientID, who.Secret, "https://"+domain)
				status, answer := over.DoAs(token, method, kv.URL+"/secrets/a?api-version=7.4", map[bool]any{true: map[string]any{"value": "v"}}[method == "PUT"])
				switch text := string(answer); {
				case status == http.StatusNotFound && strings.Contains(text, "SecretNotFound"), status == http.StatusOK:
					return "in"
				case status == http.StatusForbidden && strings.Contains(text, "ForbiddenByFirewall"):
					return "firewall"
				case status == http.StatusForbidden && (strings.Contains(text, "ForbiddenByRbac") || strings.Contains(text, "ForbiddenByPolicy")):
					return "permission"
				default:
					return text
				}
			}
			writes := map[bool]string{true: "in", false: "firewall"}[flag == "enabledForDiskEncryption"]
			for _, tt := range []struct {
				name   string
				change func()
				over   *Postern
				who    Principal
				method string
				want   string
			}{
				{"no flag", func() {}, proof, who, "GET", "permission"},
				{"another's flag", func() { set(flags[(i+1)%3], true) }, proof, who, "GET", "permission"},
				{"its flag", func() { set(flag, true) }, proof, who, "GET", "in"},
				{"its flag, writing", func() {}, proof, who, "PUT", writes},
				{"without proof", func() {}, p, who, "GET", "firewall"},
				{"somebody else", func() {}, proof, stranger, "GET", "firewall"},
				{"the flag taken away", func() { set(flag, false) }, proof, who, "GET", "permission"},
			} {
				tt.change()
				if got := read(tt.over, tt.who, tt.method); got != tt.want {
					t.Errorf("%s, %s: %s, want %s", name, tt.name, got, tt.want)
				}
			}
		}
	}
}
