package privatedns

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"postern/internal/estate"
	"postern/internal/ordered"
)

// kind is a type of record.
type kind struct {
	// name is the type, member the property that its records stand in.
	name, member string
	// single says that the member is one record and not a list of them.
	single bool
	// fields checks one record and brings it into the form in which it is
	// kept.
	fields func(record *ordered.Object) error
}

// typ is the resource type of the record sets.
func (k *kind) typ() string { return estate.TypePrivateZone + "/" + k.name }

// kinds are the types of record that private zones have (spec: RecordType).
var kinds = []*kind{
	{name: "A", member: "aRecords", fields: address("ipv4Address", netip.Addr.Is4)},
	{name: "AAAA", member: "aaaaRecords", fields: address("ipv6Address", netip.Addr.Is6)},
	{name: "CNAME", member: "cnameRecord", single: true, fields: host("cname")},
	{name: "MX", member: "mxRecords", fields: all(number("preference", 0, 65535), host("exchange"))},
	{name: "PTR", member: "ptrRecords", fields: host("ptrdname")},
	{name: "SOA", member: "soaRecord", single: true, fields: all(host("host"), host("email"), number("serialNumber", 0, 1<<32-1),
		number("refreshTime", 0, maxTTL), number("retryTime", 0, maxTTL), number("expireTime", 0, maxTTL), number("minimumTtl", 0, maxTTL))},
	{name: "SRV", member: "srvRecords", fields: all(number("priority", 0, 65535), number("weight", 0, 65535), number("port", 0, 65535), host("target"))},
	{name: "TXT", member: "txtRecords", fields: strings255},
}

// Limits of a record set (documentation: limits of private DNS).
const (
	maxTTL      = 1<<31 - 1
	maxRecords  = 20
	maxText     = 255
	maxTextSum  = 1024
	maxMetadata = 50
)

// isRecordSet reports whether a resource below a zone is one.
func isRecordSet(res *estate.Resource) bool {
	for _, k := range kinds {
		if strings.EqualFold(res.Type, k.typ()) {
			return true
		}
	}
	return false
}

// all checks several fields in order.
func all(checks ...func(*ordered.Object) error) func(*ordered.Object) error {
	return func(record *ordered.Object) error {
		for _, check := range checks {
			if err := check(record); err != nil {
				return err
			}
		}
		return nil
	}
}

func address(field string, is func(netip.Addr) bool) func(*ordered.Object) error {
	return func(record *ordered.Object) error {
		text := record.Text(field)
		a, err := netip.ParseAddr(text)
		if err != nil || !is(a) || a.Zone() != "" {
			return badRequest("The value '%.60s' of '%s' is not an address of that family.", text, field)
		}
		record.Set(field, a.String())
		return nil
	}
}

// host checks the name of a host: labels, with or without the last dot.
func host(field string) func(*ordered.Object) error {
	return func(record *ordered.Object) error {
		text := record.Text(field)
		for label := range strings.SplitSeq(strings.TrimSuffix(text, "."), ".") {
			if len(text) > 254 || !validLabel(label) {
				return badRequest("The value '%.60s' of '%s' is not the name of a host.", text, field)
			}
		}
		return nil
	}
}

func number(field string, least, most int64) func(*ordered.Object) error {
	return func(record *ordered.Object) error {
		v, _ := record.Get(field)
		n, ok := integer(v)
		if !ok || n < least || n > most {
			return badRequest("The value of '%s' is not a number from %d to %d.", field, least, most)
		}
		record.Set(field, n)
		return nil
	}
}

