package main

import (
	"context"
	"fmt"
	"time"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/posture/who"
	"postern/internal/roles"
)

// The size of the estate that who is asked of.
const (
	whoVaults     = 1000
	whoPrincipals = 10000
)

// measureWho measures who reaches, and who could reach, every vault of an
// estate.
func measureWho(_ context.Context, s settings) ([]row, error) {
	options := estate.Options{Role: func(guid string) (*access.Role, bool) {
		if r, ok := roles.ByName(guid); ok {
			return r.Role(), true
		}
		return nil, false
	}}
	snapshot, problems := estate.New(whoEstate(), options)
	if len(problems) > 0 {
		return nil, fmt.Errorf("the estate that who is asked of: %s", problems[0].Message)
	}
	var times []float64
	for range s.rounds {
		start := time.Now()
		answers := who.AskAll(snapshot, who.Question{Object: "db"}, options)
		times = append(times, float64(time.Since(start).Microseconds())/1000)
		if len(answers) != whoVaults || len(answers[0].Findings) == 0 {
			return nil, fmt.Errorf("who answers of %d vaults, want %d", len(answers), whoVaults)
		}
	}
	return []row{{"who: 1,000 vaults, 10,000 principals", spread(times, "%.0f ms"), "", "< 2 s"}}, nil
}

// whoEstate is vaults of both permission models, open and closed ones, in
// ten subscriptions. Of the principals a tenth hold something at a
// subscription, two tenths at a group, the others at a vault.
func whoEstate() []*estate.Resource {
	names := []string{"Owner", "Contributor", "Key Vault Contributor", "User Access Administrator", "Key Vault Data Access Administrator",
		"Key Vault Secrets User", "Key Vault Administrator", "Key Vault Reader", "Reader"}
	const tenant = "22222222-2222-2222-2222-222222222222"
	var list []*estate.Resource
	for n := range 10 {
		list = append(list, &estate.Resource{ID: whoSubscription(n), Type: estate.TypeSubscription, Body: []byte(`{"tenantId":"` + tenant + `"}`)})
	}
	vault := func(n int) string {
		return fmt.Sprintf("%s/resourceGroups/rg%d/providers/Microsoft.KeyVault/vaults/v%d", whoSubscription(n), n%100, n)
	}
	for n := range whoVaults {
		list = append(list, &estate.Resource{ID: vault(n), Type: estate.TypeVault, Name: fmt.Sprintf("v%d", n), Location: "westeurope",
			Body: fmt.Appendf(nil, `{"properties":{"tenantId":%q,"enableRbacAuthorization":%t,"publicNetworkAccess":%q,"networkAcls":{"bypass":%q,"defaultAction":%q}}}`,
				tenant, n%2 == 0, []string{"Enabled", "Disabled"}[n/2%2], []string{"None", "AzureServices"}[n/4%2], []string{"Allow", "Deny"}[n/8%2])})
	}
	for n := range whoPrincipals {
		scope := vault(n * 7 % whoVaults)
		switch at := n % 10; {
		case at == 0:
			scope = whoSubscription(n / 10)
		case at < 3:
			scope = fmt.Sprintf("%s/resourceGroups/rg%d", whoSubscription(n), n%100)
		}
		d, _ := roles.ByRoleName(names[n/3%len(names)])
		name := fmt.Sprintf("00000000-0000-0000-0001-%012d", n)
		list = append(list, &estate.Resource{ID: scope + "/providers/" + estate.TypeRoleAssignment + "/" + name, Type: estate.TypeRoleAssignment, Name: name,
			Body: fmt.Appendf(nil, `{"properties":{"principalId":%q,"scope":%q,"roleDefinitionId":%q}}`, name, scope, d.ID())})
	}
	return list
}

func whoSubscription(n int) string {
	return fmt.Sprintf("/subscriptions/11111111-1111-1111-1111-%012d", n%10)
}
