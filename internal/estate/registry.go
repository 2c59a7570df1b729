package estate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/access"
	"postern/internal/store"
)

// prefix is where resources stand in the store: "r/" and the resource's Key.
const prefix = "r/"

// Registry is the estate of a server: the current snapshot, and the one way
// to change it.
type Registry struct {
	store   store.Store
	options Options
	current atomic.Pointer[Snapshot]
	// effective is what decisions see; nil without delays.
	effective   effectivePointer
	writing     sync.Mutex // held for the whole of a Change; guards propagation
	propagation propagation
	publishing  publishing
}

// Open reads the estate from the store.
func Open(ctx context.Context, st store.Store, options Options) (*Registry, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	r := &Registry{store: st, options: options}
	if err := r.load(ctx); err != nil {
		return nil, fmt.Errorf("reading the estate: %w", err)
	}
	return r, nil
}

// load replaces the snapshot by what the store holds.
func (r *Registry) load(ctx context.Context) error {
	var resources []*Resource
	for after := ""; ; {
		items, err := r.store.Range(ctx, prefix, after, 1000)
		if err != nil {
			return err
		}
		for _, item := range items {
			var res Resource
			if err := json.Unmarshal(item.Value, &res); err != nil {
				return fmt.Errorf("resource %s: %w", item.Key, err)
			}
			resources = append(resources, &res)
			after = item.Key
		}
		if len(items) < 1000 {
			break
		}
	}
	snapshot, _ := New(resources, r.options)
	r.current.Store(snapshot)
	return nil
}

// Snapshot is the current state. It never blocks.
func (r *Registry) Snapshot() *Snapshot { return r.current.Load() }

// Draft is a change being put together.
type Draft struct {
	tx      store.Tx
	atOnce  bool
	base    *Snapshot            // what is changed
	changes map[string]*Resource // nil for a deletion
}

// Resource finds a live resource as it will be after the change so far. What
// changes a resource together with others starts from this, so that no part
// of a change undoes another.
func (d *Draft) Resource(id string) (*Resource, bool) {
	res, changed := d.changes[Key(id)]
	if !changed {
		return d.base.Resource(id)
	}
	return res, res != nil && res.Deleted == nil
}

// Put creates or replaces a resource.
func (d *Draft) Put(res *Resource) { d.changes[Key(res.ID)] = res }

// Delete removes a resource; one that does not exist is no error.
func (d *Draft) Delete(id string) { d.changes[Key(id)] = nil }

// AtOnce lets decisions see the change at once, whatever the delays: for
// what a server makes itself.
func (d *Draft) AtOnce() { d.atOnce = true }

// Tx is the transaction that the change will be committed in, for further
// keys: the journal's record, or the removal of what a vault held.
func (d *Draft) Tx() *store.Tx { return &d.tx }

// Change runs fn on the current snapshot, commits what it put into the
// draft in one transaction, and publishes the new snapshot. One change runs
// at a time. An error of fn is returned as it is and nothing is changed;
// when the commit fails, the snapshot is read anew, because the store may
// have applied it all the same.
func (r *Registry) Change(ctx context.Context, fn func(*Snapshot, *Draft) error) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	s := r.current.Load()
	d := &Draft{base: s, changes: map[string]*Resource{}}
	if err := fn(s, d); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(d.changes)) {
		res := d.changes[key]
		if res == nil {
			d.tx.Delete(prefix + key)
			continue
		}
		value, err := json.Marshal(res)
		if err != nil {
			return fmt.Errorf("encoding resource %s: %w", res.ID, err)
		}
		d.tx.Put(prefix+key, value)
	}
	if len(d.tx.Operations) == 0 {
		return nil
	}
	if err := r.store.Commit(ctx, &d.tx); err != nil {
		return errors.Join(fmt.Errorf("changing the estate: %w", err), r.load(context.WithoutCancel(ctx)))
	}
	r.current.Store(s.with(d.changes, r.options))
	if !d.atOnce {
		r.hold(s, d.changes)
	} else if r.options.Delays != (Delays{}) {
		r.settle()
	}
	r.publish()
	return nil
}

