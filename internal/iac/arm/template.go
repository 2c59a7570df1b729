package arm

import (
	"strings"

	"postern/internal/iac"
)

// The resource types that hold further templates or stand below others.
const (
	typeDeployment = "Microsoft.Resources/deployments"
	maxNesting     = 16
)

// template walks a deployment template. given are the parameters that an
// outer template hands over.
func (d *Document) template(n *iac.Node, given map[string]*iac.Node, nesting int) {
	s := &scope{declared: n.Get("parameters"), variables: n.Get("variables"), given: given, nesting: nesting, budget: &d.budget}
	d.resources(n.Get("resources"), s, "")
}

// isTemplate recognises a template that does not name its schema.
func isTemplate(n *iac.Node) bool {
	resources := n.Get("resources")
	if !n.Get("type").None() || resources.Kind != iac.Array && resources.Kind != iac.Object {
		return false
	}
	if n.Has("contentVersion") {
		return true
	}
	for _, item := range resources.Items {
		if item.Get("type").Kind == iac.String {
			return true
		}
	}
	return false
}

// resources walks a list of resources, or the object of a template with
// symbolic names.
func (d *Document) resources(n *iac.Node, s *scope, parent string) {
	switch n.Kind {
	case iac.Array:
		for _, item := range n.Items {
			d.declared(item, s, parent)
		}
	case iac.Object:
		for _, m := range n.Members {
			d.declared(m.Value, s, parent)
		}
	case iac.Unknown, iac.String:
		d.note(n.At, "the resources are an expression: they were not read")
	}
}

// declared is one resource of a template, with those nested in it.
func (d *Document) declared(n *iac.Node, s *scope, parent string) {
	if n.Kind != iac.Object {
		d.note(n.At, "not a resource: it was not read")
		return
	}
	if existing := n.Get("existing"); existing.Kind == iac.Bool && existing.Text == "true" {
		return // a reference to what another deployment owns
	}
	typ := s.resolve(n.Get("type"))
	if typ.Kind != iac.String {
		d.note(n.At, "the type of the resource cannot be told: it was not read")
		return
	}
	full := typ.Text
	if parent != "" && !strings.HasPrefix(strings.ToLower(full), "microsoft.") {
		full = parent + "/" + full
	}
	conditional, present := s.condition(n.Get("condition"))
	if !present {
		return
	}
	if iac.SameFold(full, typeDeployment) {
		d.nested(n, s)
		return
	}
	body := s.resolve(without(n, "resources"))
	r := &iac.Resource{Form: iac.Declared, Type: ofProvider(full), Name: body.Get("name"), Body: body, Conditional: conditional}
	r.APIVersion = body.Get("apiVersion").Text
	d.add(r)
	d.resources(n.Get("resources"), s, full)
}

// ofProvider finds the type of an extension resource in
// "Microsoft.KeyVault/vaults/providers/roleAssignments".
func ofProvider(typ string) string {
	if strings.HasSuffix(strings.ToLower(typ), "/providers/roleassignments") {
		return iac.TypeRoleAssignment
	}
	return spelling(typ)
}

// condition says whether a resource is deployed: for certain (""), perhaps
// (why), or not at all.
func (s *scope) condition(n *iac.Node) (why string, present bool) {
	switch v := s.resolve(n); {
	case v.None(), v.Kind == iac.Bool && v.Text == "true", v.Is("true"):
		return "", true
	case v.Kind == iac.Bool, v.Is("false"):
		return "", false
	default:
		return "it is deployed only under the condition " + v.Text, true
	}
}

// nested is a deployment inside a template. Its expressions belong to the
// outer template, unless it says that they are its own.
func (d *Document) nested(n *iac.Node, s *scope) {
	properties := n.Get("properties")
	template := properties.Get("template")
	switch {
	case s.nesting >= maxNesting:
		d.note(n.At, "templates nested too deeply: this one was not read")
	case template.Kind != iac.Object:
		d.note(n.At, "a linked template: it was not followed")
	case properties.Get("expressionEvaluationOptions", "scope").Is("inner"):
		given := map[string]*iac.Node{}
		for _, p := range properties.Get("parameters").Members {
			if value := p.Value.Get("value"); value.Kind != iac.Absent {
				given[strings.ToLower(p.Name)] = s.resolve(value)
			}
		}
		d.template(template, given, s.nesting+1)
	default:
		outer := *s
		outer.nesting++
		d.resources(template.Get("resources"), &outer, "")
	}
}

// without is an object less one member.
func without(n *iac.Node, name string) *iac.Node {
	out := &iac.Node{Kind: n.Kind, At: n.At}
	for _, m := range n.Members {
		if !iac.SameFold(m.Name, name) {
			out.Members = append(out.Members, m)
		}
	}
	return out
}
