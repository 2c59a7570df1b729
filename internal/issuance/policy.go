package issuance

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"postern/internal/ordered"
)

// Policy is how a certificate is made and kept (spec: CertificatePolicy). Its
// id is the wire's affair. What was not said is nil or ""; Complete fills it
// in. Properties that are not known here survive at every level.
type Policy struct {
	Key        KeyProperties
	Secret     SecretProperties
	X509       X509Properties
	Actions    []LifetimeAction
	Issuer     IssuerParameters
	Attributes PolicyAttributes

	rest map[string]json.RawMessage
}

// KeyProperties say which key pair a certificate has (spec: KeyProperties).
type KeyProperties struct {
	Exportable *bool  `json:"exportable,omitzero"`
	Type       string `json:"kty,omitzero"`
	Size       int    `json:"key_size,omitzero"`
	Reuse      *bool  `json:"reuse_key,omitzero"`
	Curve      string `json:"crv,omitzero"`

	rest map[string]json.RawMessage
}

// SecretProperties say in which form the secret holds the certificate (spec:
// SecretProperties).
type SecretProperties struct {
	ContentType string `json:"contentType,omitzero"`

	rest map[string]json.RawMessage
}

// X509Properties say what stands in a certificate (spec:
// X509CertificateProperties). BasicConstraints are not in the specification
// but in every recorded answer.
type X509Properties struct {
	Subject          string                   `json:"subject,omitzero"`
	Names            *SubjectAlternativeNames `json:"sans,omitzero"`
	ExtendedUsages   []string                 `json:"ekus,omitzero"`
	Usages           []string                 `json:"key_usage,omitzero"`
	Months           *int                     `json:"validity_months,omitzero"`
	BasicConstraints *BasicConstraints        `json:"basic_constraints,omitzero"`

	rest map[string]json.RawMessage
}

// SubjectAlternativeNames are the further names of a certificate's subject
// (spec: SubjectAlternativeNames).
type SubjectAlternativeNames struct {
	Emails      []string `json:"emails,omitzero"`
	DNSNames    []string `json:"dns_names,omitzero"`
	UPNs        []string `json:"upns,omitzero"`
	URIs        []string `json:"uris,omitzero"`
	IPAddresses []string `json:"ipAddresses,omitzero"`
}

// count is how many names there are.
func (n *SubjectAlternativeNames) count() int {
	if n == nil {
		return 0
	}
	return len(n.Emails) + len(n.DNSNames) + len(n.UPNs) + len(n.URIs) + len(n.IPAddresses)
}

// BasicConstraints say whether a certificate is an authority's.
type BasicConstraints struct {
	CA         bool `json:"ca"`
	PathLength *int `json:"path_len_constraint,omitzero"`
}

// LifetimeAction is something to do at a point in a certificate's life (spec:
// LifetimeAction).
type LifetimeAction struct {
	Trigger Trigger `json:"trigger"`
	Action  Action  `json:"action"`
}

// Trigger is when: one of the two (spec: Trigger).
type Trigger struct {
	Percentage *int `json:"lifetime_percentage,omitzero"`
	DaysBefore *int `json:"days_before_expiry,omitzero"`
}

// Action is what: AutoRenew or EmailContacts (spec: Action).
type Action struct {
	Type string `json:"action_type"`
}

// IssuerParameters say who signs (spec: IssuerParameters). Self and Unknown
// are reserved names; any other is that of an issuer of the vault.
type IssuerParameters struct {
	Name         string `json:"name,omitzero"`
	Type         string `json:"cty,omitzero"`
	Transparency *bool  `json:"cert_transparency,omitzero"`

	rest map[string]json.RawMessage
}

// PolicyAttributes are those of the policy itself. What a client says of the
// dates in them is not kept: the service does not answer with it either.
type PolicyAttributes struct {
	Enabled *bool `json:"enabled,omitzero"`
	Created int64 `json:"created,omitzero"`
	Updated int64 `json:"updated,omitzero"`
}

// The names of the groups, in the order in which the service writes them.
const (
	nameKey        = "key_props"
	nameSecret     = "secret_props"
	nameX509       = "x509_props"
	nameActions    = "lifetime_actions"
	nameIssuer     = "issuer"
	nameAttributes = "attributes"
)

// groups is a policy's outermost level.
type groups struct {
	Key        json.RawMessage `json:"key_props,omitzero"`
	Secret     json.RawMessage `json:"secret_props,omitzero"`
	X509       json.RawMessage `json:"x509_props,omitzero"`
	Actions    json.RawMessage `json:"lifetime_actions,omitzero"`
	Issuer     json.RawMessage `json:"issuer,omitzero"`
	Attributes json.RawMessage `json:"attributes,omitzero"`
}

