package drawing

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
)

// The addresses of the drawing. Public ones are of the ranges that are kept
// for documentation; 203.0.113.0/24 and 198.51.100.42 are in the guide.
const (
	publicAddress   = "192.0.2.10"    // of the service
	publicResolver  = "192.0.2.53"    // what the internet asks
	azureResolver   = "168.63.129.16" // what virtual networks ask
	endpointAddress = "10.0.3.4"      // the private endpoint
	westEndpoint    = "10.1.3.4"      // that of the second region
	networkEgress   = "198.51.100.20" // the virtual network on the internet
	westEgress      = "198.51.100.30" // the second region's on the internet
	officeEgress    = "203.0.113.7"   // the office on the internet
	runnerAddress   = "198.51.100.42" // the CI/CD runner
	strangerAddress = "198.51.100.77" // somebody else
	officeResolver  = "192.168.10.1"  // what the office asks
	inboundResolver = "10.0.4.4"      // the DNS private resolver in the virtual network
)

// A host has one interface to its router; the routers are vnet, westnet,
// officenet and internet.
var wires = []wire{
	{"app", "eth0", "10.0.1.10/24", "vnet", "app", "10.0.1.1/24"},
	{"aks", "eth0", "10.0.2.10/24", "vnet", "aks", "10.0.2.1/24"},
	{"resolver", "eth0", inboundResolver + "/24", "vnet", "resolver", "10.0.4.1/24"},
	{"service", "endpoint", endpointAddress + "/24", "vnet", "endpoint", "10.0.3.1/24"},
	{"service", "backbone", "169.254.10.2/30", "vnet", "backbone", "169.254.10.1/30"},
	{"vnet", "internet", networkEgress + " peer 100.64.0.1", "internet", "vnet", "100.64.0.1 peer " + networkEgress},
	{"west", "eth0", "10.1.1.10/24", "westnet", "west", "10.1.1.1/24"},
	{"service", "westendpoint", westEndpoint + "/24", "westnet", "endpoint", "10.1.3.1/24"},
	{"service", "westbackbone", "169.254.11.2/30", "westnet", "backbone", "169.254.11.1/30"},
	{"westnet", "internet", westEgress + " peer 100.64.0.1", "internet", "westnet", "100.64.0.1 peer " + westEgress},
	{"office", "eth0", "192.168.10.10/24", "officenet", "office", officeResolver + "/24"},
	{"officenet", "vpn", "169.254.20.2/30", "vnet", "vpn", "169.254.20.1/30"},
	{"officenet", "internet", officeEgress + " peer 100.64.0.1", "internet", "officenet", "100.64.0.1 peer " + officeEgress},
	{"runner", "eth0", runnerAddress + " peer 100.64.0.1", "internet", "runner", "100.64.0.1 peer " + runnerAddress},
	{"stranger", "eth0", strangerAddress + " peer 100.64.0.1", "internet", "stranger", "100.64.0.1 peer " + strangerAddress},
	{"service", "internet", publicAddress + " peer 100.64.0.1", "internet", "service", "100.64.0.1 peer " + publicAddress},
}

var routes = []struct{ at, route string }{
	{"app", "route add default via 10.0.1.1"},
	{"aks", "route add default via 10.0.2.1"},
	{"resolver", "route add default via 10.0.4.1"},
	{"west", "route add default via 10.1.1.1"},
	{"office", "route add default via " + officeResolver},
	{"runner", "route add default via 100.64.0.1"},
	{"stranger", "route add default via 100.64.0.1"},
	{"vnet", "route add default via 100.64.0.1"},
	{"vnet", "route add " + azureResolver + " via 169.254.10.2"},
	{"vnet", "route add 192.168.10.0/24 via 169.254.20.2"},
	// What a service endpoint adds to a subnet is this way to the service.
	{"vnet", "route add default via 169.254.10.2 table 100"},
	{"westnet", "route add default via 100.64.0.1"},
	{"westnet", "route add " + azureResolver + " via 169.254.11.2"},
	{"officenet", "route add default via 100.64.0.1"},
	{"officenet", "route add 10.0.0.0/16 via 169.254.20.1"},
	{"internet", "route add " + publicResolver + " via " + publicAddress},
	{"service", "address add " + publicResolver + " dev lo"},
	{"service", "address add " + azureResolver + " dev lo"},
	{"service", "route add default via 100.64.0.1"},
	{"service", "route add 10.0.0.0/16 via 169.254.10.1"},
	{"service", "route add 192.168.10.0/24 via 10.0.3.1"},
	{"service", "route add 10.1.0.0/16 via 169.254.11.1"},
}

