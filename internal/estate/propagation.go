package estate

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Delays are how long changes take until decisions see them, each kind its
// own; the zero value is none. The control plane shows a change at once.
type Delays struct {
	Firewall, ServiceEndpoint, RoleAssignment, PrivateEndpoint, DNS time.Duration
}

// facet is the part of a resource that a kind of change concerns. The whole
// resource is the facet "".
type facet string

const (
	facetWhole       facet = ""
	facetFirewall    facet = "firewall"
	facetConnections facet = "connections"
)

// facetProperties are the properties of a vault that belong to a facet.
var facetProperties = map[facet][]string{
	facetFirewall:    {"networkAcls", "publicNetworkAccess"},
	facetConnections: {"privateEndpointConnections"},
}

// kindOf is the delay of a change of a resource's facet.
func (d *Delays) kindOf(r *Resource, f facet) time.Duration {
	typ := strings.ToLower(r.Type)
	switch {
	case f == facetFirewall:
		return d.Firewall
	case f == facetConnections, strings.HasPrefix(typ, "microsoft.network/privateendpoints"):
		return d.PrivateEndpoint
	case isAuthorization(r.Type), strings.EqualFold(r.Type, TypeManagementGroup):
		return d.RoleAssignment
	case strings.HasPrefix(typ, "microsoft.network/virtualnetworks"):
		return d.ServiceEndpoint
	case strings.HasPrefix(typ, "microsoft.network/privatednszones"):
		return d.DNS
	}
	return 0
}

// version is what a facet of a resource is from a moment on; a nil resource
// is one that does not exist.
type version struct {
	resource *Resource
	from     time.Time
}

type facetKey struct {
	key   string
	facet facet
}

// propagation holds back what decisions must not see yet. The registry's
// writing lock guards it.
type propagation struct {
	// waiting has, for each facet with changes under way, its versions in
	// order: the one that is seen first.
	waiting map[facetKey][]version
}

// seen is the snapshot that decisions see, until a moment.
type seen struct {
	snapshot *Snapshot
	// until is when the next held-back change comes into force, in Unix
	// nanoseconds; 0 is never.
	until int64
}

// Effective is the snapshot that decisions see: the current one, but for
// changes that are still under way. Without delays it is Snapshot.
func (r *Registry) Effective() *Snapshot {
	e := r.effective.Load()
	if e == nil {
		return r.current.Load()
	}
	if e.until == 0 || r.options.Now().UnixNano() < e.until {
		return e.snapshot
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	r.settle()
	return r.effective.Load().snapshot
}

// hold notes the changes that are seen later; the writing lock is held.
func (r *Registry) hold(before *Snapshot, changes map[string]*Resource) {
	if r.options.Delays == (Delays{}) {
		return
	}
	now := r.options.Now()
	if r.propagation.waiting == nil {
		r.propagation.waiting = map[facetKey][]version{}
	}
	for key, after := range changes {
		was := before.resources[key]
		for _, f := range facetsOf(was, after) {
			typed := after
			if typed == nil {
				typed = was
			}
			delay := r.options.Delays.kindOf(typed, f)
			if delay <= 0 {
				continue
			}
			k := facetKey{key, f}
			if len(r.propagation.waiting[k]) == 0 {
				r.propagation.waiting[k] = []version{{was, time.Time{}}}
			}
			r.propagation.waiting[k] = append(r.propagation.waiting[k], version{after, now.Add(delay)})
		}
	}
	r.settle()
}

// facetsOf are the facets in which two versions differ. Of a vault that is
// made or deleted nothing is held back: there is nothing before or after.
func facetsOf(was, after *Resource) []facet {
	either := after
	if either == nil {
		either = was
	}
	if either == nil {
		return nil
	}
	if !strings.EqualFold(either.Type, TypeVault) {
		return []facet{facetWhole}
	}
	if was == nil || after == nil || was.Deleted != nil || after.Deleted != nil {
		return nil
	}
	a, b := properties(was), properties(after)
	var list []facet
	for _, f := range []facet{facetFirewall, facetConnections} {
		for _, name := range facetProperties[f] {
			if string(a[name]) != string(b[name]) {
				list = append(list, f)
				break
			}
		}
	}
	return list
}

func properties(r *Resource) map[string]json.RawMessage {
	var doc struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	_ = json.Unmarshal(r.Body, &doc) // what cannot be read has none
	return doc.Properties
}

// settle drops what has come into force and publishes what is seen now; the
// writing lock is held.
func (r *Registry) settle() {
	now := r.options.Now()
	var next time.Time
	overlay := map[string]*Resource{}
	held := map[string]bool{}
	current := r.current.Load()
	for k, versions := range r.propagation.waiting {
		for len(versions) > 1 && !versions[1].from.After(now) {
			versions = versions[1:]
		}
		if len(versions) == 1 {
			delete(r.propagation.waiting, k)
			continue
		}
		r.propagation.waiting[k] = versions
		if next.IsZero() || versions[1].from.Before(next) {
			next = versions[1].from
		}
		at, ok := current.resources[k.key], true
		if held[k.key] {
			at = overlay[k.key]
		}
		overlay[k.key], ok = laidOver(at, versions[0].resource, k.facet)
		held[k.key] = ok
		if !ok {
			delete(overlay, k.key)
		}
	}
	if next.IsZero() {
		r.effective.Store(&seen{snapshot: current})
		return
	}
	resources := maps.Clone(current.resources)
	for key, res := range overlay {
		if res == nil {
			delete(resources, key)
			continue
		}
		resources[key] = res
	}
	list := make([]*Resource, 0, len(resources))
	for _, key := range slices.Sorted(maps.Keys(resources)) {
		list = append(list, resources[key])
	}
	snapshot, _ := New(list, r.options)
	r.effective.Store(&seen{snapshot, next.UnixNano()})
}

// laidOver is the current resource with a facet as it was; not ok when there
// is nothing to lay it over.
func laidOver(current, was *Resource, f facet) (*Resource, bool) {
	if f == facetWhole {
		return was, true
	}
	if current == nil || was == nil || current.Deleted != nil {
		return nil, false
	}
	var doc map[string]json.RawMessage
	if json.Unmarshal(current.Body, &doc) != nil {
		return nil, false
	}
	mixed, old := properties(current), properties(was)
	for _, name := range facetProperties[f] {
		delete(mixed, name)
		if v, ok := old[name]; ok {
			mixed[name] = v
		}
	}
	inner, err := json.Marshal(mixed)
	if err != nil {
		return nil, false
	}
	doc["properties"] = inner
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, false
	}
	next := *current
	next.Body = body
	return &next, true
}

// effectivePointer is what Effective reads.
type effectivePointer = atomic.Pointer[seen]
