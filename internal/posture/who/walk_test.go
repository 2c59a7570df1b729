package who

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// walk replays a path on the estate's documents, write by write, each
// allowed by the control plane or the directory, and asks for the object at
// the end; it says what is wrong. A guard of the walk may stop a write.
func (w *world) walk(p *Path, actor Principal, answer *Answer, stops func(step *Step, before, after []*estate.Resource) bool) string {
	list := slices.Clone(w.list)
	acting := map[string]access.Caller{"": actor.caller()}
	readers := []access.Caller{{Token: access.TokenValid, Tenant: answer.Vault.Rules.Tenant, Object: access.MustGUID("00000000-0000-0000-0000-0000000000ee")}}
	s := w.compiled()
	for n, step := range p.Steps() {
		switch {
		case p.As != nil:
			readers[0] = acting[p.As.name()]
		case p.Reader == Itself:
			readers[0] = acting[""]
		case p.Reader == Foreign:
			readers[0].Tenant = access.MustGUID("55555555-5555-5555-5555-555555555555")
		case !p.To.IsZero():
			readers[0].Object = p.To
		}
		c, there := acting[step.As]
		to := &c
		if step.Write == AssignRole {
			to = &readers[0]
		}
		if !there || !w.allowed(s, &c, to, &step) {
			return fmt.Sprintf("step %d is not allowed", n)
		}
		after := do(list, 500+n, &step, &c, &readers[0])
		if stops != nil && stops(&step, list, after) {
			return "stopped"
		}
		before := list
		if list = after; step.Target != nil {
			taken := access.Caller{Token: access.TokenValid, Tenant: step.Target.Tenant, Object: step.Target.Object, User: step.Target.User, IdentityResource: strings.ToLower(step.Target.Resource)}
			if step.Write == JoinGroup {
				taken = c
				taken.Groups = append(slices.Clone(c.Groups), step.Target.Object)
			}
			acting[step.Target.name()] = taken
			if step.Write == JoinGroup {
				acting["a member of "+step.Target.name()] = taken
			}
		}
		put, gone := changed(before, list)
		s = s.With(put, gone...)
	}
	switch {
	case p.As != nil:
		readers[0] = acting[p.As.name()]
	case p.Reader == Itself:
		readers[0] = acting[""]
	case p.Reader == Holder:
		readers = w.holders(answer)
	}
	v, _ := s.Vault("main")
	if p.Template {
		return template(s, v, acting)
	}
	for _, reader := range readers {
		for _, kind := range []Origins{AnyAddress, ListedAddress, ListedSubnet, Endpoint, NewEndpoint, Perimeter, Trusted} {
			if p.Origins&kind != 0 && !reads(v, reader, kind, w.known(reader.Object)) {
				return fmt.Sprintf("%s is refused from %s", reader.Object, kind)
			}
		}
	}
	return ""
}

// changed are the resources that are new or others, and the ids of those that
// are gone.
func changed(before, after []*estate.Resource) (put []*estate.Resource, gone []string) {
	for _, r := range after {
		if !slices.Contains(before, r) {
			put = append(put, r)
		}
	}
	for _, r := range before {
		if !slices.ContainsFunc(after, func(o *estate.Resource) bool { return o.ID == r.ID }) {
			gone = append(gone, r.ID)
		}
	}
	return put, gone
}

// compiled is the world's estate, compiled once.
func (w *world) compiled() *estate.Snapshot {
	if w.snapshot == nil {
		w.snapshot, _ = estate.New(w.list, rigOptions())
	}
	return w.snapshot
}

// template asks for a deployment of somebody's.
func template(s *estate.Snapshot, v *estate.Vault, acting map[string]access.Caller) string {
	flag := v.Properties.EnabledForTemplateDeployment
	r := access.Request{Origin: access.Origin{Path: access.PathPublic, Service: deploymentService, Addr: places[0].origin.Addr}, Operation: access.SecretGet,
		Caller: access.Caller{Token: access.TokenValid, Tenant: v.Rules.Tenant, App: access.MustGUID("77777777-7777-7777-7777-777777777777")}}
	for _, c := range acting {
		if flag != nil && *flag && c.Tenant.String() == home && s.Authority().Authorize(&c, actionDeploy, vaultID).Allowed() && access.Explain(v.Rules, &r).Steps[1].Outcome == access.Passed {
			return ""
		}
	}
	return "no template deployment reads it"
}

func (w *world) known(id access.GUID) bool {
	return slices.ContainsFunc(w.principals, func(p Principal) bool { return p.Object == id })
}

func (w *world) principal(id access.GUID) Principal {
	for _, p := range w.principals {
		if p.Object == id {
			return p
		}
	}
	return Principal{}
}

