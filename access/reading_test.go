package access_test

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"postern/access"
)

// reading is the documentation of the decision read word by word, slowly and
// without a line of the package's own code: what differs is an error in one
// of the two. Its sources are the service's documents on networks (the truth
// table), role-based access, conditions and access policies.
type reading struct {
	rules *access.Rules
	r     *access.Request
}

func (x reading) decide() access.Decision {
	d := access.Decision{NetworkRule: access.NoRule, Rule: access.NoRule}
	why := x.network(&d)
	caller := &x.r.Caller
	switch {
	case caller.Token == access.TokenAbsent:
		d.Gate, d.Reason = access.GateToken, access.NoToken
	case why != access.Undecided:
		d.Gate, d.Reason = access.GateNetwork, why
	case caller.Token != access.TokenValid:
		d.Gate, d.Reason = access.GateIdentity, access.BadToken
	case caller.Tenant == access.GUID{} || caller.Tenant != x.rules.Tenant:
		d.Gate, d.Reason = access.GateIdentity, access.WrongTenant
	case x.r.OverBudget:
		d.Gate, d.Reason = access.GateThrottle, access.Throttled
	default:
		d.Gate = access.GatePermission
		switch x.rules.Model {
		case access.ModelRBAC:
			x.roleBased(&d)
		case access.ModelPolicies:
			x.policies(&d)
		default:
			d.Reason = access.NoModel
		}
		x.flags(&d)
	}
	return d
}

// flags: a platform service that a flag of the vault names needs no entry.
// What is denied stays denied.
func (x reading) flags(d *access.Decision) {
	if !slices.Contains([]access.Reason{access.NoAssignment, access.NoPolicy, access.OnlyOnBehalf}, d.Reason) {
		return
	}
	i := slices.IndexFunc(x.rules.Enabled, func(e access.Enabled) bool { return x.trusted(&e.Service) })
	if i >= 0 {
		d.Verdict, d.Reason, d.Rule = access.Allow, access.ByFlag, int32(i)
	}
}

// network is the truth table, row by row.
func (x reading) network(d *access.Decision) access.Reason {
	v, o := x.rules, &x.r.Origin
	for i, c := range v.Connections {
		if o.Path == access.PathPrivateEndpoint && c.ID != "" && c.ID == o.Endpoint && c.State == access.EndpointApproved {
			d.Admitted, d.NetworkRule = access.AdmittedPrivateEndpoint, int32(i)
			return access.Undecided
		}
	}
	associated := v.Perimeter.Mode != access.PerimeterNone
	transition := v.Perimeter.Mode == access.PerimeterTransition
	if associated && !transition || v.PublicAccess == access.PublicByPerimeter {
		if associated && x.perimeter() {
			d.Admitted = access.AdmittedPerimeter
			return access.Undecided
		}
		return access.PerimeterDenied
	}
	d.WouldDeny = transition && !x.perimeter()
	enabled := v.PublicAccess == access.PublicEnabled
	proved := slices.Contains([]access.Path{access.PathPublic, access.PathSubnet, access.PathPrivateEndpoint}, o.Path)
	if enabled && v.DefaultAction == access.Allow && proved {
		d.Admitted = access.AdmittedOpen
		return access.Undecided
	}
	if enabled && v.DefaultAction != access.Allow {
		for i, s := range v.SubnetRules {
			if o.Path == access.PathSubnet && s.Subnet == o.Subnet && s.Subnet != "" {
				d.Admitted, d.NetworkRule = access.AdmittedSubnet, int32(i)
				return access.Undecided
			}
		}
		for i, p := range v.IPRules {
			if o.Path == access.PathPublic && inPrefix(p.Prefix, o.Addr) {
				d.Admitted, d.NetworkRule = access.AdmittedIP, int32(i)
				return access.Undecided
			}
		}
	}
	if !v.Bypass {
		return map[bool]access.Reason{true: access.FirewallBypassNone, false: access.PublicDisabledBypassNone}[enabled]
	}
	for i := range v.Trusted {
		if x.trusted(&v.Trusted[i]) {
			d.Admitted, d.NetworkRule = access.AdmittedTrusted, int32(i)
			return access.Undecided
		}
	}
	return map[bool]access.Reason{true: access.FirewallNotTrusted, false: access.PublicDisabledNotTrusted}[enabled]
}

// perimeter: members, and inbound rules by source address or subscription.
func (x reading) perimeter() bool {
	p, o := &x.rules.Perimeter, &x.r.Origin
	member := p.ID != "" && p.ID == o.Perimeter
	address := o.Path == access.PathPublic && slices.ContainsFunc(p.Prefixes, func(q netip.Prefix) bool { return inPrefix(q, o.Addr) })
	subscription := x.r.Caller.Token == access.TokenValid && x.r.Caller.Subscription != access.GUID{} && slices.Contains(p.Subscriptions, x.r.Caller.Subscription)
	return member || address || subscription
}

