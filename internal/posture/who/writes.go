package who

import (
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// Write is one kind of change of configuration.
type Write uint8

// The writes, in the order in which they are tried.
const (
	// TakeIdentity: a user-assigned identity is given to a resource of the
	// principal's own; Federate: it comes to trust an issuer of its own.
	TakeIdentity Write = iota
	Federate
	// TakeWorkload: a resource whose identity it is runs what the principal
	// wants.
	TakeWorkload
	// AddCredential: a credential is added to an application; SetPassword: a
	// user's password is set; JoinGroup: the principal becomes a member.
	AddCredential
	SetPassword
	JoinGroup
	// Elevate: an administrator of the directory becomes User Access
	// Administrator at the tenant's root.
	Elevate
	// WidenRole: a custom role comes to hold everything.
	WidenRole
	// TakeRole: the principal assigns a role to itself, Owner if it may;
	// TakeMore: another by means of that.
	TakeRole
	TakeMore
	// TakeGroupRole does so at the subscription's management group, and
	// MoveSubscription moves the subscription into the root group, away from
	// what is denied in its own.
	TakeGroupRole
	MoveSubscription
	// TakePerimeterRole does so at the vault's network security perimeter.
	TakePerimeterRole
	// OpenPerimeter: a rule of the perimeter lets every address in.
	OpenPerimeter
	// RelaxPerimeter: the association is no longer enforced.
	RelaxPerimeter
	// LeavePerimeter: the association with the perimeter is deleted.
	LeavePerimeter
	// JoinPerimeter puts the vault under a perimeter of the writer's own,
	// whose rules replace the vault's firewall.
	JoinPerimeter
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
	actionJoin        = "Microsoft.KeyVault/vaults/joinPerimeter/action"
	actionAssign      = "Microsoft.Authorization/roleAssignments/write"
	actionDefine      = "Microsoft.Authorization/roleDefinitions/write"
	actionElevate     = "Microsoft.Authorization/elevateAccess/action"
	actionGroup       = "Microsoft.Management/managementGroups/write"
	actionDropGroup   = "Microsoft.Resources/subscriptions/resourceGroups/delete"
	actionDropNetwork = estate.TypePerimeter + "/delete"
	actionRule        = estate.TypePerimeterRule + "/write"
	actionProfile     = estate.TypePerimeterProfile + "/join/action"
	actionAssociate   = estate.TypePerimeterAssociation + "/write"
	actionAssociation = estate.TypePerimeterAssociation + "/delete"
)

// ownConnection ends the id of a connection that Connect makes.
const ownConnection = "/privateendpointconnections/who-own-endpoint"

// after is the trials after one more write for the reader, one for each way
// to make it; none when nobody may, or when nothing would change.
func (t *trial) after(w Write, reader *Principal, object string) []*trial {
	switch w {
	case TakeRole, TakeMore:
		return t.takeRoles(w)
	case WidenRole:
		return t.widen()
	}
	next, d := t.next(w)
	changed := false
	switch w {
	case Elevate:
		changed = next.elevate(d)
	case TakeGroupRole:
		changed = next.takeGroupRole(d)
	case MoveSubscription:
		changed = next.moveSubscription(d)
	case TakePerimeterRole:
		changed = next.takePerimeterRole(d)
	case OpenPerimeter:
		changed = next.openPerimeter(d)
	case RelaxPerimeter:
		changed = next.relaxPerimeter(d)
	case LeavePerimeter:
		changed = next.leavePerimeter(d)
	case JoinPerimeter:
		changed = next.joinPerimeter(d)
	case AssignRole:
		changed = next.assignRole(reader, object, d)
	case Connect:
		changed = (t.take(d, actionApprove, t.id()) || t.take(d, actionConnection, t.id()+ownConnection)) && next.edit(connect)
	case ApproveWaiting:
		changed = t.take(d, actionConnection, t.id()+"/privateEndpointConnections/*") && next.edit(approveWaiting)
	case AddPolicy:
		changed = t.vault.Rules.Model == access.ModelPolicies && reader.Tenant == t.vault.Rules.Tenant &&
			(t.take(d, actionPolicies, t.id()) || t.take(d, actionVault, t.id())) &&
			next.edit(func(properties map[string]any) bool { return t.search.addPolicy(properties, reader) })
	default:
		changed = t.take(d, actionVault, t.id()) && next.edit(func(properties map[string]any) bool { return t.set(w, properties, reader) })
	}
	if !changed {
		return nil
	}
	return []*trial{next}
}

// next is a trial in which one more write is going to be made.
func (t *trial) next(w Write) (*trial, *done) {
	next := *t
	if t.start == nil {
		next.start = t
	}
	next.done = append(t.done[:len(t.done):len(t.done)], done{write: w})
	return &next, &next.done[len(t.done)]
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

// addPolicy adds an entry for the reader.
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
