// Package arm reads what Azure Resource Manager and az write: templates,
// exports, single resources, lists of them, and the parts of a vault that
// "az keyvault show --query" prints.
//
// Expressions of templates are followed only as far as nothing can change
// them before a deployment: literals, variables made of literals, and the
// parameters that a template hands to a nested one. Everything else becomes
// iac.Unknown.
package arm

import (
	"bytes"
	"strings"

	"postern/internal/iac"
)

// Document is what one file holds.
type Document struct {
	Resources []*iac.Resource
	// Notes are what a reader of the file should know besides: parts that
	// were not followed.
	Notes []Note

	budget int // see scope.budget
}

// Note is a remark about a place.
type Note struct {
	At   iac.Position
	Text string
}

// Read reads a document. name is shown in positions. A document of another
// kind has no resources; only one that is not JSON is an error.
func Read(name string, data []byte) (*Document, error) {
	return read(name, data, false)
}

// ReadAnswer reads the body of an answer of ARM. url is shown in positions.
func ReadAnswer(url string, data []byte) (*Document, error) {
	return read(url, data, true)
}

func read(name string, data []byte, unlined bool) (*Document, error) {
	root, nodes, err := decode(name, data, unlined)
	if err != nil {
		return nil, err
	}
	doc := &Document{budget: resolvedSpare + resolvedEach*nodes}
	doc.read(root)
	return doc, nil
}

// Mentions reports whether data speaks of key vaults at all, readable or not.
func Mentions(data []byte) bool {
	folded := bytes.ToLower(utf8Text(data))
	for _, word := range []string{"microsoft.keyvault", "networkacls", ".vault.azure.net"} {
		if bytes.Contains(folded, []byte(word)) {
			return true
		}
	}
	return false
}

func (d *Document) note(at iac.Position, text string) {
	d.Notes = append(d.Notes, Note{at, text})
}

// read recognises what a value is.
func (d *Document) read(n *iac.Node) {
	if n.Kind == iac.Array {
		for _, item := range n.Items {
			d.read(item)
		}
		return
	}
	if n.Kind != iac.Object {
		return
	}
	schema := n.Get("$schema").Text
	switch {
	case containsFold(schema, "deploymentParameters.json"):
		d.note(n.At, "a parameter file: it is read by nothing yet, parameters of a template stay unknown")
	case containsFold(schema, "deploymentTemplate.json"), isTemplate(n):
		d.template(n, nil, 0)
	case n.Get("type").Kind == iac.String:
		d.resource(n)
	case n.Get("value").Kind == iac.Array:
		d.list(n, "value")
	case n.Get("data").Kind == iac.Array:
		d.list(n, "data")
	default:
		d.untyped(n)
	}
}

// list is a page of an answer of ARM, or of Resource Graph.
func (d *Document) list(n *iac.Node, member string) {
	if !n.Get("nextLink").None() || !n.Get("skip_token").None() {
		d.note(n.At, "one page of a longer list: what is on the others was not read")
	}
	d.read(n.Get(member))
}

// resource is a resource as ARM and az show it, or one cut from a template.
func (d *Document) resource(n *iac.Node) {
	r := &iac.Resource{Type: spelling(n.Get("type").Text), Name: n.Get("name"), Body: n, Form: iac.Observed}
	r.APIVersion = n.Get("apiVersion").Text
	r.ID = n.Get("id").Text
	if r.ID == "" {
		// Only a template leaves out the id.
		d.declared(n, &scope{budget: &d.budget}, "")
		return
	}
	r.Group = segment(r.ID, "resourceGroups")
	switch {
	case (iac.SameFold(r.Type, iac.TypeRoleAssignment) || iac.SameFold(r.Type, typeRoleDefinition)) && n.Get("properties").None():
		r.Body = lifted(n)
	case ofNetwork(r.Type), iac.SameFold(r.Type, iac.TypeVault) && n.Get("properties").Kind == iac.Object:
		r.Body = raised(n)
	}
	d.add(r)
}

