package who

import (
	"encoding/json"
	"fmt"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// Write is one kind of change of configuration.
type Write uint8

// The writes, in the order in which they are tried.
const (
	// TakeRole: the principal assigns a role to itself that holds every
	// action of the control plane.
	TakeRole Write = iota
	// TakePerimeterRole does so at the vault's network security perimeter.
	TakePerimeterRole
	// LeavePerimeter: the association with the perimeter is deleted.
	LeavePerimeter
	// ChangeTenant: tenantId becomes the reader's, and the policies of
	// others go with it, as the service demands.
	ChangeTenant
	// UseRoles and UsePolicies change the permission model.
	UseRoles
	UsePolicies
	// AddPolicy adds an access policy for the reader.
	AddPolicy
	// AssignRole assigns a data role to the reader.
	AssignRole
	// OpenNetwork lets every address in.
	OpenNetwork
	// Connect makes a private endpoint of the writer's own an approved one.
	Connect
	// ApproveWaiting approves the connections that are not approved.
	ApproveWaiting
	// AllowTemplates lets template deployments read, and their service in.
	AllowTemplates
	writes
)

// The actions that the writes need, as the providers of the control plane
// ask for them.
const (
	actionVault       = "Microsoft.KeyVault/vaults/write"
	actionPolicies    = "Microsoft.KeyVault/vaults/accessPolicies/write"
	actionApprove     = "Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action"
	actionConnection  = "Microsoft.KeyVault/vaults/privateEndpointConnections/write"
	actionDeploy      = "Microsoft.KeyVault/vaults/deploy/action"
	actionAssign      = "Microsoft.Authorization/roleAssignments/write"
	actionAssociation = "Microsoft.Network/networkSecurityPerimeters/resourceAssociations/delete"
)

// roleOwner is the role that TakeRole takes.
const roleOwner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"

// ownConnection ends the id of a connection that Connect makes.
const ownConnection = "/privateendpointconnections/who-own-endpoint"

// done is a write that was made: by which action, and where.
type done struct {
	write         Write
	action, scope string
	// role is the GUID of the role that was assigned.
	role string
}

// trial is a small estate in some state: the vault, what the perimeter and
// the directory of roles say of it, and the assignments of those in play.
type trial struct {
	search *search
	home   access.GUID // the tenant of the subscription; zero when not known
	base   []*estate.Resource
	// resource is the vault as it is after the writes that are done.
	resource *estate.Resource
	snapshot *estate.Snapshot
	vault    *estate.Vault
	// conditional is true when some assignment of the actor may say which
	// roles it may assign.
	conditional bool
	done        []done
}

// settle compiles the documents.
func (t *trial) settle() bool {
	t.snapshot, _ = estate.New(append(t.base[:len(t.base):len(t.base)], t.resource), t.search.options)
	var ok bool
	t.vault, ok = t.snapshot.Vault(strings.ToLower(t.resource.Name))
	return ok
}

// may asks the control plane. Its tokens must be of the subscription's
// tenant.
func (t *trial) may(p *Principal, action, scope string) bool {
	if !t.home.IsZero() && p.Tenant != t.home {
		return false
	}
	c := p.caller()
	return t.snapshot.Authority().Authorize(&c, action, scope).Allowed()
}

// mayAssign asks for the assignment of one role to somebody. Conditions may
// ask what the somebody is; one that the directory does not know is said to
// be what the condition wants, as a client may say it.
func (t *trial) mayAssign(p, to *Principal, role, scope string) bool {
	if !t.home.IsZero() && p.Tenant != t.home {
		return false
	}
	c := p.caller()
	if !t.conditional {
		return t.snapshot.Authority().Authorize(&c, actionAssign, scope).Allowed()
	}
	for _, kind := range []string{"ServicePrincipal", "User", "Group"} {
		w := access.Written{Role: role, Principal: to.Object.String(), Type: kind}
		if t.snapshot.Authority().AuthorizeAssignment(&c, actionAssign, scope, w).Allowed() {
			return true
		}
		if to.Known && to.User == (kind == "User") {
			break
		}
	}
	return false
}

// after is the trial after one more write of the actor for the reader; nil
// when it may not, or when nothing would change.
func (t *trial) after(w Write, actor, reader *Principal, object string) *trial {
	next := *t
	next.done = append(t.done[:len(t.done):len(t.done)], done{write: w})
	d := &next.done[len(t.done)]
	changed := false
	switch w {
	case TakeRole:
		changed = next.takeRole(actor, d)
	case TakePerimeterRole:
		changed = next.takePerimeterRole(actor, d)
	case AssignRole:
		changed = next.assignRole(actor, reader, object, d)
	case LeavePerimeter:
		changed = next.leavePerimeter(actor, d)
	case Connect:
		d.action, d.scope = actionApprove, t.resource.ID
		if !t.may(actor, d.action, d.scope) {
			d.action, d.scope = actionConnection, t.resource.ID+ownConnection
		}
		changed = t.may(actor, d.action, d.scope) && next.edit(connect)
	case ApproveWaiting:
		d.action, d.scope = actionConnection, t.resource.ID+"/privateEndpointConnections/*"
		changed = t.may(actor, d.action, d.scope) && next.edit(approveWaiting)
	case AddPolicy:
		d.action, d.scope = actionPolicies, t.resource.ID
		if !t.may(actor, d.action, d.scope) {
			d.action = actionVault
		}
		changed = t.vault.Rules.Model == access.ModelPolicies && reader.Tenant == t.vault.Rules.Tenant && t.may(actor, d.action, d.scope) &&
			next.edit(func(properties map[string]any) bool { return t.search.addPolicy(properties, reader) })
	default:
		d.action, d.scope = actionVault, t.resource.ID
		changed = t.may(actor, d.action, d.scope) && next.edit(func(properties map[string]any) bool { return next.set(w, properties, reader) })
	}
	if !changed || !next.settle() {
		return nil
	}
	return &next
}

// edit changes the properties of the vault's document.
func (t *trial) edit(change func(properties map[string]any) bool) bool {
	var doc map[string]any
	if json.Unmarshal(t.resource.Body, &doc) != nil {
		return false
	}
	properties, _ := doc["properties"].(map[string]any)
	if properties == nil || !change(properties) {
		return false
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return false
	}
	next := *t.resource
	next.Body = body
	t.resource = &next
	return true
}

// set is the writes that need no more than to write the vault.
func (t *trial) set(w Write, properties map[string]any, reader *Principal) bool {
	rules := t.vault.Rules
	switch w {
	case ChangeTenant:
		if reader.Tenant == rules.Tenant {
			return false
		}
		properties["tenantId"] = reader.Tenant.String()
		list, _ := properties["accessPolicies"].([]any)
		kept := []any{}
		for _, entry := range list {
			e, _ := entry.(map[string]any)
			if text, _ := e["tenantId"].(string); strings.EqualFold(text, reader.Tenant.String()) {
				kept = append(kept, entry)
			}
		}
		properties["accessPolicies"] = kept
	case UseRoles, UsePolicies:
		properties["enableRbacAuthorization"] = w == UseRoles
		return (rules.Model == access.ModelRBAC) != (w == UseRoles)
	case OpenNetwork:
		properties["publicNetworkAccess"] = "Enabled"
		acls(properties)["defaultAction"] = "Allow"
		return rules.PublicAccess != access.PublicEnabled || rules.DefaultAction != access.Allow
	case AllowTemplates:
		flag := t.vault.Properties.EnabledForTemplateDeployment
		properties["enabledForTemplateDeployment"] = true
		if rules.PublicAccess == access.PublicByPerimeter {
			properties["publicNetworkAccess"] = "Disabled"
		}
		acls(properties)["bypass"] = "AzureServices"
		return flag == nil || !*flag || !rules.Bypass || rules.PublicAccess == access.PublicByPerimeter
	}
	return true
}

// acls is networkAcls, made when it is not there.
func acls(properties map[string]any) map[string]any {
	for name, value := range properties {
		if m, ok := value.(map[string]any); ok && strings.EqualFold(name, "networkAcls") {
			return m
		}
	}
	m := map[string]any{}
	properties["networkAcls"] = m
	return m
}

// connect adds an approved connection, as the resource provider does for an
// endpoint whose maker may approve it, and an approver for one that waits.
func connect(properties map[string]any) bool {
	list, _ := properties["privateEndpointConnections"].([]any)
	for _, c := range list {
		if m, _ := c.(map[string]any); m != nil {
			if id, _ := m["id"].(string); strings.HasSuffix(id, ownConnection) {
				return false
			}
		}
	}
	properties["privateEndpointConnections"] = append(list, map[string]any{"id": ownConnection, "properties": map[string]any{
		"privateLinkServiceConnectionState": map[string]any{"status": "Approved"}}})
	return true
}

// approveWaiting approves every connection that is there.
func approveWaiting(properties map[string]any) bool {
	list, _ := properties["privateEndpointConnections"].([]any)
	changed := false
	for _, c := range list {
		m, _ := c.(map[string]any)
		inner, _ := m["properties"].(map[string]any)
		if state, _ := inner["privateLinkServiceConnectionState"].(map[string]any); state != nil && state["status"] != "Approved" {
			state["status"], changed = "Approved", true
		}
	}
	return changed
}

// addPolicy adds the reader, or gives more to its entry.
func (x *search) addPolicy(properties map[string]any, reader *Principal) bool {
	info := x.question.Operation.Info()
	if info.Permission == "" {
		return false
	}
	entry := map[string]any{"tenantId": reader.Tenant.String(), "objectId": reader.Object.String(),
		"permissions": map[string]any{info.Kind.String(): []any{info.Permission}}}
	list, _ := properties["accessPolicies"].([]any)
	properties["accessPolicies"] = append(list, entry)
	return true
}

// takeRole assigns Owner to the actor at the nearest scope where it may.
func (t *trial) takeRole(actor *Principal, d *done) bool {
	lacks := !t.may(actor, actionVault, t.resource.ID) || !t.may(actor, actionApprove, t.resource.ID) || !t.may(actor, actionDeploy, t.resource.ID)
	return lacks && t.takeAt(t.resource.ID, actor, d)
}

// takePerimeterRole does so at the association with the perimeter.
func (t *trial) takePerimeterRole(actor *Principal, d *done) bool {
	a, ok := t.snapshot.Association(t.resource.ID)
	return ok && !t.may(actor, actionAssociation, a.ID) && t.takeAt(a.ID, actor, d)
}

func (t *trial) takeAt(id string, actor *Principal, d *done) bool {
	d.action, d.role = actionAssign, roleOwner
	for _, d.scope = range ancestors(id) {
		if t.mayAssign(actor, actor, roleOwner, d.scope) {
			return t.assign(roleOwner, actor, d.scope)
		}
	}
	return false
}

// assignRole gives the reader a role that holds the operation.
func (t *trial) assignRole(actor, reader *Principal, object string, d *done) bool {
	d.action = actionAssign
	scopes := ancestors(t.resource.ID)
	if object != "" && t.search.question.Operation.Info().Named {
		scopes = append(scopes, t.resource.ID+"/"+t.search.question.Operation.Info().Kind.String()+"/"+object)
	}
	if t.vault.Rules.Model != access.ModelRBAC {
		return false
	}
	for _, d.scope = range scopes {
		for _, d.role = range t.search.roles {
			if t.mayAssign(actor, reader, d.role, d.scope) {
				return t.assign(d.role, reader, d.scope)
			}
		}
	}
	return false
}

// assign adds a role assignment to the estate.
func (t *trial) assign(role string, p *Principal, scope string) bool {
	body, err := json.Marshal(map[string]any{"properties": map[string]any{"principalId": p.Object.String(),
		"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + role, "scope": scope}})
	if err != nil {
		return false
	}
	name := fmt.Sprintf("who-%d", len(t.done))
	t.base = append(t.base[:len(t.base):len(t.base)], &estate.Resource{ID: strings.TrimRight(scope, "/") + "/providers/" + estate.TypeRoleAssignment + "/" + name,
		Type: estate.TypeRoleAssignment, Name: name, Body: body})
	return true
}

// leavePerimeter deletes the association of the vault.
func (t *trial) leavePerimeter(actor *Principal, d *done) bool {
	a, ok := t.snapshot.Association(t.resource.ID)
	if !ok {
		return false
	}
	d.action, d.scope = actionAssociation, a.ID
	if !t.may(actor, d.action, d.scope) {
		return false
	}
	var kept []*estate.Resource
	for _, r := range t.base {
		if estate.Key(r.ID) != estate.Key(a.ID) {
			kept = append(kept, r)
		}
	}
	t.base = kept
	return true
}

// ancestors are the vault and the scopes above it, the nearest first.
func ancestors(id string) []string {
	list := []string{id}
	parts := strings.Split(id, "/")
	for _, n := range []int{5, 3} { // /subscriptions/x/resourceGroups/y, /subscriptions/x
		if len(parts) > n {
			list = append(list, strings.Join(parts[:n], "/"))
		}
	}
	return append(list, "/")
}