// with is the snapshot after changes; only what they touch is compiled anew.
func (s *Snapshot) with(changes map[string]*Resource, options Options) *Snapshot {
	next := &Snapshot{options: options, resources: maps.Clone(s.resources), vaults: maps.Clone(s.vaults),
		taken: maps.Clone(s.taken), hierarchy: s.hierarchy, roles: s.roles, read: s.read, assignments: s.assignments, denies: s.denies,
		scopes: s.scopes, denied: s.denied, authority: s.authority, network: s.network, perimeters: s.perimeters}
	stale := map[string]bool{} // keys of vaults to compile
	assign := false            // role assignments changed
	define := false            // what they are made of, or deny assignments, changed
	regroup := false           // what stands above resources changed
	rewire := false            // the networks, or what they lead to, changed
	enclose := false           // the perimeters changed
	for key, res := range changes {
		old := next.resources[key]
		for _, each := range []*Resource{old, res} {
			switch {
			case each == nil:
			case strings.EqualFold(each.Type, TypeVault):
				stale[key], rewire = true, true
			case isPerimeterType(each.Type):
				enclose = true
			case isNetworkType(each.Type):
				rewire = true
			case strings.EqualFold(each.Type, TypeRoleAssignment):
				assign = true
			case isAuthorization(each.Type):
				define = true
			case strings.EqualFold(each.Type, TypeSubscription), strings.EqualFold(each.Type, TypeManagementGroup):
				regroup = true
			}
		}
		if old != nil && strings.EqualFold(old.Type, TypeVault) {
			delete(next.taken, strings.ToLower(old.Name))
			delete(next.vaults, strings.ToLower(old.Name))
		}
		if res == nil {
			delete(next.resources, key)
		} else {
			next.resources[key] = res
		}
	}
	next.order = slices.Sorted(maps.Keys(next.resources))
	if regroup {
		next.compileHierarchy()
	}
	switch {
	case define || regroup:
		next.compileAuthorization()
	case assign:
		next.compileAssignments(changes)
	}
	if assign || define || regroup {
		next.reassigned(s, stale)
	}
	if enclose {
		next.compilePerimeters()
		for _, key := range differing(s.perimeters, next.perimeters) {
			stale[key] = true
		}
	}
	for key := range stale {
		if res := next.resources[key]; res != nil {
			next.compileVault(res)
		}
	}
	if rewire {
		next.compileNetwork()
	}
	return next
}

// With is the snapshot as it would be after changes: resources that are made
// or replaced, and the ids of those that are gone.
func (s *Snapshot) With(put []*Resource, gone ...string) *Snapshot {
	changes := make(map[string]*Resource, len(put)+len(gone))
	for _, id := range gone {
		changes[Key(id)] = nil
	}
	for _, r := range put {
		changes[Key(r.ID)] = r
	}
	return s.with(changes, s.options)
}

// reassigned adds the vaults that other assignments reach than before. Of
// one vault it costs more to ask than to compile it.
func (s *Snapshot) reassigned(before *Snapshot, stale map[string]bool) {
	if len(s.vaults) == 1 {
		for name := range s.vaults {
			stale[Key(s.taken[name].ID)] = true
		}
		return
	}
	for _, scope := range changedScopes(before, s) {
		for name := range s.vaults {
			if key := Key(s.taken[name].ID); concerns(scope, key) {
				stale[key] = true
			}
		}
	}
}

// changedScopes are the scopes whose assignments differ between two
// snapshots, as Keys.
func changedScopes(before, after *Snapshot) []string {
	type lists struct {
		assignments []access.Assignment
		denies      []access.DenyAssignment
	}
	of := func(s *Snapshot) map[string]lists {
		all := map[string]lists{}
		for _, a := range s.assignments {
			l := all[Key(a.Scope)]
			l.assignments = append(l.assignments, a)
			all[Key(a.Scope)] = l
		}
		for _, d := range s.denies {
			l := all[Key(d.Scope)]
			l.denies = append(l.denies, d)
			all[Key(d.Scope)] = l
		}
		return all
	}
	was, is := of(before), of(after)
	for scope, list := range is {
		if had, ok := was[scope]; ok && reflect.DeepEqual(had, list) {
			delete(was, scope)
			continue
		}
		was[scope] = list
	}
	return slices.Sorted(maps.Keys(was))
}
