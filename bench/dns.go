package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"

	"postern/internal/server"
)

// questions is how many are under way at once.
const questions = 64

// measureDNS measures answers a second of the server's CPU time: of the
// public chain of a vault, and of its private endpoint inside a network.
func measureDNS(ctx context.Context, s settings) ([]row, error) {
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p, _, err := startPostern(ctx, s, dir, "--demo", "--dns", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	host := strings.TrimPrefix(p.info.Names().Public.VaultURL(server.DemoVault), "https://") + "."
	shapes := []struct {
		name, from, address string
		figures             []float64
	}{
		{"DNS, public chain: answers per second of CPU", "127.0.72.9", "", nil},
		{"DNS, private endpoint: answers per second of CPU", "127.0.71.9", "10.0.3.4", nil},
	}
	if err := p.drawNetwork(ctx); err != nil {
		return nil, err
	}
	for round := range s.rounds + 1 {
		for i := range shapes {
			shape := &shapes[i]
			figure, err := p.flood(shape.from, host, shape.address, s.requests*5)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", shape.name, err)
			}
			if round > 0 { // the first warms up
				shape.figures = append(shape.figures, figure)
			}
		}
	}
	var rows []row
	for _, shape := range shapes {
		rows = append(rows, row{shape.name, spread(shape.figures, "%.0f"), "", "≥ 50000"})
	}
	return rows, nil
}

// flood asks one question again and again and returns how many answers the
// server gives for a second of its CPU time.
func (p *postern) flood(from, host, address string, n int) (float64, error) {
	question := new(dns.Msg).SetQuestion(host, dns.TypeA)
	packet, err := question.Pack()
	if err != nil {
		return 0, err
	}
	conn, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}).Dial("udp", p.info.DNS)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	var first []byte
	buffer := make([]byte, 4096)
	for sent, got := 0, 0; got < n; got++ {
		for ; sent < n && sent-got < questions; sent++ {
			if _, err := conn.Write(packet); err != nil {
				return 0, err
			}
		}
		size, err := conn.Read(buffer)
		if err != nil {
			return 0, err
		}
		if first == nil {
			first = bytes.Clone(buffer[:size])
			if err := checkAnswer(first, address); err != nil {
				return 0, err
			}
		}
		if !bytes.Equal(first, buffer[:size]) {
			return 0, fmt.Errorf("answer %d is another than the first", got)
		}
	}
	after, err := p.cpu()
	return float64(n) / (after - before), err
}

// checkAnswer holds an answer to the address that must come last; "" is any.
func checkAnswer(packet []byte, address string) error {
	var m dns.Msg
	if err := m.Unpack(packet); err != nil {
		return err
	}
	if n := len(m.Answer); n > 0 && m.Rcode == dns.RcodeSuccess {
		if a, ok := m.Answer[n-1].(*dns.A); ok && (address == "" || a.A.String() == address) {
			return nil
		}
	}
	return fmt.Errorf("the answer is %s", &m)
}

// drawNetwork makes a network of loopback addresses with a private endpoint
// to the demo's vault, and the zone that names it.
func (p *postern) drawNetwork(ctx context.Context) error {
	token, err := p.token(p.info.Names().Private.ManagementURL())
	if err != nil {
		return err
	}
	const (
		zone  = "privateDnsZones/privatelink.vaultcore.azure.net"
		where = `{"location":"eastus","properties":`
	)
	group := "/subscriptions/" + p.info.Admin.SubscriptionID + "/resourceGroups/" + server.DemoGroup
	id := func(path string) string { return `"` + group + "/providers/Microsoft.Network/" + path + `"` }
	for _, put := range [][2]string{
		{"virtualNetworks/bench", where + `{"addressSpace":{"addressPrefixes":["127.0.71.0/24","10.0.3.0/24"]},"subnets":[
			{"name":"app","properties":{"addressPrefix":"127.0.71.0/24"}},{"name":"pe","properties":{"addressPrefix":"10.0.3.0/24"}}]}}`},
		{"privateEndpoints/bench", where + `{"subnet":{"id":` + id("virtualNetworks/bench/subnets/pe") + `},"privateLinkServiceConnections":[{"name":"bench",
			"properties":{"privateLinkServiceId":"` + group + "/providers/Microsoft.KeyVault/vaults/" + server.DemoVault + `","groupIds":["vault"]}}]}}`},
		{zone, `{"location":"global"}`},
		{zone + "/virtualNetworkLinks/bench", `{"location":"global","properties":{"registrationEnabled":false,"virtualNetwork":{"id":` + id("virtualNetworks/bench") + `}}}`},
		{"privateEndpoints/bench/privateDnsZoneGroups/bench", `{"properties":{"privateDnsZoneConfigs":[{"name":"vault","properties":{"privateDnsZoneId":` + id(zone) + `}}]}}`},
	} {
		if err := p.putResource(ctx, token, group+"/providers/Microsoft.Network/"+put[0], put[1]); err != nil {
			return err
		}
	}
	return nil
}

func (p *postern) putResource(ctx context.Context, token, id, body string) error {
	return p.send(ctx, token, http.MethodPut, p.info.Names().Private.ManagementURL()+id+"?api-version=2024-06-01", []byte(body))
}
