package access

// Gate is one of the gates a request passes, in their order. The zero value
// is no gate.
type Gate uint8

// The gates of Decide, in the order in which a request meets them.
const (
	GateNone Gate = iota
	// GateToken asks whether a token came at all.
	GateToken
	// GateNetwork applies the network verdict.
	GateNetwork
	// GateIdentity asks whether the token holds for this vault's tenant.
	GateIdentity
	// GateThrottle asks whether budget is left.
	GateThrottle
	// GatePermission asks RBAC or the access policies.
	GatePermission
)

// String is the gate's name in explanations.
func (g Gate) String() string {
	return named(int(g), "none", "token", "network", "identity", "throttle", "permission")
}

// named is the i-th of some names, "unknown" beyond them.
func named(i int, names ...string) string {
	if i < 0 || i >= len(names) {
		return "unknown"
	}
	return names[i]
}

// Admission is how the network gate was passed; the zero value is not at
// all. It becomes addrAuthType in the log.
type Admission uint8

// The ways through the network gate.
const (
	NotAdmitted Admission = iota
	AdmittedPrivateEndpoint
	AdmittedOpen
	AdmittedIP
	AdmittedSubnet
	AdmittedTrusted
	AdmittedPerimeter
)

// String is the way through in explanations and the decision corpus.
func (a Admission) String() string {
	return named(int(a), "not admitted", "private endpoint", "open to all", "address rule", "subnet rule", "trusted service", "perimeter")
}

// Reason says why a decision is what it is. The zero value is "nothing was
// decided", which denies.
type Reason uint8

// The reasons. Those of the network gate are named after the refusals of
// the service: F1, F2, F3, F4, F5.
const (
	Undecided Reason = iota
	// NoToken: 401, the challenge.
	NoToken
	// FirewallNotTrusted (F1): no rule admits the origin, and the caller is
	// not a trusted service.
	FirewallNotTrusted
	// FirewallBypassNone (F2): no rule admits the origin, and trusted
	// services are not asked for.
	FirewallBypassNone
	// PerimeterDenied (F3): the network security perimeter admits neither
	// the origin nor the caller.
	PerimeterDenied
	// PublicDisabledNotTrusted (F4): public access is disabled, the origin
	// is no approved private endpoint, the caller not a trusted service.
	PublicDisabledNotTrusted
	// PublicDisabledBypassNone (F5): as F4, and trusted services are not
	// asked for.
	PublicDisabledBypassNone
	// BadToken: the token is not valid; Caller.Token says how.
	BadToken
	// WrongTenant: the token is of another tenant than the vault's.
	WrongTenant
	// Throttled: no budget is left.
	Throttled
	// NoAssignment (A1): no role assignment allows the operation.
	NoAssignment
	// DenyAssigned (A1): a deny assignment takes it away.
	DenyAssigned
	// NoPolicy (A2): no access policy allows the operation.
	NoPolicy
	// OnlyOnBehalf: an access policy allows it to the user together with an
	// application, and this application is not the one.
	OnlyOnBehalf
	// NoModel: the vault has no permission model that could allow anything.
	NoModel
	// ByAssignment, ByPolicy and ByFlag allow.
	ByAssignment
	ByPolicy
	// ByFlag: a flag of the vault lets the service in that the request is.
	ByFlag
)

// String names the reason, for logs and the decision corpus.
func (r Reason) String() string {
	return named(int(r), "Undecided", "NoToken", "FirewallNotTrusted", "FirewallBypassNone", "PerimeterDenied",
		"PublicDisabledNotTrusted", "PublicDisabledBypassNone", "BadToken", "WrongTenant", "Throttled",
		"NoAssignment", "DenyAssigned", "NoPolicy", "OnlyOnBehalf", "NoModel", "ByAssignment", "ByPolicy", "ByFlag")
}

// Request is one request to a vault, as far as the decision needs it.
type Request struct {
	Origin    Origin
	Caller    Caller
	Operation Operation
	// Object is the name of the object, lower-case, for operations that are
	// Named; the certificate, key or secret, without version.
	Object string
	// OverBudget is true when the vault's or the subscription's throttling
	// budget is spent at this moment.
	OverBudget bool
}

// NoRule is the index of no rule.
const NoRule = -1

// Decision is the outcome, and why. The zero value denies.
type Decision struct {
	Verdict Verdict
	// Gate is where it was decided: where the request was refused, or
	// GatePermission when it was allowed.
	Gate   Gate
	Reason Reason
	// Admitted is how the network gate was passed, NetworkRule the index in
	// IPRules, SubnetRules, Connections or Trusted that passed it (NoRule
	// for none), as Admitted says.
	Admitted    Admission
	NetworkRule int32
	// Rule is the index in Assignments, DenyAssignments, Policies or Enabled
	// that decided at GatePermission, as Reason says; NoRule for none.
	Rule int32
	// WouldDeny is set under PerimeterTransition when an enforced perimeter
	// would have refused.
	WouldDeny bool
}

// Allowed reports whether the verdict is Allow.
func (d Decision) Allowed() bool { return d.Verdict == Allow }
