package posture

import (
	"fmt"

	"postern/internal/iac"
)

// askTrustedServices is keyvault_notrustedservices: Deny with bypass None,
// in any letter case.
func askTrustedServices(s *subject) answer {
	action, bypass := s.defaultAction(), s.bypass()
	switch {
	case action.is(allow):
		return pass(action.node, action.stated("networkAcls.defaultAction"))
	case bypass.is(azureServices):
		return pass(bypass.node, bypass.stated("networkAcls.bypass"))
	case !action.known():
		return cannotTell(action.node, action.doubt("networkAcls.defaultAction"))
	case !bypass.known():
		return cannotTell(bypass.node, bypass.doubt("networkAcls.bypass"))
	}
	message := "networkAcls.bypass is None while defaultAction is Deny: Azure's own services are refused whatever rights they hold. " +
		"Disk Encryption, Backup and data encrypted with a key of this vault stop working, the last only once a cached key expires."
	if reaches, sure := s.reachable(); sure && !reaches {
		message += " Nothing reaches the public endpoint, so this may be meant: accept it with a reason in .postern.yaml."
	}
	return fail(bypass.node, message)
}

// askDefaultAllow is keyvault_default_allow: rules count under Deny alone.
func askDefaultAllow(s *subject) answer {
	public, action := s.publicAccess(), s.defaultAction()
	switch {
	case action.is(deny):
		return pass(action.node, action.stated("networkAcls.defaultAction"))
	case public.is(disabled), public.is(byPerimeter):
		return pass(public.node, public.stated("publicNetworkAccess")+", so the default action is not asked")
	case !action.known():
		return cannotTell(action.node, action.doubt("networkAcls.defaultAction"))
	case !public.known():
		return cannotTell(public.node, public.doubt("publicNetworkAccess"))
	}
	message := action.stated("networkAcls.defaultAction") + ": every address on the internet passes the firewall, and only the token stands before the objects."
	if action.byDefault {
		message = "networkAcls is not set, which means defaultAction Allow: every address on the internet passes the firewall, and only the token stands before the objects."
	}
	if count, _ := s.ruleCount(); count > 0 {
		message += fmt.Sprintf(" The %s listed have no effect: rules are asked only under Deny.", plural(count, "rule"))
	}
	return fail(action.node, message)
}

// askPublicWithoutRules is keyvault_public_without_rules.
func askPublicWithoutRules(s *subject) answer {
	public, action := s.publicAccess(), s.defaultAction()
	count, unread := s.ruleCount()
	switch {
	case public.is(disabled), public.is(byPerimeter):
		return pass(public.node, public.stated("publicNetworkAccess"))
	case count > 0:
		return pass(s.Property("networkAcls"), plural(count, "rule")+" listed")
	case unread != nil:
		return cannotTell(unread, "the rules are not known: "+why(unread))
	case !public.known():
		return cannotTell(public.node, public.doubt("publicNetworkAccess"))
	}
	message := public.stated("publicNetworkAccess") + " and no address or subnet rule is listed"
	switch {
	case action.is(deny):
		message += ": nothing but trusted services can come in that way, so the public endpoint can be switched off."
	case action.is(allow):
		message += ": nothing narrows who can connect. List what must keep working before the default action becomes Deny."
	default:
		message += "."
	}
	return fail(public.node, message)
}

// askAccessPolicyMode is keyvault_access_policy_mode.
func askAccessPolicyMode(s *subject) answer {
	rbac := s.rbac()
	switch {
	case rbac.is(yes):
		return pass(rbac.node, rbac.stated("enableRbacAuthorization"))
	case !rbac.known():
		return cannotTell(rbac.node, rbac.doubt("enableRbacAuthorization"))
	}
	return fail(rbac.node, rbac.stated("enableRbacAuthorization")+": access policies decide. Whoever may write the vault may grant himself "+
		"every object in it, rights reach the whole vault, and no deny assignment or condition applies.")
}

// askPurgeProtection is keyvault_no_purge_protection.
func askPurgeProtection(s *subject) answer {
	purge := s.purgeProtection()
	switch {
	case purge.is(yes):
		return pass(purge.node, purge.stated("enablePurgeProtection"))
	case !purge.known():
		return cannotTell(purge.node, purge.doubt("enablePurgeProtection"))
	}
	return fail(purge.node, purge.stated("enablePurgeProtection")+": who may purge can destroy a deleted vault, and every key in it, "+
		"before the retention ends. It cannot be switched off again once it is on.")
}

// askForeignTenant is keyvault_foreign_tenant: the tenant of the vault, of
// its access policies, and of its subscription where that is known.
func askForeignTenant(s *subject) answer {
	node := s.Property("tenantId")
	vault, literal, ok := identifier(node)
	entries, unread := s.policies()
	if ok {
		if a, found := foreignPolicy(entries, vault, literal); found {
			return a
		}
	}
	home := s.home()
	switch {
	case !ok && node.Kind == iac.Unknown:
		return cannotTell(node, "tenantId is not known: "+why(node))
	case !ok:
		return cannotTell(node, "tenantId is not set")
	case literal && home != "" && vault != home:
		return fail(node, fmt.Sprintf("tenantId is %s, the subscription belongs to %s: tokens of the other tenant are accepted and those of your own refused.", vault, home))
	case unread != nil:
		return cannotTell(unread, "the access policies are not known: "+why(unread))
	}
	for _, entry := range entries {
		if id, lit, ok := identifier(entry.Get("tenantId")); !ok || id != vault && (!lit || !literal) {
			n := entry.Get("tenantId")
			return cannotTell(n, "the tenant of an access policy cannot be compared with the vault's")
		}
	}
	switch {
	case homeExpressions[vault]:
		return pass(node, "tenantId is that of the subscription")
	case !literal:
		return cannotTell(node, "tenantId is not known: "+why(node))
	case home == "":
		return cannotTell(node, "tenantId is "+vault+"; which tenant the subscription belongs to is not known (--tenant says it, or the output of az account show)")
	}
	return pass(node, "tenantId is that of the subscription")
}

// foreignPolicy looks for a policy of another tenant than the vault's.
func foreignPolicy(entries []*iac.Node, vault string, literal bool) (answer, bool) {
	for _, entry := range entries {
		n := entry.Get("tenantId")
		id, lit, ok := identifier(n)
		if ok && lit && literal && id != vault {
			return fail(n, fmt.Sprintf("an access policy is of tenant %s, the vault of %s: the service refuses such an entry, "+
				"until somebody changes the vault's tenantId; then it lets that tenant in.", id, vault)), true
		}
	}
	return answer{}, false
}

// why is the reason of an Unknown value, or what is wrong with another.
func why(n *iac.Node) string {
	if n.Kind == iac.Unknown {
		return n.Why
	}
	return "it is not a list"
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
