package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"postern/access"
)

// The size of a vault's rules in the measurement of the decision: the
// service's limits, and as many role assignments as a subscription may have.
const (
	ipRules     = 1000
	subnetRules = 200
	assignments = 4000
	policies    = 1024
	groups      = 200
)

// measureDecide measures the decision with rules of full size, against the
// same decision read from the plain rules.
func measureDecide(_ context.Context, s settings) ([]row, error) {
	byRole, byPolicy := largeRules(access.ModelRBAC), largeRules(access.ModelPolicies)
	request := &access.Request{Operation: access.SecretGet, Object: "a",
		Origin: access.Origin{Path: access.PathPublic, Addr: ruleAddr(ipRules / 2)},
		Caller: access.Caller{Token: access.TokenValid, Tenant: byRole.Tenant, Object: number(assignments / 2)}}
	member := *request
	member.Caller.Object = number(policies / 2)
	crowded, err := crowdedRules()
	if err != nil {
		return nil, err
	}
	grouped := *request
	for i := range groups {
		grouped.Caller.Groups = append(grouped.Caller.Groups, scattered(i))
	}
	type shape struct {
		name, aim string
		run       func(*testing.B)
	}
	compiledRole, compiledPolicy := access.Compile(byRole), access.Compile(byPolicy)
	compiledCrowd := access.Compile(crowded)
	if !compiledCrowd.Decide(&grouped).Allowed() || !compiledRole.Decide(request).Allowed() || !compiledPolicy.Decide(&member).Allowed() {
		return nil, fmt.Errorf("the decision that is measured does not allow")
	}
	shapes := []shape{
		{"decision read from 4,000 plain assignments", "", func(b *testing.B) {
			for b.Loop() {
				access.Explain(byRole, request)
			}
		}},
		{"Decide: 1,000 IP, 200 subnet rules, 4,000 assignments", "< 100 ns, 0 allocations", func(b *testing.B) {
			for b.Loop() {
				compiledRole.Decide(request)
			}
		}},
		{"Decide: 1,000 IP, 200 subnet rules, 1,024 policies", "< 100 ns, 0 allocations", func(b *testing.B) {
			for b.Loop() {
				compiledPolicy.Decide(&member)
			}
		}},
		{"Decide: 4,000 assignments, a tenth with conditions; 200 groups on the token", "< 250 ns, 0 allocations", func(b *testing.B) {
			for b.Loop() {
				compiledCrowd.Decide(&grouped)
			}
		}},
	}
	figures, allocations := make([][]float64, len(shapes)), make([]int64, len(shapes))
	for range s.rounds {
		for i, shape := range shapes {
			r := testing.Benchmark(shape.run)
			figures[i] = append(figures[i], float64(r.T.Nanoseconds())/float64(r.N))
			allocations[i] = r.AllocsPerOp()
		}
	}
	var rows []row
	for i, shape := range shapes {
		rows = append(rows, row{shape.name, fmt.Sprintf("%s, %d allocations", spread(figures[i], "%.0f ns"), allocations[i]),
			fmt.Sprintf("%.4f", median(ratios(figures[i], figures[0]))), shape.aim})
	}
	return rows, nil
}

// number is a GUID made of a number.
func number(n int) access.GUID {
	var g access.GUID
	binary.BigEndian.PutUint64(g[8:], uint64(n)+1)
	return g
}

// scattered is a GUID whose bytes are as those of a random one.
func scattered(n int) access.GUID {
	var g access.GUID
	h := (uint64(n) + 1) * 0x9e3779b97f4a7c15
	binary.BigEndian.PutUint64(g[:8], h)
	binary.BigEndian.PutUint64(g[8:], h*h^h>>29)
	return g
}

// crowdedRules are large rules with conditions on a tenth of the
// assignments, that of the one who is measured among them.
func crowdedRules() (*access.Rules, error) {
	condition, err := access.ParseCondition("((!(ActionMatches{'Microsoft.KeyVault/vaults/secrets/getSecret/action'})) OR " +
		"(@Resource[Microsoft.KeyVault/vaults/secrets:name] StringEquals 'a'))")
	if err != nil {
		return nil, err
	}
	rules := largeRules(access.ModelRBAC)
	for i := 0; i < len(rules.Assignments); i += 10 {
		rules.Assignments[i].Condition = condition
	}
	return rules, nil
}

func ruleAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{20, byte(n >> 8), byte(n), 7}) }

func largeRules(model access.Model) *access.Rules {
	r := &access.Rules{ID: "/subscriptions/s/resourcegroups/g/providers/microsoft.keyvault/vaults/v", Name: "v", Tenant: number(0),
		PublicAccess: access.PublicEnabled, Model: model}
	for i := range ipRules {
		p, _ := ruleAddr(i).Prefix(24) // 24 bits fit an IPv4 address
		r.IPRules = append(r.IPRules, access.IPRule{Prefix: p})
	}
	for i := range subnetRules {
		r.SubnetRules = append(r.SubnetRules, access.SubnetRule{Subnet: fmt.Sprintf("/subscriptions/s/subnets/%d", i)})
	}
	role := &access.Role{DataActions: []string{"Microsoft.KeyVault/vaults/secrets/getSecret/action"}}
	for i := range assignments {
		r.Assignments = append(r.Assignments, access.Assignment{Principal: number(i), Scope: r.ID, Role: role})
	}
	for i := range policies {
		r.Policies = append(r.Policies, access.Policy{Tenant: r.Tenant, Object: number(i), Secrets: []string{"get"}})
	}
	return r
}
