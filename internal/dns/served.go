package dns

import (
	"strings"

	"postern/internal/names"
	"postern/internal/region"
)

// The names that the public names of vaults lead through (documentation:
// private link diagnostics, "host fabrikam.vault.azure.net").
const (
	coreZone    = "vaultcore.azure.net."
	privateZone = "privatelink." + coreZone
)

// negativeTTL is how long, in seconds, that something does not exist may be
// remembered: what is made in the next moment is soon seen. It is that of a
// private zone of the service.
const negativeTTL = 10

// authority is the SOA record of one of our own zones.
func authority(zone, master string) *Authority {
	return &Authority{Zone: zone, Master: master, Mailbox: "hostmaster." + master, TTL: negativeTTL,
		Serial: 1, Refresh: 3600, Retry: 300, Expire: 2419200, Minimum: negativeTTL}
}

// served is the names that the server serves, whatever the estate is.
type served struct {
	// hosts are the names of the planes, with the zone that each is in.
	hosts map[string]*Authority
	// vaults are the domains that the vaults are below of, one per family.
	vaults [2]vaultDomain
	// suffix is the zone of the private names; core and link are those that
	// the public names lead through.
	suffix, core, link *Authority
	// doors are the entrances of the regions by name and display name;
	// fronts and backs find them by the first and the second name of each.
	doors, fronts, backs map[string]*door
}

// vaultDomain is a domain below which the vaults are.
type vaultDomain struct {
	name string
	zone *Authority
	// public is true for the public family, whose names lead through the
	// region's.
	public bool
}

// door is the two names by which a region is entered.
type door struct{ front, back string }

// serve compiles the names.
func serve(n *names.Names) *served {
	s := &served{hosts: map[string]*Authority{}, doors: map[string]*door{}, fronts: map[string]*door{}, backs: map[string]*door{}}
	own, _, _ := strings.Cut(n.Private.VaultSuffix(), ":")
	suffix := strings.TrimPrefix(own, "vault.") + "."
	s.suffix, s.core, s.link = authority(suffix, suffix), authority(coreZone, suffix), authority(privateZone, suffix)
	public := n.Public.VaultSuffix() + "."
	s.vaults = [2]vaultDomain{{public, authority(public, suffix), true}, {own + ".", s.suffix, false}}
	for _, host := range n.Hosts() {
		if strings.HasPrefix(host, "*.") {
			continue
		}
		host += "."
		zone := s.suffix
		if _, ok := below(host, suffix); !ok {
			// Of the domains of others, only the name itself is ours.
			zone = authority(host, suffix)
		}
		s.hosts[host] = zone
	}
	for _, r := range region.All() {
		short, _ := region.Short(r.Name)
		d := &door{"data-prod-" + short + "." + coreZone, "data-prod-" + short + "-region." + coreZone}
		s.doors[r.Name], s.doors[r.DisplayName], s.fronts[d.front], s.backs[d.back] = d, d, d, d
	}
	return s
}

// door is the entrance to a region; nil for one that is not known.
func (s *served) door(location string) *door {
	if d := s.doors[location]; d != nil {
		return d
	}
	r, ok := region.Find(location)
	if !ok {
		return nil
	}
	return s.doors[r.Name]
}
