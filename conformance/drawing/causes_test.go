package drawing

import (
	"strings"
	"testing"
	"time"
)

// A cause is why somebody does not get in: what it looks like while it is
// there, and after its fix.
type cause struct {
	title  string
	broken func()
	seen   []look
	fix    func()
	fixed  []look
	// from is the place, as postern explain names it, from which the first
	// of seen was seen; says is what explain must say of it.
	from string
	says []string
}

// reproduce brings a cause about, looks, mends it and looks again.
func (e *estate) reproduce(t *testing.T, c cause) {
	t.Helper()
	c.broken()
	e.b.see(t, e.w, c.title, c.seen)
	if c.from != "" {
		e.told(t, c.title, c.from, append(c.says, c.seen[0].verdict)...)
	}
	c.fix()
	e.b.see(t, e.w, "  and mended", c.fixed)
}

// told asks postern explain, and looks for what it must say.
func (e *estate) told(t *testing.T, title, from string, says ...string) {
	t.Helper()
	answer := e.w.explain(t, from)
	for _, text := range says {
		if text == noName {
			text = toNothing
		}
		if !strings.Contains(answer, text) {
			t.Errorf("%s: explain --from %s does not say %q:\n%s", title, from, text, answer)
		}
	}
	e.b.text("  explain --from %s says %s", from, strings.Join(says, ", "))
}

// TestNames is the guide's section 10.1: names that still lead to the public
// address, or nowhere. Public access is disabled, so that who goes there is
// refused.
func TestNames(t *testing.T) {
	w, a := newWorld(t, "")
	e := newEstate(t, w, a)
	w.conditional(t)
	w.secret(t, vaultURL)
	e.update(e.vault, body{"publicNetworkAccess": "Disabled"})
	var linked, westLinked string
	causes := []cause{
		{"the endpoint waits for approval",
			func() {
				e.zoneID = e.zone("rg")
				e.eastEndpoint(true)
				e.zoneGroup(e.endpointID, e.zoneID)
				linked = e.link(e.zoneID, "kv-dns-link", e.network)
			}, []look{{app, toPublic, byConnection}, {office, toPublic, byConnection}},
			func() { e.decide(e.connection(e.vault), "Approved") }, []look{{app, toPrivate, in}, {office, toPrivate, in}},
			"subnet:myvnet/app-subnet", []string{"endpoint-pending"}},
		{"the zone is not linked to the client's virtual network",
			func() { e.remove(linked, versionLinks) }, []look{{app, toLeaked, byConnection}, {office, toLeaked, byConnection}},
			func() { e.link(e.zoneID, "kv-dns-link", e.network) }, []look{{app, toPrivate, in}, {office, toPrivate, in}},
			"subnet:myvnet/app-subnet", []string{"zone-not-linked"}},
		{"the zone is linked and has no record, as it is between the guide's steps of linking and of the zone group",
			func() { e.remove(e.endpointID+"/privateDnsZoneGroups/kv-dns-zone-group", versionNetwork) },
			[]look{{app, toNothing, noName}, {stranger, toLeaked, byConnection}},
			func() { e.zoneGroup(e.endpointID, e.zoneID) }, []look{{app, toPrivate, in}, {stranger, toLeaked, byConnection}},
			"subnet:myvnet/app-subnet", []string{"no-record"}},
		{"a cluster in a virtual network of its own, peered, to which the zone is not linked",
			func() { w.peer(t) }, []look{{west, toLeaked, byConnection}},
			func() { westLinked = e.link(e.zoneID, "kv-dns-link-aks", e.westNetwork) }, []look{{west, toPrivate, in}},
			"subnet:vnet-westus/app-subnet", []string{"zone-not-linked"}},
		{"a name that leads to a private address which the network has no way to",
			func() { w.part(t) }, []look{{west, toPrivate, noConnection}},
			func() { e.remove(westLinked, versionLinks) }, []look{{west, toLeaked, byConnection}},
			"", nil},
		{"an app that does not ask the network's resolver (WEBSITE_DNS_SERVER is not 168.63.129.16)",
			func() { w.resolver(t, "app", publicResolver) }, []look{{app, toLeaked, byConnection}},
			func() { w.resolver(t, "app", azureResolver) }, []look{{app, toPrivate, in}},
			networkEgress, []string{"in no declared network", "WEBSITE_DNS_SERVER=" + azureResolver}},
	}
	for _, c := range causes {
		e.reproduce(t, c)
	}
}

