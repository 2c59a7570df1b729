package dns

import (
	"fmt"
	"strings"

	"postern/internal/estate"
)

// word is a text for a command that somebody will paste: one that does not
// look like a name or an id is not put into it.
func word(text, placeholder string) string {
	if text == "" || text[0] == '-' || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") != "" {
		return placeholder
	}
	return text
}

// groupOf is the resource group of an id, for a command.
func groupOf(id string) string { return word((&estate.Resource{ID: id}).Group(), "GROUP") }

// linkCommands makes the zone if it is not there, links it to the client's network,
// and has the endpoint registered in it if it is not.
func (x *examination) linkCommands() []string {
	var fix []string
	network := x.subnet.Network
	group, zone := groupOf(network.ID), shown(privateZone)
	registered := false
	if z := x.zone(); z != nil {
		group, zone = groupOf(z.ID), word(z.ID, zone)
		_, registered = z.Records[x.name]
	} else {
		fix = append(fix, fmt.Sprintf("az network private-dns zone create --resource-group %s --name %s", group, shown(privateZone)))
	}
	fix = append(fix, fmt.Sprintf("az network private-dns link vnet create --resource-group %s --zone-name %s --name %s-link --virtual-network %s --registration-enabled false",
		group, shown(privateZone), word(network.Name, "NETWORK"), word(network.ID, "NETWORK-ID")))
	if !registered {
		fix = append(fix, x.zoneGroup(zone))
	}
	return fix
}

// zoneGroup registers the endpoint in a zone.
func (x *examination) zoneGroup(zone string) string {
	group, endpoint := "GROUP", "ENDPOINT"
	if e := x.endpoint(); e != nil {
		group, endpoint = groupOf(e.ID), word(e.Name, endpoint)
	}
	return fmt.Sprintf("az network private-endpoint dns-zone-group create --resource-group %s --endpoint-name %s --name kv-dns-zone-group --private-dns-zone %s --zone-name keyvault",
		group, endpoint, word(zone, "ZONE-ID"))
}

// unlink takes a zone from the client's network.
func (x *examination) unlink(z *estate.Zone) string {
	name := "LINK"
	for _, r := range x.view.Snapshot.Under(z.ID, estate.TypeZoneLink) {
		if network, _ := readLink(r); network == estate.Key(x.subnet.Network.ID) {
			name = word(r.Name, name)
			break
		}
	}
	return fmt.Sprintf("az network private-dns link vnet delete --resource-group %s --zone-name %s --name %s --yes", groupOf(z.ID), word(z.Name, "ZONE"), name)
}

// recordCommand adds or removes an address of a record.
func (x *examination) recordCommand(l *link, rel, verb, addr string) string {
	return fmt.Sprintf("az network private-dns record-set a %s-record --resource-group %s --zone-name %s --record-set-name %s --ipv4-address %s",
		verb, groupOf(l.zone.ID), word(l.zone.Name, "ZONE"), recordName(rel), addr)
}

// recordName is a relative name for a command; the zone itself is "@".
func recordName(rel string) string {
	if rel == "@" {
		return rel
	}
	return word(rel, "RECORD")
}