// typeRoleDefinition is a role definition.
const typeRoleDefinition = "Microsoft.Authorization/roleDefinitions"

// lifted puts the members of a flattened role assignment or definition, as az
// prints it, below properties again.
func lifted(n *iac.Node) *iac.Node {
	return &iac.Node{Kind: iac.Object, At: n.At, Members: append([]iac.Member{{Name: "properties", Value: n}}, n.Members...)}
}

// The members by which the parts of a vault are known.
var (
	aclNames      = []string{"bypass", "defaultAction", "ipRules", "virtualNetworkRules"}
	propertyNames = []string{"networkAcls", "accessPolicies", "vaultUri", "enableRbacAuthorization", "enablePurgeProtection",
		"enableSoftDelete", "publicNetworkAccess", "privateEndpointConnections"}
)

// untyped is an object without a type: a subscription, or a part of a vault.
func (d *Document) untyped(n *iac.Node) {
	properties := n.Get("properties")
	switch {
	case n.Get("tenantId").Kind == iac.String && (n.Has("isDefault", "environmentName", "subscriptionId") || strings.HasPrefix(n.Get("id").Text, "/subscriptions/")) && !n.Has(propertyNames...):
		d.subscription(n)
	case properties.Has(propertyNames...):
		form := iac.Fragment
		if properties.Has("vaultUri") && properties.Has("tenantId") {
			form = iac.Observed
		}
		d.part(n, n, form)
	case n.Has(propertyNames...):
		form := iac.Fragment
		if n.Has("vaultUri") && n.Has("tenantId") {
			form = iac.Observed
		}
		d.part(n, within(n, "properties"), form)
	case n.Has(aclNames...) && !n.Has("properties"):
		d.part(n, within(within(n, "networkAcls"), "properties"), iac.Fragment)
	}
}

func within(n *iac.Node, name string) *iac.Node {
	return &iac.Node{Kind: iac.Object, At: n.At, Members: []iac.Member{{Name: name, Value: n}}}
}

// part is a vault of which a part is there.
func (d *Document) part(n, body *iac.Node, form iac.Form) {
	r := &iac.Resource{Type: iac.TypeVault, Form: form, Name: n.Get("name"), ID: n.Get("id").Text, Body: body}
	r.Group = segment(r.ID, "resourceGroups")
	if n.Has("resourceGroup") && r.Group == "" {
		r.Group = n.Get("resourceGroup").Text
	}
	if r.Name.None() {
		r.Name = nameFromURI(body.Get("properties", "vaultUri"))
	}
	d.add(r)
}

// nameFromURI takes the name out of "https://name.vault.azure.net/".
func nameFromURI(n *iac.Node) *iac.Node {
	host, ok := strings.CutPrefix(n.Text, "https://")
	name, _, dot := strings.Cut(host, ".")
	if n.Kind != iac.String || !ok || !dot {
		return &iac.Node{At: n.At}
	}
	return &iac.Node{Kind: iac.String, Text: name, At: n.At}
}

// subscription is "az account show", or the subscription as ARM shows it.
func (d *Document) subscription(n *iac.Node) {
	id := n.Get("id").Text
	if !strings.HasPrefix(id, "/") {
		id = "/subscriptions/" + id
	}
	d.add(&iac.Resource{Type: iac.TypeSubscription, Form: iac.Observed, ID: id, Name: n.Get("name"), Body: n})
}

func (d *Document) add(r *iac.Resource) { d.Resources = append(d.Resources, r) }

// spelling brings the types that matter into the service's letter case.
func spelling(t string) string {
	for _, known := range []string{iac.TypeVault, iac.TypeRoleAssignment, iac.TypeSubscription} {
		if iac.SameFold(t, known) {
			return known
		}
	}
	return t
}

// segment is the segment of an id that follows the one named.
func segment(id, name string) string {
	parts := strings.Split(id, "/")
	for i := range len(parts) - 1 {
		if iac.SameFold(parts[i], name) {
			return parts[i+1]
		}
	}
	return ""
}

func containsFold(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}
