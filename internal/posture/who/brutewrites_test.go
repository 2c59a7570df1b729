package who

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// naiveWrites are the writes that are tried in one estate.
func naiveWrites(r *rand.Rand, actor, stranger access.Caller) []naive {
	vault := func(change func(*situation) bool) naive {
		return naive{action: actionVault, scope: vaultID, change: change}
	}
	list := []naive{
		vault(func(s *situation) bool { return s.retenant(stranger.Tenant) }),
		vault(func(s *situation) bool { return s.retenant(actor.Tenant) }),
		vault(func(s *situation) bool { s.rules.Model = 3 - s.rules.Model; return true }),
		vault(func(s *situation) bool { return put(&s.rules.PublicAccess, access.PublicEnabled) }),
		vault(func(s *situation) bool { return put(&s.rules.PublicAccess, access.PublicDisabled) }),
		vault(func(s *situation) bool { return put(&s.rules.DefaultAction, access.Allow) }),
		vault(func(s *situation) bool { return put(&s.rules.Bypass, true) }),
		vault(func(s *situation) bool { return put(&s.templates, true) }),
		vault(func(s *situation) bool {
			s.rules.IPRules = []access.IPRule{{Prefix: netip.MustParsePrefix("203.0.113.0/24")}}
			return true
		}),
		{action: actionApprove, or: actionConnection, scope: vaultID, change: func(s *situation) bool { return s.connect("/own") }},
		{action: actionConnection, scope: vaultID + "/privateEndpointConnections/c", change: func(s *situation) bool { return s.connect("/c") }},
	}
	for _, c := range []access.Caller{actor, stranger} {
		list = append(list, naive{action: actionVault, or: actionPolicies, scope: vaultID, change: func(s *situation) bool {
			if c.Tenant != s.rules.Tenant {
				return false
			}
			s.rules.Policies = append(slices.Clip(s.rules.Policies), access.Policy{Tenant: c.Tenant, Object: c.Object, Secrets: []string{"get"}})
			return true
		}})
	}
	control, _ := roles.ByRoleName(pick(r, "Owner", "Owner", "Contributor", "Key Vault Contributor"))
	data, _ := roles.ByRoleName(pick(r, "Key Vault Secrets User", "Key Vault Administrator", "Key Vault Secrets Officer", "Key Vault Certificate User"))
	scope := pick(r, vaultID, vaultID, group, subscription, "/")
	for _, d := range []*roles.Definition{control, data} {
		list = append(list, assigns(d, actor, scope))
	}
	return append(list, assigns(data, stranger, scope), assigns(data, actor, vaultID+"/secrets/db"), assigns(data, stranger, vaultID+"/secrets/db"))
}

// perimeterWrites are those of a vault under a perimeter, and of one that is
// under none.
func perimeterWrites(inside bool) []naive {
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	list := []naive{{action: actionJoin, scope: vaultID, change: func(s *situation) bool {
		was := s.rules.Perimeter.Mode
		if was == access.PerimeterNone {
			s.rules.Perimeter = access.Perimeter{Mode: access.PerimeterEnforced, ID: "/mine", Prefixes: all}
		}
		return was == access.PerimeterNone
	}}}
	if !inside {
		return list
	}
	const profile = perimeterID + "/profiles/p"
	theirs := func(s *situation) bool { return s.rules.Perimeter.ID == estate.Key(perimeterID) }
	return append(list,
		naive{action: actionAssociation, scope: association, or: actionDropNetwork, orAt: perimeterID, change: func(s *situation) bool {
			was := theirs(s)
			s.rules.Perimeter = access.Perimeter{}
			return was
		}},
		naive{action: actionRule, scope: profile + "/accessRules/new", change: func(s *situation) bool {
			s.rules.Perimeter.Prefixes = append(slices.Clip(s.rules.Perimeter.Prefixes), all...)
			return theirs(s)
		}},
		naive{action: actionAssociate, scope: association, also: []string{actionProfile, profile, actionJoin, vaultID}, change: func(s *situation) bool {
			return theirs(s) && put(&s.rules.Perimeter.Mode, access.PerimeterTransition)
		}})
}