// inPrefix compares bit by bit. IPv4 written as IPv6 is IPv4.
func inPrefix(p netip.Prefix, a netip.Addr) bool {
	if !p.IsValid() || !a.IsValid() {
		return false
	}
	length, four := p.Bits(), p.Addr().Is4()
	if p.Addr().Is4In6() && length >= 96 {
		length, four = length-96, true
	}
	if four != (a.Is4() || a.Is4In6()) {
		return false
	}
	if four {
		length += 96
	}
	x, y := p.Addr().As16(), a.As16()
	for i := range length {
		if (x[i/8]^y[i/8])>>(7-i%8)&1 != 0 {
			return false
		}
	}
	return true
}

// trusted: a valid token, the proof that the service's own compute calls, an
// identity of the service's, an operation of the scenario.
func (x reading) trusted(s *access.TrustedService) bool {
	c := &x.r.Caller
	identity := c.App != access.GUID{} && slices.Contains(s.Apps, c.App)
	for _, t := range s.ResourceTypes {
		identity = identity || strings.EqualFold(typeOf(c.IdentityResource), t)
	}
	return c.Token == access.TokenValid && s.Name != "" && s.Name == x.r.Origin.Service && identity &&
		x.r.Operation != access.NoOperation && slices.Contains(s.Operations, x.r.Operation)
}

// typeOf is the type of the resource with an ARM id, "" when it is none.
func typeOf(id string) string {
	at := strings.LastIndex(strings.ToLower(id), "/providers/")
	if at < 0 {
		return ""
	}
	parts := strings.Split(id[at+len("/providers/"):], "/")
	if len(parts)%2 == 0 || len(parts) < 3 {
		return ""
	}
	typ := parts[0]
	for i := 1; i < len(parts); i += 2 {
		if parts[i+1] == "" {
			return ""
		}
		typ += "/" + parts[i]
	}
	return typ
}

// is reports whether the id is the caller's or that of one of its groups.
func (x reading) is(id access.GUID) bool {
	return id != access.GUID{} && (id == x.r.Caller.Object || slices.Contains(x.r.Caller.Groups, id))
}

// roleBased: deny assignments first, then any assignment that remains.
func (x reading) roleBased(d *access.Decision) {
	d.Reason = access.NoAssignment
	about, ok := documented[x.r.Operation]
	if !ok {
		return
	}
	action := "Microsoft.KeyVault/vaults/" + about.action
	for i, n := range x.rules.DenyAssignments {
		if !slices.ContainsFunc(n.Exclude, x.is) && (n.Everyone || slices.ContainsFunc(n.Principals, x.is)) && x.under(n.Scope, about) && (n.Role == nil || dataAllowed(n.Role, action)) {
			d.Reason, d.Rule = access.DenyAssigned, int32(i)
			return
		}
	}
	for i := range x.rules.Assignments {
		a := &x.rules.Assignments[i]
		if a.Role == nil || a.Conditional || !x.is(a.Principal) || !x.under(a.Scope, about) || !dataAllowed(a.Role, action) {
			continue
		}
		if a.Condition == nil || said[a.Condition].about(x.attributes(about), action) == "true" {
			d.Verdict, d.Reason, d.Rule = access.Allow, access.ByAssignment, int32(i)
			return
		}
	}
}

// under reports whether a scope is the vault, a parent of it, or the object
// that the operation names.
func (x reading) under(scope string, about about) bool {
	if x.rules.ID == "" || x.rules.ID == "/" {
		return false
	}
	vault := strings.Split(strings.ToLower(x.rules.ID), "/")
	at := strings.Split(strings.ToLower(scope), "/")
	if scope == "/" {
		return true
	}
	if scope == "" {
		return false
	}
	if len(at) <= len(vault) && slices.Equal(at, vault[:len(at)]) {
		return true
	}
	return about.named && x.r.Object != "" && slices.Equal(at, append(vault, about.kind, strings.ToLower(x.r.Object)))
}

// dataAllowed: each block of the role by itself, what it gives less what it
// takes out; the blocks add up.
func dataAllowed(role *access.Role, action string) bool {
	blocks := append([]access.Permissions{{DataActions: role.DataActions, NotDataActions: role.NotDataActions}}, role.More...)
	return slices.ContainsFunc(blocks, func(b access.Permissions) bool {
		matches := func(pattern string) bool { return wildcard(pattern, action) }
		return slices.ContainsFunc(b.DataActions, matches) && !slices.ContainsFunc(b.NotDataActions, matches)
	})
}

var expressions = map[string]*regexp.Regexp{}

