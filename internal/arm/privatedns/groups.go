package privatedns

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// recordTTL is the time to live of the records of zone groups, in seconds
// (spec example: PrivateDnsZoneGroupGet). maxZones is how many zones a group
// can have (documentation: private endpoint DNS).
const (
	recordTTL = 10
	maxZones  = 5
)

// endpointID is the id of the private endpoint that the path names.
func endpointID(c *arm.Call) string {
	return arm.GroupID(c.Vars["subscription"], c.Vars["group"]) + "/providers/" + estate.TypePrivateEndpoint + "/" + c.Vars["endpoint"]
}

func theEndpoint(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	res, ok := s.Resource(endpointID(c))
	if !ok {
		return nil, arm.NotFound(c.Vars["group"], estate.TypePrivateEndpoint+"/"+c.Vars["endpoint"])
	}
	return res, nil
}

func theGroup(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	endpoint, err := theEndpoint(c, s)
	if err != nil {
		return nil, err
	}
	res, ok := s.Resource(endpoint.ID + "/privateDnsZoneGroups/" + c.Vars["zoneGroup"])
	if !ok {
		return nil, arm.NotFound(c.Vars["group"], estate.TypePrivateEndpoint+"/"+c.Vars["endpoint"]+"/privateDnsZoneGroups/"+c.Vars["zoneGroup"])
	}
	return res, nil
}

// configs are the zones of a group as its document has them.
func configs(doc *ordered.Object) []*ordered.Object {
	return objects(doc.Object("properties"), "privateDnsZoneConfigs")
}

// objects is a list of objects; what is none is left out.
func objects(o *ordered.Object, name string) []*ordered.Object {
	v, _ := o.Get(name)
	list, _ := v.([]any)
	var next []*ordered.Object
	for _, item := range list {
		if each, ok := item.(*ordered.Object); ok {
			next = append(next, each)
		}
	}
	return next
}

// target is what an endpoint leads to, and from where: the name of the vault
// and the addresses of the endpoint, as far as its document has them.
func target(endpoint *estate.Resource) (vault string, addresses []string) {
	props := arm.Document(endpoint).Object("properties")
	for _, list := range []string{"privateLinkServiceConnections", "manualPrivateLinkServiceConnections"} {
		for _, connection := range objects(props, list) {
			id := strings.TrimRight(connection.Object("properties").Text("privateLinkServiceId"), "/")
			if name := id[strings.LastIndexByte(id, '/')+1:]; vault == "" && validLabel(name) {
				vault = strings.ToLower(name)
			}
		}
	}
	for _, dns := range objects(props, "customDnsConfigs") {
		v, _ := dns.Get("ipAddresses")
		list, _ := v.([]any)
		for _, item := range list {
			text, _ := item.(string)
			if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
				addresses = append(addresses, a.String())
			}
		}
	}
	return vault, addresses
}

// creator says in a record's metadata where the record comes from, as the
// service does.
func creator(endpoint *estate.Resource) string {
	text := "created by private endpoint " + endpoint.Name
	if guid := arm.Document(endpoint).Object("properties").Text("resourceGuid"); guid != "" {
		text += " with resource guid " + guid
	}
	return text
}

// putGroup writes the zones that an endpoint has its records in, and the
// records (spec: PrivateDnsZoneGroups_CreateOrUpdate).
func putGroup(c *arm.Call) (*arm.Answer, error) {
	if !validName(c.Vars["zoneGroup"]) {
		return nil, badRequest("The name of the private DNS zone group '%.100s' is not valid.", c.Vars["zoneGroup"])
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	zones := configs(sent)
	for _, config := range zones {
		if id := config.Object("properties").Text("privateDnsZoneId"); isZoneID(id) {
			if err := c.AuthorizeLinked(joinZone, id); err != nil {
				return nil, err
			}
		}
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		endpoint, err := theEndpoint(c, s)
		if err != nil {
			return nil, err
		}
		next := &estate.Resource{ID: endpoint.ID + "/privateDnsZoneGroups/" + c.Vars["zoneGroup"], Type: estate.TypeZoneGroup,
			Name: c.Vars["zoneGroup"], Created: c.Now}
		status := http.StatusCreated
		for _, other := range s.Under(endpoint.ID, estate.TypeZoneGroup) {
			if estate.Key(other.ID) != estate.Key(next.ID) {
				return nil, fault.New(http.StatusBadRequest, "MoreThanOnePrivateDnsZoneGroupPerPrivateEndpointNotAllowed",
					"Cannot create more than one private dns zone groups in the private endpoint %s.", endpoint.ID)
			}
			status, next.ID, next.Name, next.Created = http.StatusOK, other.ID, other.Name, other.Created
			withdraw(d, other)
		}
		doc, err := groupDocument(s, next, zones)
		if err != nil {
			return nil, err
		}
		register(d, next, doc, endpoint, c.Now)
		return tagged(status, doc), nil
	})
}