// TestForwarders is the part of section 10.1 about the office: what its
// resolver must forward. The resolver is a dnsmasq; it takes what the
// internet says of the whole chain, so to forward vaultcore.azure.net alone,
// as the guide has it, is not enough for it.
func TestForwarders(t *testing.T) {
	w, a := newWorld(t, "")
	e := newEstate(t, w, a)
	w.secret(t, vaultURL)
	w.forwarder(t, "resolver", inboundResolver, azureResolver)
	e.prepare()
	e.update(e.vault, body{"publicNetworkAccess": "Disabled"})
	for _, f := range []struct {
		title   string
		servers []string
		want    look
	}{
		{"the office forwards nothing to the virtual network", nil, look{office, toLeaked, byConnection}},
		{"the office forwards vaultcore.azure.net", []string{"/vaultcore.azure.net/" + inboundResolver}, look{office, toLeaked, byConnection}},
		{"the office forwards vault.azure.net", []string{"/vault.azure.net/" + inboundResolver}, look{office, toPrivate, in}},
		{"the office forwards both", []string{"/vault.azure.net/" + inboundResolver, "/vaultcore.azure.net/" + inboundResolver}, look{office, toPrivate, in}},
	} {
		stop := w.forwarder(t, "officenet", officeResolver, append(f.servers, publicResolver)...)
		e.b.see(t, w, f.title, []look{f.want})
		stop()
		if f.want.verdict != in {
			e.told(t, f.title, officeEgress, f.want.verdict, "in no declared network")
		}
	}
	if w, packets := w.(*packets); packets {
		w.second(t, "officenet", officeResolver)
		e.b.see(t, w, "the office's resolver is a postern that forwards both", []look{{office, toPrivate, in}})
	}
}

// TestRefusals is the guide's section 10.2: causes of a 403.
func TestRefusals(t *testing.T) {
	w, a := newWorld(t, "")
	e := newEstate(t, w, a)
	w.secret(t, vaultURL)
	rules := func(addresses, subnets []string) {
		e.update(e.vault, body{"networkAcls": firewall("Deny", addresses, subnets)})
	}
	endpoint := func(on bool) {
		e.serviceEndpoint(e.appSubnet, on)
		w.endpointRoute(t, "app", on)
	}
	role, again := e.vaultRole()
	for _, c := range []cause{
		{"the address is not in the allow list",
			func() { rules(nil, nil) }, []look{{runner, toPublic, byFirewall}, {officePub, notAsked, byFirewall}},
			func() { rules([]string{runnerAddress, "203.0.113.0/24"}, nil) }, []look{{runner, toPublic, in}, {officePub, notAsked, in}},
			runnerAddress, []string{"network-rule add", "--ip-address " + runnerAddress}},
		{"the subnet rule is missing",
			func() { endpoint(true) }, []look{{app, toPublic, byFirewall}},
			func() { rules([]string{runnerAddress}, []string{e.appSubnet}) }, []look{{app, toPublic, in}},
			"subnet:myvnet/app-subnet", []string{"vnet-rule-missing"}},
		{"the service endpoint is not on in the subnet",
			func() { endpoint(false) }, []look{{app, toPublic, byFirewall}},
			func() { endpoint(true) }, []look{{app, toPublic, in}},
			"subnet:myvnet/app-subnet", []string{"service-endpoint-off"}},
		{"the role is not assigned",
			func() { e.remove(role, versionRoles) }, []look{{app, toPublic, byRBAC}, {stranger, toPublic, byFirewall}},
			func() { e.put(role, versionRoles, again) }, []look{{app, toPublic, in}, {stranger, toPublic, byFirewall}},
			"subnet:myvnet/app-subnet", []string{"role-missing"}},
		{"the access policy is missing",
			func() { e.update(e.vault, body{"enableRbacAuthorization": false, "accessPolicies": []body{}}) }, []look{{app, toPublic, byPolicy}},
			func() {
				e.update(e.vault, body{"accessPolicies": []body{{"tenantId": e.Tenant, "objectId": again["properties"].(body)["principalId"],
					"permissions": body{"secrets": []string{"get"}}}}})
			}, []look{{app, toPublic, in}},
			"subnet:myvnet/app-subnet", []string{"policy-missing"}},
	} {
		e.reproduce(t, c)
	}
}

// TestPropagation is the last cause of section 10.2: an identity whose role
// has not reached the vault yet.
func TestPropagation(t *testing.T) {
	const delay = time.Second
	w, a := newWorld(t, "propagation:\n  roleAssignment: "+delay.String()+"\n")
	e := newEstate(t, w, a)
	role, again := e.vaultRole()
	// until looks again until it is as it must be.
	until := func(want look) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); w.look(t, want).curl != want.verdict; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the change of a role assignment did not arrive: want %q", want.verdict)
			}
		}
	}
	// The assignments of the first start have to arrive too.
	until(look{runner, toPublic, "SecretNotFound"})
	w.secret(t, vaultURL)
	e.remove(role, versionRoles)
	until(look{runner, toPublic, byRBAC})
	start := time.Now()
	e.put(role, versionRoles, again)
	e.b.see(t, w, "the role is assigned, and has not arrived", []look{{runner, toPublic, byRBAC}})
	until(look{runner, toPublic, in})
	if took := time.Since(start); took < delay {
		t.Errorf("the role assignment arrived after %s, want at least %s", took, delay)
	}
	e.b.see(t, w, "and arrived", []look{{runner, toPublic, in}})
}