// wildcard: * is any run of characters, letter case does not count.
func wildcard(pattern, text string) bool {
	e := expressions[pattern]
	if e == nil {
		e = regexp.MustCompile("(?is)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
		expressions[pattern] = e
	}
	return e.MatchString(text)
}

// policies: entries of the vault's tenant, added up; an entry with an
// application is for a user whose token that application obtained.
func (x reading) policies(d *access.Decision) {
	d.Reason = access.NoPolicy
	about, ok := documented[x.r.Operation]
	if !ok {
		return
	}
	for i, p := range x.rules.Policies {
		words := map[string][]string{"secrets": p.Secrets, "keys": p.Keys, "certificates": p.Certificates}[about.kind]
		holds := slices.ContainsFunc(words, func(w string) bool {
			return strings.EqualFold(w, "all") || slices.ContainsFunc(strings.Split(about.words, "|"), func(n string) bool { return strings.EqualFold(n, w) })
		})
		if p.Tenant != x.rules.Tenant || !x.is(p.Object) || !holds {
			continue
		}
		if (p.Application == access.GUID{}) || x.r.Caller.User && x.r.Caller.App == p.Application {
			d.Verdict, d.Reason, d.Rule = access.Allow, access.ByPolicy, int32(i)
			return
		}
		if d.Reason == access.NoPolicy {
			d.Reason, d.Rule = access.OnlyOnBehalf, int32(i)
		}
	}
}

// about is what the documents say of an operation.
type about struct {
	kind, words, action string
	named               bool
}

// documented are the operations by the documents' tables of permissions and
// data actions: kind, operation, words, action, and * for one on the vault.
var documented = documentedOperations(`
secrets SecretGet get secrets/getSecret/action
secrets SecretSet set secrets/setSecret/action
secrets SecretUpdate set secrets/update/action
secrets SecretList list secrets/readMetadata/action *
secrets SecretListVersions list secrets/readMetadata/action
secrets SecretDelete delete secrets/delete
secrets SecretBackup backup secrets/backup/action
secrets SecretRestore restore secrets/restore/action *
secrets SecretRecover recover secrets/recover/action
secrets SecretPurge purge secrets/purge/action
secrets SecretGetDeleted get secrets/readMetadata/action
secrets SecretListDeleted list secrets/readMetadata/action *
keys KeyGet get keys/read
keys KeyCreate create keys/create/action
keys KeyImport import keys/import/action
keys KeyUpdate update keys/update/action
keys KeyList list keys/read *
keys KeyListVersions list keys/read
keys KeyDelete delete keys/delete
keys KeyBackup backup keys/backup/action
keys KeyRestore restore keys/restore/action *
keys KeyRecover recover keys/recover/action
keys KeyPurge purge keys/purge/action
keys KeyGetDeleted get keys/read
keys KeyListDeleted list keys/read *
keys KeyEncrypt encrypt keys/encrypt/action
keys KeyDecrypt decrypt keys/decrypt/action
keys KeyWrap wrapKey keys/wrap/action
keys KeyUnwrap unwrapKey keys/unwrap/action
keys KeySign sign keys/sign/action
keys KeyVerify verify keys/verify/action
keys KeyRelease release keys/release/action
keys KeyRotate rotate keys/rotate/action
keys KeyRotationPolicyGet getrotationpolicy keyrotationpolicies/read
keys KeyRotationPolicySet setrotationpolicy keyrotationpolicies/write
certificates CertificateGet get certificates/read
certificates CertificateCreate create certificates/create/action
certificates CertificateImport import certificates/import/action
certificates CertificateUpdate update certificates/update/action
certificates CertificateList list certificates/read *
certificates CertificateListVersions list certificates/read
certificates CertificateDelete delete certificates/delete
certificates CertificateBackup backup certificates/backup/action
certificates CertificateRestore restore certificates/restore/action *
certificates CertificateRecover recover certificates/recover/action
certificates CertificatePurge purge certificates/purge/action
certificates CertificateGetDeleted get certificates/read
certificates CertificateListDeleted list certificates/read *
certificates CertificatePolicyGet get certificates/read
certificates CertificatePolicyUpdate update certificates/update/action
certificates CertificatePendingGet get certificates/read
certificates CertificatePendingUpdate update certificates/update/action
certificates CertificatePendingDelete update certificates/update/action
certificates CertificatePendingMerge create certificates/create/action
certificates CertificateContactsGet managecontacts certificatecontacts/write *
certificates CertificateContactsSet managecontacts certificatecontacts/write *
certificates CertificateContactsDelete managecontacts certificatecontacts/write *
certificates CertificateIssuersList listissuers|manageissuers certificatecas/read *
certificates CertificateIssuerGet getissuers|manageissuers certificatecas/read *
certificates CertificateIssuerSet setissuers|manageissuers certificatecas/write *
certificates CertificateIssuerUpdate setissuers|manageissuers certificatecas/write *
certificates CertificateIssuerDelete deleteissuers|manageissuers certificatecas/delete *
`)

func documentedOperations(table string) map[access.Operation]about {
	all := map[access.Operation]about{}
	for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
		w := strings.Fields(line)
		all[access.OperationNamed(w[1])] = about{w[0], w[2], w[3], len(w) == 4}
	}
	return all
}
