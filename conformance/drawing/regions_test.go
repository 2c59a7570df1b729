package drawing

import "testing"

// TestRegions is the guide's section 9.1, option B: one vault, and a private
// endpoint to it in the virtual network of another region, with a zone of
// that network's own.
func TestRegions(t *testing.T) {
	w, a := newWorld(t, "")
	e := newEstate(t, w, a)
	w.conditional(t)
	w.secret(t, vaultURL)
	e.prepare()
	e.update(e.vault, body{"publicNetworkAccess": "Disabled"})
	e.b.see(t, w, "an endpoint in the vault's region, public access disabled", []look{
		{app, toPrivate, in},
		{office, toPrivate, in},
		{west, toLeaked, byConnection},
		{stranger, toLeaked, byConnection},
	})
	second := e.privateEndpoint("rg-westus", "kv-pe-westus", "westus", e.westSubnet, e.vault, false)
	w.bound(t, westEndpoint)
	zone := e.zone("rg-westus")
	e.zoneGroup(second, zone)
	e.link(zone, "kv-dns-link", e.westNetwork)
	e.b.see(t, w, "an endpoint in each region", []look{
		{app, toPrivate, in},
		{office, toPrivate, in},
		{west, toWest, in},
		{stranger, toLeaked, byConnection},
	})
	e.remove(e.endpointID, versionNetwork)
	e.b.see(t, w, "the endpoint in the vault's region deleted: its record is gone, its zone still answers", []look{
		{app, toNothing, noName},
		{office, toNothing, noName},
		{west, toWest, in},
		{stranger, toLeaked, byConnection},
	})
	e.eastEndpoint(false)
	e.zoneGroup(e.endpointID, e.zoneID)
	e.b.see(t, w, "and made again", []look{
		{app, toPrivate, in},
		{office, toPrivate, in},
		{west, toWest, in},
		{stranger, toLeaked, byConnection},
	})
}
