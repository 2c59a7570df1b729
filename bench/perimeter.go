package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/perimeter"
)

// The size of an estate in the measurement of the origin: more than the
// service allows a vault and a network.
const (
	manyRules   = 10_000
	manySubnets = 1000
)

const (
	benchGroup = "/subscriptions/s/resourceGroups/g/providers/"
	benchVault = benchGroup + "Microsoft.KeyVault/vaults/bench"
)

// measureOrigin measures what it costs to tell where a request comes from,
// over a connection that stays, against the CPU time of a whole GET, get, in
// microseconds a round. The request is one that the HTTP server has made of
// a TLS connection from inside one of the subnets.
func measureOrigin(s settings, get []float64) ([]row, error) {
	small, err := estateOf(nil, nil)
	if err != nil {
		return nil, err
	}
	rules, subnets := make([]string, manyRules), make([]string, manySubnets)
	for i := range rules {
		rules[i] = fmt.Sprintf(`{"value":"20.%d.%d.0/24"}`, i>>8, i&255)
	}
	for i := range subnets {
		subnets[i] = fmt.Sprintf(`{"name":"s%d","properties":{"addressPrefix":"10.%d.%d.0/24"}}`, i, i>>8, i&255)
	}
	subnets[manySubnets/2] = `{"name":"loopback","properties":{"addressPrefix":"127.0.0.0/24","serviceEndpoints":[{"service":"Microsoft.KeyVault"}]}}`
	large, err := estateOf(rules, subnets)
	if err != nil {
		return nil, err
	}
	shapes := []struct {
		name   string
		estate *estate.Snapshot
		path   access.Path
		decide bool
	}{
		{"origin of a request", small, access.PathPublic, false},
		{"origin, 10,000 rules and 1,000 subnets", large, access.PathSubnet, false},
		{"origin and decision, 10,000 rules and 1,000 subnets", large, access.PathSubnet, true},
	}
	var rows []row
	for _, shape := range shapes {
		figures, allocations, err := originTimes(s.rounds, shape.estate, shape.path, shape.decide)
		if err != nil {
			return nil, err
		}
		share := make([]float64, len(figures))
		for i := range figures {
			share[i] = figures[i] / 1000 / get[i%len(get)]
		}
		rows = append(rows, row{shape.name, fmt.Sprintf("%s, %d allocations", spread(figures, "%.0f ns"), allocations),
			fmt.Sprintf("%.4f of a GET", median(share)), "< 0.01, 0 allocations"})
	}
	return rows, nil
}

func estateOf(rules, subnets []string) (*estate.Snapshot, error) {
	snapshot, problems := estate.New([]*estate.Resource{
		{ID: benchVault, Type: estate.TypeVault, Name: "bench", Location: "eastus", Body: json.RawMessage(
			`{"properties":{"tenantId":"aaaaaaaa-0000-0000-0000-000000000001","networkAcls":{"defaultAction":"Deny","ipRules":[` + strings.Join(rules, ",") + `]}}}`)},
		{ID: benchGroup + "Microsoft.Network/virtualNetworks/bench", Type: estate.TypeVirtualNetwork, Name: "bench", Location: "eastus",
			Body: json.RawMessage(`{"properties":{"subnets":[` + strings.Join(subnets, ",") + `]}}`)},
	}, estate.Options{})
	if len(problems) > 0 {
		return nil, fmt.Errorf("the estate that is measured: %+v", problems[0])
	}
	return snapshot, nil
}

// originTimes is how many nanoseconds it takes, round by round.
func originTimes(rounds int, s *estate.Snapshot, path access.Path, decide bool) (figures []float64, allocations int64, err error) {
	a := perimeter.New(perimeter.Options{Network: s.Network})
	v, _ := s.Vault("bench")
	var origin access.Origin
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for range rounds {
			b := testing.Benchmark(func(b *testing.B) {
				for b.Loop() {
					origin = a.Origin(r)
					if decide {
						v.Compiled.Decide(&access.Request{Origin: origin, Operation: access.SecretGet, Object: "a"})
					}
				}
			})
			figures = append(figures, float64(b.T.Nanoseconds())/float64(b.N))
			allocations = max(allocations, b.AllocsPerOp())
		}
	}))
	srv.Config.ConnContext = a.ConnContext
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	answer, err := srv.Client().Get(srv.URL)
	if err != nil {
		return nil, 0, err
	}
	if err := drain(answer); err != nil {
		return nil, 0, err
	}
	if origin.Path != path {
		return nil, 0, fmt.Errorf("the origin that is measured is %+v", origin)
	}
	return figures, allocations, nil
}
