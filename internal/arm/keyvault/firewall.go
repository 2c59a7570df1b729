package keyvault

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
	"postern/internal/profile"
)

// firewall checks properties.networkAcls and brings it into the form in
// which the service answers it (spec: NetworkRuleSet; texts: reference).
type firewall struct {
	profile *profile.Profile
	// allowed holds the keys of subnets that need no further check: those
	// the vault's rules name already. subnet checks that a new rule can be
	// made for a subnet; ignore says that it need not have the service
	// endpoint.
	allowed map[string]bool
	subnet  func(id string, ignore bool) error
}

const atACLs = "properties.networkAcls"

// invalidValue is the service's answer for a value it does not take.
func invalidValue(path, value string) error {
	return badRequest("Invalid value found at %s: %s", path, value)
}

func badRequest(format string, args ...any) error {
	return fault.New(http.StatusBadRequest, "BadRequest", format, args...)
}

// complete is the checked copy of acls with everything filled in; nil acls
// are the defaults: AzureServices, Allow, no rules.
func (f *firewall) complete(acls *ordered.Object) (*ordered.Object, error) {
	next := acls.Clone()
	if next == nil {
		next = &ordered.Object{}
	}
	if err := canonical(next, atACLs, "bypass", "AzureServices", "None"); err != nil {
		return nil, err
	}
	if err := canonical(next, atACLs, "defaultAction", "Allow", "Deny"); err != nil {
		return nil, err
	}
	addresses, err := rules(next, "ipRules", f.profile.MaxIPRules)
	if err != nil {
		return nil, err
	}
	if addresses, err = f.addresses(addresses); err != nil {
		return nil, err
	}
	next.Set("ipRules", addresses)
	subnets, err := rules(next, "virtualNetworkRules", f.profile.MaxSubnetRules)
	if err != nil {
		return nil, err
	}
	if subnets, err = f.subnets(subnets); err != nil {
		return nil, err
	}
	next.Set("virtualNetworkRules", subnets)
	return next, nil
}

// canonical brings a word into its spelling; the first one is the default.
func canonical(o *ordered.Object, path, name string, words ...string) error {
	v, ok := o.Get(name)
	if !ok || v == nil {
		o.Set(name, words[0])
		return nil
	}
	text, ok := v.(string)
	if !ok {
		return invalidValue(path+"."+name, describe(v))
	}
	for _, w := range words {
		if strings.EqualFold(w, text) {
			o.Set(name, w)
			return nil
		}
	}
	return invalidValue(path+"."+name, text)
}

// describe is a value for an error text, bounded.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if len(v) > 100 {
			return v[:100] + "…"
		}
		return v
	case *ordered.Object:
		return "an object"
	case []any:
		return "a list"
	}
	return fmt.Sprint(v)
}

// rules reads a list of rules: objects, at most limit of them.
func rules(acls *ordered.Object, name string, limit int) ([]any, error) {
	v, _ := acls.Get(name)
	if v == nil {
		return []any{}, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, invalidValue(atACLs+"."+name, describe(v))
	}
	if len(list) > limit {
		return nil, badRequest("The number of rules found at %s.%s is %d, which exceeds the limit of %d.", atACLs, name, len(list), limit)
	}
	for i := range list {
		if _, ok := list[i].(*ordered.Object); !ok {
			return nil, invalidValue(fmt.Sprintf("%s.%s[%d]", atACLs, name, i), describe(list[i]))
		}
	}
	return list, nil
}

// addresses checks the IP rules and writes them in CIDR form. A rule that
// says the same as an earlier one is dropped.
func (f *firewall) addresses(list []any) ([]any, error) {
	kept, seen := []any{}, map[netip.Prefix]bool{}
	for i := range list {
		rule := list[i].(*ordered.Object)
		path := fmt.Sprintf("%s.ipRules[%d].value", atACLs, i)
		v, _ := rule.Get("value")
		text, ok := v.(string)
		if !ok {
			return nil, invalidValue(path, describe(v))
		}
		prefix, err := f.address(path, text)
		if err != nil {
			return nil, err
		}
		if seen[prefix] {
			continue
		}
		seen[prefix] = true
		shown := prefix.String()
		if !f.profile.SmallRanges && prefix.IsSingleIP() {
			shown = prefix.Addr().String()
		}
		rule.Set("value", shown)
		kept = append(kept, rule)
	}
	return kept, nil
}

