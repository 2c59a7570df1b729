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
	type shape struct {
		name string
		run  func(*testing.B)
	}
	compiledRole, compiledPolicy := access.Compile(byRole), access.Compile(byPolicy)
	if !compiledRole.Decide(request).Allowed() || !compiledPolicy.Decide(&member).Allowed() {
		return nil, fmt.Errorf("the decision that is measured does not allow")
	}
	shapes := []shape{
		{"decision read from 4,000 plain assignments", func(b *testing.B) {
			for b.Loop() {
				access.Explain(byRole, request)
			}
		}},
		{"Decide: 1,000 IP, 200 subnet rules, 4,000 assignments", func(b *testing.B) {
			for b.Loop() {
				compiledRole.Decide(request)
			}
		}},
		{"Decide: 1,000 IP, 200 subnet rules, 1,024 policies", func(b *testing.B) {
			for b.Loop() {
				compiledPolicy.Decide(&member)
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
		aim := "< 100 ns, 0 allocations"
		if i == 0 {
			aim = ""
		}
		rows = append(rows, row{shape.name, fmt.Sprintf("%s, %d allocations", spread(figures[i], "%.0f ns"), allocations[i]),
			fmt.Sprintf("%.4f", median(ratios(figures[i], figures[0]))), aim})
	}
	return rows, nil
}

// number is a GUID made of a number.
func number(n int) access.GUID {
	var g access.GUID
	binary.BigEndian.PutUint64(g[8:], uint64(n)+1)
	return g
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
