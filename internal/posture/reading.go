package posture

import (
	"fmt"
	"strings"

	"postern/internal/iac"
)

// subject is a vault under question, among everything that was read.
type subject struct {
	*iac.Resource
	all    []*iac.Resource
	tenant string
}

// reading is one setting of a vault: what it is, or why that is not known.
type reading struct {
	node *iac.Node
	// value is one of the words that the service knows; "" when unknown.
	value string
	// why is set when value is not.
	why string
	// byDefault is true when the document says nothing.
	byDefault bool
}

func (r reading) known() bool          { return r.value != "" }
func (r reading) is(value string) bool { return r.value == value }

// doubt is the sentence of a cannot-tell.
func (r reading) doubt(name string) string { return name + " is not known: " + r.why }

// stated says how the value came to be.
func (r reading) stated(name string) string {
	if r.byDefault {
		return name + " is not set, which means " + r.value
	}
	return name + " is " + r.value
}

// word reads a setting that is one of the words; letter case is the
// service's business. Nothing set means def; an empty def that it is unknown.
func word(n *iac.Node, def string, words ...string) reading {
	switch {
	case n.None():
		return reading{node: n, value: def, byDefault: true}
	case n.Kind == iac.Unknown:
		return reading{node: n, why: n.Why}
	case n.Kind == iac.String || n.Kind == iac.Bool:
		for _, w := range words {
			if iac.SameFold(n.Text, w) {
				return reading{node: n, value: w}
			}
		}
		return reading{node: n, why: fmt.Sprintf("%q is none of %s", n.Text, strings.Join(words, ", "))}
	}
	return reading{node: n, why: "it is not a word but another kind of value"}
}

const (
	enabled, disabled, byPerimeter = "Enabled", "Disabled", "SecuredByPerimeter"
	allow, deny                    = "Allow", "Deny"
	azureServices, none            = "AzureServices", "None"
	yes, no                        = "true", "false"
)

func (s *subject) publicAccess() reading {
	return word(s.Property("publicNetworkAccess"), enabled, enabled, disabled, byPerimeter)
}

func (s *subject) defaultAction() reading {
	return word(s.Property("networkAcls", "defaultAction"), allow, allow, deny)
}

func (s *subject) bypass() reading {
	return word(s.Property("networkAcls", "bypass"), azureServices, azureServices, none)
}

// ruleCount is how many address and subnet rules there are; the node is the
// list that could not be read when ok is false.
func (s *subject) ruleCount() (count int, unread *iac.Node) {
	for _, list := range []string{"ipRules", "virtualNetworkRules"} {
		n := s.Property("networkAcls", list)
		switch {
		case n.Kind == iac.Array:
			count += len(n.Items)
		case !n.None():
			unread = n
		}
	}
	return count, unread
}

// rbacSince is the first api-version that creates vaults with RBAC.
const rbacSince = "2026-02-01"

// rbac is enableRbacAuthorization.
func (s *subject) rbac() reading {
	n := s.Property("enableRbacAuthorization")
	if n.None() && s.Form == iac.Declared && (s.APIVersion == "" || s.APIVersion >= rbacSince) {
		return reading{node: n, why: "it is not set; from api-version " + rbacSince + " on that means true for a new vault and no change for one that exists"}
	}
	return word(n, no, yes, no)
}

func (s *subject) purgeProtection() reading {
	return word(s.Property("enablePurgeProtection"), no, yes, no)
}

// reachable says whether anything on the public endpoint can be admitted
// without being a trusted service; sure is false when that cannot be told.
func (s *subject) reachable() (reaches, sure bool) {
	public, action := s.publicAccess(), s.defaultAction()
	count, unread := s.ruleCount()
	switch {
	case public.is(disabled):
		return false, true
	case action.is(deny) && count == 0 && unread == nil && public.is(enabled):
		return false, true
	case public.is(enabled) && (action.is(allow) || action.is(deny) && count > 0):
		return true, true
	}
	return true, false
}

// identifier is what a value names: a literal in lower case, or the
// expression, which names the same wherever it stands. ok is false for what
// names nothing that could be compared.
func identifier(n *iac.Node) (id string, literal, ok bool) {
	switch {
	case n.Kind == iac.String && n.Text != "":
		return strings.ToLower(n.Text), true, true
	case n.Kind == iac.Unknown && strings.HasPrefix(n.Text, "["):
		return strings.ToLower(strings.ReplaceAll(n.Text, " ", "")), false, true
	}
	return "", false, false
}

// homeExpressions are the expressions that name the tenant of the
// subscription that is deployed to.
var homeExpressions = map[string]bool{"[subscription().tenantid]": true, "[tenant().tenantid]": true}

// home is the tenant of the vault's subscription; "" when not known.
func (s *subject) home() string {
	if s.tenant != "" {
		return s.tenant
	}
	for _, r := range s.all {
		if r.Type != iac.TypeSubscription || s.ID == "" || !isBelow(s.ID, r.ID) {
			continue
		}
		for _, n := range []*iac.Node{r.Body.Get("tenantId"), r.Body.Get("properties", "tenantId")} {
			if id, literal, ok := identifier(n); ok && literal {
				return id
			}
		}
	}
	return ""
}

// isBelow reports whether an id is that of scope or below it.
func isBelow(id, scope string) bool {
	id, scope = strings.ToLower(id), strings.TrimSuffix(strings.ToLower(scope), "/")
	return id == scope || strings.HasPrefix(id, scope+"/")
}

// policies are the access policies of the vault: its own, and those that
// resources of their own add to it. unread is a list that was not readable.
func (s *subject) policies() (entries []*iac.Node, unread *iac.Node) {
	lists := []*iac.Node{s.Property("accessPolicies")}
	for _, r := range s.all {
		if iac.SameFold(r.Type, iac.TypeVault+"/accessPolicies") && s.owns(r) {
			lists = append(lists, r.Property("accessPolicies"))
		}
	}
	for _, n := range lists {
		switch {
		case n.Kind == iac.Array:
			entries = append(entries, n.Items...)
		case !n.None():
			unread = n
		}
	}
	return entries, unread
}

// owns reports whether r, "vault/add", is a child of this vault.
func (s *subject) owns(r *iac.Resource) bool {
	vault, ok := strings.CutSuffix(r.Name.Text, "/"+lastSegment(r.Name.Text))
	return ok && r.Name.Kind == iac.String && s.Name.Kind == iac.String && iac.SameFold(vault, s.Name.Text)
}

func lastSegment(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
