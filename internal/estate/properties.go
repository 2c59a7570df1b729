package estate

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"postern/access"
	"postern/internal/region"
	"postern/internal/trusted"
)

// Properties is the typed view of a vault's properties (spec:
// VaultProperties). A nil pointer is a property that is absent or null.
type Properties struct {
	TenantID string `json:"tenantId"`
	SKU      struct {
		Family string `json:"family"`
		Name   string `json:"name"`
	} `json:"sku"`
	AccessPolicies               []AccessPolicy      `json:"accessPolicies"`
	EnabledForDeployment         *bool               `json:"enabledForDeployment"`
	EnabledForDiskEncryption     *bool               `json:"enabledForDiskEncryption"`
	EnabledForTemplateDeployment *bool               `json:"enabledForTemplateDeployment"`
	EnableSoftDelete             *bool               `json:"enableSoftDelete"`
	SoftDeleteRetentionInDays    *int                `json:"softDeleteRetentionInDays"`
	EnableRBACAuthorization      *bool               `json:"enableRbacAuthorization"`
	EnablePurgeProtection        *bool               `json:"enablePurgeProtection"`
	NetworkACLs                  *NetworkACLs        `json:"networkAcls"`
	PublicNetworkAccess          *string             `json:"publicNetworkAccess"`
	PrivateEndpointConnections   []PrivateConnection `json:"privateEndpointConnections"`
}

// AccessPolicy is one entry of accessPolicies (spec: AccessPolicyEntry).
type AccessPolicy struct {
	TenantID      string `json:"tenantId"`
	ObjectID      string `json:"objectId"`
	ApplicationID string `json:"applicationId,omitempty"`
	Permissions   struct {
		Keys         []string `json:"keys,omitempty"`
		Secrets      []string `json:"secrets,omitempty"`
		Certificates []string `json:"certificates,omitempty"`
		Storage      []string `json:"storage,omitempty"`
	} `json:"permissions"`
}

// NetworkACLs is the firewall (spec: NetworkRuleSet).
type NetworkACLs struct {
	Bypass        *string `json:"bypass"`
	DefaultAction *string `json:"defaultAction"`
	IPRules       []struct {
		Value string `json:"value"`
	} `json:"ipRules"`
	VirtualNetworkRules []struct {
		ID                               string `json:"id"`
		IgnoreMissingVnetServiceEndpoint bool   `json:"ignoreMissingVnetServiceEndpoint,omitempty"`
	} `json:"virtualNetworkRules"`
}

// PrivateConnection is one entry of privateEndpointConnections.
type PrivateConnection struct {
	ID         string `json:"id"`
	Properties struct {
		PrivateEndpoint struct {
			ID string `json:"id"`
		} `json:"privateEndpoint"`
		// Link is the number by which a balancer names the connection; the
		// service writes it as text.
		Link  linkNumber `json:"linkIdentifier"`
		State struct {
			Status string `json:"status"`
		} `json:"privateLinkServiceConnectionState"`
	} `json:"properties"`
}

// linkNumber is a number that may stand in quotes.
type linkNumber string

// UnmarshalJSON implements json.Unmarshaler.
func (l *linkNumber) UnmarshalJSON(text []byte) error {
	*l = linkNumber(strings.Trim(string(text), `"`))
	return nil
}

// RetentionDays is how long deleted objects are kept: 7 to 90, 90 unless
// set (spec).
func (p *Properties) RetentionDays() int {
	if p.SoftDeleteRetentionInDays == nil {
		return 90
	}
	return *p.SoftDeleteRetentionInDays
}

// Premium tells whether the vault can have keys of the types in hardware.
func (p *Properties) Premium() bool { return strings.EqualFold(p.SKU.Name, "premium") }

// PurgeProtected tells whether nothing can be purged before its time.
func (p *Properties) PurgeProtected() bool {
	return p.EnablePurgeProtection != nil && *p.EnablePurgeProtection
}

// reading collects the problems of one resource.
type reading struct {
	resource *Resource
	problems []Problem
}

func (r *reading) problem(path, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.resource, path, fmt.Sprintf(format, args...)})
}

// guid reads an identifier; the zero value, which matches nobody, when it
// is none.
func (r *reading) guid(path, text string) access.GUID {
	g, err := access.ParseGUID(text)
	if err != nil {
		r.problem(path, "%q is not a GUID", text)
	}
	return g
}

