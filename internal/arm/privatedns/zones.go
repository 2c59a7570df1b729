package privatedns

import (
	"net/http"
	"slices"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// Limits of a zone, as the service answers them (recorded).
const (
	maxRecordSets        = 25000
	maxLinks             = 1000
	maxRegistrationLinks = 100
)

// reserved are the names that no private zone may have (documentation:
// private zones, restrictions).
var reserved = []string{"azclient.ms", "azure.com", "cloudapp.net", "core.windows.net", "microsoft.com", "msidentity.com",
	"trafficmanager.net", "windows.net"}

// validZone holds for the name of a zone: 2 to 34 labels (documentation:
// private zones, restrictions).
func validZone(name string) bool {
	labels := strings.Split(name, ".")
	if len(name) > 253 || len(labels) < 2 || len(labels) > 34 || slices.Contains(reserved, strings.ToLower(name)) {
		return false
	}
	return !slices.ContainsFunc(labels, func(label string) bool { return !validLabel(label) })
}

// validLabel holds for one label of a name: letters, digits, hyphens and
// underscores, and no hyphen at an end.
func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		if c := label[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// zoneBody is a zone as it is answered: with what is in it counted.
func zoneBody(s *estate.Snapshot, res *estate.Resource) *ordered.Object {
	sets, links, registering := 0, 0, 0
	for _, child := range s.Under(res.ID, "") {
		switch {
		case strings.EqualFold(child.Type, estate.TypeZoneLink):
			links++
			if registers(child) {
				registering++
			}
		case isRecordSet(child):
			sets++
		}
	}
	doc := arm.Document(res)
	props := doc.Object("properties")
	if props == nil {
		props = &ordered.Object{}
		doc.Set("properties", props)
	}
	// A zone that is being made has its SOA record and nothing else.
	for _, m := range []ordered.Member{{Name: "maxNumberOfRecordSets", Value: maxRecordSets}, {Name: "maxNumberOfVirtualNetworkLinks", Value: maxLinks},
		{Name: "maxNumberOfVirtualNetworkLinksWithRegistration", Value: maxRegistrationLinks}, {Name: "numberOfRecordSets", Value: max(sets, 1)},
		{Name: "numberOfVirtualNetworkLinks", Value: links}, {Name: "numberOfVirtualNetworkLinksWithRegistration", Value: registering},
		{Name: "provisioningState", Value: "Succeeded"}} {
		props.Set(m.Name, m.Value)
	}
	return doc
}

// tagged is an answer with the etag of its document as a header too.
func tagged(status int, doc *ordered.Object) *arm.Answer {
	return &arm.Answer{Status: status, Body: doc, Header: http.Header{"Etag": {doc.Text("etag")}}}
}

// global checks the location of a resource that is in all of them.
func global(sent *ordered.Object, typ string) error {
	switch location := sent.Text("location"); {
	case location == "":
		return fault.New(http.StatusBadRequest, "LocationRequired", "The location property is required for this definition.")
	case !strings.EqualFold(location, "global"):
		return fault.New(http.StatusBadRequest, "LocationNotAvailableForResourceType", "The provided location '%.80s' is not available for"+
			" resource type '%s'. List of available regions for the resource type is 'global'.", location, typ)
	}
	return nil
}

// seal gives a document its tags and its etag, and makes the resource of it.
func seal(c *arm.Call, next *estate.Resource, doc *ordered.Object, tags map[string]string) {
	if tags != nil {
		doc.Set("tags", arm.TagObject(tags))
	}
	doc.Set("etag", arm.ETag(doc))
	next.Tags, next.Body, next.Changed = tags, doc.Bytes(), c.Now
}

// envelope is the members that every document begins with.
func envelope(id, name, typ string) *ordered.Object {
	return ordered.New(ordered.Member{Name: "id", Value: id}, ordered.Member{Name: "name", Value: name},
		ordered.Member{Name: "type", Value: typ}, ordered.Member{Name: "etag", Value: ""})
}

// putZone creates a zone with its SOA record, or replaces its tags (spec:
// PrivateZones_CreateOrUpdate).
func putZone(c *arm.Call) (*arm.Answer, error) {
	name := strings.ToLower(c.Vars["zone"])
	if !validZone(name) {
		return nil, badRequest("The zone name '%s' is not valid: it has 2 to 34 labels of letters, digits, hyphens and underscores, and is none of '%s'.",
			c.Vars["zone"], strings.Join(reserved, "', '"))
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	if err := global(sent, estate.TypePrivateZone); err != nil {
		return nil, err
	}
	tags, err := arm.Tags(sent)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		next := &estate.Resource{ID: arm.NewID(c, s, estate.TypePrivateZone, name), Type: estate.TypePrivateZone, Name: name, Location: "global", Created: c.Now}
		status := http.StatusCreated
		old, exists := s.Resource(next.ID)
		if err := c.Precondition(old, "Zone "+name); err != nil {
			return nil, err
		}
		if exists {
			status, next.ID, next.Created = http.StatusOK, old.ID, old.Created
		} else {
			d.Put(soa(c, next))
		}
		doc := envelope(next.ID, name, next.Type)
		doc.Set("location", "global")
		seal(c, next, doc, tags)
		d.Put(next)
		return tagged(status, zoneBody(s, next)), nil
	})
}

// patchZone replaces the tags of a zone (spec: PrivateZones_Update).
func patchZone(c *arm.Call) (*arm.Answer, error) {
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	tags, err := arm.Tags(sent)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, err := theZone(c, s)
		if err != nil {
			return nil, err
		}
		if err := c.Precondition(old, "Zone "+old.Name); err != nil {
			return nil, err
		}
		next := *old
		if tags == nil {
			tags = old.Tags
		}
		seal(c, &next, arm.Document(old), tags)
		d.Put(&next)
		return tagged(http.StatusOK, zoneBody(s, &next)), nil
	})
}

