package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"postern/posterntest"
)

// wire is an answer of the data plane.
type wire struct {
	Error struct {
		Code       string
		Message    string
		InnerError struct{ Code string }
	}
}

// What explain says a client would get is what the client gets, byte for
// byte: each vault is asked for real and explained from the same address.
func TestExplainShowsTheRealAnswer(t *testing.T) {
	p := posterntest.Start(t)
	stranger := p.CreatePrincipal("stranger")
	acls := func(bypass string, rules ...map[string]any) map[string]any {
		return map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": bypass, "ipRules": rules}}
	}
	with := func(base map[string]any, name string, value any) map[string]any {
		out := map[string]any{name: value}
		for k, v := range base {
			out[k] = v
		}
		return out
	}
	off, open := map[string]any{"publicNetworkAccess": "Disabled"}, map[string]any{}
	for _, test := range []struct {
		name       string
		properties map[string]any
		code       string
		exit       int
	}{
		{"firewall-f1", acls("AzureServices"), "ForbiddenByFirewall", ExitDenied},
		{"firewall-f2", acls("None"), "ForbiddenByFirewall", ExitDenied},
		{"disabled-f4", with(acls("AzureServices"), "publicNetworkAccess", "Disabled"), "ForbiddenByConnection", ExitDenied},
		{"disabled-f5", with(acls("None"), "publicNetworkAccess", "Disabled"), "ForbiddenByConnection", ExitDenied},
		{"disabled", off, "ForbiddenByConnection", ExitDenied},
		{"roles-a1", open, "ForbiddenByRbac", ExitDenied},
		{"policies-a2", map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{}}, "ForbiddenByPolicy", ExitDenied},
		{"allowed", map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{map[string]any{"tenantId": p.TenantID,
			"objectId": stranger.ObjectID, "permissions": map[string]any{"secrets": []string{"get"}}}}}, "", ExitOK},
	} {
		vault := p.CreateVault(test.name, test.properties)
		status, got := ask(t, p, stranger, vault.URL+"/secrets/db?api-version=7.4")
		code, said := explainJSON(t, p, test.name, "stranger")
		if code != test.exit {
			t.Errorf("%s: explain = exit %d, want %d", test.name, code, test.exit)
			continue
		}
		if test.exit == ExitOK {
			if said.Answer != nil || status != http.StatusNotFound {
				t.Errorf("%s: explain = %+v, the server %d; want no refusal", test.name, said.Answer, status)
			}
			continue
		}
		want := jsonAnswer{status, got.Error.Code, got.Error.InnerError.Code, got.Error.Message}
		if said.Answer == nil || *said.Answer != want || want.Inner != test.code {
			t.Errorf("%s: explain = %+v, the server answers %+v", test.name, said.Answer, want)
		}
	}
}

// ask gets a URL with a token of the principal.
func ask(t *testing.T, p *posterntest.Postern, who posterntest.Principal, url string) (int, wire) {
	t.Helper()
	_, parent, _ := strings.Cut(strings.TrimPrefix(url, "https://"), ".")
	resource, _, _ := strings.Cut(parent, "/")
	status, body := p.DoAs(p.TokenFor(who.ClientID, who.Secret, "https://"+resource), http.MethodGet, url, nil)
	var w wire
	if err := json.Unmarshal(body, &w); err != nil {
		t.Fatalf("%s: %v: %s", url, err, body)
	}
	return status, w
}

func explainJSON(t *testing.T, p *posterntest.Postern, vault, who string) (int, jsonExplained) {
	t.Helper()
	var out, errs bytes.Buffer
	args := []string{"explain", "--data", p.Data, "--vault", vault, "--from", "127.0.0.1", "--as", who, "--do", "secrets/get", "--object", "db", "-o", "json"}
	code := Run(context.Background(), args, []string{}, strings.NewReader(""), &out, &errs)
	var said jsonExplained
	if err := json.Unmarshal(out.Bytes(), &said); err != nil {
		t.Fatalf("explain of %s: %v\n%s%s", vault, err, out.String(), errs.String())
	}
	return code, said
}

// check asks the same server, with the credentials of the environment.
func TestCheckServer(t *testing.T) {
	p := posterntest.Start(t)
	p.CreateVault("shut", map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "None"}})
	env := []string{"AZURE_TENANT_ID=" + p.TenantID, "AZURE_CLIENT_ID=" + p.ClientID, "AZURE_CLIENT_SECRET=" + p.ClientSecret, "SSL_CERT_FILE=" + p.CAFile()}
	var out, errs bytes.Buffer
	if code := Run(context.Background(), []string{"check", "--server", p.ManagementURL, "-o", "json"}, env, strings.NewReader(""), &out, &errs); code != ExitFindings {
		t.Fatalf("check --server = exit %d, want %d: %s", code, ExitFindings, errs.String())
	}
	if !strings.Contains(out.String(), `"check": "keyvault_notrustedservices"`) || strings.Contains(out.String()+errs.String(), p.ClientSecret) {
		t.Errorf("check --server = %s", out.String())
	}
	env[2] = "AZURE_CLIENT_SECRET=" + p.ClientSecret + "x"
	out.Reset()
	if code := Run(context.Background(), []string{"check", "--server", p.ManagementURL}, env, strings.NewReader(""), &out, &errs); code != ExitUsage || out.Len() > 0 {
		t.Errorf("check with a wrong secret = exit %d, output %q", code, out.String())
	}
	if strings.Contains(errs.String(), p.ClientSecret) {
		t.Error("the secret is in an error")
	}
	if _, err := os.Stat(".postern.yaml"); err == nil {
		t.Error("check left a file behind")
	}
}

// TestExplainFlag: the flag that lets a platform service in is named.
func TestExplainFlag(t *testing.T) {
	p := posterntest.Start(t)
	const service = "Azure Resource Manager template deployment service"
	who := p.Service(service)
	for _, test := range []struct {
		on   bool
		exit int
		want string
	}{
		{true, ExitOK, "enabledForTemplateDeployment lets the " + service + " in, without an entry"},
		{false, ExitDenied, "no access policy gives " + who.ObjectID + " secrets get"},
	} {
		name := map[bool]string{true: "flag", false: "no-flag"}[test.on]
		p.CreateVault(name, map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{}, "enabledForTemplateDeployment": test.on})
		var out, errs bytes.Buffer
		code := Run(context.Background(), []string{"explain", "--data", p.Data, "--vault", name, "--from", "service:" + service, "--as", who.ClientID, "--do", "secrets/get", "--object", "db"},
			[]string{}, strings.NewReader(""), &out, &errs)
		if code != test.exit || !strings.Contains(out.String(), test.want) {
			t.Errorf("explain = exit %d, want %d with %q:\n%s%s", code, test.exit, test.want, out.String(), errs.String())
		}
	}
}
