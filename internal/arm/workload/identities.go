package workload

import (
	"net/http"
	"strings"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/arm/identity"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// maxIdentities bounds the user-assigned identities of one workload.
const maxIdentities = 100

// wish is what the member identity of a request asks for.
type wish struct {
	system bool
	user   []ordered.Member // ids, as they are written
	spell  string
}

// identities makes the member identity of a workload's next document, and
// the change of the directory that belongs to it; nil for none. held is the
// member as it is (spec: common-types v5, ManagedServiceIdentity).
func identities(c *arm.Call, s *estate.Snapshot, d *estate.Draft, res *estate.Resource, held, sent *ordered.Object, patching bool) (*ordered.Object, error) {
	v, mentioned := sent.Get("identity")
	if !mentioned {
		return held.Clone(), nil
	}
	asked, ok := v.(*ordered.Object)
	if !ok && v != nil {
		return nil, invalid("The property 'identity' must be an object.")
	}
	w, err := read(asked, held, patching)
	if err != nil {
		return nil, err
	}
	next := &ordered.Object{}
	if err := system(c, d, res, held, w.system, next); err != nil {
		return nil, err
	}
	if !w.system && len(w.user) == 0 {
		return nil, nil
	}
	next.Set("type", w.spell)
	if len(w.user) > 0 {
		assigned := &ordered.Object{}
		for _, m := range w.user {
			if err := assign(c, s, m.Name, held, assigned); err != nil {
				return nil, err
			}
		}
		next.Set("userAssignedIdentities", assigned)
	}
	return next, nil
}

func invalid(format string, args ...any) error {
	return fault.New(http.StatusBadRequest, "InvalidParameter", format, args...)
}

// read reads what a request asks for. In a PATCH, identities that it does
// not mention stay and null takes one away.
func read(asked, held *ordered.Object, patching bool) (*wish, error) {
	kind := asked.Text("type")
	if kind == "" && patching && asked != nil {
		kind = held.Text("type")
	}
	w := &wish{spell: kind}
	user := false
	switch strings.ToLower(strings.ReplaceAll(kind, " ", "")) {
	case "none", "":
	case "systemassigned":
		w.system = true
	case "userassigned":
		user = true
	case "systemassigned,userassigned":
		w.system, user = true, true
	default:
		return nil, invalid("The identity type '%.80s' is not one of None, SystemAssigned, UserAssigned and 'SystemAssigned, UserAssigned'.", kind)
	}
	v, _ := asked.Get("userAssignedIdentities")
	list, ok := v.(*ordered.Object)
	if v != nil && !ok {
		return nil, invalid("The property 'identity.userAssignedIdentities' must be an object.")
	}
	if !user {
		for _, m := range list.Members() {
			if m.Value != nil {
				return nil, fault.New(http.StatusBadRequest, "InvalidIdentityConfiguration", "The identity type '%.80s' has no user-assigned identities.", kind)
			}
		}
		return w, nil
	}
	all := &ordered.Object{}
	if patching {
		for _, m := range held.Object("userAssignedIdentities").Members() {
			all.Set(m.Name, m.Value)
		}
	}
	for _, m := range list.Members() {
		if m.Value == nil {
			all.Delete(m.Name)
			continue
		}
		all.Set(m.Name, m.Value)
	}
	w.user = all.Members()
	if n := len(w.user); n == 0 || n > maxIdentities {
		return nil, fault.New(http.StatusBadRequest, "InvalidIdentityConfiguration", "The identity type '%.80s' needs 1 to %d user-assigned identities.", kind, maxIdentities)
	}
	return w, nil
}

// system makes, keeps or removes the principal of the workload itself.
func system(c *arm.Call, d *estate.Draft, res *estate.Resource, held *ordered.Object, wanted bool, next *ordered.Object) error {
	principal := held.Text("principalId")
	switch {
	case wanted && principal != "":
		next.Set("principalId", principal)
		next.Set("tenantId", held.Text("tenantId"))
	case wanted:
		m, err := c.Managed(d)
		if err != nil {
			return err
		}
		p, err := m.Create(c.Tenant(), res.Name, res.ID, false)
		if err != nil {
			return err
		}
		next.Set("principalId", p.Object.String())
		next.Set("tenantId", p.Tenant.String())
	case principal != "":
		return forget(c, d, res, principal)
	}
	return nil
}

// forget removes the principal of a workload.
func forget(c *arm.Call, d *estate.Draft, res *estate.Resource, principal string) error {
	m, err := c.Managed(d)
	if err != nil {
		return err
	}
	object, err := access.ParseGUID(principal)
	if err != nil {
		return err
	}
	return m.Delete(object, res.ID)
}

// assign adds an identity that is a resource. Giving one to a workload takes
// a right at the identity; keeping it does not.
func assign(c *arm.Call, s *estate.Snapshot, id string, held, to *ordered.Object) error {
	if v, has := held.Object("userAssignedIdentities").Get(id); has && v != nil {
		to.Set(id, v)
		return nil
	}
	res, ok := s.Resource(id)
	if !ok || !strings.EqualFold(res.Type, identity.Type) {
		return fault.New(http.StatusBadRequest, "FailedIdentityOperation", "Identity operation for resource failed: the identity '%.300s' was not found.", id)
	}
	if err := c.AuthorizeLinked(identity.Assign, res.ID); err != nil {
		return err
	}
	object, app := identity.Principal(res)
	if subscription, ok := s.Resource("/subscriptions/" + res.Subscription()); !ok || arm.SubscriptionTenant(subscription) != c.Tenant() {
		return fault.New(http.StatusBadRequest, "FailedIdentityOperation", "Identity operation for resource failed: the identity '%.300s' is of another tenant.", id)
	}
	to.Set(id, ordered.New(ordered.Member{Name: "principalId", Value: object.String()}, ordered.Member{Name: "clientId", Value: app.String()}))
	return nil
}

// discard takes a workload out of the estate and its principal out of the
// directory.
func discard(c *arm.Call, d *estate.Draft, res *estate.Resource) {
	d.Delete(res.ID)
	if principal := arm.Document(res).Object("identity").Text("principalId"); principal != "" {
		if err := forget(c, d, res, principal); err != nil {
			c.Fail(err)
		}
	}
}

// Identity is one that a workload has.
type Identity struct {
	// Object and App name the principal; App is zero for the identity of the
	// workload itself.
	Object, App access.GUID
	// Resource is the id of the identity that is a resource; "" for the
	// workload's own.
	Resource string
}

// Identities are those of a workload, its own first. One whose resource is
// gone, or is there anew, is none.
func Identities(s *estate.Snapshot, res *estate.Resource) []Identity {
	var list []Identity
	held := arm.Document(res).Object("identity")
	if object, err := access.ParseGUID(held.Text("principalId")); err == nil {
		list = append(list, Identity{Object: object})
	}
	for _, m := range held.Object("userAssignedIdentities").Members() {
		o, _ := m.Value.(*ordered.Object)
		given, err := access.ParseGUID(o.Text("principalId"))
		is, ok := s.Resource(m.Name)
		if err != nil || !ok {
			continue
		}
		if object, app := identity.Principal(is); object == given {
			list = append(list, Identity{Object: object, App: app, Resource: is.ID})
		}
	}
	return list
}