// getZone is PrivateZones_Get of the specification.
func getZone(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	res, err := theZone(c, s)
	if err != nil {
		return nil, err
	}
	return tagged(http.StatusOK, zoneBody(s, res)), nil
}

// listZones is PrivateZones_List and PrivateZones_ListByResourceGroup.
func listZones(c *arm.Call) (*arm.Answer, error) {
	scope := "/subscriptions/" + c.Vars["subscription"]
	if group, ok := c.Vars["group"]; ok {
		scope = arm.GroupID(c.Vars["subscription"], group)
	}
	s := c.Snapshot()
	return arm.Resources(c, s.Under(scope, estate.TypePrivateZone), func(r *estate.Resource) *ordered.Object { return zoneBody(s, r) })
}

// removeZone removes a zone with its record sets; 204 when there is none,
// and a refusal while networks are linked (spec: PrivateZones_Delete; text:
// issue learntocloud/networking-lab#8).
func removeZone(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, ok := s.Resource(zoneID(c))
		if !ok {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		if err := c.Precondition(res, "Zone "+res.Name); err != nil {
			return nil, err
		}
		if links := s.Under(res.ID, estate.TypeZoneLink); len(links) > 0 {
			names := make([]string, 0, 3)
			for _, link := range links[:min(len(links), cap(names))] {
				names = append(names, "'"+estate.TypePrivateZone+"/"+res.Name+"/virtualNetworkLinks/"+link.Name+"'")
			}
			return nil, fault.New(http.StatusConflict, "CannotDeleteResource", "Cannot delete resource while nested resources exist. Some"+
				" existing nested resource IDs include: %s. Please delete all nested resources before deleting this resource.",
				strings.Join(names, ", ")).WithHint("az network private-dns link vnet delete -g " + c.Vars["group"] + " -z " + res.Name + " -n " + links[0].Name)
		}
		for _, child := range s.Under(res.ID, "") {
			d.Delete(child.ID)
		}
		return &arm.Answer{Status: http.StatusOK}, nil
	})
}
