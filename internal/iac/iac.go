// Package iac is the normal form in which configurations hand over what they
// say of resources: the ARM document of each, as a tree in which every value
// knows where it stands and whether it could be read.
//
// Each front end (ARM templates and exports, a running server, and whatever
// follows) makes the same tree, so that a question is asked once and answered
// alike for all of them. A value that a front end could not determine is
// Unknown, with the reason; it is never guessed, and whatever stands below it
// is Unknown too.
package iac

import (
	"strconv"
)

// Position is where a value stands. The zero value is nowhere.
type Position struct {
	// File is the path as it was given, "-" for the standard input, or a URL.
	File string
	// Line and Column count from 1; 0 where there is no line.
	Line, Column int
}

// String is file:line, or the file alone.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Kind is what a node is. The zero value is a value that is not there.
type Kind uint8

// The kinds of node.
const (
	// Absent: the document says nothing.
	Absent Kind = iota
	// Unknown: the document says something that cannot be told from here;
	// Why says why, Text is what is written.
	Unknown
	Null
	Bool
	Number
	String
	Array
	Object
)

// Node is a value of a document. It is made by a front end and never changed
// afterwards. A nil Node is Absent.
type Node struct {
	Kind Kind
	// Text is the value of a String, Number or Bool, and for Unknown what is
	// written there.
	Text string
	// Why says for Unknown what is missing.
	Why string
	// At is where the value stands.
	At Position
	// Items are those of an Array, Members those of an Object, in the order
	// of the document.
	Items   []*Node
	Members []Member
}

// Member is a name and a value of an object.
type Member struct {
	Name  string
	Value *Node
}

// kind is Absent for nil.
func (n *Node) kind() Kind {
	if n == nil {
		return Absent
	}
	return n.Kind
}

// Get follows names down from n. Names are compared as the service does,
// without regard to letter case. What is not there is an Absent node that
// stands where the last object on the way does; below Unknown everything is
// the same Unknown. The result is never nil.
func (n *Node) Get(path ...string) *Node {
	if n == nil {
		n = &Node{}
	}
	for _, name := range path {
		switch n.Kind {
		case Unknown:
			return n
		case Object:
			n = n.member(name)
		default:
			return &Node{At: n.At}
		}
	}
	return n
}

// member finds a member; a name that stands twice is Unknown, because readers
// disagree on which of the two counts.
func (n *Node) member(name string) *Node {
	var found *Node
	for i := range n.Members {
		m := &n.Members[i]
		if !SameFold(m.Name, name) {
			continue
		}
		if found != nil {
			return &Node{Kind: Unknown, Text: m.Value.Text, At: m.Value.At,
				Why: "the name " + strconv.Quote(m.Name) + " stands twice in one object (also in line " + strconv.Itoa(found.At.Line) + ")"}
		}
		found = m.Value
	}
	if found == nil {
		return &Node{At: n.At}
	}
	return found
}

// Has reports whether an object has one of the names.
func (n *Node) Has(names ...string) bool {
	for _, name := range names {
		if n.kind() == Object && n.member(name).Kind != Absent {
			return true
		}
	}
	return false
}

// Is reports whether the node is a string equal to text, letter case apart.
func (n *Node) Is(text string) bool { return n.kind() == String && SameFold(n.Text, text) }

// None reports whether the node is absent or null.
func (n *Node) None() bool { return n.kind() == Absent || n.kind() == Null }

// SameFold compares as the service compares names and keywords: without
// regard to the case of ASCII letters, everything else exactly.
func SameFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
