package dns

import (
	"net/netip"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// why is what a hop was answered by.
type why uint8

const (
	// Of the server's own names.
	whyHost       why = iota + 1 // the name of a plane
	whyApproved                  // a vault with an approved connection
	whyNoApproved                // a vault without one
	whyNoVault                   // no vault of this name
	whyDeleted                   // a soft-deleted vault
	whyLinked                    // the privatelink name of a vault with an approved connection
	whyNotLinked                 // that of one without
	whyRegion                    // a name of a region
	whyNothing                   // a name in a zone of ours that means nothing
	// Of a private zone.
	whyRecord   // a record of this name
	whyWildcard // a wildcard
	whyNoRecord // the zone has no such name
	whyNoType   // the name has records of other types only
	// Of others.
	whyForward // a conditional forwarder
	whyOutside // none of ours
)

// hop is what is known of one name.
type hop struct {
	name string
	why  why
	// link is the private zone that was asked, if there was one; fell is
	// true when it did not have the name and the link falls back to the
	// internet, which is what the rest of the hop is about.
	link *link
	fell bool
	// authority is the zone that answers.
	authority *Authority
	// elsewhere is true when only another resolver can answer.
	elsewhere bool
	// exists is false when there is no such name.
	exists bool
	// target is set for an alias; addr and set are the addresses of the
	// family that was asked for.
	target string
	addr   netip.Addr
	set    []netip.Addr
	ttl    uint32
}

// walker looks names up in a view.
type walker struct {
	view   *View
	served *served
	links  map[string]*link // the private zones that the client sees, by name
}

// hop looks one name up, in the order that the package comment states.
func (w *walker) hop(name string, t Type) hop {
	h := hop{name: name}
	if z, rel := w.zone(name); z != nil && !w.forwarded(name, z.zone.authority.Zone) {
		h.link = z
		if z.lookup(&h, rel, t, w.view.TTL); h.exists || !z.redirect {
			return h
		}
		h = hop{name: name, link: z, fell: true}
	}
	w.own(&h, t)
	covering := ""
	if h.authority != nil {
		covering = h.authority.Zone
	}
	if covering == privateZone {
		// In public it is a part of the other: who forwards
		// vaultcore.azure.net means both.
		covering = coreZone
	}
	if w.forwarded(name, covering) {
		return hop{name: name, why: whyForward, link: h.link, fell: h.fell, elsewhere: true}
	}
	if h.authority == nil {
		h.why, h.elsewhere = whyOutside, true
	}
	return h
}

// zone is the longest private zone that holds a name and that the client
// sees, with the name relative to it.
func (w *walker) zone(name string) (*link, string) {
	if len(w.links) == 0 {
		return nil, ""
	}
	for suffix := name; suffix != ""; suffix = parent(suffix) {
		if z := w.links[suffix]; z != nil {
			if len(suffix) == len(name) {
				return z, "@"
			}
			return z, name[:len(name)-len(suffix)-1]
		}
	}
	return nil, ""
}

// forwarded reports whether a name is in a domain that is asked elsewhere,
// which is at least as long as the zone that would answer here.
func (w *walker) forwarded(name, zone string) bool {
	for _, domain := range w.view.Forward {
		if within(name, domain) && len(domain) >= len(zone) {
			return true
		}
	}
	return false
}

// within reports whether a name is a domain or below it.
func within(name, domain string) bool {
	if name == domain || domain == "." {
		return true
	}
	_, ok := below(name, domain)
	return ok
}

// own answers from the names that the server serves; the authority stays nil
// when the name is none of them.
func (w *walker) own(h *hop, t Type) {
	s := w.served
	if zone, ok := s.hosts[h.name]; ok {
		h.why, h.authority = whyHost, zone
		w.public(h, t)
		return
	}
	for i := range s.vaults {
		d := &s.vaults[i]
		if h.name == d.name {
			h.why, h.authority, h.exists = whyNothing, d.zone, true
			return
		}
		if label, ok := below(h.name, d.name); ok {
			h.authority = d.zone
			w.vault(h, label, d.public, t)
			return
		}
	}
	if within(h.name, coreZone) {
		w.core(h, t)
		return
	}
	if within(h.name, s.suffix.Zone) {
		h.why, h.authority, h.exists = whyNothing, s.suffix, h.name == s.suffix.Zone
	}
}

// public answers with the public address, if it is of the family that was
// asked for.
func (w *walker) public(h *hop, t Type) {
	h.exists, h.ttl = true, w.view.TTL
	if a := w.view.Public.Unmap(); a.IsValid() && (t == addressType(a) || t == TypeANY) {
		h.addr = a
	}
}

// vault answers for the name of a vault (semantics of the service: the
// privatelink alias is there while a connection is approved; names stay when
// public access is disabled, and go when the vault is deleted).
func (w *walker) vault(h *hop, name string, public bool, t Type) {
	v, ok := w.view.Snapshot.Vault(name)
	if !ok {
		h.why = whyNoVault
		if _, taken := w.view.Snapshot.Taken(name); taken {
			h.why = whyDeleted
		}
		return
	}
	h.exists, h.ttl = true, w.view.TTL
	if approved(v) {
		h.why, h.target = whyApproved, name+"."+privateZone
		return
	}
	h.why = whyNoApproved
	d := w.served.door(v.Resource.Location)
	if !public || d == nil {
		w.public(h, t)
		return
	}
	h.target = d.front
}

// approved reports whether a vault has an approved connection.
func approved(v *estate.Vault) bool {
	for i := range v.Rules.Connections {
		if v.Rules.Connections[i].State == access.EndpointApproved {
			return true
		}
	}
	return false
}

// core answers for the names that the aliases of vaults lead through.
func (w *walker) core(h *hop, t Type) {
	s := w.served
	h.why, h.authority = whyNothing, s.core
	if h.name == coreZone {
		h.exists = true
		return
	}
	if h.name == privateZone {
		h.authority, h.exists = s.link, true
		return
	}
	if label, ok := below(h.name, privateZone); ok {
		h.authority = s.link
		w.linked(h, label, t)
		return
	}
	if !strings.HasPrefix(h.name, "data-prod-") {
		return
	}
	if d := s.fronts[h.name]; d != nil {
		h.why, h.exists, h.ttl, h.target = whyRegion, true, w.view.TTL, d.back
	} else if s.backs[h.name] != nil {
		h.why = whyRegion
		w.public(h, t)
	}
}

// linked answers, in public, for the privatelink name of a vault.
func (w *walker) linked(h *hop, name string, t Type) {
	h.why = whyNotLinked
	v, ok := w.view.Snapshot.Vault(name)
	if !ok || !approved(v) {
		return
	}
	h.why, h.exists, h.ttl = whyLinked, true, w.view.TTL
	if d := w.served.door(v.Resource.Location); d != nil {
		h.target = d.front
		return
	}
	w.public(h, t)
}