// forbidden are the ranges that no rule may lie in, with the ends as the
// service prints them.
var forbidden = []struct {
	prefix      netip.Prefix
	first, last string
}{
	{netip.MustParsePrefix("10.0.0.0/8"), "10.0.0.0", "10.255.255.255"},
	{netip.MustParsePrefix("172.16.0.0/12"), "172.16.0.0", "172.31.255.255"},
	{netip.MustParsePrefix("192.168.0.0/16"), "192.168.0.0", "192.168.255.255"},
}

// address reads one IP rule: an IPv4 address or range that is not private.
func (f *firewall) address(path, text string) (netip.Prefix, error) {
	if len(text) > len("255.255.255.255/32") {
		return netip.Prefix{}, invalidValue(path, describe(text))
	}
	prefix, err := estate.ParseIPRule(text)
	if err != nil || !prefix.Addr().Is4() {
		return netip.Prefix{}, invalidValue(path, text)
	}
	for _, r := range forbidden {
		if r.prefix.Bits() <= prefix.Bits() && r.prefix.Contains(prefix.Addr()) {
			return netip.Prefix{}, invalidValue(path, fmt.Sprintf("%s belongs to forbidden range %s–%s (private IP addresses)", text, r.first, r.last))
		}
	}
	if !f.profile.SmallRanges && strings.Contains(text, "/") && prefix.Bits() > 30 {
		return netip.Prefix{}, invalidValue(path, text+" is a small address range: prefix sizes /31 and /32 are not supported."+
			" Configure these ranges with individual IP address rules.")
	}
	return prefix, nil
}

// subnets checks the virtual network rules. Only the id is kept, in lower
// case; the flag to ignore a missing endpoint is of the request alone.
func (f *firewall) subnets(list []any) ([]any, error) {
	kept, seen := []any{}, map[string]bool{}
	for i := range list {
		rule := list[i].(*ordered.Object)
		path := fmt.Sprintf("%s.virtualNetworkRules[%d].", atACLs, i)
		v, _ := rule.Get("id")
		id, ok := v.(string)
		if !ok || !isSubnet(id) {
			return nil, invalidValue(path+"id", describe(v))
		}
		ignore, err := boolean(rule, path, "ignoreMissingVnetServiceEndpoint")
		if err != nil {
			return nil, err
		}
		key := estate.Key(id)
		if seen[key] {
			continue
		}
		seen[key] = true
		if !f.allowed[key] {
			if err := f.subnet(id, ignore != nil && *ignore); err != nil {
				return nil, err
			}
		}
		rule.Set("id", key)
		rule.Delete("ignoreMissingVnetServiceEndpoint")
		kept = append(kept, rule)
	}
	return kept, nil
}

// isSubnet holds for the ARM id of a subnet.
func isSubnet(id string) bool {
	const want = "/subscriptions/*/resourcegroups/*/providers/microsoft.network/virtualnetworks/*/subnets/*"
	if len(id) > 1024 {
		return false
	}
	pattern, parts := strings.Split(want, "/"), strings.Split(estate.Key(id), "/")
	if len(parts) != len(pattern) {
		return false
	}
	for i, p := range pattern {
		if p == "*" && !isName(parts[i]) || p != "*" && parts[i] != p {
			return false
		}
	}
	return true
}

// isName holds for one segment of an id: printable, and nothing that means
// something in a path.
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(`/\?#%<>"'`, c) >= 0 {
			return false
		}
	}
	return s != "" && s != "." && s != ".."
}

// boolean reads a flag; nil when it is absent or null.
func boolean(o *ordered.Object, path, name string) (*bool, error) {
	v, _ := o.Get(name)
	if v == nil {
		return nil, nil
	}
	b, ok := v.(bool)
	if !ok {
		return nil, invalidValue(path+name, describe(v))
	}
	return &b, nil
}
