package privatedns

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// recordID is the id of a record set of a zone; names are kept in lower case
// (spec example: RecordSetAAAAPut).
func recordID(zone *estate.Resource, k *kind, name string) string {
	return zone.ID + "/" + k.name + "/" + strings.ToLower(name)
}

// record makes a record set of checked properties.
func record(c *arm.Call, old *estate.Resource, id, name string, k *kind, props *ordered.Object) (*estate.Resource, *ordered.Object) {
	next := &estate.Resource{ID: id, Type: k.typ(), Name: name, Created: c.Now}
	if old != nil {
		next.ID, next.Created = old.ID, old.Created
	}
	doc := envelope(next.ID, name, next.Type)
	doc.Set("properties", props)
	seal(c, next, doc, nil)
	return next, doc
}

// soa is the record set that every zone begins with (recorded).
func soa(c *arm.Call, zone *estate.Resource) *estate.Resource {
	k := kindOf("SOA")
	res, _ := record(c, nil, recordID(zone, k, "@"), "@", k, ordered.New(
		ordered.Member{Name: "fqdn", Value: fqdn("@", zone.Name)}, ordered.Member{Name: "ttl", Value: 3600},
		ordered.Member{Name: "soaRecord", Value: ordered.New(ordered.Member{Name: "email", Value: "azureprivatedns-host.microsoft.com"},
			ordered.Member{Name: "expireTime", Value: 2419200}, ordered.Member{Name: "host", Value: "azureprivatedns.net"},
			ordered.Member{Name: "minimumTtl", Value: 10}, ordered.Member{Name: "refreshTime", Value: 3600},
			ordered.Member{Name: "retryTime", Value: 300}, ordered.Member{Name: "serialNumber", Value: 1})},
		ordered.Member{Name: "isAutoRegistered", Value: false}))
	return res
}

func kindOf(name string) *kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	return nil
}

// theRecordSet is the record set of the path.
func theRecordSet(c *arm.Call, s *estate.Snapshot, k *kind) (*estate.Resource, error) {
	zone, err := theZone(c, s)
	if err != nil {
		return nil, err
	}
	res, ok := s.Resource(recordID(zone, k, c.Vars["record"]))
	if !ok {
		return nil, fault.New(http.StatusNotFound, "NotFound", "The resource record '%s' does not exist in resource group '%s' of subscription '%s'.",
			c.Vars["record"], c.Vars["group"], strings.ToLower(c.Vars["subscription"]))
	}
	return res, nil
}

// fits checks what record sets of the same zone demand of each other: a
// name with a CNAME has nothing else, and a zone is not full.
func fits(s *estate.Snapshot, zone *estate.Resource, k *kind, name string, old *estate.Resource) error {
	sets := 0
	for _, res := range s.Under(zone.ID, "") {
		if !isRecordSet(res) {
			continue
		}
		sets++
		cname := strings.EqualFold(res.Type, kindOf("CNAME").typ())
		if res.Name == name && cname != (k.name == "CNAME") {
			return fault.New(http.StatusConflict, "Conflict", "The record set '%s' of type %s cannot be created: a name with a CNAME record"+
				" set cannot have record sets of another type.", name, k.name)
		}
	}
	if old == nil && sets >= maxRecordSets {
		return badRequest("The zone has %d record sets, and cannot have more.", maxRecordSets)
	}
	return nil
}

// putRecordSet creates or replaces a record set (spec:
// RecordSets_CreateOrUpdate). The SOA record set can only be replaced.
func putRecordSet(k *kind) func(*arm.Call) (*arm.Answer, error) {
	return func(c *arm.Call) (*arm.Answer, error) {
		sent, err := c.Object()
		if err != nil {
			return nil, err
		}
		name := strings.ToLower(c.Vars["record"])
		return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
			zone, err := theZone(c, s)
			if err != nil {
				return nil, err
			}
			id := recordID(zone, k, name)
			old, exists := s.Resource(id)
			props, err := k.complete(name, zone.Name, k.filled(sent.Object("properties"), old))
			if err != nil {
				return nil, err
			}
			if err := c.Precondition(old, describe(name)); err != nil {
				return nil, err
			}
			if err := fits(s, zone, k, name, old); err != nil {
				return nil, err
			}
			status := http.StatusOK
			if !exists {
				status = http.StatusCreated
			}
			next, doc := record(c, old, id, name, k, props)
			d.Put(next)
			return tagged(status, doc), nil
		})
	}
}

