package drawing

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// estate is what the guide has before it begins: the networks of the
// drawing, and a vault that is open to everybody.
type estate struct {
	azure
	w                              world
	b                              *table
	vault, network, westNetwork    string
	appSubnet, aksSubnet, pesubnet string
	westSubnet                     string
	zoneID, endpointID             string
}

func newEstate(t *testing.T, w world, a azure) *estate {
	t.Helper()
	e := &estate{azure: a, w: w, b: newTable()}
	t.Cleanup(func() { e.b.print(t) })
	e.group("rg", "eastus")
	e.group("rg-westus", "westus")
	e.network = a.network("rg", "myvnet", "eastus", "10.0.0.0/16", "app-subnet 10.0.1.0/24", "aks-subnet 10.0.2.0/24", "pe-subnet 10.0.3.0/24", "dns-subnet 10.0.4.0/24")
	e.westNetwork = a.network("rg-westus", "vnet-westus", "westus", "10.1.0.0/16", "app-subnet 10.1.1.0/24", "pe-subnet 10.1.3.0/24")
	e.appSubnet, e.aksSubnet, e.pesubnet = e.network+"/subnets/app-subnet", e.network+"/subnets/aks-subnet", e.network+"/subnets/pe-subnet"
	e.westSubnet = e.westNetwork + "/subnets/pe-subnet"
	e.vault = a.vault("rg", vaultName, "eastus")
	return e
}

// eastEndpoint makes the endpoint of the drawing.
func (e *estate) eastEndpoint(manual bool) {
	e.t.Helper()
	e.endpointID = e.privateEndpoint("rg", "kv-private-endpoint", "eastus", e.pesubnet, e.vault, manual)
	e.w.bound(e.t, endpointAddress)
}

// prepare is phase 1 of the guide, in the order in which no name is without
// an answer at any moment: the zone is shown to the network last.
func (e *estate) prepare() {
	e.t.Helper()
	e.eastEndpoint(false)
	e.zoneID = e.zone("rg")
	e.zoneGroup(e.endpointID, e.zoneID)
	e.link(e.zoneID, "kv-dns-link", e.network)
}

// firewallOn is phase 2: subnet rules, address rules, then Deny.
func (e *estate) firewallOn() {
	e.t.Helper()
	for host, subnet := range map[string]string{"app": e.appSubnet, "aks": e.aksSubnet} {
		e.serviceEndpoint(subnet, true)
		e.w.endpointRoute(e.t, host, true)
	}
	subnets, addresses := []string{e.appSubnet, e.aksSubnet}, []string{"203.0.113.0/24", runnerAddress}
	e.update(e.vault, body{"networkAcls": firewall("Allow", nil, subnets[:1])})
	e.update(e.vault, body{"networkAcls": firewall("Allow", nil, subnets)})
	e.update(e.vault, body{"networkAcls": firewall("Allow", addresses[:1], subnets)})
	e.update(e.vault, body{"networkAcls": firewall("Allow", addresses, subnets)})
	e.update(e.vault, body{"networkAcls": firewall("Deny", addresses, subnets)})
}

// phase is a step of the migration and what must be seen after it.
type phase struct {
	title  string
	change func(*estate)
	want   []look
}

// The migration of the guide, its section 8.
var phases = []phase{
	{"before: public access, no rules", func(*estate) {}, []look{
		{app, toPublic, in},
		{aks, toPublic, in},
		{office, toPublic, in},
		{west, toPublic, in},
		{runner, toPublic, in},
		{stranger, toPublic, in},
		{appPrivate, notAsked, noConnection},
	}},
	{"phase 1: private endpoint, zone, link", (*estate).prepare, []look{
		{app, toPrivate, in},
		{aks, toPrivate, in},
		{office, toPrivate, in},
		{west, toLeaked, in},
		{runner, toLeaked, in},
		{stranger, toLeaked, in},
		{appPublic, notAsked, in},
		{officePub, notAsked, in},
	}},
	{"phase 2: firewall rules, default action Deny", (*estate).firewallOn, []look{
		{app, toPrivate, in},
		{aks, toPrivate, in},
		{office, toPrivate, in},
		{west, toLeaked, byFirewall},
		{runner, toLeaked, in},
		{stranger, toLeaked, byFirewall},
		{appPublic, notAsked, in},
		{officePub, notAsked, in},
	}},
	{"phase 3: public access disabled", func(e *estate) { e.update(e.vault, body{"publicNetworkAccess": "Disabled"}) }, []look{
		{app, toPrivate, in},
		{aks, toPrivate, in},
		{office, toPrivate, in},
		{west, toLeaked, byConnection},
		{runner, toLeaked, byConnection},
		{stranger, toLeaked, byConnection},
		{appPublic, notAsked, byConnection},
		{officePub, notAsked, byConnection},
	}},
	{"rollback: public access enabled, default action Allow", func(e *estate) {
		e.update(e.vault, body{"publicNetworkAccess": "Enabled", "networkAcls": body{"defaultAction": "Allow"}})
	}, []look{
		{app, toPrivate, in},
		{aks, toPrivate, in},
		{office, toPrivate, in},
		{west, toLeaked, in},
		{runner, toLeaked, in},
		{stranger, toLeaked, in},
		{appPublic, notAsked, in},
		{officePub, notAsked, in},
	}},
}

