package who

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// walk replays a path on the estate's documents, write by write, each
// allowed by the control plane, and asks for the object at the end; it says
// what is wrong.
func walk(list []*estate.Resource, p *Path, actor Principal, answer *Answer) string {
	list = slices.Clone(list)
	c := actor.caller()
	readers := []access.Caller{{Token: access.TokenValid, Tenant: answer.Vault.Rules.Tenant, Object: access.MustGUID("00000000-0000-0000-0000-0000000000ee")}}
	switch p.Reader {
	case Itself:
		readers[0] = c
	case Foreign:
		readers[0].Tenant = access.MustGUID("55555555-5555-5555-5555-555555555555")
	case Holder:
		readers = holders(list, answer)
	}
	s, _ := estate.New(list, rigOptions())
	for n, step := range p.Steps() {
		if actor.Tenant.String() != home || !allowed(s, &c, &step) {
			return fmt.Sprintf("step %d is not allowed", n)
		}
		list = do(list, 100+n, &step, &c, &readers[0])
		if step.Role != "" {
			s, _ = estate.New(list, rigOptions())
		}
	}
	s, _ = estate.New(list, rigOptions())
	v, _ := s.Vault("main")
	if p.Template {
		flag := v.Properties.EnabledForTemplateDeployment
		r := access.Request{Origin: access.Origin{Path: access.PathPublic, Service: deploymentService}, Operation: access.SecretGet,
			Caller: access.Caller{Token: access.TokenValid, Tenant: v.Rules.Tenant, App: access.MustGUID("77777777-7777-7777-7777-777777777777")}}
		if flag == nil || !*flag || !s.Authority().Authorize(&c, actionDeploy, vaultID).Allowed() || access.Explain(v.Rules, &r).Steps[1].Outcome != access.Passed {
			return "no template deployment reads it"
		}
		return ""
	}
	for _, reader := range readers {
		for _, kind := range []Origins{AnyAddress, ListedAddress, ListedSubnet, Endpoint, NewEndpoint, Perimeter, Trusted} {
			if p.Origins&kind != 0 && !reads(v, reader, kind) {
				return fmt.Sprintf("%s is refused from %s", reader.Object, kind)
			}
		}
	}
	return ""
}

// reads asks from a place of the kind.
func reads(v *estate.Vault, c access.Caller, kind Origins) bool {
	for _, o := range naiveOrigins(v.Rules) {
		if o.kind != kind {
			continue
		}
		caller := c
		if kind == Trusted {
			caller.IdentityResource = factory
		}
		r := access.Request{Origin: o.origin, Caller: caller, Operation: access.SecretGet, Object: "db"}
		if v.Compiled.Decide(&r).Allowed() {
			return true
		}
	}
	return false
}

// holders are the principals that hold the right, whatever the network says.
func holders(list []*estate.Resource, answer *Answer) []access.Caller {
	open := *answer.Vault.Rules
	open.PublicAccess, open.DefaultAction, open.Perimeter = access.PublicEnabled, access.Allow, access.Perimeter{}
	var all []access.Caller
	for _, id := range people {
		for _, tenant := range []string{home, elsewhere} {
			c := access.Caller{Token: access.TokenValid, Tenant: access.MustGUID(tenant), Object: access.MustGUID(id)}
			if access.Explain(&open, &access.Request{Origin: access.Origin{Path: access.PathPublic}, Caller: c, Operation: access.SecretGet, Object: "db"}).Decision.Allowed() {
				all = append(all, c)
			}
		}
	}
	return all
}

func allowed(s *estate.Snapshot, c *access.Caller, step *Step) bool {
	if s.Authority().Authorize(c, step.Action, step.Scope).Allowed() {
		return true
	}
	if denied(s, c, step) {
		return false
	}
	d, _ := roles.ByName(delegate)
	for _, r := range s.Under("", estate.TypeRoleAssignment) {
		text := string(r.Body)
		scope := strings.TrimSuffix(strings.SplitN(r.ID+"/", "/providers/Microsoft.Authorization/", 2)[0], "/")
		if strings.Contains(text, d.Name) && strings.Contains(text, c.Object.String()) && strings.HasPrefix(step.Scope+"/", scope+"/") &&
			step.Action == actionAssign && slices.Contains(d.Delegates, step.Role) {
			return true
		}
	}
	return false
}

// denied reports whether a deny assignment would stop even an owner.
func denied(s *estate.Snapshot, c *access.Caller, step *Step) bool {
	v, _ := s.Vault("main")
	all := []access.Assignment{{ID: "o", Principal: c.Object, Scope: "/", Role: owner}}
	return !access.NewAuthority(all, v.Rules.DenyAssignments).Authorize(c, step.Action, step.Scope).Allowed()
}

// do makes the change of a step in the documents.
func do(list []*estate.Resource, n int, step *Step, actor, reader *access.Caller) []*estate.Resource {
	switch step.Write {
	case TakeRole, TakePerimeterRole:
		return append(list, assignmentOf(n, step.Role, actor.Object.String(), step.Scope))
	case AssignRole:
		return append(list, assignmentOf(n, step.Role, reader.Object.String(), step.Scope))
	case LeavePerimeter:
		return slices.DeleteFunc(list, func(r *estate.Resource) bool { return r.ID == step.Scope })
	}
	at := slices.IndexFunc(list, func(r *estate.Resource) bool { return r.ID == vaultID })
	var doc map[string]map[string]any
	if err := json.Unmarshal(list[at].Body, &doc); err != nil {
		panic(err)
	}
	p := doc["properties"]
	switch step.Write {
	case ChangeTenant:
		entries, _ := p["accessPolicies"].([]any)
		p["tenantId"], p["accessPolicies"] = reader.Tenant.String(), slices.DeleteFunc(entries, func(e any) bool {
			return e.(map[string]any)["tenantId"] != reader.Tenant.String()
		})
	case UseRoles:
		p["enableRbacAuthorization"] = true
	case UsePolicies:
		p["enableRbacAuthorization"] = false
	case AddPolicy:
		entries, _ := p["accessPolicies"].([]any)
		p["accessPolicies"] = append(entries, map[string]any{"tenantId": reader.Tenant.String(), "objectId": reader.Object.String(),
			"permissions": map[string]any{"secrets": []string{"get"}}})
	case OpenNetwork:
		p["publicNetworkAccess"] = "Enabled"
		p["networkAcls"].(map[string]any)["defaultAction"] = "Allow"
	case Connect:
		entries, _ := p["privateEndpointConnections"].([]any)
		p["privateEndpointConnections"] = append(entries, map[string]any{"id": vaultID + "/privateEndpointConnections/own",
			"properties": map[string]any{"privateLinkServiceConnectionState": map[string]any{"status": "Approved"}}})
	case ApproveWaiting:
		for _, e := range p["privateEndpointConnections"].([]any) {
			e.(map[string]any)["properties"] = map[string]any{"privateLinkServiceConnectionState": map[string]any{"status": "Approved"}}
		}
	case AllowTemplates:
		p["enabledForTemplateDeployment"] = true
		p["networkAcls"].(map[string]any)["bypass"] = "AzureServices"
		if p["publicNetworkAccess"] == "SecuredByPerimeter" {
			p["publicNetworkAccess"] = "Disabled"
		}
	}
	list[at] = resource(vaultID, estate.TypeVault, map[string]any{"properties": p})
	return list
}