// reads asks from a place of the kind.
func reads(v *estate.Vault, c access.Caller, kind Origins, known bool) bool {
	for _, o := range naiveOrigins(v.Rules) {
		if o.kind != kind {
			continue
		}
		caller := c
		if kind == Trusted && !known {
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
func (w *world) holders(answer *Answer) []access.Caller {
	open := *answer.Vault.Rules
	open.PublicAccess, open.DefaultAction, open.Perimeter = access.PublicEnabled, access.Allow, access.Perimeter{}
	var all []access.Caller
	for _, id := range append(people, team) {
		for _, tenant := range []string{home, elsewhere} {
			c := access.Caller{Token: access.TokenValid, Tenant: access.MustGUID(tenant), Object: access.MustGUID(id)}
			if w.known(c.Object) {
				if p := w.principal(c.Object); tenant == home {
					c = p.caller()
				} else {
					continue
				}
			}
			if access.Explain(&open, &access.Request{Origin: access.Origin{Path: access.PathPublic}, Caller: c, Operation: access.SecretGet, Object: "db"}).Decision.Allowed() {
				all = append(all, c)
			}
		}
	}
	return all
}

// allowed asks whether a caller may make a step.
func (w *world) allowed(s *estate.Snapshot, c, to *access.Caller, step *Step) bool {
	self := w.principal(c.Object)
	switch step.Write {
	case Elevate:
		return self.Administrator
	case AddCredential, SetPassword, JoinGroup:
		return self.Administrator && !self.Tenant.IsZero() || slices.Contains(w.principal(step.Target.Object).Owners, c.Object) && step.Write != SetPassword
	}
	if c.Tenant.String() != home {
		return false
	}
	for _, n := range step.Also {
		if !s.Authority().Authorize(c, n.Action, n.Scope).Allowed() {
			return false
		}
	}
	if s.Authority().Authorize(c, step.Action, step.Scope).Allowed() {
		return true
	}
	if step.Action != actionAssign {
		return false
	}
	// Somebody the directory does not know is what the condition wants.
	return slices.ContainsFunc([]string{"ServicePrincipal", "User", "Group"}, func(kind string) bool {
		written := access.Written{Role: step.Role, Principal: to.Object.String(), Type: kind}
		p := w.principal(to.Object)
		return (!p.Known || p.kind() == kind) && s.Authority().AuthorizeAssignment(c, actionAssign, step.Scope, written).Allowed()
	})
}

// do makes the change of a step in the documents.
func do(list []*estate.Resource, n int, step *Step, actor, reader *access.Caller) []*estate.Resource {
	list = slices.Clone(list)
	switch step.Write {
	case TakeIdentity, Federate, TakeWorkload, AddCredential, SetPassword, JoinGroup:
		return list
	case Elevate:
		return append(list, assignmentOf(n, "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", actor.Object.String(), "/tenants/"+home))
	case TakeRole, TakeMore, TakeGroupRole, TakePerimeterRole:
		return append(list, assignmentOf(n, step.Role, actor.Object.String(), step.Scope))
	case AssignRole:
		return append(list, assignmentOf(n, step.Role, reader.Object.String(), step.Scope))
	case LeavePerimeter:
		return slices.DeleteFunc(list, func(r *estate.Resource) bool { return r.ID == step.Scope || strings.HasPrefix(r.ID, step.Scope+"/") })
	case WidenRole:
		held := slices.ContainsFunc(list, func(r *estate.Resource) bool {
			return strings.HasPrefix(r.ID, managed+"/") && strings.Contains(string(r.Body), custom)
		})
		return replaced(list, customID, map[string]any{"properties": map[string]any{"assignableScopes": []string{group},
			"permissions": []any{map[string]any{"actions": []string{"*"}, "dataActions": map[bool][]string{false: {"*"}}[held]}}}})
	case MoveSubscription:
		return replaced(list, subscription, map[string]any{"tenantId": home})
	case OpenPerimeter:
		return append(list, resource(perimeterID+"/profiles/p/accessRules/open", estate.TypePerimeterRule, map[string]any{"properties": map[string]any{
			"direction": "Inbound", "addressPrefixes": []any{"0.0.0.0/0", "::/0"}}}))
	case RelaxPerimeter:
		return replaced(list, association, map[string]any{"properties": map[string]any{"accessMode": "Learning",
			"privateLinkResource": map[string]any{"id": vaultID}, "profile": map[string]any{"id": perimeterID + "/profiles/p"}}})
	case JoinPerimeter:
		const own = "/subscriptions/99999999-9999-9999-9999-999999999999/resourceGroups/rg/providers/Microsoft.Network/networkSecurityPerimeters/mine"
		return append(list, resource(own, estate.TypePerimeter, map[string]any{}), resource(own+"/profiles/p", estate.TypePerimeterProfile, map[string]any{}),
			resource(own+"/profiles/p/accessRules/open", estate.TypePerimeterRule, map[string]any{"properties": map[string]any{"direction": "Inbound", "addressPrefixes": []any{"0.0.0.0/0", "::/0"}}}),
			resource(own+"/resourceAssociations/a", estate.TypePerimeterAssociation, map[string]any{"properties": map[string]any{"accessMode": "Enforced",
				"privateLinkResource": map[string]any{"id": vaultID}, "profile": map[string]any{"id": own + "/profiles/p"}}}))
	}
	at := slices.IndexFunc(list, func(r *estate.Resource) bool { return r.ID == vaultID })
	var doc map[string]map[string]any
	if err := json.Unmarshal(list[at].Body, &doc); err != nil {
		panic(err)
	}
	p := doc["properties"]
	if p["networkAcls"] == nil {
		p["networkAcls"] = map[string]any{}
	}
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

// replaced is the list with another document of a resource.
func replaced(list []*estate.Resource, id string, doc map[string]any) []*estate.Resource {
	at := slices.IndexFunc(list, func(r *estate.Resource) bool { return r.ID == id })
	list[at] = resource(id, list[at].Type, doc)
	return list
}
