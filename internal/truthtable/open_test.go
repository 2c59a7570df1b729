package truthtable

import (
	"net/http"
	"testing"

	"postern/posterntest"
)

// TestOpenConnections: what is decided about a place holds for the next
// request over a connection that was open before.
func TestOpenConnections(t *testing.T) {
	p, hops := start(t, "127.0.0.1")
	network(t, p)
	kv := p.CreateVault("kv1", object{"publicNetworkAccess": "Enabled", "networkAcls": object{"defaultAction": "Deny", "bypass": "None",
		"virtualNetworkRules": []object{{"id": networkID(p, "virtualNetworks/net/subnets/app")}}}})
	token := p.Token(vaultResource(kv))
	e := newEndpoint(t, p, kv, "pe1", true)
	linked := newCaller(t, p, tcp(hops).behind(hop{"10.0.5.20", "", link(e.link)}.bytes()), nil)
	dialled := newCaller(t, p, tcp(hops).behind(hop{"10.0.5.20", e.address, nil}.bytes()), nil)
	inside := newCaller(t, p, tcp(hops).behind(hop{"10.0.1.5", "", nil}.bytes()), nil)
	const in, out = http.StatusNotFound, http.StatusForbidden // there is no secret
	app := object{"properties": object{"addressPrefix": "10.0.1.0/24"}}
	for _, step := range []struct {
		what     string
		do       func()
		endpoint int // what comes through the endpoint
		subnet   int
	}{
		{"pending", func() {}, out, in},
		{"approved", func() { e.decide(t, p, "Approved") }, in, in},
		{"rejected", func() { e.decide(t, p, "Rejected") }, out, in},
		{"approved again", func() { e.decide(t, p, "Approved") }, in, in},
		{"the service endpoint is taken off the subnet", func() { arm(t, p, http.MethodPut, subnetID(p, "app"), networkAPI, app) }, in, out},
		{"and put on again", func() {
			app["properties"].(object)["serviceEndpoints"] = []object{{"service": "Microsoft.KeyVault"}}
			arm(t, p, http.MethodPut, subnetID(p, "app"), networkAPI, app)
		}, in, in},
		{"public access is disabled", func() { patch(t, p, kv, object{"publicNetworkAccess": "Disabled"}) }, in, out},
		{"the vault's owner removes the connection", func() { e.remove(t, p) }, out, out},
		{"public access is enabled", func() { patch(t, p, kv, object{"publicNetworkAccess": "Enabled"}) }, out, in},
		{"the endpoint is deleted", func() { arm(t, p, http.MethodDelete, networkID(p, "privateEndpoints/pe1"), networkAPI, nil) }, out, in},
		{"everybody is let in", func() { patch(t, p, kv, object{"networkAcls": object{"defaultAction": "Allow"}}) }, in, in},
	} {
		step.do()
		for _, c := range []struct {
			name string
			over *caller
			want int
		}{{"by link", linked, step.endpoint}, {"by destination", dialled, step.endpoint}, {"subnet", inside, step.subnet}} {
			got, err := c.over.ask(http.MethodGet, kv.URL+"/secrets/a/"+api, token, nil)
			if err != nil || got.status != c.want {
				t.Errorf("%s: %s = %+v (%v), want %d", step.what, c.name, got, err, c.want)
			}
			if n := c.over.dials.Load(); n != 1 {
				t.Errorf("%s: %s took %d connections, want one that stays", step.what, c.name, n)
			}
		}
	}
}

// vaultResource is the audience of tokens for a vault.
func vaultResource(kv posterntest.Vault) string { return "https://" + domain(kv) }
