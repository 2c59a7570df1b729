package privatedns

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/ordered"
)

// Resolution policies of a link: what a private link zone answers for a name
// that it does not have (spec: ResolutionPolicy).
const (
	resolveDefault  = "Default"
	resolveRedirect = "NxDomainRedirect"
)

// maxID bounds the ids in a body.
const maxID = 1024

// validName holds for the name of a link or a zone group: letters, digits,
// hyphens, underscores and dots (documentation: naming rules).
func validName(name string) bool {
	if name == "" || len(name) > 80 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' || !letter && i == 0 || !letter && c != '_' && i == len(name)-1 {
			return false
		}
	}
	return true
}

// linkProperties are those of a link that mean something.
type linkProperties struct {
	network      string
	registration bool
	policy       string
}

// registers reports whether a link has registration on.
func registers(link *estate.Resource) bool {
	v, _ := arm.Document(link).Object("properties").Get("registrationEnabled")
	return v == true
}

func networkOf(link *estate.Resource) string {
	return arm.Document(link).Object("properties").Object("virtualNetwork").Text("id")
}

// readLinkProperties reads the properties of a link in a zone (spec:
// VirtualNetworkLinkProperties).
func readLinkProperties(props *ordered.Object, zone string) (linkProperties, error) {
	l := linkProperties{network: strings.TrimRight(props.Object("virtualNetwork").Text("id"), "/")}
	if v, _ := props.Get("registrationEnabled"); v != nil {
		on, ok := v.(bool)
		if !ok {
			return l, badRequest("The property 'registrationEnabled' is true or false.")
		}
		l.registration = on
	}
	if l.network == "" {
		return l, badRequest("The property 'virtualNetwork.id' is missing.")
	}
	private := strings.HasPrefix(zone, "privatelink.")
	if private {
		l.policy = resolveDefault
	}
	v, _ := props.Get("resolutionPolicy")
	text, ok := v.(string)
	switch {
	case v == nil:
	case ok && strings.EqualFold(text, resolveDefault):
		l.policy = resolveDefault
	case ok && strings.EqualFold(text, resolveRedirect) && private:
		l.policy = resolveRedirect
	case ok && strings.EqualFold(text, resolveRedirect):
		return l, badRequest("The resolution policy '%s' is for private link zones only.", resolveRedirect)
	default:
		return l, badRequest("The property 'resolutionPolicy' is '%s' or '%s'.", resolveDefault, resolveRedirect)
	}
	return l, nil
}

// free checks a link against the others of its network: no second zone of
// the same name, and one zone with registration (texts: issues
// MicrosoftDocs/azure-aks-docs#212, terraform-provider-azurerm).
func (l *linkProperties) free(s *estate.Snapshot, zone *estate.Resource, id string) error {
	for _, other := range s.Under("", estate.TypeZoneLink) {
		if estate.Key(other.ID) == estate.Key(id) || estate.Key(networkOf(other)) != estate.Key(l.network) {
			continue
		}
		name := zoneNameOf(other.ID)
		if strings.EqualFold(name, zone.Name) {
			return badRequest("A virtual network cannot be linked to multiple zones with overlapping namespaces. You tried to link virtual"+
				" network with '%s' and '%s' zones.", zone.Name, name)
		}
		if l.registration && registers(other) {
			return badRequest("A virtual network can only be linked to 1 Private DNS zone(s) with auto-registration enabled;"+
				" conflicting Private DNS zone is '%s'.", name)
		}
	}
	links, registering := 0, 0
	for _, other := range s.Under(zone.ID, estate.TypeZoneLink) {
		if estate.Key(other.ID) == estate.Key(id) {
			continue
		}
		if links++; registers(other) {
			registering++
		}
	}
	if links >= maxLinks || l.registration && registering >= maxRegistrationLinks {
		return badRequest("The zone has %d links, %d of them with registration, and cannot have more.", links, registering)
	}
	return nil
}

// zoneNameOf is the zone in the id of what is below one.
func zoneNameOf(id string) string {
	parts := strings.Split(id, "/")
	for i := range len(parts) - 1 {
		if strings.EqualFold(parts[i], "privateDnsZones") {
			return parts[i+1]
		}
	}
	return ""
}

func theLink(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	zone, err := theZone(c, s)
	if err != nil {
		return nil, err
	}
	res, ok := s.Resource(zone.ID + "/virtualNetworkLinks/" + c.Vars["link"])
	if !ok {
		return nil, arm.NotFound(c.Vars["group"], estate.TypePrivateZone+"/"+c.Vars["zone"]+"/virtualNetworkLinks/"+c.Vars["link"])
	}
	return res, nil
}

