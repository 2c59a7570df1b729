package drawing

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// A place is where somebody asks from. With an address they do not ask the
// resolver but go there.
type place struct {
	name, host string
	address    string
}

// The places of the drawing.
var (
	app        = place{name: "app subnet", host: "app"}
	aks        = place{name: "AKS subnet", host: "aks"}
	office     = place{name: "on-premises", host: "office"}
	west       = place{name: "second region", host: "west"}
	runner     = place{name: "CI/CD runner", host: "runner"}
	stranger   = place{name: "internet", host: "stranger"}
	appPublic  = place{name: "app subnet, public address", host: "app", address: publicAddress}
	officePub  = place{name: "on-premises, public address", host: "office", address: publicAddress}
	appPrivate = place{name: "app subnet, endpoint's address", host: "app", address: endpointAddress}
)

// A look is what must be seen from a place: what the vault's name resolves
// to, and what comes of reading a secret.
type look struct {
	place             place
	resolves, verdict string
}

// What names resolve to. The guide's chain has the name below privatelink
// once an endpoint is approved, whoever asks; where it ends differs.
const (
	toPublic  = publicAddress
	toLeaked  = "privatelink " + publicAddress
	toPrivate = "privatelink " + endpointAddress
	toWest    = "privatelink " + westEndpoint
	toNothing = "NXDOMAIN"
	notAsked  = "-"
)

// What comes of reading.
const (
	in           = "in"
	byFirewall   = "ForbiddenByFirewall"
	byConnection = "ForbiddenByConnection"
	byRBAC       = "ForbiddenByRbac"
	byPolicy     = "ForbiddenByPolicy"
	noName       = "no such name"
	noConnection = "no connection"
)

// A sight is what was seen from a place.
type sight struct {
	// resolves is what dig saw.
	resolves string
	// curl, golang and python are what came of reading with each.
	curl, golang, python string
	// went is the address that curl connected to, seen the one from which
	// the vault saw it come.
	went, seen string
}

// A world is a way to be at a place.
type world interface {
	// look looks from the place of a look. Where names are not resolved,
	// what must be seen is where it goes.
	look(t testing.TB, want look) sight
	// secret stores the secret that is read, while the vault is open.
	secret(t testing.TB, url string)
	// prepare has the SDKs read too, on these hosts.
	prepare(t testing.TB, hosts ...string)
	// readers starts a program on a host that reads the secret all the time.
	readers(t testing.TB, host string) reading
	// bound waits until somebody listens at an endpoint's address.
	bound(t testing.TB, address string)
	// dialer connects from a host to an address of the service.
	dialer(t testing.TB, host, address string) dialer
	// keep makes a connection that stays open.
	keep(t testing.TB, connect dialer) *open
	// dig is what the vault's name resolves to on a host.
	dig(t testing.TB, host string) string

	// explain asks postern explain why the secret can be read, or cannot,
	// from a place as explain names it.
	explain(t testing.TB, from string) (answer string)

	// endpointRoute switches the way that a service endpoint gives to a
	// subnet, the one of a host.
	endpointRoute(t testing.TB, host string, on bool)
	// conditional has the office forward the domains of vaults to the
	// virtual network, as it should.
	conditional(t testing.TB)
	// forwarder runs a resolver on a host until the function returned is
	// called; servers are /DOMAIN/ADDRESS or ADDRESS.
	forwarder(t testing.TB, at, address string, servers ...string) (stop func())
	// resolver is what a host asks for names.
	resolver(t testing.TB, host, address string)
	// peer joins the two virtual networks, part parts them.
	peer(t testing.TB)
	part(t testing.TB)
}

// A dialer makes one connection.
type dialer = func(context.Context) (net.Conn, error)

// said is that there are no packets, once.
var said sync.Once

// newWorld is the world of namespaces, or, where there can be none, that of
// headers. It says so. The settings are further ones of the server, in YAML.
func newWorld(t *testing.T, settings string) (world, azure) {
	t.Helper()
	if err := impossible(t); err != nil {
		said.Do(func() {
			t.Logf("left out: THE DRAWING IN PACKETS: %v. The tables run through PROXY protocol headers instead, without names.", err)
		})
		return newHeaders(t, settings)
	}
	return newPackets(t, settings)
}

// configuration writes a configuration file.
func configuration(t testing.TB, settings string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "postern.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// table collects what was seen, for people to read.
type table struct {
	out  strings.Builder
	rows *tabwriter.Writer
}

func newTable() *table {
	b := &table{}
	b.rows = tabwriter.NewWriter(&b.out, 0, 0, 2, ' ', 0)
	return b
}

// title begins a part of the table.
func (b *table) title(format string, args ...any) {
	fmt.Fprintf(b.rows, "\n%s\n  where\tresolves to\tgoes to\tseen as\tcurl\tGo SDK\tPython SDK\n", fmt.Sprintf(format, args...))
}

// see looks from all places of a phase at once, notes what is seen, and
// compares it with what must be.
func (b *table) see(t *testing.T, w world, title string, want []look) {
	t.Helper()
	b.title("%s", title)
	sights := make([]sight, len(want))
	var wait sync.WaitGroup
	for i, l := range want {
		wait.Go(func() { sights[i] = w.look(t, l) })
	}
	wait.Wait()
	for i, l := range want {
		got := sights[i]
		fmt.Fprintf(b.rows, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.place.name, got.resolves, got.went, got.seen, got.curl, got.golang, got.python)
		if l.resolves != notAsked && got.resolves != notAsked && got.resolves != l.resolves {
			t.Errorf("%s: from %s the vault resolves to %q, want %q", title, l.place.name, got.resolves, l.resolves)
		}
		for _, client := range []struct{ name, got string }{{"curl", got.curl}, {"the Go SDK", got.golang}, {"the Python SDK", got.python}} {
			if client.got != notAsked && client.got != l.verdict {
				t.Errorf("%s: from %s, %s = %q, want %q", title, l.place.name, client.name, client.got, l.verdict)
			}
		}
		if to := destination(l); to != "" && got.went != to {
			t.Errorf("%s: from %s, curl went to %q, want %q", title, l.place.name, got.went, to)
		}
	}
}

// destination is where a look must lead; "" is nowhere.
func destination(l look) string {
	if l.verdict == noName || l.verdict == noConnection {
		return ""
	}
	if l.place.address != "" {
		return l.place.address
	}
	return l.resolves[strings.LastIndexByte(l.resolves, ' ')+1:]
}

// text adds a line of text.
func (b *table) text(format string, args ...any) {
	fmt.Fprintf(b.rows, "%s\n", fmt.Sprintf(format, args...))
}

// print writes the table into the test's log.
func (b *table) print(t testing.TB) {
	_ = b.rows.Flush()
	t.Log(strings.TrimRight(b.out.String(), "\n"))
}
