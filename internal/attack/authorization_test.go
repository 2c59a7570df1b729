package attack

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/access"
	"postern/internal/arm"
	armauthorization "postern/internal/arm/authorization"
	armkeyvault "postern/internal/arm/keyvault"
	armmanagement "postern/internal/arm/management"
	armnetwork "postern/internal/arm/network"
	armnsp "postern/internal/arm/nsp"
	armprivatedns "postern/internal/arm/privatedns"
	armresources "postern/internal/arm/resources"
	"postern/internal/estate"
	"postern/internal/keyvault"
	"postern/posterntest"
)

// person is somebody who tries every door.
type person struct {
	name string
	// data and management are tokens for the two planes; "" for none.
	data, management string
	// caller is what the decision should think of the data plane's token.
	caller access.Caller
}

// people starts a server with vaults and everybody who tries them. The
// administrator, who may change things, is the last.
func people(t *testing.T) (*posterntest.Postern, []person) {
	t.Helper()
	p, foreign := withForeigner(t)
	p.CreateVault("kv1")
	p.CreateVault("other")
	reader := p.CreatePrincipal("policy-reader")
	p.CreateVault("policies", map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{map[string]any{
		"tenantId": p.TenantID, "objectId": reader.ObjectID, "permissions": map[string]any{"secrets": []string{"get", "list"}, "keys": []string{"get", "sign"}, "certificates": []string{"list", "getissuers"}}}}})
	for name, properties := range closedVaults {
		p.CreateVault(name, properties)
	}
	for _, vault := range []string{"kv1", "other"} {
		setSecret(t, p, vault, "there", "v")
		must(t, p, "POST", p.VaultURL(vault)+"/keys/there/create"+api, map[string]string{"kty": "EC"})
	}
	tenant := access.MustGUID(p.TenantID)
	valid := func(object, app string) access.Caller {
		return access.Caller{Token: access.TokenValid, Tenant: tenant, Object: access.MustGUID(object), App: access.MustGUID(app)}
	}
	list := []person{
		{name: "nobody"},
		{"forger", "x.y.z", "x.y.z", access.Caller{Token: access.TokenMalformed}},
		{"foreigner", token(t, p, foreign.tenant, foreign.client, foreign.secret, vaultResource), token(t, p, foreign.tenant, foreign.client, foreign.secret, p.ManagementURL),
			access.Caller{Token: access.TokenValid, Tenant: access.MustGUID(foreign.tenant), Object: access.MustGUID(foreign.object), App: access.MustGUID(foreign.client)}},
		{"wrong audience", p.Token(p.ManagementURL), p.Token(vaultResource), access.Caller{Token: access.TokenWrongAudience}},
		{"policy reader", p.TokenFor(reader.ClientID, reader.Secret, vaultResource), p.TokenFor(reader.ClientID, reader.Secret, p.ManagementURL), valid(reader.ObjectID, reader.ClientID)},
	}
	for _, who := range []struct{ name, role, scope string }{
		{"stranger", "", ""},
		{"key vault reader", "Key Vault Reader", p.VaultID("kv1")},
		{"reader", "Reader", p.VaultID("kv1")},
		{"secrets user", "Key Vault Secrets User", p.VaultID("kv1")},
		{"user of one secret", "Key Vault Secrets User", p.VaultID("kv1") + "/secrets/there"},
		{"user of another secret", "Key Vault Secrets User", p.VaultID("kv1") + "/secrets/elsewhere"},
		{"crypto user", "Key Vault Crypto User", p.VaultID("kv1")},
		{"certificates officer", "Key Vault Certificates Officer", p.VaultID("kv1")},
		{"user of one key", "Key Vault Crypto User", p.VaultID("kv1") + "/keys/there"},
		{"administrator of another vault", "Key Vault Administrator", p.VaultID("other")},
		{"contributor", "Contributor", p.VaultID("kv1")},
	} {
		sp := p.CreatePrincipal("try-" + strings.ReplaceAll(who.name, " ", "-"))
		if who.role != "" {
			assign(t, p, sp, who.role, who.scope)
		}
		list = append(list, person{who.name, p.TokenFor(sp.ClientID, sp.Secret, vaultResource), p.TokenFor(sp.ClientID, sp.Secret, p.ManagementURL), valid(sp.ObjectID, sp.ClientID)})
	}
	return p, append(list, person{"administrator", p.Token(vaultResource), p.Token(p.ManagementURL), valid(p.ObjectID, p.ClientID)})
}