// isZoneID reports whether an id has the form of a zone's.
func isZoneID(id string) bool {
	parts := strings.Split(estate.Key(id), "/")
	return len(id) <= maxID && len(parts) == 9 && parts[1] == "subscriptions" && parts[3] == "resourcegroups" && parts[5] == "providers" &&
		parts[6] == "microsoft.network" && parts[7] == "privatednszones" && validZone(parts[8])
}

// groupDocument checks the zones of a group and makes its document; the
// records are register's (text: issue ansible-collections/azure#734).
func groupDocument(s *estate.Snapshot, group *estate.Resource, zones []*ordered.Object) (*ordered.Object, error) {
	var list []any
	var bad []string
	seen := map[string]bool{}
	for i, sent := range zones {
		id := strings.TrimRight(sent.Object("properties").Text("privateDnsZoneId"), "/")
		zone, ok := s.Resource(id)
		if !isZoneID(id) || !ok || seen[estate.Key(id)] {
			bad = append(bad, id)
			continue
		}
		seen[estate.Key(id)] = true
		name := sent.Text("name")
		if !validName(name) || seen["name "+strings.ToLower(name)] {
			return nil, badRequest("The name of privateDnsZoneConfigs[%d] '%.100s' is not valid, or is there twice.", i, name)
		}
		seen["name "+strings.ToLower(name)] = true
		list = append(list, ordered.New(ordered.Member{Name: "name", Value: name},
			ordered.Member{Name: "id", Value: group.ID + "/privateDnsZoneConfigs/" + name},
			ordered.Member{Name: "type", Value: estate.TypeZoneGroup + "/privateDnsZoneConfigs"},
			ordered.Member{Name: "properties", Value: ordered.New(ordered.Member{Name: "provisioningState", Value: "Succeeded"},
				ordered.Member{Name: "privateDnsZoneId", Value: zone.ID})}))
	}
	if len(bad) > 0 || len(list) == 0 || len(list) > maxZones {
		return nil, fault.New(http.StatusBadRequest, "InvalidPrivateDnsZoneIds", "Private Dns Zone group %s has invalid private dns zone ids %.1024s.",
			group.ID, strings.Join(bad, ",")).WithHint("A zone group has one to five zones, which exist: az network private-dns zone list")
	}
	doc := envelope(group.ID, group.Name, group.Type)
	doc.Set("properties", ordered.New(ordered.Member{Name: "provisioningState", Value: "Succeeded"},
		ordered.Member{Name: "privateDnsZoneConfigs", Value: list}))
	return doc, nil
}

// register writes the records of a group into its zones, and the group with
// the record sets it has there. An endpoint without an address has none yet.
// A record set that is there already is replaced: the last one who writes a
// name has it.
func register(d *estate.Draft, group *estate.Resource, doc *ordered.Object, endpoint *estate.Resource, now time.Time) {
	vault, addresses := target(endpoint)
	a := kindOf("A")
	for _, config := range configs(doc) {
		props := config.Object("properties")
		sets := []any{}
		zone, ok := d.Resource(props.Text("privateDnsZoneId"))
		if ok && validRecord(vault, zone.Name) && len(addresses) > 0 {
			var records, shown []any
			for _, address := range addresses {
				records = append(records, ordered.New(ordered.Member{Name: "ipv4Address", Value: address}))
				shown = append(shown, address)
			}
			name := fqdn(vault, zone.Name)
			d.Put(newRecord(zone, a, vault, creator(endpoint), records, now))
			sets = append(sets, ordered.New(ordered.Member{Name: "recordType", Value: "A"}, ordered.Member{Name: "recordSetName", Value: vault},
				ordered.Member{Name: "fqdn", Value: strings.TrimSuffix(name, ".")}, ordered.Member{Name: "ttl", Value: recordTTL},
				ordered.Member{Name: "provisioningState", Value: "Succeeded"}, ordered.Member{Name: "ipAddresses", Value: shown}))
		}
		props.Set("recordSets", sets)
	}
	doc.Set("etag", arm.ETag(doc))
	next := *group
	next.Body, next.Changed = doc.Bytes(), now
	d.Put(&next)
}

