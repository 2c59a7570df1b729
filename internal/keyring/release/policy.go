// Package release is what a vault needs to hand out a key: the policy that
// says to which environments (Policy), and the envelope that only the
// attested environment can open (Wrap).
//
// It decides nothing about tokens. Whoever calls it has verified the
// attestation token, knows its issuer, and passes its claims.
package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Limits of a policy. The service's are not published; these are generous
// against every policy in its documentation.
const (
	maxPolicy     = 32 << 10
	maxDepth      = 8
	maxConditions = 512
)

// Policy is a release policy (Azure documentation: secure key release policy
// grammar, version 1.0.0). The zero Policy allows nothing.
type Policy struct {
	all         bool
	authorities []authority
}

// authority is an issuer of attestation tokens and what its tokens must say.
type authority struct {
	issuer string
	must   condition
}

// condition is either a claim that must have a value, or several conditions
// of which any or all must hold.
type condition struct {
	claim []string // the way to the claim, object by object
	value string   // as text says it

	all  bool
	list []condition
}

// Invalid says where a policy is wrong.
type Invalid struct {
	// Path is the place, such as anyOf[0].allOf[1].equals; "" for the whole.
	Path string
	// Reason is what is wrong there.
	Reason string
}

// Error is the place and the reason.
func (e *Invalid) Error() string {
	if e.Path == "" {
		return "release: the policy " + e.Reason
	}
	return "release: " + e.Path + " " + e.Reason
}

// ParsePolicy reads a policy. What it does not know it refuses: a condition
// that is not understood must not be a condition that holds.
func ParsePolicy(data []byte) (*Policy, error) {
	if len(data) > maxPolicy {
		return nil, &Invalid{"", fmt.Sprintf("is longer than %d bytes", maxPolicy)}
	}
	p := &parser{decoder: json.NewDecoder(bytes.NewReader(data))}
	p.decoder.UseNumber()
	policy := new(Policy)
	err := p.object("", func(path, name string) error {
		switch name {
		case "version":
			return p.version(path)
		case "anyof", "allof":
			if policy.authorities != nil {
				return &Invalid{path, "stands beside another list; a policy has one"}
			}
			policy.all = name == "allof"
			return p.list(path, func(path string) error { return p.authority(path, policy) })
		}
		return &Invalid{path, "is not known"}
	})
	if err != nil {
		return nil, err
	}
	if policy.authorities == nil {
		return nil, &Invalid{"", "names no authority: anyOf is missing"}
	}
	if _, err := p.decoder.Token(); err != io.EOF {
		return nil, &Invalid{"", "has something behind its end"}
	}
	return policy, nil
}

// Authorities is the issuers that the policy names, each once, in its order.
func (p *Policy) Authorities() []string {
	var list []string
	for _, a := range p.authorities {
		if !slices.Contains(list, a.issuer) {
			list = append(list, a.issuer)
		}
	}
	return list
}

// Allows reports whether the policy allows release to an environment of which
// authority, the verified issuer of the token, says claims. An issuer is the
// same one with a slash at its end. There is one token, so a policy that wants
// all of several authorities allows nothing unless they are the same one.
func (p *Policy) Allows(authority string, claims map[string]any) bool {
	for _, a := range p.authorities {
		holds := sameIssuer(a.issuer, authority) && a.must.holds(claims)
		if holds != p.all {
			return holds
		}
	}
	return p.all && len(p.authorities) > 0
}

func sameIssuer(a, b string) bool {
	return a != "" && strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}

func (c *condition) holds(claims map[string]any) bool {
	if c.claim != nil {
		value, ok := find(claims, c.claim)
		return ok && value == c.value
	}
	for i := range c.list {
		if c.list[i].holds(claims) != c.all {
			return !c.all
		}
	}
	return c.all && len(c.list) > 0
}

// find follows the way to a claim. Lists are not walked into, and objects and
// null are not values.
func find(claims map[string]any, way []string) (string, bool) {
	for _, name := range way[:len(way)-1] {
		next, ok := claims[name].(map[string]any)
		if !ok {
			return "", false
		}
		claims = next
	}
	return text(claims[way[len(way)-1]])
}

