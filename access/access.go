// Package access decides whether a request may reach an object of a vault.
//
// It is pure: no I/O, no clock, no globals that change, no error results.
// What is configured (Rules) is checked when it is written, never at the
// time of a decision. Explain is the algorithm as it reads below; Decide is
// the same compiled, held equal to Explain by fuzzing. No rule of the
// decision is stated anywhere else.
//
// # The algorithm
//
// A request meets five gates in this order. The first that refuses decides.
// Everything that was not proved counts as absent, and every zero value
// denies.
//
//  1. Token. A request without a token is refused with NoToken whatever the
//     network says: the answer is the challenge by which a client learns the
//     tenant. Whether the token is any good is asked at gate 3.
//
//  2. Network. The first line that applies decides:
//
//     a. The connection is an Approved private endpoint connection of this
//     vault: admitted. Neither firewall nor perimeter is asked. A connection
//     in another state counts as a public one that no rule matches.
//
//     b. The vault is under an Enforced perimeter, or its public access is
//     by perimeter: admitted when an inbound rule holds the source address,
//     an inbound rule holds the subscription of the (valid) caller, or the
//     calling resource is a member of the same perimeter; otherwise refused
//     with PerimeterDenied. The bypass does not count here.
//
//     c. Public access is Disabled: admitted only as a trusted service (f);
//     otherwise PublicDisabledNotTrusted, or PublicDisabledBypassNone when
//     the bypass is None. Address and subnet rules are ignored.
//
//     d. The default action is Allow, and something is proved of where the
//     connection comes from: admitted. Rules have no effect.
//
//     e. The connection comes through the service endpoint of a subnet that
//     a subnet rule names, or from a public address that an IP rule holds:
//     admitted by that rule. A connection through a service endpoint shows a
//     private address, so IP rules do not see it.
//
//     f. The bypass is AzureServices and the caller is a trusted service:
//     its token is valid, the connection is proved to come from the compute
//     of a service on the list, the identity is one of that service's, and
//     the operation belongs to the scenario: admitted. This grants nothing
//     beyond the network.
//
//     g. Otherwise refused: FirewallNotTrusted, or FirewallBypassNone when
//     the bypass is None.
//
//     Under a perimeter in Transition lines c to g decide, and WouldDeny
//     tells that an enforced perimeter would have refused.
//
//  3. Identity. The token must be valid (BadToken) and of the vault's
//     tenant (WrongTenant). A trusted service gets no exception.
//
//  4. Throttle. No budget left: Throttled.
//
//  5. Permission. The model of the vault decides alone, never both:
//
//     RBAC: a deny assignment that covers principal, resource and data
//     action refuses (DenyAssigned). Then one role assignment that covers
//     them allows (ByAssignment): its principal is the caller or one of the
//     caller's groups, its scope is the vault or above it or the very object,
//     its role's data actions less its not-data-actions hold the action, and
//     its condition, if it has one, is true: what a condition says of an
//     attribute that is absent is neither true nor false. The resource is the
//     object for operations that name one and the vault for others. Otherwise
//     NoAssignment.
//
//     Access policies: an entry of the vault's tenant whose object is the
//     caller or one of the caller's groups, and which holds the operation's
//     permission or "all", allows (ByPolicy); an entry with an application
//     does so only for a user's token obtained by that application. If only
//     such entries were in the way, OnlyOnBehalf; otherwise NoPolicy.
//
//     Under either model a flag of the vault (enabledForDeployment and its
//     siblings) grants to the platform service it stands for without an
//     entry: where nothing else allows and no deny assignment refuses, it
//     allows what is that service's as in 2f (ByFlag).
//
// Where several rules would do, the first in the order of the configuration
// is the one that is named.
package access
