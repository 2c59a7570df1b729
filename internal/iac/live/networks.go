package live

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"postern/internal/iac"
)

const (
	networkVersion   = "2024-05-01"
	zoneVersion      = "2020-06-01"
	linkVersion      = "2024-06-01"
	perimeterVersion = "2024-07-01"
)

const network = "/providers/Microsoft.Network/"

// Networks is what lies between callers and vaults.
type Networks struct {
	Resources []*iac.Resource
	// Unread and UnreadPerimeters say what the credentials may not see or the
	// server does not know: of networks and their names, and of perimeters.
	Unread, UnreadPerimeters []string
}

// Networks reads virtual networks, private endpoints, the private zones that
// names of vaults can lead into, and network security perimeters.
func (c *Client) Networks(ctx context.Context, subscriptions []*iac.Resource) (Networks, error) {
	r, p := &networkReader{client: c, ctx: ctx}, &networkReader{client: c, ctx: ctx}
	for _, s := range subscriptions {
		if s.Type != iac.TypeSubscription {
			continue
		}
		c.progress("reading the networks of %s", s.ID)
		at := escaped(s.ID) + network
		r.list(at+"virtualNetworks", networkVersion)
		r.list(at+"privateEndpoints", networkVersion)
		r.list(at+"networkInterfaces", networkVersion)
		for _, zone := range r.list(at+"privateDnsZones", zoneVersion) {
			if leadsToVaults(zone.Label()) {
				r.list(escaped(zone.ID)+"/virtualNetworkLinks", linkVersion)
				r.list(escaped(zone.ID)+"/ALL", zoneVersion)
			}
		}
		for _, perimeter := range p.list(at+"networkSecurityPerimeters", perimeterVersion) {
			p.list(escaped(perimeter.ID)+"/resourceAssociations", perimeterVersion)
			for _, profile := range p.list(escaped(perimeter.ID)+"/profiles", perimeterVersion) {
				p.list(escaped(profile.ID)+"/accessRules", perimeterVersion)
			}
		}
	}
	return Networks{append(r.all, p.all...), r.unread, p.unread}, errors.Join(r.err, p.err)
}

// leadsToVaults reports whether a name of a vault can lead into a zone: it
// speaks of vaults, or is above the zones that do.
func leadsToVaults(zone string) bool {
	zone = strings.ToLower(strings.TrimSuffix(zone, "."))
	return strings.Contains(zone, "vault") || zone == "net" || zone == "azure.net"
}

// networkReader reads lists until one fails.
type networkReader struct {
	client *Client
	ctx    context.Context
	all    []*iac.Resource
	unread []string
	err    error
}

// list reads one list. Not to be allowed to see it, or not to be known to
// the server, is no failure.
func (r *networkReader) list(path, version string) []*iac.Resource {
	if r.err != nil {
		return nil
	}
	found, err := r.client.list(r.ctx, path+"?api-version="+version)
	var status *StatusError
	if errors.As(err, &status) && (status.Status == http.StatusForbidden || status.Status == http.StatusNotFound) {
		r.unread = append(r.unread, fmt.Sprintf("%s was not read: %v", path[strings.LastIndexByte(path, '/')+1:], err))
		return nil
	}
	r.err = err
	r.all = append(r.all, found...)
	return found
}