// filled is the properties of a PUT with what they leave out of the SOA
// record as it is: az sends only the fields that it was told to change.
func (k *kind) filled(sent *ordered.Object, old *estate.Resource) *ordered.Object {
	given := sent.Object(k.member)
	if k.name != "SOA" || old == nil || given == nil {
		return sent
	}
	record := arm.Document(old).Object("properties").Object(k.member)
	for _, m := range given.Members() {
		if m.Value != nil {
			record.Set(m.Name, m.Value)
		}
	}
	next := sent.Clone()
	next.Set(k.member, record)
	return next
}

// patchRecordSet merges properties into those of a record set; a list
// replaces the one before (spec: RecordSets_Update).
func patchRecordSet(k *kind) func(*arm.Call) (*arm.Answer, error) {
	return func(c *arm.Call) (*arm.Answer, error) {
		sent, err := c.Object()
		if err != nil {
			return nil, err
		}
		return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
			zone, err := theZone(c, s)
			if err != nil {
				return nil, err
			}
			old, err := theRecordSet(c, s, k)
			if err != nil {
				return nil, err
			}
			if err := c.Precondition(old, describe(old.Name)); err != nil {
				return nil, err
			}
			merged := arm.Document(old).Object("properties")
			merged.Merge(sent.Object("properties"))
			props, err := k.complete(old.Name, zone.Name, merged)
			if err != nil {
				return nil, err
			}
			next, doc := record(c, old, old.ID, old.Name, k, props)
			d.Put(next)
			return tagged(http.StatusOK, doc), nil
		})
	}
}

// getRecordSet is RecordSets_Get of the specification.
func getRecordSet(k *kind) func(*arm.Call) (*arm.Answer, error) {
	return func(c *arm.Call) (*arm.Answer, error) {
		res, err := theRecordSet(c, c.Snapshot(), k)
		if err != nil {
			return nil, err
		}
		return tagged(http.StatusOK, arm.Document(res)), nil
	}
}

// removeRecordSet removes a record set; 204 when there is none (spec:
// RecordSets_Delete).
func removeRecordSet(k *kind) func(*arm.Call) (*arm.Answer, error) {
	return func(c *arm.Call) (*arm.Answer, error) {
		return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
			if k.name == "SOA" {
				return nil, badRequest("The SOA record set goes with its zone and cannot be deleted.")
			}
			zone, err := theZone(c, s)
			if err != nil {
				return nil, err
			}
			res, ok := s.Resource(recordID(zone, k, c.Vars["record"]))
			if !ok {
				return &arm.Answer{Status: http.StatusNoContent}, nil
			}
			if err := c.Precondition(res, describe(res.Name)); err != nil {
				return nil, err
			}
			d.Delete(res.ID)
			return &arm.Answer{Status: http.StatusOK}, nil
		})
	}
}

// listRecordSets lists the record sets of a zone, of one type or ("") of all
// (spec: RecordSets_List, RecordSets_ListByType).
func listRecordSets(typ string) func(*arm.Call) (*arm.Answer, error) {
	return func(c *arm.Call) (*arm.Answer, error) {
		s := c.Snapshot()
		zone, err := theZone(c, s)
		if err != nil {
			return nil, err
		}
		suffix := strings.ToLower(c.Param("$recordsetnamesuffix"))
		var list []*estate.Resource
		for _, res := range s.Under(zone.ID, typ) {
			if isRecordSet(res) && strings.HasSuffix(res.Name, suffix) {
				list = append(list, res)
			}
		}
		return arm.Resources(c, list, arm.Document)
	}
}