// attempt is one try of a door and what came of it.
type attempt struct {
	who     person
	vault   string
	route   keyvault.Route
	object  string
	answers answer
}

// TestEveryRouteByEverybody tries every operation of the data plane on every
// sort of vault as everybody, and holds the outcome to access.Explain.
func TestEveryRouteByEverybody(t *testing.T) {
	t.Parallel()
	p, list := people(t)
	var attempts []attempt
	for _, vault := range []string{"other", "policies", "vault-f1", "vault-f2", "vault-f4", "vault-f5", "kv1"} {
		for _, who := range list {
			for _, route := range keyvault.Routes() {
				path := strings.NewReplacer("{version}", strings.Repeat("0", 32)).Replace(route.Pattern)
				there := try(t, p, who, vault, route, path, "there")
				missing := there
				if strings.Contains(path, "{name}") {
					missing = try(t, p, who, vault, route, path, "miss1")
					attempts = append(attempts, missing)
				}
				attempts = append(attempts, there)
				// Who is refused cannot tell what is there.
				if s := there.answers.status; s == 401 || s == 403 {
					same := strings.ReplaceAll(there.answers.body, "there", "miss1") == missing.answers.body
					if own := strings.HasPrefix(who.name, "user of one "); missing.answers.status != s && !own || !same && !own {
						t.Errorf("%s, %s %s of %s: there %d %s, missing %d %s", who.name, route.Method, path, vault, s, there.answers.body, missing.answers.status, missing.answers.body)
					}
				}
			}
		}
	}
	var answers []answer
	for _, a := range attempts {
		answers = append(answers, a.answers)
	}
	p.Stop()
	recorded(t, p.Data, answers)
	open(t, p.Data, func(f closedFolder) {
		snapshot := f.estate(t)
		allowed := 0
		for _, a := range attempts {
			if holdToOracle(t, snapshot, a) {
				allowed++
			}
		}
		if allowed < 30 || allowed > len(attempts)/4 {
			t.Errorf("%d of %d attempts were allowed: this tries nothing", allowed, len(attempts))
		}
	})
}

func try(t *testing.T, p *posterntest.Postern, who person, vault string, route keyvault.Route, path, object string) attempt {
	t.Helper()
	body := ""
	if route.Body > 0 {
		body = "{}"
	}
	a := send(t, p.Client(), request{method: route.Method, url: p.VaultURL(vault) + strings.ReplaceAll(path, "{name}", object) + api, token: who.data, body: body})
	if !route.Operation.Info().Named {
		object = ""
	}
	return attempt{who, vault, route, object, a}
}

// holdToOracle compares an answer with the decision over the same rules.
func holdToOracle(t *testing.T, s *estate.Snapshot, a attempt) (allowed bool) {
	t.Helper()
	v, ok := s.Vault(a.vault)
	if !ok {
		t.Fatalf("no vault %s", a.vault)
	}
	d := access.Explain(v.Rules, &access.Request{Origin: access.Origin{Path: access.PathPublic, Addr: netip.MustParseAddr("127.0.0.1")},
		Caller: a.who.caller, Operation: a.route.Operation, Object: a.object}).Decision
	refused := 0
	switch d.Gate {
	case access.GateToken, access.GateIdentity:
		refused = 401
	case access.GateNetwork:
		refused = 403
	case access.GatePermission:
		if !d.Allowed() {
			refused = 403
		}
	}
	got := a.answers.status
	if refused != 0 && got != refused || refused == 0 && (got == 401 || got == 403 || got >= 500) {
		t.Errorf("%s, %s %s (%s) of %s = %d %s; access.Explain says %v at %v", a.who.name, a.route.Method, a.route.Pattern, a.object, a.vault, got, a.answers.body, d.Reason, d.Gate)
	}
	return d.Allowed()
}