// word finds text among the words of a setting, letter case ignored;
// absent text is the default, anything else a problem and the strict value.
func word[T any](r *reading, path string, text *string, absent, strict T, words map[string]T) T {
	if text == nil {
		return absent
	}
	for w, value := range words {
		if strings.EqualFold(w, *text) {
			return value
		}
	}
	r.problem(path, "%q is not a value of this setting", *text)
	return strict
}

var (
	publicAccessWords = map[string]access.PublicAccess{"Enabled": access.PublicEnabled,
		"Disabled": access.PublicDisabled, "SecuredByPerimeter": access.PublicByPerimeter}
	defaultActionWords = map[string]access.Verdict{"Allow": access.Allow, "Deny": access.Deny}
	bypassWords        = map[string]bool{"AzureServices": true, "None": false}
	endpointWords      = map[string]access.EndpointState{"Pending": access.EndpointPending,
		"Approved": access.EndpointApproved, "Rejected": access.EndpointRejected, "Disconnected": access.EndpointDisconnected}
)

// newVault compiles a vault with the assignments that reach it and the
// perimeter it is under.
func (s *Snapshot) newVault(res *Resource) (*Vault, []Problem) {
	r := &reading{resource: res}
	v := &Vault{Resource: res, Subscription: strings.ToLower(res.Subscription()), Geography: geography(res.Location)}
	var document struct {
		Properties *Properties `json:"properties"`
	}
	document.Properties = &v.Properties
	if err := json.Unmarshal(res.Body, &document); err != nil {
		// Nothing of a document that cannot be read counts.
		r.problem("properties", "cannot be read: %v", err)
		v.Properties = Properties{}
		v.Rules = &access.Rules{ID: res.ID, Name: res.Name}
		v.Compiled = access.Compile(v.Rules)
		return v, r.problems
	}
	p := &v.Properties
	v.Tenant = strings.ToLower(p.TenantID)
	rules := &access.Rules{ID: res.ID, Name: res.Name, Tenant: r.guid("properties.tenantId", p.TenantID),
		Trusted: s.options.Trusted, Perimeter: s.perimeters[Key(res.ID)]}
	r.network(rules, p)
	rules.Enabled = p.enabled(s.options.Trusted)
	rules.Model = access.ModelPolicies
	if p.EnableRBACAuthorization != nil && *p.EnableRBACAuthorization {
		rules.Model = access.ModelRBAC
	}
	r.policies(rules, p)
	rules.Assignments, rules.DenyAssignments = reaching(s.assignments, s.scopes, Key(res.ID)), reaching(s.denies, s.denied, Key(res.ID))
	if v.Rules = rules; !s.options.Plain {
		v.Compiled = access.Compile(rules)
	}
	return v, r.problems
}

// enabled is the flags that are set, with the services of a list that they
// stand for.
func (p *Properties) enabled(list []access.TrustedService) []access.Enabled {
	var enabled []access.Enabled
	for i, flag := range []*bool{p.EnabledForDeployment, p.EnabledForDiskEncryption, p.EnabledForTemplateDeployment} {
		for _, s := range list {
			if f := trusted.Flags[i]; flag != nil && *flag && s.Name == f.Service {
				enabled = append(enabled, access.Enabled{Flag: f.Property, Service: s})
			}
		}
	}
	return enabled
}

// geography is that of a region; one that is not known is a geography of
// its own, the strictest reading.
func geography(location string) string {
	if g := region.Geography(location); g != "" {
		return g
	}
	return strings.ToLower(location)
}

// network reads publicNetworkAccess, networkAcls and the connections. What
// is absent has the service's defaults: Enabled, AzureServices, Allow.
func (r *reading) network(rules *access.Rules, p *Properties) {
	rules.PublicAccess = word(r, "properties.publicNetworkAccess", p.PublicNetworkAccess, access.PublicEnabled, access.PublicDisabled, publicAccessWords)
	rules.Bypass, rules.DefaultAction = true, access.Allow
	for i, c := range p.PrivateEndpointConnections {
		path := fmt.Sprintf("properties.privateEndpointConnections[%d].properties.privateLinkServiceConnectionState.status", i)
		state := word(r, path, &c.Properties.State.Status, access.EndpointPending, access.EndpointPending, endpointWords)
		rules.Connections = append(rules.Connections, access.Connection{ID: Key(c.ID), State: state})
	}
	acls := p.NetworkACLs
	if acls == nil {
		return
	}
	rules.Bypass = word(r, "properties.networkAcls.bypass", acls.Bypass, true, false, bypassWords)
	rules.DefaultAction = word(r, "properties.networkAcls.defaultAction", acls.DefaultAction, access.Allow, access.Deny, defaultActionWords)
	for i, rule := range acls.IPRules {
		prefix, err := ParseIPRule(rule.Value)
		if err != nil {
			r.problem(fmt.Sprintf("properties.networkAcls.ipRules[%d].value", i), "%q is not an address or a range", rule.Value)
		}
		// A rule that cannot be read keeps its place and matches nothing.
		rules.IPRules = append(rules.IPRules, access.IPRule{Prefix: prefix})
	}
	for _, rule := range acls.VirtualNetworkRules {
		rules.SubnetRules = append(rules.SubnetRules, access.SubnetRule{Subnet: Key(rule.ID)})
	}
}