// widerWrites are those that the world has more.
func (b *brute) widerWrites() []naive {
	w := b.world
	var list []naive
	takes := func(action, scope, id string) {
		list = append(list, naive{action: action, scope: scope, change: func(s *situation) bool { return s.act(w, id) }})
	}
	if w.identity {
		takes(typeIdentity+"/assign/action", identityID, people[3])
		takes(typeIdentity+"/federatedIdentityCredentials/write", identityID, people[3])
	}
	if w.machine {
		takes("Microsoft.Compute/virtualMachines/write", machineID, people[2])
	}
	if w.identity || w.machine {
		d, _ := roles.ByRoleName("Owner")
		list = append(list, assigns(d, access.Caller{}, other))
	}
	for _, p := range w.principals {
		if p.Administrator {
			d, _ := roles.ByRoleName("User Access Administrator")
			list = append(list, naive{directory: func(c *access.Caller) bool { return c.Object == p.Object }, change: func(s *situation) bool {
				return s.give(d.Role(), p.Object, "/")
			}})
		}
		if p.Resource != "" {
			continue
		}
		list = append(list, naive{directory: func(c *access.Caller) bool {
			return w.principal(c.Object).Administrator || !p.User && slices.Contains(p.Owners, c.Object)
		}, changeBy: func(s *situation, by *access.Caller) bool {
			if !p.Group {
				return s.act(w, p.Object.String())
			}
			if slices.Contains(by.Groups, p.Object) {
				return false
			}
			member := *by
			member.Groups = append(slices.Clone(by.Groups), p.Object)
			s.acting = append(slices.Clip(s.acting), member)
			return true
		}})
	}
	if w.scopes != nil {
		also := []string{}
		for _, scope := range w.scopes {
			also = append(also, actionDefine, scope)
		}
		list = append(list, naive{action: actionDefine, scope: w.scopes[0], also: also, change: func(s *situation) bool { return s.widen() }})
	}
	if w.managed {
		list = append(list, naive{action: actionGroup, scope: managed, also: []string{actionAssign, subscription}, change: func(s *situation) bool { return s.move() }})
		d, _ := roles.ByRoleName("Owner")
		list = append(list, assigns(d, access.Caller{}, managed))
	}
	return list
}

// act adds somebody who is taken over.
func (s *situation) act(w *world, id string) bool {
	c := access.Caller{Token: access.TokenValid, Tenant: access.MustGUID(home), Object: access.MustGUID(id)}
	if p := w.principal(c.Object); !p.Tenant.IsZero() {
		c = p.caller()
	}
	if slices.ContainsFunc(s.acting, func(a access.Caller) bool { return a.Object == c.Object && len(a.Groups) == len(c.Groups) }) {
		return false
	}
	s.acting = append(slices.Clip(s.acting), c)
	return true
}

// widen lets the custom role hold everything: no data where it is assigned
// at the management group.
func (s *situation) widen() bool {
	everything := &access.Role{ID: custom, Actions: []string{"*"}, DataActions: []string{"*"}}
	for _, a := range s.far {
		if a.Role != nil && a.Role.ID == custom {
			everything = &access.Role{ID: custom, Actions: []string{"*"}}
		}
	}
	for _, list := range []*[]access.Assignment{&s.far, &s.beside, &s.rules.Assignments} {
		*list = slices.Clone(*list)
		for i := range *list {
			if a := &(*list)[i]; a.Role != nil && a.Role.ID == custom {
				a.Role = everything
			}
		}
	}
	s.decide()
	return true
}

// move takes the subscription out of the group, and what stands there away.
func (s *situation) move() bool {
	if len(s.far) == 0 && !slices.ContainsFunc(s.rules.DenyAssignments, func(d access.DenyAssignment) bool { return d.ID == "mg-d" }) {
		return false
	}
	s.rules.Assignments = slices.DeleteFunc(slices.Clone(s.rules.Assignments), func(a access.Assignment) bool {
		return slices.ContainsFunc(s.far, func(f access.Assignment) bool { return f.ID == a.ID })
	})
	s.rules.DenyAssignments = slices.DeleteFunc(slices.Clone(s.rules.DenyAssignments), func(d access.DenyAssignment) bool { return d.ID == "mg-d" })
	s.far = nil
	s.decide()
	return true
}

// give adds an assignment.
func (s *situation) give(role *access.Role, to access.GUID, scope string) bool {
	a := access.Assignment{ID: fmt.Sprintf("x%d", len(s.rules.Assignments)), Principal: to, Scope: scope, Role: role}
	switch {
	case scope == managed:
		s.far = append(slices.Clip(s.far), a)
		a.Scope = subscription
	case strings.HasPrefix(scope, other):
		s.beside = append(slices.Clip(s.beside), a)
	}
	s.rules.Assignments = append(slices.Clip(s.rules.Assignments), a)
	s.decide()
	return true
}

// assigns gives a role to somebody, or to who writes it.
func assigns(d *roles.Definition, c access.Caller, scope string) naive {
	return naive{action: actionAssign, scope: scope, role: d.Name, changeBy: func(s *situation, by *access.Caller) bool {
		to := c.Object
		if to.IsZero() {
			to = by.Object
		}
		return s.give(d.Role(), to, scope)
	}}
}

func (s *situation) retenant(t access.GUID) bool {
	if s.rules.Tenant == t {
		return false
	}
	s.rules.Tenant = t
	s.rules.Policies = slices.DeleteFunc(slices.Clone(s.rules.Policies), func(p access.Policy) bool { return p.Tenant != t })
	return true
}

func (s *situation) connect(name string) bool {
	id := estate.Key(vaultID) + "/privateendpointconnections" + name
	kept := slices.DeleteFunc(slices.Clone(s.rules.Connections), func(c access.Connection) bool { return c.ID == id })
	if name == "/c" && len(kept) == len(s.rules.Connections) {
		return false
	}
	s.rules.Connections = append(kept, access.Connection{ID: id, State: access.EndpointApproved})
	return true
}