// TestPathsWithoutRoute: what is no operation is never a success, and tells
// those whom a gate refuses nothing else than that.
func TestPathsWithoutRoute(t *testing.T) {
	t.Parallel()
	p, list := people(t)
	for _, path := range []string{"/", "/keys/a", "/secrets/there/backup", "/secrets/a/b/c", "/storage", "/secrets/there/versions/x", "/deletedsecrets/there/recover/x", "/rng", "/.well-known/x", "/metrics"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if path == "/secrets/there/backup" && method == "POST" {
				continue
			}
			for _, who := range list {
				a := send(t, p.Client(), request{method: method, url: p.VaultURL("vault-f5") + path + api, token: who.data})
				want := 403
				if who.data == "" {
					want = 401
				}
				if a.status != want {
					t.Errorf("%s: %s %s of a closed vault = %d %s, want %d", who.name, method, path, a.status, a.body, want)
				}
				if a := send(t, p.Client(), request{method: method, url: p.VaultURL("kv1") + path + api, token: who.data}); a.status < 400 || a.status >= 500 {
					t.Errorf("%s: %s %s = %d %s, want a refusal", who.name, method, path, a.status, a.body)
				}
			}
		}
	}
}

// armRoutes are the operations of the control plane.
func armRoutes() []arm.Route {
	return arm.New(arm.Deps{}, armresources.Provider(), armkeyvault.Provider(nil), armnetwork.Provider(), armauthorization.Provider(), armauthorization.Elevation(nil), armmanagement.Provider(),
		armprivatedns.Provider(), armnsp.Provider(), armnsp.Vaults()).Routes()
}

// fill puts values into the variables of a pattern.
func fill(p *posterntest.Postern, pattern, vault string) (string, arm.Vars) {
	values := map[string]string{"subscription": p.SubscriptionID, "group": posterntest.Group, "vault": vault, "secret": "there", "key": "there", "location": "eastus",
		"namespace": "Microsoft.KeyVault", "change": "add", "name": "00000000-0000-4000-8000-000000000001", "connection": "c", "version": strings.Repeat("0", 32), "operation": "o"}
	vars := arm.Vars{}
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		name, ok := strings.CutPrefix(s, "{")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		value := values[name]
		if name == "scope" {
			value = strings.TrimPrefix(p.VaultID(vault), "/")
			vars[name] = "/" + value
		} else {
			vars[name] = value
		}
		if value == "" {
			value = "x"
		}
		segments[i] = value
	}
	return "/" + strings.TrimPrefix(strings.Join(segments, "/"), "/"), vars
}

// TestControlPlaneByEverybody tries every operation of the control plane as
// everybody but the administrator.
func TestControlPlaneByEverybody(t *testing.T) {
	t.Parallel()
	p, list := people(t)
	routes := armRoutes()
	if len(routes) < 40 {
		t.Fatalf("%d routes: this tries nothing", len(routes))
	}
	type outcome struct {
		who    person
		route  arm.Route
		path   string
		vars   arm.Vars
		answer answer
	}
	var outcomes []outcome
	for _, route := range routes {
		for _, who := range list[:len(list)-1] {
			one := func(vault string) answer {
				path, vars := fill(p, route.Pattern, vault)
				body := ""
				if route.Body > 0 {
					body = `{"location":"eastus"}`
				}
				a := send(t, p.Client(), request{method: route.Method, url: p.ManagementURL + path + "?api-version=2022-07-01", token: who.management, body: body})
				outcomes = append(outcomes, outcome{who, route, path, vars, a})
				return a
			}
			if who.name == "contributor" && route.Method != "GET" {
				continue // may change the vault
			}
			there, missing := one("kv1"), one("kv9")
			if slices.Contains([]string{"nobody", "forger", "wrong audience"}, who.name) && there.status != 401 {
				t.Errorf("%s: %s %s = %d %s, want 401", who.name, route.Method, route.Pattern, there.status, there.body)
			}
			if who.name == "foreigner" && (strings.Contains(there.body, "kv1\"") || there.status < 300 && strings.Contains(there.body, p.SubscriptionID)) {
				t.Errorf("%s: %s %s tells of another tenant: %d %s", who.name, route.Method, route.Pattern, there.status, there.body)
			}
			if who.name == "stranger" && strings.ReplaceAll(there.body, "kv1", "kv9") != missing.body && route.Name != "Microsoft.KeyVault/checkNameAvailability/read" {
				t.Errorf("%s: %s %s: there %d %s, missing %d %s", who.name, route.Method, route.Pattern, there.status, there.body, missing.status, missing.body)
			}
		}
	}
	p.Stop()
	var answers []answer
	open(t, p.Data, func(f closedFolder) {
		authority := f.estate(t).Authority()
		for _, o := range outcomes {
			answers = append(answers, o.answer)
			if o.route.Action == "" || o.who.caller.Token != access.TokenValid || o.who.name == "foreigner" {
				continue
			}
			scope := scopeOf(o.path)
			if o.route.Scope != nil {
				scope = o.route.Scope(o.vars)
			}
			allowed := authority.Authorize(&o.who.caller, o.route.Action, scope).Allowed()
			if got := o.answer.status; allowed != (got != 403) || got >= 500 || got == 401 {
				t.Errorf("%s: %s %s = %d %s; authority says %v for %s at %s", o.who.name, o.route.Method, o.path, got, o.answer.body, allowed, o.route.Action, scope)
			}
		}
	})
	recorded(t, p.Data, answers)
}

