package contract

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/access"
	"postern/internal/keyvault"
)

var update = flag.Bool("update", false, "write the golden files anew")

// scenarios drive the operations through what they grant and what the state
// of an object refuses.
var scenarios = []scenario{{"secrets", secrets}, {"keys", keys}, {"certificates", certificates}}

type scenario struct {
	// name is the first word of the paths.
	name string
	run  func(d driver)
}

// premium is a vault that offers all types of keys.
var premium = fields{"sku": fields{"family": "A", "name": "premium"}}

// TestContract drives every operation in every api-version, judges every
// answer, and holds the statuses that were seen against the table of
// coverage.
func TestContract(t *testing.T) {
	folder := shared(t)
	rows := newCoverage()
	p, authority := start(t)
	token := p.Token("https://vault.azure.net")
	specs := map[string]*specification{}
	for i, version := range versions {
		if folder != "" {
			spec, err := load(folder, version)
			if err != nil {
				t.Fatal(err)
			}
			specs[version] = spec
		}
		for _, s := range scenarios {
			kv := p.CreateVault(fmt.Sprintf("%s-%d", s.name, i), premium)
			t.Run(version+"/"+s.name, func(t *testing.T) {
				s.run(driver{t: t, p: p, base: p.PublicVaultURL(kv.Name), version: version, token: token, spec: specs[version], rows: rows, authority: authority})
			})
		}
		if folder != "" {
			t.Run(version+"/every operation", func(t *testing.T) { granted(t, version, specs[version], rows) })
		}
	}
	t.Run("refusals", func(t *testing.T) { refusals(t, p, specs, rows) })
	t.Run("throttled", func(t *testing.T) { throttled(t, specs, rows) })
	if !t.Failed() || *update {
		t.Run("coverage", func(t *testing.T) { table(t, rows) })
	}
}

// hardware are the operations of the documents that only a managed HSM has:
// a vault refuses them all.
var hardware = []string{"POST /rng", "GET /keys/{name}/{version}/attestation", "POST /keys/{name}/{version}/securewrapkey",
	"POST /keys/{name}/{version}/secureunwrapkey"}

// inHardware is whether an operation of the documents is one of those.
func inHardware(o *operation) bool {
	return slices.ContainsFunc(hardware, func(h string) bool {
		method, pattern, _ := strings.Cut(h, " ")
		return key(method, pattern) == key(o.method, o.pattern)
	})
}

// granted asks that every operation of the documents, whose kind has a
// scenario, was granted once.
func granted(t *testing.T, version string, spec *specification, rows *coverage) {
	for name, o := range spec.operations {
		routed := slices.ContainsFunc(rows.routes, func(r keyvault.Route) bool { return key(r.Method, r.Pattern) == name })
		switch hardwareOnly := inHardware(o); {
		case hardwareOnly && rows.granted[version+" "+o.id]:
			t.Errorf("%s (%s) was granted, and a vault does not have it", o.id, name)
		case hardwareOnly || !driven(name):
		case !routed:
			t.Errorf("%s (%s) is not in the route table", o.id, name)
		case !rows.granted[version+" "+o.id]:
			t.Errorf("%s (%s) was not granted once", o.id, name)
		}
	}
}

// driven is whether an operation belongs to a kind that is driven.
func driven(name string) bool {
	return slices.ContainsFunc(scenarios, func(s scenario) bool {
		return strings.Contains(name, "/"+s.name) || strings.Contains(name, "/deleted"+s.name)
	})
}

// table compares what was seen with testdata/coverage.txt: a row for each
// operation of the route table.
func table(t *testing.T, rows *coverage) {
	var out strings.Builder
	for _, r := range rows.routes {
		seen := rows.statuses[r.Method+" "+r.Pattern]
		if len(seen) == 0 {
			t.Errorf("%s %s has no row: nothing drives it", r.Method, r.Pattern)
			continue
		}
		var statuses []string
		for status := range seen {
			statuses = append(statuses, fmt.Sprint(status))
		}
		slices.Sort(statuses)
		name := "(managed HSM)"
		if r.Operation != access.NoOperation {
			name = r.Operation.String()
		}
		fmt.Fprintf(&out, "%-27s %-6s %-41s %s\n", name, r.Method, r.Pattern, strings.Join(statuses, " "))
	}
	path := filepath.Join("testdata", "coverage.txt")
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")); d != "" {
		t.Errorf("operation × status (-%s +seen; go test -update writes it anew):\n%s", path, d)
	}
}
