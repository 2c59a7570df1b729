package posterntest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const imds = "/metadata/identity/oauth2/token"

// ask asks an endpoint from an address: the status and the answer, and the
// challenge when there is one.
func (p *Postern) ask(source, path string, header map[string]string) (status int, answer map[string]any, challenge string) {
	p.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, at string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
		return d.DialContext(ctx, network, at)
	}}}
	r, err := http.NewRequest(http.MethodGet, p.Identity()+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	got, err := client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		p.t.Fatalf("%s from %s = %d %s", path, source, got.StatusCode, text)
	}
	return got.StatusCode, answer, got.Header.Get("WWW-Authenticate")
}

// claimsOf are those of an answer's token.
func claimsOf(t *testing.T, answer map[string]any) map[string]any {
	t.Helper()
	token, _ := answer["access_token"].(string)
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token in %v", answer)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// workload makes a workload at an address, and returns its document.
func (p *Postern) workload(path, address string, user ...string) held {
	p.t.Helper()
	identity := map[string]any{"type": "SystemAssigned"}
	if user != nil {
		list := map[string]any{}
		for _, id := range user {
			if id == "none" {
				continue
			}
			list[id] = map[string]any{}
		}
		identity["userAssignedIdentities"] = list
		if identity["type"] = "SystemAssigned, UserAssigned"; user[0] == "none" {
			identity["type"] = "UserAssigned"
		}
	}
	text := p.must("PUT", p.inGroup(path)+"?api-version=2024-11-01", map[string]any{"location": "eastus", "identity": identity,
		"properties": map[string]any{"postern": map[string]any{"addresses": []any{address}}}})
	return read(p.t.(*testing.T), text)
}

func (p *Postern) userAssigned(name string) (id string, h held) {
	p.t.Helper()
	return p.id(identitiesOf + name), read(p.t.(*testing.T), p.must("PUT", p.inGroup(identitiesOf+name)+identityVersion, map[string]any{"location": "eastus"}))
}

// TestMetadata: what machines get, by where they are; and nobody else.
func TestMetadata(t *testing.T) {
	p := Start(t, WithIdentity())
	one, first := p.userAssigned("one")
	two, second := p.userAssigned("two")
	vm := p.workload(machines+"vm", "127.8.0.1")
	p.workload(machines+"both", "127.8.0.2", one)
	p.workload(machines+"single", "127.8.0.3", "none", one)
	p.workload(machines+"several", "127.8.0.4", "none", one, two)
	p.workload("Microsoft.Web/sites/app", "127.8.0.5")
	p.workload("Microsoft.HybridCompute/machines/arc", "127.8.0.6")
	p.must("PUT", p.inGroup(machines+"bare")+machineVersion, map[string]any{"location": "eastus",
		"properties": map[string]any{"postern": map[string]any{"addresses": []any{"127.8.0.7"}}}})
	vault, metadata := "&resource="+url.QueryEscape("https://vault.azure.net"), map[string]string{"Metadata": "true"}
	const v = "?api-version=2018-02-01"
	own := vm.Identity.PrincipalID
	for _, tt := range []struct {
		name, source, query string
		header              map[string]string
		status              int
		want                string // the claim oid, or a part of the description
	}{
		{"a machine", "127.8.0.1", v + vault, metadata, 200, own},
		{"by its object id", "127.8.0.1", v + vault + "&object_id=" + own, metadata, 200, own},
		{"header in another case", "127.8.0.1", v + vault, map[string]string{"Metadata": "True"}, 200, own},
		{"the probe", "127.8.0.1", "", nil, 400, "metadata header"},
		{"no header", "127.8.0.1", v + vault, nil, 400, "metadata header"},
		{"forwarded by nobody", "127.8.0.1", v + vault, map[string]string{"Metadata": "true", "X-Forwarded-For": ""}, 400, "forwarded"},
		{"forwarded", "127.8.0.1", v + vault, map[string]string{"Metadata": "true", "X-Forwarded-For": "127.8.0.1"}, 400, "forwarded"},
		{"no version", "127.8.0.1", "?resource=x", metadata, 400, "api-version"},
		{"a version of other machines", "127.8.0.1", "?api-version=1999-01-01" + vault, metadata, 400, "api-version"},
		{"no resource", "127.8.0.1", v, metadata, 400, "resource"},
		{"twice", "127.8.0.1", v + vault + vault, metadata, 400, "query"},
		{"two identities at once", "127.8.0.1", v + vault + "&object_id=" + own + "&client_id=x", metadata, 400, "More than one"},
		{"another's identity by client id", "127.8.0.1", v + vault + "&client_id=" + first.Properties.ClientID, metadata, 400, "Identity not found"},
		{"another's identity by resource", "127.8.0.1", v + vault + "&msi_res_id=" + one, metadata, 400, "Identity not found"},
		{"another's identity by object id", "127.8.0.2", v + vault + "&object_id=" + own, metadata, 400, "Identity not found"},
		{"the administrator's", "127.8.0.1", v + vault + "&client_id=" + p.ClientID, metadata, 400, "Identity not found"},
		{"nobody's address", "127.8.0.99", v + vault, metadata, 400, "Identity not found"},
		{"nobody who says to be somebody", "127.8.0.99", v + vault + "&object_id=" + own, metadata, 400, "Identity not found"},
		{"nobody who names an address", "127.8.0.99", v + vault, map[string]string{"Metadata": "true", "Forwarded": "for=127.8.0.1"}, 400, "forwarded"},
		{"nobody with a real address", "127.8.0.99", v + vault, map[string]string{"Metadata": "true", "X-Real-Ip": "127.8.0.1"}, 400, "Identity not found"},
		{"user-assigned by client id", "127.8.0.2", v + vault + "&client_id=" + first.Properties.ClientID, metadata, 200, first.Properties.PrincipalID},
		{"user-assigned by resource", "127.8.0.2", v + vault + "&msi_res_id=" + strings.ToUpper(one), metadata, 200, first.Properties.PrincipalID},
		{"the only one", "127.8.0.3", v + vault, metadata, 200, first.Properties.PrincipalID},
		{"several", "127.8.0.4", v + vault, metadata, 400, "Multiple user assigned"},
		{"one of several", "127.8.0.4", v + vault + "&object_id=" + second.Properties.PrincipalID, metadata, 200, second.Properties.PrincipalID},
		{"a site is no machine", "127.8.0.5", v + vault, metadata, 400, "Identity not found"},
		{"a machine elsewhere without its proof", "127.8.0.6", v + vault, metadata, 400, "Identity not found"},
		{"no identity", "127.8.0.7", v + vault, metadata, 400, "Identity not found"},
	} {
		status, answer, _ := p.ask(tt.source, imds+tt.query, tt.header)
		got := fmt.Sprint(answer["error_description"])
		if status == http.StatusOK {
			got = fmt.Sprint(claimsOf(t, answer)["oid"])
		}
		if status != tt.status || !strings.Contains(got, tt.want) {
			t.Errorf("%s = %d %s, want %d with %s", tt.name, status, got, tt.status, tt.want)
		}
	}
	_, answer, _ := p.ask("127.8.0.1", imds+v+vault, metadata)
	claims := claimsOf(t, answer)
	if got, want := claims["xms_mirid"], strings.Replace(p.id(machines+"vm"), "resourceGroups", "resourcegroups", 1); got != want || claims["idtyp"] != "app" {
		t.Errorf("xms_mirid = %v, want %s; %v", got, want, claims)
	}
	if answer["client_id"] != claims["appid"] || answer["token_type"] != "Bearer" || answer["resource"] != "https://vault.azure.net" {
		t.Errorf("the answer %v for the claims %v", answer, claims)
	}
}

// TestMachineReadsSecret: a machine reads a secret with its own identity, is
// found by it in the journal, and no longer reads when it is gone.
func TestMachineReadsSecret(t *testing.T) {
	p := Start(t, WithIdentity())
	kv := p.CreateVault("kv1")
	secret := kv.URL + "/secrets/a?api-version=7.4"
	p.must("PUT", secret, map[string]any{"value": "v"})
	vm := p.workload(machines+"vm", "127.8.0.1")
	p.must("PUT", p.ManagementURL+kv.ID+"/providers/Microsoft.Authorization/roleAssignments/6a4f2f66-5a0b-4c7c-8f55-1d3f2a9b7e01?api-version=2022-04-01",
		map[string]any{"properties": map[string]any{"principalId": vm.Identity.PrincipalID,
			"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"}})
	_, answer, _ := p.ask("127.8.0.1", imds+"?api-version=2018-02-01&resource=https://vault.azure.net", map[string]string{"Metadata": "true"})
	token, _ := answer["access_token"].(string)
	if status, text := p.DoAs(token, "GET", secret, nil); status != http.StatusOK {
		t.Errorf("the machine's read = %d %s", status, text)
	}
	if text := p.journal(); !strings.Contains(text, "resourcegroups/"+Group+"/providers/"+machines+"vm") {
		t.Error("the journal does not name the machine")
	}
	p.must("DELETE", p.inGroup(machines+"vm")+machineVersion, nil)
	if status, text := p.DoAs(token, "GET", secret, nil); status != http.StatusUnauthorized {
		t.Errorf("the read of a machine that is gone = %d %s", status, text)
	}
}

// TestIdentityLog: the log tells for which workload, from where and for what
// a token was issued or refused, and nothing of the token.
func TestIdentityLog(t *testing.T) {
	var log lockedLog
	p := Start(t, WithIdentity(), WithLog(&log))
	vm := p.workload(machines+"vm", "127.8.0.1")
	_, answer, _ := p.ask("127.8.0.1", imds+"?api-version=2018-02-01&resource=https://vault.azure.net", map[string]string{"Metadata": "true"})
	p.ask("127.8.0.9", imds+"?api-version=2018-02-01&resource=https://elsewhere.example", map[string]string{"Metadata": "true"})
	text := log.text()
	for _, want := range []string{
		`msg="identity token issued" from=127.8.0.1:`, ` workload=` + p.id(machines+"vm") + ` audience=https://vault.azure.net principal=` + vm.Identity.PrincipalID + ` app=`,
		`msg="identity token refused" from=127.8.0.9:`, ` workload="" audience=https://elsewhere.example why="Identity not found"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not have %s:\n%s", want, text)
		}
	}
	for _, part := range strings.Split(answer["access_token"].(string), ".") {
		if strings.Contains(text, part) {
			t.Error("the log holds a part of the token")
		}
	}
}

// TestAddressesAreOnesOwn: no two workloads are at one address.
func TestAddressesAreOnesOwn(t *testing.T) {
	p := Start(t)
	p.workload(machines+"vm", "127.8.0.1")
	for _, tt := range []struct {
		path    string
		address any
		want    int
	}{{machines + "other", "127.8.0.1", 409}, {"Microsoft.Web/sites/app", "::ffff:127.8.0.1", 409}, {machines + "other", "127.8.0.2", 201},
		{machines + "vm", "127.8.0.1", 200}, {machines + "vm", "nonsense", 400}, {machines + "vm", "0.0.0.0", 400}, {machines + "vm", 7, 400}} {
		if status, answer := p.Do("PUT", p.inGroup(tt.path)+machineVersion, map[string]any{"location": "eastus", "properties": map[string]any{
			"postern": map[string]any{"addresses": []any{tt.address}}}}); status != tt.want {
			t.Errorf("%s at %v = %d %s, want %d", tt.path, tt.address, status, answer, tt.want)
		}
	}
}

// TestAppService: a site gets its tokens from its own address with its own
// header, and with nothing less.
func TestAppService(t *testing.T) {
	p := Start(t, WithIdentity())
	app := p.workload("Microsoft.Web/sites/app", "127.8.0.1")
	p.workload("Microsoft.Web/sites/other", "127.8.0.2")
	p.workload(machines+"vm", "127.8.0.3")
	mine, others := p.SiteEnvironment(p.id("Microsoft.Web/sites/app")), p.SiteEnvironment(p.id("Microsoft.Web/sites/other"))
	path := strings.TrimPrefix(mine["IDENTITY_ENDPOINT"], p.Identity())
	const q = "?api-version=2019-08-01&resource=https://vault.azure.net"
	for _, tt := range []struct {
		name, source, query, header string
		status                      int
	}{
		{"the site", "127.8.0.1", q, mine["IDENTITY_HEADER"], 200},
		{"no header", "127.8.0.1", q, "", 401},
		{"another site's header", "127.8.0.1", q, others["IDENTITY_HEADER"], 401},
		{"the site's header from another site", "127.8.0.2", q, mine["IDENTITY_HEADER"], 401},
		{"the site's header from a machine", "127.8.0.3", q, mine["IDENTITY_HEADER"], 401},
		{"the site's header from elsewhere", "127.8.0.4", q, mine["IDENTITY_HEADER"], 401},
		{"another version", "127.8.0.1", "?api-version=2017-09-01&resource=x", mine["IDENTITY_HEADER"], 400},
		{"no resource", "127.8.0.1", "?api-version=2019-08-01", mine["IDENTITY_HEADER"], 400},
	} {
		status, answer, _ := p.ask(tt.source, path+tt.query, map[string]string{"X-IDENTITY-HEADER": tt.header})
		if status != tt.status {
			t.Errorf("%s = %d %v, want %d", tt.name, status, answer, tt.status)
		}
		if status == http.StatusOK && claimsOf(t, answer)["oid"] != app.Identity.PrincipalID {
			t.Errorf("%s got the token of another", tt.name)
		}
	}
}

// TestArc: the proof is in a file, good for once, and for the machine it was
// made for.
func TestArc(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tokens")
	p := Start(t, WithIdentity(), WithSetting("identity.arcTokens", folder))
	machine := p.workload("Microsoft.HybridCompute/machines/arc", "127.8.0.1")
	p.workload("Microsoft.HybridCompute/machines/other", "127.8.0.2")
	const q = imds + "?api-version=2020-06-01&resource=https://vault.azure.net"
	proof := func() string {
		status, answer, challenge := p.ask("127.8.0.1", q, map[string]string{"Metadata": "true"})
		file, ok := strings.CutPrefix(challenge, "Basic realm=")
		if status != http.StatusUnauthorized || !ok || filepath.Dir(file) != folder || filepath.Ext(file) != ".key" {
			t.Fatalf("without a proof = %d %v, challenge %q", status, answer, challenge)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	text := proof()
	for _, tt := range []struct {
		name, source, shown string
		status              int
	}{
		{"a wrong proof", "127.8.0.1", "wrong", 401},
		{"another machine", "127.8.0.2", text, 401},
		{"nobody", "127.8.0.3", text, 400},
		{"the machine", "127.8.0.1", text, 200},
		{"the machine, again", "127.8.0.1", text, 401},
		{"a new proof", "127.8.0.1", proof(), 200},
	} {
		status, answer, _ := p.ask(tt.source, q, map[string]string{"Metadata": "true", "Authorization": "Basic " + tt.shown})
		if status != tt.status {
			t.Errorf("%s = %d %v, want %d", tt.name, status, answer, tt.status)
		}
		if status == http.StatusOK && claimsOf(t, answer)["oid"] != machine.Identity.PrincipalID {
			t.Errorf("%s got the token of another", tt.name)
		}
	}
	p.Stop()
	if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestArcShares: a machine that asks for proofs and shows none keeps no other
// machine from its own.
func TestArcShares(t *testing.T) {
	p := Start(t, WithIdentity(), WithSetting("identity.arcTokens", t.TempDir()))
	p.workload("Microsoft.HybridCompute/machines/greedy", "127.8.0.1")
	p.workload("Microsoft.HybridCompute/machines/modest", "127.8.0.2")
	asked := imds + "?api-version=2020-06-01&resource=https%3A%2F%2Fvault.azure.net"
	metadata := map[string]string{"Metadata": "true"}
	last := 0
	for range 100 {
		last, _, _ = p.ask("127.8.0.1", asked, metadata)
	}
	if last != 429 {
		t.Errorf("the hundredth proof of one machine = %d, want 429", last)
	}
	if status, answer, _ := p.ask("127.8.0.2", asked, metadata); status != 401 {
		t.Errorf("the first proof of another machine = %d %v, want it given", status, answer)
	}
}