// ParseIPRule reads the value of an IP rule: an address, or a range in CIDR
// form.
func ParseIPRule(value string) (netip.Prefix, error) {
	if !strings.Contains(value, "/") {
		a, err := netip.ParseAddr(value)
		if err != nil {
			return netip.Prefix{}, err
		}
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(value)
	if err != nil {
		return netip.Prefix{}, err
	}
	return p.Masked(), nil
}

// policies reads accessPolicies.
func (r *reading) policies(rules *access.Rules, p *Properties) {
	for i, entry := range p.AccessPolicies {
		path := fmt.Sprintf("properties.accessPolicies[%d].", i)
		policy := access.Policy{Tenant: r.guid(path+"tenantId", entry.TenantID), Object: r.guid(path+"objectId", entry.ObjectID),
			Keys: entry.Permissions.Keys, Secrets: entry.Permissions.Secrets, Certificates: entry.Permissions.Certificates}
		if entry.ApplicationID != "" {
			policy.Application = r.guid(path+"applicationId", entry.ApplicationID)
			if policy.Application.IsZero() {
				// An application that cannot be read must not widen the entry.
				policy.Object = access.GUID{}
			}
		}
		rules.Policies = append(rules.Policies, policy)
	}
}

// reaching keeps the assignments whose scope, given as a Key, is the vault,
// above it or below it, in their order. The scopes are sorted, so that those
// are looked up and the others not looked at.
func reaching[T any](all []T, scopes []string, vault string) []T {
	var list []T
	take := func(from string, holds func(scope string) bool) {
		for i := sort.SearchStrings(scopes, from); i < len(scopes) && holds(scopes[i]); i++ {
			list = append(list, all[i])
		}
	}
	for i := range len(vault) {
		if vault[i] == '/' {
			take(vault[:i], func(scope string) bool { return scope == vault[:i] })
		}
	}
	take(vault, func(scope string) bool { return scope == vault })
	take(vault+"/", func(scope string) bool { return beneath(scope, vault) })
	return list
}

// assignment reads a role assignment (spec: RoleAssignment). One that
// cannot be read grants nothing.
func (s *Snapshot) assignment(res *Resource) ([]access.Assignment, []Problem) {
	r := &reading{resource: res}
	var document struct {
		Properties struct {
			RoleDefinitionID string  `json:"roleDefinitionId"`
			PrincipalID      string  `json:"principalId"`
			Scope            string  `json:"scope"`
			Condition        *string `json:"condition"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(res.Body, &document); err != nil {
		r.problem("properties", "cannot be read: %v", err)
		return []access.Assignment{{ID: res.Name}}, r.problems
	}
	p := document.Properties
	a := access.Assignment{ID: res.Name, Principal: r.guid("properties.principalId", p.PrincipalID), Scope: p.Scope}
	if a.Scope == "" || tenantOf(Key(res.ID)) != "" {
		// What a tenant calls "/" is its own root.
		a.Scope = scopeIn(res.ID, TypeRoleAssignment)
	}
	if len(a.Scope) > 1 {
		a.Scope = strings.TrimRight(a.Scope, "/")
	}
	text := ""
	if p.Condition != nil && *p.Condition != "" {
		text = *p.Condition
		condition, err := access.ParseCondition(text)
		if err != nil {
			r.problem("properties.condition", "%v: the assignment grants nothing", err)
		}
		a.Condition, a.Conditional = condition, err != nil
	}
	role := p.RoleDefinitionID[strings.LastIndexByte(p.RoleDefinitionID, '/')+1:]
	if a.Role = s.role(role, a.Scope); a.Role == nil {
		r.problem("properties.roleDefinitionId", "the role definition %q is not known: the assignment grants nothing", role)
	}
	list := []access.Assignment{a}
	if more, ok := conditioned(a, role, text); ok {
		list = append(list, more)
	}
	return list, r.problems
}