// text is a value as text says it, so that true and "true" are the same: the
// policies of the documentation write "false" for claims that are false.
func text(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// parser reads a policy token by token, so that a property that comes twice
// is seen.
type parser struct {
	decoder    *json.Decoder
	conditions int
	depth      int
}

// version accepts the one there is. The documentation's shorter examples have
// none.
func (p *parser) version(path string) error {
	if token, err := p.decoder.Token(); err != nil || token != "1.0.0" {
		return &Invalid{path, `is not "1.0.0"`}
	}
	return nil
}

// authority reads {"authority": issuer, "anyOf" or "allOf": conditions}.
func (p *parser) authority(path string, policy *Policy) error {
	var a authority
	err := p.object(path, func(path, name string) error {
		if name != "authority" {
			return p.junction(path, name, &a.must)
		}
		issuer, ok := p.string()
		if !ok || strings.TrimSuffix(issuer, "/") == "" {
			return &Invalid{path, "is not the name of an issuer"}
		}
		a.issuer = issuer
		return nil
	})
	switch {
	case err != nil:
		return err
	case a.issuer == "":
		return &Invalid{path, "has no authority"}
	case a.must.list == nil:
		return &Invalid{path, "has neither anyOf nor allOf"}
	}
	policy.authorities = append(policy.authorities, a)
	return nil
}

// junction reads the conditions of which any or all must hold.
func (p *parser) junction(path, name string, c *condition) error {
	if name != "anyof" && name != "allof" {
		return &Invalid{path, "is not known"}
	}
	if c.list != nil {
		return &Invalid{path, "stands beside another list; anyOf and allOf do not go together"}
	}
	c.all = name == "allof"
	return p.list(path, func(path string) error {
		next, err := p.condition(path)
		c.list = append(c.list, next)
		return err
	})
}

// condition reads {"claim": name, "equals": value}, or a junction. equals is
// the only operator (documentation: Claim condition), though the grammar
// above it lists others.
func (p *parser) condition(path string) (c condition, err error) {
	if p.conditions++; p.conditions > maxConditions {
		return c, &Invalid{path, fmt.Sprintf("is one of more than %d conditions", maxConditions)}
	}
	compared := false
	err = p.object(path, func(path, name string) error {
		switch name {
		case "claim":
			claim, ok := p.string()
			if c.claim = strings.Split(claim, "."); !ok || slices.Contains(c.claim, "") {
				return &Invalid{path, "is not the name of a claim"}
			}
			return nil
		case "equals":
			token, err := p.decoder.Token()
			if err != nil {
				return &Invalid{path, "is not JSON"}
			}
			if c.value, compared = text(token); !compared {
				return &Invalid{path, "is not a string, a number, true or false"}
			}
			return nil
		case "notequals", "less", "lessorequals", "greater", "greaterorequals", "exists":
			return &Invalid{path, "is not supported: equals is the only operator"}
		}
		return p.junction(path, name, &c)
	})
	switch {
	case err != nil:
		return c, err
	case (c.claim != nil) != compared:
		return c, &Invalid{path, "has claim and equals together or not at all"}
	case (c.claim != nil) == (c.list != nil):
		return c, &Invalid{path, "is not one of a claim, anyOf and allOf"}
	}
	return c, nil
}

// object reads an object and calls each for its properties, whose names are
// matched without regard to case.
func (p *parser) object(path string, each func(path, name string) error) error {
	if err := p.enter(path, '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.decoder.More() {
		token, err := p.decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return &Invalid{path, "is not JSON"}
		}
		here := strings.TrimPrefix(path+"."+clip(name), ".")
		if name = strings.ToLower(name); seen[name] {
			return &Invalid{here, "is there twice"}
		}
		seen[name] = true
		if err := each(here, name); err != nil {
			return err
		}
	}
	return p.leave(path)
}

// list reads an array that has at least one element.
func (p *parser) list(path string, each func(path string) error) error {
	if err := p.enter(path, '['); err != nil {
		return err
	}
	n := 0
	for ; p.decoder.More(); n++ {
		if err := each(fmt.Sprintf("%s[%d]", path, n)); err != nil {
			return err
		}
	}
	if err := p.leave(path); err != nil {
		return err
	}
	if n == 0 {
		return &Invalid{path, "is empty"}
	}
	return nil
}

func (p *parser) enter(path string, open json.Delim) error {
	if token, err := p.decoder.Token(); err != nil || token != open {
		return &Invalid{path, map[json.Delim]string{'{': "is not an object", '[': "is not a list"}[open]}
	}
	if p.depth++; p.depth > 2*maxDepth { // an object and a list for each
		return &Invalid{path, fmt.Sprintf("is nested more than %d deep", maxDepth)}
	}
	return nil
}

func (p *parser) leave(path string) error {
	p.depth--
	if _, err := p.decoder.Token(); err != nil {
		return &Invalid{path, "is not JSON"}
	}
	return nil
}

func (p *parser) string() (string, bool) {
	token, err := p.decoder.Token()
	s, ok := token.(string)
	return s, ok && err == nil
}

// clip keeps a name short enough for a message.
func clip(name string) string {
	if len(name) > 40 {
		return name[:40] + "…"
	}
	return name
}
