package arm

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"postern/internal/estate"
	"postern/internal/fault"
)

// AuthorizeLinked decides over an action at a resource that the request
// names in its body: a subnet that an endpoint is put into. The refusal is
// that of the resource manager for such links.
func (c *Call) AuthorizeLinked(action, scope string) error {
	err := c.admit(action, scope)
	var refused *fault.Error
	if err == nil || !errors.As(err, &refused) {
		return err
	}
	return fault.New(http.StatusForbidden, "LinkedAuthorizationFailed", "The client '%s' with object id '%s' has permission to perform"+
		" action '%s' on scope '%s'; however, it does not have permission to perform action(s) '%s' on the linked scope(s) '%s'"+
		" (respectively) or the linked scope(s) are invalid.", c.Caller.App, c.Caller.Object, c.route.Action, c.scope(), action, scope).
		WithHint(refused.Hint)
}

// Discard takes a resource and what is below it out of the estate, each in
// the way of its type, what is below first.
func (c *Call) Discard(d *estate.Draft, res *estate.Resource) {
	for _, child := range slices.Backward(c.Snapshot().Under(res.ID, "")) {
		if _, live := d.Resource(child.ID); !live {
			continue
		}
		if t, ok := c.typeOf(child.Type); ok && t.Delete != nil {
			t.Delete(c, d, child)
			continue
		}
		d.Delete(child.ID)
	}
}

// Removable checks that nothing which stays needs a resource or what is
// below it.
func (c *Call) Removable(res *estate.Resource) error {
	below := estate.Key(res.ID) + "/"
	goes := func(r *estate.Resource) bool { return strings.HasPrefix(estate.Key(r.ID)+"/", below) }
	for _, child := range c.Snapshot().Under(res.ID, "") {
		if t, ok := c.typeOf(child.Type); ok && t.Removable != nil {
			if err := t.Removable(c.Snapshot(), child, goes); err != nil {
				return err
			}
		}
	}
	return nil
}

// typeOf finds a resource type among those of the providers.
func (c *Call) typeOf(name string) (Type, bool) {
	for _, p := range c.plane.providers {
		for _, t := range p.Types {
			if strings.EqualFold(p.Namespace+"/"+t.Name, name) {
				return t, true
			}
		}
	}
	return Type{}, false
}

// merged makes one provider of all that have the same namespace, which may
// be made of several packages.
func merged(providers []Provider) []Provider {
	var all []Provider
next:
	for _, p := range providers {
		for i := range all {
			if strings.EqualFold(all[i].Namespace, p.Namespace) {
				all[i].Types = append(all[i].Types[:len(all[i].Types):len(all[i].Types)], p.Types...)
				all[i].Routes = append(all[i].Routes[:len(all[i].Routes):len(all[i].Routes)], p.Routes...)
				continue next
			}
		}
		all = append(all, p)
	}
	return all
}