// resolvers is what is in the resolv.conf of each host.
var resolvers = map[string]string{
	"app": azureResolver, "aks": azureResolver, "west": azureResolver, "office": officeResolver,
	"runner": publicResolver, "stranger": publicResolver, "officenet": publicResolver, "resolver": azureResolver,
}

// build builds the drawing, without a server yet.
func build(t *testing.T) *land {
	t.Helper()
	l := newLand(t, "internet", "vnet", "westnet", "officenet", "service", "app", "aks", "resolver", "west", "office", "runner", "stranger")
	l.lay(t, wires)
	commands := map[string][]string{}
	for _, r := range routes {
		commands[r.at] = append(commands[r.at], r.route)
	}
	for name, list := range commands {
		l.spaces[name].ip(t, list...)
	}
	for _, router := range []string{"vnet", "westnet", "officenet"} {
		l.spaces[router].nft(t, "add table ip nat", "add chain ip nat out { type nat hook postrouting priority 100; }",
			"add rule ip nat out oifname internet masquerade")
	}
	for name, address := range resolvers {
		l.spaces[name].resolver(t, address)
	}
	return l
}

// endpointRoute implements world: with it, traffic to the service keeps its
// private address; without, it leaves through the public address of the
// network.
func (l *land) endpointRoute(t testing.TB, host string, on bool) {
	t.Helper()
	verb := "delete"
	if on {
		verb = "add"
	}
	subnet := map[string]string{"app": "10.0.1.0/24", "aks": "10.0.2.0/24"}[host]
	l.spaces["vnet"].ip(t, "rule "+verb+" from "+subnet+" to "+publicAddress+" lookup 100")
}

// forwarder runs a resolver of the kind that offices have, an unmodified
// dnsmasq. servers are its conditional forwarders, /DOMAIN/ADDRESS, and the
// one for everything else, ADDRESS. It runs until the function returned is
// called or the test ends.
func (l *land) forwarder(t testing.TB, at, address string, servers ...string) (stop func()) {
	t.Helper()
	line := append(l.spaces[at].run(), "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
		"--pid-file=", "--cache-size=0", "--log-facility=-", "--bind-interfaces", "--except-interface=lo", "--listen-address="+address)
	for _, s := range servers {
		line = append(line, "--server="+s)
	}
	cmd := exec.Command(line[0], line[1:]...)
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	// Its log has a line once it listens.
	lines, log := bufio.NewScanner(errs), ""
	ready := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer ready.Stop()
	for lines.Scan() {
		log += lines.Text() + "\n"
		if strings.Contains(lines.Text(), "started, version") {
			go func() {
				for lines.Scan() {
				}
			}()
			return stop
		}
	}
	t.Fatalf("dnsmasq ended by itself:\n%s", log)
	return nil
}

// serve starts the server in its namespace, with further settings in YAML.
func (l *land) serve(t testing.TB, settings string) *lab.Postern {
	t.Helper()
	at := l.spaces["service"]
	return lab.StartAt(t, lab.Site{Run: at.run(), Listen: publicAddress + ":443", Proxy: "off", Dial: at.dial},
		"--config", configuration(t, settings), "--dns", "0.0.0.0:53", "--dns-public", publicAddress)
}

// second starts another server, for its resolver alone: it forwards the
// domains of vaults to the virtual network.
func (l *land) second(t testing.TB, host, address string) {
	t.Helper()
	at := l.spaces[host]
	lab.StartAt(t, lab.Site{Run: at.run(), Listen: address + ":443", Proxy: "off", Dial: at.dial}, "--dns", address+":53", "--dns-public", publicAddress,
		"--config", configuration(t, "dns:\n  forward: [vault.azure.net="+inboundResolver+":53, vaultcore.azure.net="+inboundResolver+":53]\n"))
}

// peer implements world.
func (l *land) peer(t testing.TB) {
	t.Helper()
	l.lay(t, []wire{{"westnet", "peering", "169.254.30.2/30", "vnet", "peering", "169.254.30.1/30"}})
	l.spaces["westnet"].ip(t, "route add 10.0.0.0/16 via 169.254.30.1")
	l.spaces["vnet"].ip(t, "route add 10.1.0.0/16 via 169.254.30.2")
}

// part implements world.
func (l *land) part(t testing.TB) {
	t.Helper()
	l.spaces["westnet"].ip(t, "link delete peering")
}