// integer reads a whole number, which a document of our own has as int64.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case json.Number:
		n, err := strconv.ParseInt(string(v), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// strings255 checks a TXT record: strings of at most 255 bytes.
func strings255(record *ordered.Object) error {
	v, _ := record.Get("value")
	list, _ := v.([]any)
	sum := 0
	for _, item := range list {
		text, ok := item.(string)
		if sum += len(text); !ok || len(text) > maxText || sum > maxTextSum {
			list = nil
			break
		}
	}
	if len(list) == 0 {
		return badRequest("The property 'value' of a TXT record is a list of strings of at most %d characters, and %d in all.", maxText, maxTextSum)
	}
	return nil
}

// validRecord holds for the name of a record set, relative to its zone: "@"
// for the zone itself, otherwise labels, of which the first may be "*".
func validRecord(name, zone string) bool {
	if name == "@" {
		return true
	}
	if len(name)+1+len(zone) > 253 {
		return false
	}
	for i, label := range strings.Split(name, ".") {
		if !validLabel(label) && (i > 0 || label != "*") {
			return false
		}
	}
	return true
}

// fqdn is the whole name of a record set, with the last dot.
func fqdn(name, zone string) string {
	if name == "@" {
		return zone + "."
	}
	return name + "." + zone + "."
}

// complete checks the properties of a record set and fills them in (spec:
// RecordSetProperties).
func (k *kind) complete(name, zone string, sent *ordered.Object) (*ordered.Object, error) {
	switch {
	case !validRecord(name, zone):
		return nil, badRequest("The name of the record set '%.253s' is not valid: it is '@', or labels of letters, digits, hyphens and"+
			" underscores, of which the first may be '*'.", name)
	case k.name == "SOA" && name != "@":
		return nil, badRequest("A zone has one SOA record set, with the name '@'.")
	case k.name == "CNAME" && name == "@":
		return nil, badRequest("A CNAME record set cannot have the name '@'.")
	case sent == nil:
		return nil, badRequest("The property 'properties' is missing.")
	}
	ttl := ordered.New()
	if v, ok := sent.Get("ttl"); ok {
		ttl.Set("ttl", v)
	}
	if err := number("ttl", 1, maxTTL)(ttl); err != nil {
		return nil, err
	}
	metadata, err := labels(sent)
	if err != nil {
		return nil, err
	}
	for _, other := range kinds {
		if v, _ := sent.Get(other.member); other != k && v != nil {
			if list, ok := v.([]any); !ok || len(list) > 0 {
				return nil, badRequest("The record set has the type %s and cannot have the property '%s'.", k.name, other.member)
			}
		}
	}
	records, err := k.records(sent)
	if err != nil {
		return nil, err
	}
	if k.name == "SOA" && records == nil {
		return nil, badRequest("The property 'soaRecord' is missing.")
	}
	next := ordered.New(ordered.Member{Name: "fqdn", Value: fqdn(name, zone)})
	next.Set("ttl", first(ttl))
	if metadata != nil {
		next.Set("metadata", metadata)
	}
	if records != nil {
		next.Set(k.member, records)
	}
	next.Set("isAutoRegistered", false)
	return next, nil
}

func first(o *ordered.Object) any { return o.Members()[0].Value }

// labels is the metadata of a record set: strings by name.
func labels(sent *ordered.Object) (*ordered.Object, error) {
	v, _ := sent.Get("metadata")
	if v == nil {
		return nil, nil
	}
	o, ok := v.(*ordered.Object)
	if !ok || o.Len() > maxMetadata {
		return nil, badRequest("The property 'metadata' is an object of at most %d strings.", maxMetadata)
	}
	for _, m := range o.Members() {
		if text, ok := m.Value.(string); !ok || m.Name == "" || len(m.Name)+len(text) > maxTextSum {
			return nil, badRequest("The property 'metadata' is an object of strings of at most %d characters.", maxTextSum)
		}
	}
	return o.Clone(), nil
}

// records is the checked copy of the records: a list, which may be empty, or
// for a single record nil when there is none.
func (k *kind) records(sent *ordered.Object) (any, error) {
	v, _ := sent.Get(k.member)
	if k.single {
		if v == nil {
			return nil, nil
		}
		record, ok := v.(*ordered.Object)
		if !ok {
			return nil, badRequest("The property '%s' is an object.", k.member)
		}
		record = record.Clone()
		return record, k.fields(record)
	}
	list, ok := v.([]any)
	if v != nil && !ok || len(list) > maxRecords {
		return nil, badRequest("The property '%s' is a list of at most %d records.", k.member, maxRecords)
	}
	next, seen := []any{}, map[string]bool{}
	for i, item := range list {
		record, ok := item.(*ordered.Object)
		if !ok {
			return nil, badRequest("The record %s[%d] is not an object.", k.member, i)
		}
		record = record.Clone()
		if err := k.fields(record); err != nil {
			return nil, err
		}
		text := strings.ToLower(string(record.Bytes()))
		if seen[text] {
			return nil, badRequest("The record set has a record twice: %s[%d].", k.member, i)
		}
		seen[text] = true
		next = append(next, record)
	}
	return next, nil
}

// describe names a record set in an answer, as the service does (recorded).
func describe(name string) string { return fmt.Sprintf("Record set %s", name) }
