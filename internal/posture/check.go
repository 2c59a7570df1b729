package posture

import (
	"sort"
	"time"

	"postern/internal/iac"
)

// Check is a built-in check: one question asked of a vault.
type Check struct {
	// ID names it for good: in reports, in acceptances, in pipelines.
	ID, Title string
	Severity  Severity
	// Source is the sentence that the check is made from.
	Source string
	ask    func(*subject) answer
	fix    func(*subject) Fix
}

// checks are the built-in checks in the order of reports.
var checks = []*Check{
	{
		ID: "keyvault_notrustedservices", Title: "The firewall denies and does not let trusted services pass", Severity: Medium,
		Source: "The check fires when the firewall is restrictive but the bypass is set to None.",
		ask:    askTrustedServices, fix: fixTrustedServices,
	},
	{
		ID: "keyvault_default_allow", Title: "The firewall admits every address", Severity: High,
		Source: "By default, Key Vault accepts connections from any IP address on the internet.",
		ask:    askDefaultAllow, fix: fixDefaultAllow,
	},
	{
		ID: "keyvault_public_without_rules", Title: "The public endpoint is on and no rule narrows it", Severity: Medium,
		Source: "Disable public network access for all production vaults.",
		ask:    askPublicWithoutRules, fix: fixPublicWithoutRules,
	},
	{
		ID: "keyvault_access_policy_mode", Title: "Access policies decide instead of roles", Severity: Medium,
		Source: "Use RBAC instead of access policies (set enableRbacAuthorization: true).",
		ask:    askAccessPolicyMode, fix: fixAccessPolicyMode,
	},
	{
		ID: "keyvault_no_purge_protection", Title: "A deleted vault or object can be purged at once", Severity: Medium,
		Source: "Enable soft-delete and purge protection.",
		ask:    askPurgeProtection, fix: fixPurgeProtection,
	},
	{
		ID: "keyvault_foreign_tenant", Title: "The vault trusts another tenant", Severity: High,
		Source: "All identities in the array must use the same tenant ID as the key vault's tenant ID.",
		ask:    askForeignTenant, fix: fixForeignTenant,
	},
}

// Checks lists the built-in checks. Neither the list nor its entries may be
// changed.
func Checks() []*Check { return checks }

// CheckNamed finds a built-in check by its id.
func CheckNamed(id string) (*Check, bool) {
	for _, c := range checks {
		if c.ID == id {
			return c, true
		}
	}
	return nil, false
}

// Options are what a check must know besides the resources.
type Options struct {
	// Tenant is the tenant of the subscriptions, lower-case; "" when only
	// what the resources say is known of it.
	Tenant string
	// Accepted finds the acceptances that apply to a file; nil for none.
	Accepted func(file string) *Acceptances
	// Today decides whether an acceptance has ended.
	Today time.Time
}

// answer is what a question yields, before acceptance.
type answer struct {
	verdict Verdict
	node    *iac.Node
	message string
}

func pass(n *iac.Node, message string) answer       { return answer{Pass, n, message} }
func fail(n *iac.Node, message string) answer       { return answer{Fail, n, message} }
func cannotTell(n *iac.Node, message string) answer { return answer{CannotTell, n, message} }

// Run asks every check of every vault among the resources. The findings
// come vault by vault, in the order of the checks.
func Run(resources []*iac.Resource, opt Options) []Finding {
	var findings []Finding
	for _, r := range resources {
		if r.Type != iac.TypeVault {
			continue
		}
		s := &subject{Resource: r, all: resources, tenant: opt.Tenant}
		for _, c := range checks {
			findings = append(findings, s.ask(c, opt))
		}
	}
	return findings
}

func (s *subject) ask(c *Check, opt Options) Finding {
	a := c.ask(s)
	f := Finding{Check: c, Verdict: a.verdict, Vault: s.Label(), Resource: s.Resource, At: a.node.At, Message: a.message}
	if f.Verdict != Pass {
		f.Fix, f.Note = c.fix(s), s.Conditional
	}
	if opt.Accepted != nil {
		opt.Accepted(s.Body.At.File).apply(&f, s, opt.Today)
	}
	return f
}

// Vaults counts the vaults among the resources.
func Vaults(resources []*iac.Resource) int {
	n := 0
	for _, r := range resources {
		if r.Type == iac.TypeVault {
			n++
		}
	}
	return n
}

// Sort orders findings for reading: what failed first, then what could not
// be told, each by severity; the order of the vaults is kept within.
func Sort(findings []Finding) {
	rank := [...]int{CannotTell: 1, Fail: 0, Accepted: 2, Pass: 3}
	sort.SliceStable(findings, func(i, j int) bool {
		a, b := &findings[i], &findings[j]
		if rank[a.Verdict] != rank[b.Verdict] {
			return rank[a.Verdict] < rank[b.Verdict]
		}
		return a.Check.Severity < b.Check.Severity
	})
}
