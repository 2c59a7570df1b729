package access

import "net/netip"

// PublicAccess is the property publicNetworkAccess.
type PublicAccess uint8

const (
	// PublicDisabled blocks all but private endpoints and, with the bypass,
	// trusted services.
	PublicDisabled PublicAccess = iota
	// PublicEnabled leaves the decision to the firewall.
	PublicEnabled
	// PublicByPerimeter leaves it to the network security perimeter.
	PublicByPerimeter
)

// Verdict is allow or deny; the zero value denies.
type Verdict uint8

const (
	// Deny refuses.
	Deny Verdict = iota
	// Allow lets pass.
	Allow
)

// IPRule is one entry of networkAcls.ipRules.
type IPRule struct {
	Prefix netip.Prefix
}

// SubnetRule is one entry of networkAcls.virtualNetworkRules: the ARM id of
// a subnet, lower-case.
type SubnetRule struct {
	Subnet string
}

// Connection is one private endpoint connection of the vault: its ARM id,
// lower-case, and its state.
type Connection struct {
	ID    string
	State EndpointState
}

// PerimeterMode is how a vault is associated with a network security
// perimeter.
type PerimeterMode uint8

const (
	// PerimeterNone: no association.
	PerimeterNone PerimeterMode = iota
	// PerimeterTransition: the vault's own rules decide; what the perimeter
	// would deny is noted.
	PerimeterTransition
	// PerimeterEnforced: the perimeter's rules replace the vault's own.
	PerimeterEnforced
)

// enforced reports whether the perimeter's rules replace the vault's own; a
// mode that is not known is taken for the strictest.
func (m PerimeterMode) enforced() bool { return m != PerimeterNone && m != PerimeterTransition }

// Perimeter is the association of a vault with a network security perimeter
// and the inbound rules of its profile.
type Perimeter struct {
	Mode PerimeterMode
	// ID is the perimeter, lower-case: its members reach the vault.
	ID string
	// Prefixes and Subscriptions are the inbound rules.
	Prefixes      []netip.Prefix
	Subscriptions []GUID
}

// Model is the permission model of a vault: role assignments or access
// policies, never both. The zero value grants nothing.
type Model uint8

const (
	// ModelNone grants nothing.
	ModelNone Model = iota
	// ModelRBAC: role assignments alone (enableRbacAuthorization true).
	ModelRBAC
	// ModelPolicies: access policies alone (false or null).
	ModelPolicies
)

// Policy is one entry of properties.accessPolicies.
type Policy struct {
	Tenant, Object GUID
	// Application makes a compound identity: both the user and the
	// application that acts for it must match. Zero for none.
	Application GUID
	// Permissions as written, one list a kind: "get", "list", "all", ….
	Keys, Secrets, Certificates []string
}

// Role is a role definition: patterns of actions with * as a wildcard.
type Role struct {
	// ID is the last segment of the definition's id, Name its display name.
	ID, Name                    string
	Actions, NotActions         []string
	DataActions, NotDataActions []string
	// More are further blocks of permissions, each of which grants on its
	// own: what one takes out, another may grant.
	More []Permissions
}

// Permissions is one block of permissions of a role definition.
type Permissions struct {
	Actions, NotActions         []string
	DataActions, NotDataActions []string
}

// allows reports whether the role grants a control-plane action.
func (r *Role) allows(action string) bool {
	if grants(r.Actions, r.NotActions, action) {
		return true
	}
	for i := range r.More {
		if grants(r.More[i].Actions, r.More[i].NotActions, action) {
			return true
		}
	}
	return false
}

// allowsData reports whether the role grants a data action.
func (r *Role) allowsData(action string) bool {
	if grants(r.DataActions, r.NotDataActions, action) {
		return true
	}
	for i := range r.More {
		if grants(r.More[i].DataActions, r.More[i].NotDataActions, action) {
			return true
		}
	}
	return false
}

// Assignment gives a role to a principal at a scope.
type Assignment struct {
	// ID is the name (a GUID) of the assignment.
	ID        string
	Principal GUID
	// Scope is an ARM id, without a trailing slash; "/" is the root. Letter
	// case does not matter.
	Scope string
	Role  *Role
	// Condition must hold for the assignment to grant anything; nil for
	// none. Conditional marks an assignment with a condition that could not
	// be read: it grants nothing.
	Condition   *Condition
	Conditional bool
}

// DenyAssignment takes a role's actions away from principals at a scope,
// before any role assignment is looked at.
type DenyAssignment struct {
	ID string
	// Everyone makes Principals irrelevant; Exclude are never denied.
	Everyone            bool
	Principals, Exclude []GUID
	Scope               string
	Role                *Role
}

// TrustedService is one entry of the registry of trusted services: who may
// call itself by the name, and for which operations that counts.
type TrustedService struct {
	Name string
	// Apps are the service's first-party applications, ResourceTypes the
	// types of resource ("microsoft.datafactory/factories", lower-case)
	// whose managed identities act for it.
	Apps          []GUID
	ResourceTypes []string
	// Operations are those of the documented scenario.
	Operations []Operation
}

// Enabled is a flag of a vault that is set: the service that it stands for
// needs no assignment and no policy for the operations of its scenario.
type Enabled struct {
	// Flag is the property: "enabledForDeployment".
	Flag    string
	Service TrustedService
}

// Rules is everything that decides over one vault, in plain form: what the
// configuration says, in its own order. Compile turns it into a Vault.
type Rules struct {
	// ID is the vault's ARM id (any letter case), Name its name.
	ID, Name string
	// Tenant is properties.tenantId: tokens of other tenants are refused.
	Tenant GUID

	PublicAccess  PublicAccess
	DefaultAction Verdict
	// Bypass is true for networkAcls.bypass AzureServices.
	Bypass      bool
	IPRules     []IPRule
	SubnetRules []SubnetRule
	Connections []Connection
	Perimeter   Perimeter
	Trusted     []TrustedService

	// Enabled are the flags, in their order.
	Enabled []Enabled

	Model           Model
	Policies        []Policy
	Assignments     []Assignment
	DenyAssignments []DenyAssignment
}
