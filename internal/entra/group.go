package entra

import (
	"slices"
	"sync"

	"postern/access"
)

// The limits of groups.
const (
	// maxTokenGroups is how many groups a JWT names; with more it says only
	// that there are more (Entra, "groups overage claim": 200 for JWT).
	maxTokenGroups = 200
	// maxMembers bounds one group's record.
	maxMembers = 10_000
)

// groupRecord is what a group has besides its name.
type groupRecord struct {
	Description string     `json:"description,omitempty"`
	Nickname    string     `json:"nickname,omitempty"`
	Members     []guidText `json:"members,omitempty"` // in the order in which they came
}

// forgetGroups has the way from members to groups found again, when it is
// next asked for.
func (s *state) forgetGroups() {
	s.memberOf = sync.OnceValue(func() map[access.GUID][]access.GUID {
		of := map[access.GUID][]access.GUID{}
		for id, p := range s.objects {
			if p.group != nil {
				for _, m := range p.group.Members {
					of[access.GUID(m)] = append(of[access.GUID(m)], id)
				}
			}
		}
		return of
	})
}

// groups are those that an object is a member of, directly or through other
// groups, sorted. Groups may contain each other in a circle.
func (s *state) groups(object access.GUID) []access.GUID {
	of := s.memberOf()
	seen := map[access.GUID]bool{}
	open := slices.Clone(of[object])
	for len(open) > 0 {
		g := open[len(open)-1]
		open = open[:len(open)-1]
		if !seen[g] {
			seen[g] = true
			open = append(open, of[g]...)
		}
	}
	out := make([]access.GUID, 0, len(seen))
	for g := range seen {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b access.GUID) int { return slices.Compare(a[:], b[:]) })
	return out
}

// Groups are the groups of a principal, transitively, sorted.
func (d *Directory) Groups(object access.GUID) []access.GUID { return d.state.Load().groups(object) }

// Members are the direct members of a group, by name.
func (d *Directory) Members(group access.GUID) []Principal {
	s := d.state.Load()
	var out []Principal
	if g := s.objects[group]; g != nil && g.group != nil {
		for _, m := range g.group.Members {
			if p := s.objects[access.GUID(m)]; p != nil {
				out = append(out, p.Principal)
			}
		}
	}
	return byName(out)
}