// of is the verdict that a phase has for a place.
func (p *phase) of(at place) string {
	for _, l := range p.want {
		if l.place == at {
			return l.verdict
		}
	}
	return ""
}

// migrate runs the migration while a program in the app subnet reads every
// few milliseconds.
func migrate(t *testing.T, e *estate) {
	e.w.conditional(t)
	e.w.secret(t, vaultURL)
	e.w.prepare(t, "app", "aks", "office", "west", "runner", "stranger")
	reading := e.w.readers(t, "app")
	kept := e.w.keep(t, e.w.dialer(t, "west", publicAddress))
	for i, p := range phases {
		p.change(e)
		e.b.see(t, e.w, p.title, p.want)
		// The guide goes on "only after confirming all services work via
		// private endpoint".
		reading.renew(t)
		got, want := kept.read(t), p.of(west)
		e.b.text("  %s, over a connection that is open since the beginning: %s", west.name, got)
		if got != want || i > 0 && !kept.reused {
			t.Errorf("%s: over the open connection = %q (reused: %t), want %q", p.title, got, kept.reused, want)
		}
	}
	e.b.text("\nthe app subnet's reader, all the time:")
	_, packets := e.w.(*packets)
	for _, h := range reading.stop(t) {
		e.b.text("  %s: %d reads, %d failed: %s", h.Habit, h.Reads, h.Failed, h.path())
		if h.Reads < 50 {
			t.Errorf("with %s there were %d reads, want at least 50", h.Habit, h.Reads)
		}
		if h.Habit == habitKeep {
			// It stays where it began. Documentation: when a service endpoint
			// is turned on, "any existing open TCP connections to the service
			// are closed"; through headers it stays open and is refused.
			want := []string{in, noConnection, in}
			if !packets {
				want = []string{in, byFirewall, byConnection, in}
			}
			if got := h.verdicts(); !slices.Equal(got, want) {
				t.Errorf("with %s the reads came out as %q, want %q: %+v", h.Habit, got, want, h.Spans)
			}
			continue
		}
		if h.Failed != 0 {
			t.Errorf("with %s, %d of %d reads failed, want none: %+v", h.Habit, h.Failed, h.Reads, h.Spans)
		}
		if !packets {
			continue
		}
		if got, want := h.addresses(), []string{publicAddress, endpointAddress}; !slices.Equal(got, want) {
			t.Errorf("with %s the reads went to %q, want %q", h.Habit, got, want)
		}
	}
}

// verdicts and addresses are what the spans have, without repetition.
func (h *history) verdicts() []string {
	var list []string
	for _, s := range h.Spans {
		list = append(list, s.Verdict)
	}
	return slices.Compact(list)
}

func (h *history) addresses() []string {
	var list []string
	for _, s := range h.Spans {
		list = append(list, s.Address)
	}
	return slices.Compact(list)
}

// path is the history in a line.
func (h *history) path() string {
	var list []string
	for _, s := range h.Spans {
		list = append(list, s.Address+" "+s.Verdict)
	}
	return strings.Join(list, ", then ")
}

func TestMigration(t *testing.T) {
	w, a := newWorld(t, "")
	migrate(t, newEstate(t, w, a))
	if w, packets := w.(*packets); packets {
		w.nslookup(t, "app", lookedUp)
		w.nslookup(t, "runner", lookedUpPublic)
	}
}

// What the guide's first test of a connection prints, its section 8.2: from
// within the network, and from elsewhere.
const (
	lookedUp = "Server:\t\t168.63.129.16\nAddress:\t168.63.129.16#53\n\n" +
		"myvault.vault.azure.net\tcanonical name = myvault.privatelink.vaultcore.azure.net.\n" +
		"Name:\tmyvault.privatelink.vaultcore.azure.net\nAddress: 10.0.3.4\n\n"
	lookedUpPublic = "Server:\t\t192.0.2.53\nAddress:\t192.0.2.53#53\n\n" +
		"myvault.vault.azure.net\tcanonical name = myvault.privatelink.vaultcore.azure.net.\n" +
		"myvault.privatelink.vaultcore.azure.net\tcanonical name = data-prod-eus.vaultcore.azure.net.\n" +
		"data-prod-eus.vaultcore.azure.net\tcanonical name = data-prod-eus-region.vaultcore.azure.net.\n" +
		"Name:\tdata-prod-eus-region.vaultcore.azure.net\nAddress: 192.0.2.10\n\n"
)

func (w *packets) nslookup(t *testing.T, host, want string) {
	t.Helper()
	out, err := w.command(t, host, "nslookup", vaultName+".vault.azure.net").CombinedOutput()
	// Whether the answer is an authority's is not what is asked.
	got := strings.Replace(string(out), "Non-authoritative answer:\n", "", 1)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("nslookup from %s: %v (-want +got):\n%s", host, err, diff)
	}
}

// TestMigrationThroughHeaders is the same table without packets, which is
// what runs where there can be no namespaces.
func TestMigrationThroughHeaders(t *testing.T) {
	w, a := newHeaders(t, "")
	migrate(t, newEstate(t, w, a))
}
