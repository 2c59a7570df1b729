package drawing

import (
	"context"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
)

// packets is the world of namespaces.
type packets struct {
	*land
	*programs
}

// newPackets builds the drawing with a server in it.
func newPackets(t *testing.T, settings string) (*packets, azure) {
	t.Helper()
	w := &packets{land: build(t)}
	var a azure
	w.programs, a = newPrograms(t, w.serve(t, settings), w.on)
	return w, a
}

// on is a program on a host, with the variables of `postern env`, but for
// the proxy: names are resolved here.
func (w *packets) on(t testing.TB, host, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := w.postern.Client(t, lab.Private)
	c.Set("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/")
	line := slices.Concat(w.spaces[host].run(), []string{name}, args)
	return c.Command(context.Background(), line[0], line[1:]...)
}

// look implements world.
func (w *packets) look(t testing.TB, want look) sight {
	at := want.place
	s := sight{resolves: notAsked, golang: notAsked, python: notAsked}
	var args []string
	if at.address != "" {
		args = []string{"--resolve", vaultName + ".vault.azure.net:443:" + at.address}
	} else {
		s.resolves = w.dig(t, at.host)
		s.golang, s.python = w.sdks(at.host)
	}
	s.curl, s.went, s.seen = w.curl(w.command(t, at.host, "curl", args...))
	return s
}

// resolver implements world.
func (w *packets) resolver(t testing.TB, host, address string) { w.spaces[host].resolver(t, address) }

// dialer implements world.
func (w *packets) dialer(_ testing.TB, host, address string) dialer {
	return func(ctx context.Context) (net.Conn, error) { return w.spaces[host].dial(ctx, "tcp", address+":443") }
}

// explain implements world.
func (w *packets) explain(t testing.TB, from string) string {
	t.Helper()
	return w.explained(t, w.command(t, "service", lab.Program(t)), from)
}

// dig asks the host's resolver for the vault.
func (w *packets) dig(t testing.TB, host string) string {
	t.Helper()
	out, err := w.command(t, host, "dig", "+tries=1", "+time=3", vaultName+".vault.azure.net").CombinedOutput()
	if err != nil {
		return "dig: " + err.Error()
	}
	return dug(string(out))
}

// dug reads what dig printed: whether the chain passes privatelink, and
// where it ends.
func dug(out string) string {
	status, chain, address := "", "", ""
	for line := range strings.Lines(out) {
		if _, rest, ok := strings.Cut(line, "status: "); ok {
			status, _, _ = strings.Cut(rest, ",")
		}
		f := strings.Fields(line)
		if len(f) != 5 || strings.HasPrefix(line, ";") {
			continue
		}
		switch f[3] {
		case "CNAME":
			if strings.Contains(f[4], ".privatelink.") {
				chain = "privatelink "
			}
		case "A":
			address += f[4]
		}
	}
	if address == "" {
		return status
	}
	return chain + address
}

// bound implements world. The server looks for new endpoints from time to
// time.
func (w *packets) bound(t testing.TB, address string) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := w.spaces["service"].dial(context.Background(), "tcp", address+":443")
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody listens at the endpoint's address: %v", err)
		}
	}
}

// conditional starts the resolvers of the office and of the virtual network:
// the office forwards the domains of vaults, and what they are aliases of,
// to the network, as it should.
func (w *packets) conditional(t testing.TB) {
	t.Helper()
	w.forwarder(t, "resolver", inboundResolver, azureResolver)
	w.forwarder(t, "officenet", officeResolver, publicResolver, "/vault.azure.net/"+inboundResolver, "/vaultcore.azure.net/"+inboundResolver)
}