// putLink links a virtual network, or changes a link (spec:
// VirtualNetworkLinks_CreateOrUpdate).
func putLink(c *arm.Call) (*arm.Answer, error) {
	if !validName(c.Vars["link"]) {
		return nil, badRequest("The name of the virtual network link '%.100s' is not valid.", c.Vars["link"])
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	if err := global(sent, estate.TypeZoneLink); err != nil {
		return nil, err
	}
	return changeLink(c, sent, false)
}

// patchLink merges tags and properties into those of a link (spec:
// VirtualNetworkLinks_Update).
func patchLink(c *arm.Call) (*arm.Answer, error) {
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	return changeLink(c, sent, true)
}

func changeLink(c *arm.Call, sent *ordered.Object, patch bool) (*arm.Answer, error) {
	tags, err := arm.Tags(sent)
	if err != nil {
		return nil, err
	}
	if id := sent.Object("properties").Object("virtualNetwork").Text("id"); id != "" {
		if len(id) > maxID {
			return nil, badRequest("The property 'virtualNetwork.id' is too long.")
		}
		if err := c.AuthorizeLinked(joinNetwork, id); err != nil {
			return nil, err
		}
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		zone, err := theZone(c, s)
		if err != nil {
			return nil, err
		}
		old, err := theLink(c, s)
		if err != nil && patch {
			return nil, err
		}
		if err := c.Precondition(old, "Virtual network link "+c.Vars["link"]); err != nil {
			return nil, err
		}
		props := sent.Object("properties")
		if patch {
			merged := arm.Document(old).Object("properties")
			merged.Merge(props)
			if props = merged; tags == nil {
				tags = old.Tags
			}
		}
		l, err := readLinkProperties(props, zone.Name)
		if err != nil {
			return nil, err
		}
		return l.write(c, s, d, zone, old, tags)
	})
}

// write checks a link against the estate and puts it into the draft.
func (l *linkProperties) write(c *arm.Call, s *estate.Snapshot, d *estate.Draft, zone, old *estate.Resource, tags map[string]string) (*arm.Answer, error) {
	next := &estate.Resource{ID: zone.ID + "/virtualNetworkLinks/" + c.Vars["link"], Type: estate.TypeZoneLink, Name: c.Vars["link"],
		Location: "global", Created: c.Now}
	status := http.StatusCreated
	if old != nil {
		status, next.ID, next.Name, next.Created = http.StatusOK, old.ID, old.Name, old.Created
		if estate.Key(networkOf(old)) != estate.Key(l.network) {
			return nil, badRequest("The virtual network of the link '%s' cannot be changed.", old.Name)
		}
	}
	network, ok := s.Resource(l.network)
	if !ok || !strings.EqualFold(network.Type, estate.TypeVirtualNetwork) {
		named := estate.Resource{ID: l.network}
		return nil, arm.NotFound(named.Group(), estate.TypeVirtualNetwork+"/"+l.network[strings.LastIndexByte(l.network, '/')+1:])
	}
	if err := l.free(s, zone, next.ID); err != nil {
		return nil, err
	}
	props := ordered.New(ordered.Member{Name: "provisioningState", Value: "Succeeded"},
		ordered.Member{Name: "registrationEnabled", Value: l.registration})
	if l.policy != "" {
		props.Set("resolutionPolicy", l.policy)
	}
	props.Set("virtualNetwork", ordered.New(ordered.Member{Name: "id", Value: l.network}))
	props.Set("virtualNetworkLinkState", "Completed")
	doc := envelope(next.ID, next.Name, next.Type)
	doc.Set("location", "global")
	doc.Set("properties", props)
	seal(c, next, doc, tags)
	d.Put(next)
	return tagged(status, doc), nil
}

// getLink is VirtualNetworkLinks_Get of the specification.
func getLink(c *arm.Call) (*arm.Answer, error) {
	res, err := theLink(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	return tagged(http.StatusOK, arm.Document(res)), nil
}

// listLinks is VirtualNetworkLinks_List of the specification.
func listLinks(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	zone, err := theZone(c, s)
	if err != nil {
		return nil, err
	}
	return arm.Resources(c, s.Under(zone.ID, estate.TypeZoneLink), arm.Document)
}

// removeLink takes a network's sight of a zone away; 204 when there was none
// (spec: VirtualNetworkLinks_Delete).
func removeLink(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, err := theLink(c, s)
		if err != nil {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		if err := c.Precondition(res, "Virtual network link "+res.Name); err != nil {
			return nil, err
		}
		d.Delete(res.ID)
		return &arm.Answer{Status: http.StatusOK}, nil
	})
}
