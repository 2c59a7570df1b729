package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"postern/internal/cli"
)

// run is a command on the server's data folder.
func (s *fineprint) run(args ...string) (code int, out string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Run(context.Background(), append(args, "--data", s.p.Data, "--vault", s.kv.Name), nil, strings.NewReader(""), &stdout, &stderr)
	if code == cli.ExitUsage {
		s.t.Errorf("%v = exit %d %s", args, code, stderr.String())
	}
	return code, stdout.String()
}

// whoAnswer is what postern who says, as far as the story needs it.
type whoAnswer struct {
	Findings []whoFinding
}

type whoFinding struct {
	Principals []struct{ ObjectID string }
	Now        bool
	Paths      []struct {
		Reader  string
		Steps   []struct{ Write, Action string }
		Origins []string
	}
}

func (s *fineprint) who() (a whoAnswer) {
	s.t.Helper()
	_, out := s.run("who", "--object", "db", "-o", "json")
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		s.t.Errorf("who: %v %s", err, out)
	}
	return a
}

// predicted: before anything was written, who names the attacker, the two
// writes in their order with the one action that they need, who reads in the
// end and from where.
func (s *fineprint) predicted() {
	for _, f := range s.who().Findings {
		if f.Principals[0].ObjectID != s.attacker.ObjectID || f.Now {
			continue
		}
		for _, p := range f.Paths {
			var steps []string
			for _, step := range p.Steps {
				steps = append(steps, step.Write+" "+step.Action)
			}
			if p.Reader == "a principal of another tenant" && slices.Equal(p.Origins, []string{"the compute of a trusted service, as an identity of it"}) &&
				slices.Equal(steps, []string{"change-tenant Microsoft.KeyVault/vaults/write", "add-policy Microsoft.KeyVault/vaults/write"}) {
				return
			}
		}
	}
	s.t.Error("who did not predict the path of the foreign factory")
}

// seen: once it is done, who finds the factory among those who read now; it
// cannot be taken along to role assignments, and is named as who loses.
func (s *fineprint) seen() {
	if !slices.ContainsFunc(s.who().Findings, func(f whoFinding) bool {
		return f.Now && f.Principals[0].ObjectID == s.them.factory.String()
	}) {
		s.t.Errorf("who does not find the factory that reads now: %+v", s.who())
	}
	code, out := s.run("migrate", "access-policies")
	if want := "accessPolicies[0], " + s.them.factory.String() + ": not convertible\n"; code != cli.ExitFindings || !strings.Contains(out, want) ||
		!strings.Contains(out, "subscription's tenant alone, which is "+s.p.TenantID) || strings.Contains(out, "  assign") {
		s.t.Errorf("migrate = exit %d %s, want %q and no role for anybody", code, out, want)
	}
}
