// Package trusted is the lists of trusted services, as data: who may pass
// the firewall of a vault with the bypass AzureServices, for which documented
// scenario, and for which operations.
//
// A list is of one source: "azure" is the service's documentation of today,
// "documents" the older page and what the other documents add to it. An
// entry has the sentence it comes from. The operations are those that the
// sentence, or the access policy template of the service, needs.
//
// Who acts for a service is known by its first-party application, or by the
// type of the resource that a managed identity belongs to. Where Microsoft
// does not publish the application's id, or where there is none because the
// service always uses managed identities, the entry has an id of our own,
// derived from its name, so that every service can be played.
package trusted

import (
	"crypto/sha256"
	"slices"
	"strings"

	"postern/access"
)

// Service is one entry of a list.
type Service struct {
	// Name is as the source writes it.
	Name string
	// Scenario is the sentence that says what for, Source where it stands.
	Scenario, Source string
	// App is the application that acts for the service in a tenant; Published
	// tells whether the id is Microsoft's.
	App       access.GUID
	Published bool

	apps       []access.GUID
	types      []string
	operations []access.Operation
}

// Rule is the entry as a decision needs it.
func (s *Service) Rule() access.TrustedService {
	return access.TrustedService{Name: s.Name, Apps: slices.Clone(s.apps), ResourceTypes: slices.Clone(s.types), Operations: slices.Clone(s.operations)}
}

var lists = map[string][]Service{"azure": build(azure), "documents": build(documents)}

// Services are the entries of a list ("azure", "documents"), in the order
// of their source.
func Services(list string) ([]Service, bool) {
	l, ok := lists[list]
	return slices.Clone(l), ok
}

// List is a list as decisions need it.
func List(list string) ([]access.TrustedService, bool) {
	l, ok := lists[list]
	if !ok {
		return nil, false
	}
	rules := make([]access.TrustedService, len(l))
	for i := range l {
		rules[i] = l[i].Rule()
	}
	return rules, true
}

// Named finds an entry by its name; letter case does not matter.
func Named(list, name string) (Service, bool) {
	for _, s := range lists[list] {
		if strings.EqualFold(s.Name, name) {
			return s, true
		}
	}
	return Service{}, false
}

// Near are the names of a list that somebody may have meant: those that
// share a word with what was written, the one with most of them first, at
// most five.
func Near(list, name string) []string {
	type candidate struct {
		name  string
		score int
	}
	var found []candidate
	wanted := words(name)
	for _, s := range lists[list] {
		score := 0
		for _, have := range words(s.Name) {
			for _, want := range wanted {
				switch {
				case have == want:
					score += 4
				case len(want) > 2 && (strings.HasPrefix(have, want) || strings.HasPrefix(want, have) && len(have) > 2):
					score += 2
				case len(want) > 3 && oneApart(have, want):
					score++
				}
			}
		}
		if score > 0 {
			found = append(found, candidate{s.Name, score})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return b.score - a.score })
	var names []string
	for _, c := range found[:min(len(found), 5)] {
		names = append(names, c.name)
	}
	return names
}

// words are those of a name that tell it from others.
func words(name string) []string {
	var list []string
	for _, w := range strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') }) {
		if w != "azure" && w != "microsoft" && w != "service" && w != "services" {
			list = append(list, w)
		}
	}
	return list
}

// oneApart reports whether one letter that is wrong, missing or too many
// makes the difference between two words.
func oneApart(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i == len(a) || a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}

// entry is a row of a table.
type entry struct {
	name, scenario, source string
	// apps are published ids of first-party applications.
	apps []string
	// types are those of the resources whose managed identities act for the
	// service, lower-case.
	types      []string
	operations []access.Operation
}

func build(rows []entry) []Service {
	list := make([]Service, len(rows))
	for i, r := range rows {
		s := Service{Name: r.name, Scenario: r.scenario, Source: r.source, types: r.types, operations: r.operations}
		for _, app := range r.apps {
			s.apps = append(s.apps, access.MustGUID(app))
		}
		if s.Published = len(s.apps) > 0; !s.Published {
			s.apps = []access.GUID{derived(r.name)}
		}
		s.App = s.apps[0]
		list[i] = s
	}
	return list
}

// derived is our own id for an application that has no published one: the
// same on every server (RFC 9562 §5.8, version 8).
func derived(name string) access.GUID {
	sum := sha256.Sum256([]byte("postern/trusted/" + name))
	g := access.GUID(sum[:16])
	g[6], g[8] = g[6]&0x0f|0x80, g[8]&0x3f|0x80
	return g
}

// Flags are the properties of a vault that let a service in without an
// assignment or a policy, each with the service's name: the flag stands for
// the service's scenario (documentation: about enabledForDeployment and its
// siblings, in the properties of a vault).
var Flags = []struct{ Property, Service string }{
	{"enabledForDeployment", "Azure Virtual Machines deployment service"},
	{"enabledForDiskEncryption", "Azure Disk Encryption volume encryption service"},
	{"enabledForTemplateDeployment", "Azure Resource Manager template deployment service"},
}