// scopeOf is the resource that a path is about; a collection is its parent's.
func scopeOf(path string) string {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	n, at := len(segments), slices.Index(segments, "providers")
	switch {
	case at < 0:
		n -= n % 2
	case n <= at+3:
		n = at
	default:
		n -= (n - at - 2) % 2
	}
	return "/" + strings.Join(segments[:n], "/")
}

// TestListsShowWhatOneMay: lists without an action of their own show only
// what their reader may read.
func TestListsShowWhatOneMay(t *testing.T) {
	t.Parallel()
	p, list := people(t)
	sub := "/subscriptions/" + p.SubscriptionID
	for _, who := range list {
		if who.caller.Token != access.TokenValid {
			continue
		}
		for _, path := range []string{"/subscriptions", sub + "/resources", sub + "/resourceGroups", sub + "/resourceGroups/postern/resources",
			sub + "/resources?$filter=resourceType%20eq%20'Microsoft.KeyVault/vaults'&api-version=2022-07-01"} {
			target := p.ManagementURL + path
			if !strings.Contains(path, "?") {
				target += "?api-version=2022-07-01"
			}
			a := send(t, p.Client(), request{method: "GET", url: target, token: who.management})
			for _, vault := range []string{"kv1", "other", "policies", "vault-f1"} {
				may := who.name == "administrator" || vault == "kv1" && slices.Contains([]string{"reader", "key vault reader", "contributor", "secrets user", "user of one secret", "user of another secret", "crypto user", "certificates officer", "user of one key"}, who.name) ||
					vault == "other" && who.name == "administrator of another vault"
				if strings.Contains(a.body, `"`+vault+`"`) && !may {
					t.Errorf("%s: GET %s shows %s: %d %s", who.name, path, vault, a.status, a.body)
				}
			}
			if who.name == "foreigner" && strings.Contains(a.body, p.SubscriptionID) && a.status == 200 {
				t.Errorf("foreigner: GET %s = %s", path, a.body)
			}
		}
	}
}

// TestDeletedVault: a deleted vault is as good as none on the data plane,
// and recovery gives nobody back what was assigned at it.
func TestDeletedVault(t *testing.T) {
	t.Parallel()
	p, list := people(t)
	must(t, p, "DELETE", p.ManagementURL+p.VaultID("kv1")+armAPI, nil)
	for _, who := range list {
		gone := send(t, p.Client(), request{method: "GET", url: p.VaultURL("kv1") + "/secrets/there" + api, token: who.data})
		never := send(t, p.Client(), request{method: "GET", url: p.VaultURL("kv9") + "/secrets/there" + api, token: who.data})
		if gone.status != never.status || strings.ReplaceAll(gone.body, "kv1", "kv9") != never.body || gone.status != 404 {
			t.Errorf("%s: a deleted vault answers %d %s, one that never was %d %s", who.name, gone.status, gone.body, never.status, never.body)
		}
	}
	must(t, p, "PUT", p.ManagementURL+p.VaultID("kv1")+armAPI, map[string]any{"location": "eastus", "properties": map[string]any{
		"tenantId": p.TenantID, "createMode": "recover", "sku": map[string]any{"family": "A", "name": "standard"}}})
	for _, who := range list {
		want := 403
		switch who.name {
		case "administrator":
			want = 200
		case "nobody", "forger", "foreigner", "wrong audience":
			want = 401
		}
		if a := send(t, p.Client(), request{method: "GET", url: p.VaultURL("kv1") + "/secrets/there" + api, token: who.data}); a.status != want {
			t.Errorf("%s: the recovered vault answers %d %s, want %d", who.name, a.status, a.body, want)
		}
	}
}