// newRecord is a record set that a zone group makes.
func newRecord(zone *estate.Resource, k *kind, name, by string, records []any, now time.Time) *estate.Resource {
	next := &estate.Resource{ID: recordID(zone, k, name), Type: k.typ(), Name: name, Created: now, Changed: now}
	doc := envelope(next.ID, name, next.Type)
	doc.Set("properties", ordered.New(ordered.Member{Name: "fqdn", Value: fqdn(name, zone.Name)}, ordered.Member{Name: "ttl", Value: recordTTL},
		ordered.Member{Name: "metadata", Value: ordered.New(ordered.Member{Name: "creator", Value: by})},
		ordered.Member{Name: k.member, Value: records}, ordered.Member{Name: "isAutoRegistered", Value: false}))
	doc.Set("etag", arm.ETag(doc))
	next.Body = doc.Bytes()
	return next
}

// withdraw removes the records of a group that still are what the group made
// of them.
func withdraw(d *estate.Draft, group *estate.Resource) {
	for _, config := range configs(arm.Document(group)) {
		props := config.Object("properties")
		for _, set := range objects(props, "recordSets") {
			zone := props.Text("privateDnsZoneId")
			res, ok := d.Resource(zone + "/" + set.Text("recordType") + "/" + set.Text("recordSetName"))
			if ok && isFrom(res, group, set) {
				d.Delete(res.ID)
			}
		}
	}
}

// isFrom reports whether a record set is the one that a group made: it says
// so, and has the group's addresses.
func isFrom(res, group *estate.Resource, set *ordered.Object) bool {
	props := arm.Document(res).Object("properties")
	endpoint := group.ID[:max(0, strings.LastIndex(strings.ToLower(group.ID), "/privatednszonegroups/"))]
	by := "created by private endpoint " + endpoint[strings.LastIndexByte(endpoint, '/')+1:]
	if text := props.Object("metadata").Text("creator"); !strings.EqualFold(text, by) &&
		!strings.HasPrefix(strings.ToLower(text), strings.ToLower(by)+" with resource guid ") {
		return false
	}
	records := objects(props, "aRecords")
	v, _ := set.Get("ipAddresses")
	list, _ := v.([]any)
	if len(records) != len(list) {
		return false
	}
	for i, r := range records {
		if r.Text("ipv4Address") != list[i] {
			return false
		}
	}
	return true
}

// forgetGroup removes a group with its records: alone, with its endpoint, or
// with its resource group.
func forgetGroup(_ *arm.Call, d *estate.Draft, group *estate.Resource) {
	withdraw(d, group)
	d.Delete(group.ID)
}

// getGroup is PrivateDnsZoneGroups_Get of the specification.
func getGroup(c *arm.Call) (*arm.Answer, error) {
	res, err := theGroup(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	return tagged(http.StatusOK, arm.Document(res)), nil
}

// listGroups is PrivateDnsZoneGroups_List of the specification.
func listGroups(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	endpoint, err := theEndpoint(c, s)
	if err != nil {
		return nil, err
	}
	return arm.Resources(c, s.Under(endpoint.ID, estate.TypeZoneGroup), arm.Document)
}

// removeGroup removes a group with its records; 204 when there was none
// (spec: PrivateDnsZoneGroups_Delete).
func removeGroup(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, ok := s.Resource(endpointID(c) + "/privateDnsZoneGroups/" + c.Vars["zoneGroup"])
		if !ok {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		forgetGroup(c, d, res)
		return &arm.Answer{Status: http.StatusOK}, nil
	})
}