// ParsePolicy reads a policy: a client's or a kept one. It answers for its
// shape and its size; what the values mean is checked where a client's policy
// is taken over, by Complete and Patched.
func ParsePolicy(data []byte) (*Policy, error) {
	if len(data) > maxPolicy {
		return nil, invalid("policy", "has %d bytes, more than %d", len(data), maxPolicy)
	}
	switch _, err := ordered.Parse(data, maxDepth); {
	case errors.Is(err, ordered.ErrDuplicate):
		return nil, invalid("policy", "names a property twice")
	case errors.Is(err, ordered.ErrDepth):
		return nil, invalid("policy", "is nested too deeply")
	case err != nil:
		return nil, invalid("policy", "is not a JSON document")
	}
	p := new(Policy)
	var top groups
	var err error
	if p.rest, err = decode(data, "policy", &top); err != nil {
		return nil, err
	}
	deleteName(p.rest, "id")
	var ignored map[string]json.RawMessage
	for _, g := range []struct {
		name string
		data json.RawMessage
		to   any
		rest *map[string]json.RawMessage
	}{
		{nameKey, top.Key, &p.Key, &p.Key.rest}, {nameSecret, top.Secret, &p.Secret, &p.Secret.rest},
		{nameX509, top.X509, &p.X509, &p.X509.rest}, {nameIssuer, top.Issuer, &p.Issuer, &p.Issuer.rest},
		{nameAttributes, top.Attributes, &p.Attributes, &ignored},
	} {
		if *g.rest, err = decode(g.data, "policy."+g.name, g.to); err != nil {
			return nil, err
		}
	}
	if err := unmarshal(top.Actions, "policy."+nameActions, &p.Actions); err != nil {
		return nil, err
	}
	return p, p.counts()
}

// Drop takes a property out that is not known here.
func (p *Policy) Drop(name string) { deleteName(p.rest, name) }

// counts refuses lists that are too long to be looked at one by one.
func (p *Policy) counts() error {
	if n := p.X509.Names.count(); n > maxNames {
		return invalid("policy.x509_props.sans", "has %d names, more than %d", n, maxNames)
	}
	if n := len(p.X509.ExtendedUsages); n > maxUsages {
		return invalid("policy.x509_props.ekus", "has %d entries, more than %d", n, maxUsages)
	}
	if n := len(p.X509.Usages); n > len(usages) {
		return invalid("policy.x509_props.key_usage", "has %d entries, more than %d", n, len(usages))
	}
	if n := len(p.Actions); n > maxActions {
		return invalid("policy.lifetime_actions", "has %d entries, more than %d", n, maxActions)
	}
	return nil
}

// JSON is the policy as it is kept and, but for its id, answered with: the
// service's order of properties, then those that are not known here.
func (p *Policy) JSON() ([]byte, error) {
	var top groups
	for _, g := range []struct {
		to   *json.RawMessage
		from any
		rest map[string]json.RawMessage
	}{
		{&top.Key, p.Key, p.Key.rest}, {&top.Secret, p.Secret, p.Secret.rest}, {&top.X509, p.X509, p.X509.rest},
		{&top.Issuer, p.Issuer, p.Issuer.rest}, {&top.Attributes, p.Attributes, nil},
	} {
		data, err := encode(g.from, g.rest)
		if err != nil {
			return nil, err
		}
		if string(data) != "{}" {
			*g.to = data
		}
	}
	if p.Actions != nil {
		data, err := marshal(p.Actions)
		if err != nil {
			return nil, err
		}
		top.Actions = data
	}
	return encode(top, p.rest)
}

// decode reads an object into a struct and returns the members that the
// struct does not have. Nothing and null are an empty object.
func decode(data []byte, path string, to any) (map[string]json.RawMessage, error) {
	if len(data) == 0 || string(data) == "null" {
		return nil, nil
	}
	var rest map[string]json.RawMessage
	if err := json.Unmarshal(data, &rest); err != nil {
		return nil, invalid(path, "is not an object")
	}
	if err := unmarshal(data, path, to); err != nil {
		return nil, err
	}
	for _, name := range memberNames(to) {
		deleteName(rest, name)
	}
	return rest, nil
}

// unmarshal reads a value, and names the property that is of a wrong kind.
func unmarshal(data []byte, path string, to any) error {
	if len(data) == 0 {
		return nil
	}
	err := json.Unmarshal(data, to)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return invalid(path+"."+kind.Field, "cannot be a %s", kind.Value)
	case err != nil:
		return invalid(path, "has a value of a wrong kind")
	}
	return nil
}

// deleteName takes a member out, whatever its letter case: the struct has
// read it.
func deleteName(members map[string]json.RawMessage, name string) {
	maps.DeleteFunc(members, func(k string, _ json.RawMessage) bool { return strings.EqualFold(k, name) })
}

// memberNames are the names under which a struct is written.
func memberNames(v any) []string {
	switch v.(type) {
	case *groups:
		return []string{nameKey, nameSecret, nameX509, nameActions, nameIssuer, nameAttributes}
	case *KeyProperties:
		return []string{"exportable", "kty", "key_size", "reuse_key", "crv"}
	case *SecretProperties:
		return []string{"contentType"}
	case *X509Properties:
		return []string{"subject", "sans", "ekus", "key_usage", "validity_months", "basic_constraints"}
	case *IssuerParameters:
		return []string{"name", "cty", "cert_transparency"}
	}
	return nil
}

// encode writes a struct and, behind its members, the others by their names.
func encode(v any, rest map[string]json.RawMessage) ([]byte, error) {
	out, err := marshal(v)
	if err != nil || len(rest) == 0 {
		return out, err
	}
	out = out[:len(out)-1]
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		key, err := marshal(name)
		if err != nil {
			return nil, err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, key...), ':'), rest[name]...)
	}
	return append(out, '}'), nil
}

// marshal is compact JSON with <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}
