package network_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"postern/posterntest"
)

// bench is a running server and a caller: the administrator unless as says
// otherwise.
type bench struct {
	t     *testing.T
	p     *posterntest.Postern
	token string
}

func start(t *testing.T, options ...posterntest.Option) *bench {
	t.Helper()
	p := posterntest.Start(t, options...)
	return &bench{t: t, p: p, token: p.Token(p.ManagementURL)}
}

// as is the bench for a principal that was made by newcomer.
func (b *bench) as(who posterntest.Principal) *bench {
	return &bench{b.t, b.p, b.p.TokenFor(who.ClientID, who.Secret, b.p.ManagementURL)}
}

// newcomer makes a principal with roles: pairs of a role's GUID and a scope.
func (b *bench) newcomer(name string, roles ...string) posterntest.Principal {
	b.t.Helper()
	who := b.p.CreatePrincipal(name)
	for i := 0; i < len(roles); i += 2 {
		id := roles[i+1] + "/providers/Microsoft.Authorization/roleAssignments/00000000-0000-4000-8000-" + fmt.Sprintf("%06x%06x", len(name), i) + ""
		b.put(strings.Replace(id, "00000000-0000", who.ObjectID[:8]+"-0000", 1), fmt.Sprintf(`{"properties":{"roleDefinitionId":"/subscriptions/%s/providers/Microsoft.Authorization/roleDefinitions/%s","principalId":%q,"principalType":"ServicePrincipal"}}`,
			b.p.SubscriptionID, roles[i], who.ObjectID), 201)
	}
	return who
}

const (
	contributor = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	reader      = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
)

// answer is what came back.
type answer struct {
	text string
	doc  map[string]any
}

// at finds a value in the answer by a path of names and numbers.
func (a answer) at(path string) any {
	var v any = a.doc
	for _, part := range strings.Split(path, ".") {
		switch each := v.(type) {
		case map[string]any:
			v = each[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(each) {
				return nil
			}
			v = each[i]
		default:
			return nil
		}
	}
	return v
}

func (b *bench) do(method, path, body string, want int) answer {
	b.t.Helper()
	var sent any
	if body != "" {
		sent = []byte(body)
	}
	if !strings.Contains(path, "?") {
		path += "?api-version=2024-05-01"
	}
	status, text := b.p.DoAs(b.token, method, b.p.ManagementURL+path, sent)
	if status != want {
		b.t.Fatalf("%s %s = %d %s, want %d", method, path, status, text, want)
	}
	a := answer{text: string(text)}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a.doc); err != nil {
			b.t.Fatalf("%s %s = %s: %v", method, path, text, err)
		}
	}
	return a
}

func (b *bench) get(path string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, "", 200)
}

func (b *bench) put(path, body string, want int) answer {
	b.t.Helper()
	return b.do(http.MethodPut, path, body, want)
}

func (b *bench) remove(path string, want int) answer {
	b.t.Helper()
	return b.do(http.MethodDelete, path, "", want)
}

// refused sends a request that is to be refused with a code and a text.
func (b *bench) refused(method, path, body string, status int, code, text string) {
	b.t.Helper()
	a := b.do(method, path, body, status)
	message, _ := a.at("error.message").(string)
	if a.at("error.code") != code || !strings.Contains(message, text) {
		b.t.Errorf("%s %s = %s, want %s %q", method, path, a.text, code, text)
	}
}

// group is the id of a resource group, network and endpoint those of
// resources in it.
func (b *bench) group(name string) string {
	return "/subscriptions/" + b.p.SubscriptionID + "/resourceGroups/" + name
}

func (b *bench) id(typ, name string) string {
	return b.group(posterntest.Group) + "/providers/Microsoft.Network/" + typ + "/" + name
}

// drawing makes the network of the guide: 10.0.0.0/16 with subnets for the
// app, for AKS and for private endpoints, in the region of the group.
func (b *bench) drawing() {
	b.t.Helper()
	b.put(b.id("virtualNetworks", "myvnet"), `{"location":"eastus","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[
		{"name":"app-subnet","properties":{"addressPrefix":"10.0.1.0/24"}},{"name":"aks-subnet","properties":{"addressPrefix":"10.0.2.0/24"}},
		{"name":"pe-subnet","properties":{"addressPrefix":"10.0.3.0/24"}}]}}`, 201)
}

func (b *bench) subnet(name string) string {
	return b.id("virtualNetworks", "myvnet") + "/subnets/" + name
}

// wish is the body of a private endpoint in the drawing, as az sends it.
func (b *bench) wish(list, connection, vault string, more ...string) string {
	return fmt.Sprintf(`{"location":"eastus","properties":{"subnet":{"id":%q},"%s":[{"name":%q,"properties":{"groupIds":["vault"],"privateLinkServiceId":%q}}]%s}}`,
		b.subnet("pe-subnet"), list, connection, b.p.VaultID(vault), strings.Join(more, ""))
}

const (
	automatic = "privateLinkServiceConnections"
	manual    = "manualPrivateLinkServiceConnections"
)

// state is the state of the only connection of an endpoint, as both sides
// tell it.
func (b *bench) state(endpoint, vault string) (ofEndpoint, ofVault any) {
	b.t.Helper()
	doc := b.get(b.id("privateEndpoints", endpoint))
	const state = ".0.properties.privateLinkServiceConnectionState.status"
	if ofEndpoint = doc.at("properties." + automatic + state); ofEndpoint == nil {
		ofEndpoint = doc.at("properties." + manual + state)
	}
	return ofEndpoint, b.get(b.p.VaultID(vault)).at("properties.privateEndpointConnections" + state)
}

// expect checks the state on both sides.
func (b *bench) expect(endpoint, vault string, ofEndpoint, ofVault any) {
	b.t.Helper()
	if e, v := b.state(endpoint, vault); e != ofEndpoint || v != ofVault {
		b.t.Errorf("the connection is %v for the endpoint and %v for the vault, want %v and %v", e, v, ofEndpoint, ofVault)
	}
}