// TestTokensAfterRotation: a token lives as long as it says, over restarts
// and new keys; not longer; and a key that is forgotten signs nobody in.
func TestTokensAfterRotation(t *testing.T) {
	t.Parallel()
	c := &clock{}
	dir := t.TempDir()
	restart := func(old *posterntest.Postern) *posterntest.Postern {
		if old != nil {
			old.Stop()
			open(t, dir, func(f closedFolder) {
				if err := f.directory(t, c.now).RotateKeys(context.Background()); err != nil {
					t.Fatal(err)
				}
			})
		}
		p := posterntest.Start(t, posterntest.WithData(dir), c.option())
		p.Client().Transport.(*http.Transport).TLSClientConfig.Time = c.now
		return p
	}
	p := restart(nil)
	p.CreateVault("kv1")
	setSecret(t, p, "kv1", "a", "v")
	old := p.Token(vaultResource)
	get := func(bearer string) answer {
		return send(t, p.Client(), request{method: "GET", url: p.PublicVaultURL("kv1") + "/secrets/a" + api, token: bearer})
	}
	p = restart(p)
	fresh := p.Token(vaultResource)
	if strings.Split(old, ".")[0] == strings.Split(fresh, ".")[0] {
		t.Error("the key was not rotated")
	}
	for _, bearer := range []string{old, fresh} {
		if a := get(bearer); a.status != 200 {
			t.Errorf("a token after the rotation = %d %s, want 200", a.status, a.body)
		}
	}
	c.move(2 * time.Hour)
	for _, bearer := range []string{old, fresh} {
		if a := get(bearer); a.status != 401 {
			t.Errorf("an old token = %d %s, want 401", a.status, a.body)
		}
	}
	p = restart(p)
	if a := get(old); a.status != 401 || !strings.Contains(a.body, "AKV10046") {
		t.Errorf("a token of a forgotten key = %d %s, want 401 AKV10046", a.status, a.body)
	}
	if a := get(p.Token(vaultResource)); a.status != 200 {
		t.Errorf("a new token = %d %s, want 200", a.status, a.body)
	}
	var keys struct{ Keys []json.RawMessage }
	a := send(t, p.Client(), request{method: "GET", url: p.LoginURL + "/common/discovery/v2.0/keys"})
	if err := json.Unmarshal([]byte(a.body), &keys); err != nil || a.status != http.StatusOK || len(keys.Keys) == 0 || strings.Contains(a.body, `"d":`) {
		t.Errorf("the keys = %d %s %v", a.status, a.body, err)
	}
}

// TestRightsEndAtOnce: what is taken away is gone with the next request,
// whatever was remembered of the token.
func TestRightsEndAtOnce(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	setSecret(t, p, "kv1", "a", "v")
	who := p.CreatePrincipal("short")
	bearer := p.TokenFor(who.ClientID, who.Secret, vaultResource)
	get := func() int {
		return send(t, p.Client(), request{method: "GET", url: p.VaultURL("kv1") + "/secrets/a" + api, token: bearer}).status
	}
	assignment := p.ManagementURL + p.VaultID("kv1") + "/providers/Microsoft.Authorization/roleAssignments/11111111-1111-4111-8111-111111111111?api-version=2022-04-01"
	for range 3 {
		if got := get(); got != 403 {
			t.Errorf("without the role = %d, want 403", got)
		}
		must(t, p, "PUT", assignment, map[string]any{"properties": map[string]any{"principalId": who.ObjectID, "principalType": "ServicePrincipal",
			"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"}})
		if got := get(); got != 200 {
			t.Errorf("with the role = %d, want 200", got)
		}
		must(t, p, "PATCH", p.ManagementURL+p.VaultID("kv1")+armAPI, map[string]any{"properties": map[string]any{"publicNetworkAccess": "Disabled"}})
		if got := get(); got != 403 {
			t.Errorf("through a closed door = %d, want 403", got)
		}
		must(t, p, "PATCH", p.ManagementURL+p.VaultID("kv1")+armAPI, map[string]any{"properties": map[string]any{"publicNetworkAccess": "Enabled"}})
		if got := get(); got != 200 {
			t.Errorf("through the open door = %d, want 200", got)
		}
		must(t, p, "DELETE", assignment, nil)
	}
}
