package iac

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Form is how a document speaks of a resource. The zero value is a fragment,
// of which least may be concluded.
type Form uint8

const (
	// Fragment: a part of a resource. What is absent is not known.
	Fragment Form = iota
	// Declared: a template that will create or update the resource. What is
	// absent gets the service's default when it is created.
	Declared
	// Observed: the resource as the service shows it. What is absent has the
	// service's default.
	Observed
)

// String names the form.
func (f Form) String() string { return [...]string{"fragment", "declared", "observed"}[f] }

// The types of resource that questions are asked of, in the service's
// spelling.
const (
	TypeVault          = "Microsoft.KeyVault/vaults"
	TypeRoleAssignment = "Microsoft.Authorization/roleAssignments"
	TypeSubscription   = "Microsoft.Resources/subscriptions"
)

// Resource is one resource of a configuration.
type Resource struct {
	Form Form
	// Type is the full type in the service's spelling where it is one of the
	// above, else as written.
	Type string
	// ID is the ARM id; "" where the document does not say it.
	ID string
	// Name is the last segment of the name. It is a String or Unknown.
	Name *Node
	// Group is the resource group; "" when not known.
	Group string
	// APIVersion is the one of a declared resource; "" otherwise.
	APIVersion string
	// Body is the whole document of the resource.
	Body *Node
	// Conditional says, for a declared resource, why it is not certain that
	// it will be there; "" when it is.
	Conditional string
}

// Property reads below properties. In a Fragment what is absent is Unknown:
// nobody said that it is not set. So it is in a resource whose properties are
// missing altogether, which is what lists of resources show.
func (r *Resource) Property(path ...string) *Node {
	properties := r.Body.Get("properties")
	n := properties.Get(path...)
	if n.Kind != Absent {
		return n
	}
	switch {
	case r.Form == Fragment:
		return &Node{Kind: Unknown, At: r.Body.At, Why: "it is not in this part of the resource"}
	case r.Form == Observed && properties.None():
		return &Node{Kind: Unknown, At: r.Body.At, Why: "the resource is shown without its properties"}
	}
	return n
}

// Label is the name to show: the vault's, or where it stands.
func (r *Resource) Label() string {
	switch {
	case r.Name.kind() == String:
		return r.Name.Text
	case r.Name.kind() == Unknown && r.Name.Text != "":
		return r.Name.Text
	}
	return "(unnamed)"
}

// Unread is a value that could not be told.
type Unread struct {
	// Path is "properties.networkAcls.bypass".
	Path string
	Node *Node
}

// JSON is the node as JSON, without the Unknown values, and these apart. An
// Unknown item of an array is left out like a member: the caller must look
// at the second result before concluding anything from the first.
func (n *Node) JSON() (json.RawMessage, []Unread) {
	var e encoder
	e.node(n, "")
	return json.RawMessage(e.buf.Bytes()), e.unread
}

type encoder struct {
	buf    bytes.Buffer
	unread []Unread
}

func (e *encoder) node(n *Node, path string) {
	switch n.kind() {
	case String:
		e.text(n.Text)
	case Bool, Number:
		e.buf.WriteString(n.Text)
	case Array:
		e.array(n, path)
	case Object:
		e.object(n, path)
	default:
		e.buf.WriteString("null")
	}
}

func (e *encoder) text(s string) {
	quoted, err := json.Marshal(s)
	if err != nil {
		quoted = []byte(`""`) // strings always marshal
	}
	e.buf.Write(quoted)
}

func (e *encoder) array(n *Node, path string) {
	e.buf.WriteByte('[')
	first := true
	for _, item := range n.Items {
		if e.skip(item, path+"[]") {
			continue
		}
		if !first {
			e.buf.WriteByte(',')
		}
		first = false
		e.node(item, path+"[]")
	}
	e.buf.WriteByte(']')
}

func (e *encoder) object(n *Node, path string) {
	e.buf.WriteByte('{')
	first := true
	for i := range n.Members {
		name := n.Members[i].Name
		at := strings.TrimPrefix(path+"."+name, ".")
		value := n.member(name) // a name that stands twice is Unknown
		if e.skip(value, at) {
			continue
		}
		if !first {
			e.buf.WriteByte(',')
		}
		first = false
		e.text(name)
		e.buf.WriteByte(':')
		e.node(value, at)
	}
	e.buf.WriteByte('}')
}

func (e *encoder) skip(n *Node, path string) bool {
	if n.kind() != Unknown {
		return false
	}
	e.unread = append(e.unread, Unread{Path: path, Node: n})
	return true
}
