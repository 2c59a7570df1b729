package privatedns_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/posterntest"
)

const (
	version   = "?api-version=2024-06-01"
	vaultZone = "privatelink.vaultcore.azure.net"
)

// rig is a server with a resource group to work in.
type rig struct {
	t     *testing.T
	p     *posterntest.Postern
	group string
	token string
}

func newRig(t *testing.T) *rig {
	p := posterntest.Start(t)
	return &rig{t, p, "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + posterntest.Group, p.Token(p.ManagementURL)}
}

func (r *rig) id(rest string) string { return r.group + "/providers/Microsoft.Network/" + rest }

// answer is what the control plane answered.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// at is a member of the body by its path; a number is an index.
func (a answer) at(path string) any {
	var v any = a.body
	for name := range strings.SplitSeq(path, "/") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			if len(name) != 1 || int(name[0]-'0') >= len(x) {
				return nil
			}
			v = x[name[0]-'0']
		default:
			return nil
		}
	}
	return v
}

func (r *rig) send(token, method, id, body string, header ...string) answer {
	r.t.Helper()
	query := version
	if strings.Contains(id, "?") {
		query = "&" + version[1:]
	}
	req, err := http.NewRequest(method, r.p.ManagementURL+id+query, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.p.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	a.text = string(text)
	_ = json.Unmarshal(text, &a.body) // some answers have no body
	return a
}

// ok sends a request as the administrator that must have a status.
func (r *rig) ok(status int, method, id, body string, header ...string) answer {
	r.t.Helper()
	a := r.send(r.token, method, id, body, header...)
	if a.status != status {
		r.t.Fatalf("%s %s = %d %s, want %d", method, id, a.status, a.text, status)
	}
	return a
}

// refused sends a request that must be refused.
func (r *rig) refused(status int, code, text, method, id, body string, header ...string) {
	r.t.Helper()
	a := r.send(r.token, method, id, body, header...)
	message, _ := a.at("error/message").(string)
	if a.status != status || a.at("error/code") != code || !strings.Contains(message, text) {
		r.t.Errorf("%s %s %s = %d %s, want %d %s: %s", method, id, body, a.status, a.text, status, code, text)
	}
}

func (r *rig) zone(name string) string {
	r.t.Helper()
	id := r.id("privateDnsZones/" + name)
	r.ok(201, "PUT", id, `{"location":"global"}`)
	return id
}

func (r *rig) network(name, prefix string) string {
	r.t.Helper()
	id := r.id("virtualNetworks/" + name)
	r.ok(201, "PUT", id, `{"location":"eastus","properties":{"addressSpace":{"addressPrefixes":["`+prefix+`.0.0/16"]},
		"subnets":[{"name":"pe","properties":{"addressPrefix":"`+prefix+`.3.0/24"}}]}}`)
	return id
}

func (r *rig) endpoint(name, network, vault string) string {
	r.t.Helper()
	id := r.id("privateEndpoints/" + name)
	r.ok(201, "PUT", id, `{"location":"eastus","properties":{"subnet":{"id":"`+network+`/subnets/pe"},"privateLinkServiceConnections":[
		{"name":"c","properties":{"privateLinkServiceId":"`+r.p.VaultID(vault)+`","groupIds":["vault"]}}]}}`)
	return id
}

func TestZones(t *testing.T) {
	r := newRig(t)
	id := r.id("privateDnsZones/" + vaultZone)
	a := r.ok(201, "PUT", r.id("privateDnsZones/PrivateLink.vaultcore.azure.net"), `{"location":"Global","tags":{"a":"b"}}`, "If-None-Match", "*")
	want := map[string]any{"id": id, "name": vaultZone, "type": "Microsoft.Network/privateDnsZones", "location": "global", "tags": map[string]any{"a": "b"},
		"etag": a.at("etag"), "properties": map[string]any{"maxNumberOfRecordSets": 25000.0, "maxNumberOfVirtualNetworkLinks": 1000.0,
			"maxNumberOfVirtualNetworkLinksWithRegistration": 100.0, "numberOfRecordSets": 1.0, "numberOfVirtualNetworkLinks": 0.0,
			"numberOfVirtualNetworkLinksWithRegistration": 0.0, "provisioningState": "Succeeded"}}
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Errorf("zone (-want +got):\n%s", diff)
	}
	if tag, _ := a.at("etag").(string); len(tag) != 36 || a.header.Get("Etag") != tag {
		t.Errorf("etag = %q, in the header %q", tag, a.header.Get("Etag"))
	}
	soa := r.ok(200, "GET", id+"/SOA/@", "")
	if soa.at("properties/soaRecord/email") != "azureprivatedns-host.microsoft.com" || soa.at("properties/fqdn") != vaultZone+"." || soa.at("properties/ttl") != 3600.0 {
		t.Errorf("SOA = %s", soa.text)
	}
	r.refused(412, "PreconditionFailed", "The Zone "+vaultZone+" exists already and hence cannot be created again.", "PUT", id, `{"location":"global"}`, "If-None-Match", "*")
	r.refused(412, "PreconditionFailed", "The Zone "+vaultZone+" has been modified (etag mismatch).", "PUT", id, `{"location":"global"}`, "If-Match", "37222d02-5fed-41c6-b394-ec1968f39f3b")
	if b := r.ok(200, "PATCH", id, `{"tags":{"c":"d"}}`, "If-Match", a.at("etag").(string)); b.at("tags/c") != "d" || b.at("tags/a") != nil || b.at("etag") == a.at("etag") {
		t.Errorf("PATCH = %s", b.text)
	}
	if b := r.ok(200, "PATCH", id, `{}`); b.at("tags/c") != "d" {
		t.Errorf("PATCH of nothing = %s", b.text)
	}
	if b := r.ok(200, "PUT", id, `{"location":"global"}`); b.at("tags") != nil {
		t.Errorf("PUT without tags = %s", b.text)
	}
	r.zone("contoso.example")
	for _, path := range []string{r.id("privateDnsZones"), "/subscriptions/" + r.p.SubscriptionID + "/providers/Microsoft.Network/privateDnsZones"} {
		if list, _ := r.ok(200, "GET", path, "").body["value"].([]any); len(list) != 2 {
			t.Errorf("GET %s has %d zones, want 2", path, len(list))
		}
	}
	rows := []struct {
		status            int
		code, text        string
		method, name, put string
	}{
		{400, "LocationRequired", "", "PUT", "a.example", `{}`},
		{400, "LocationNotAvailableForResourceType", "'global'", "PUT", "a.example", `{"location":"eastus"}`},
		{400, "BadRequest", "2 to 34 labels", "PUT", "single", `{"location":"global"}`},
		{400, "BadRequest", "is none of", "PUT", "Azure.com", `{"location":"global"}`},
		{400, "BadRequest", "not valid", "PUT", "-a.example", `{"location":"global"}`},
		{400, "BadRequest", "not valid", "PUT", "a.example.", `{"location":"global"}`},
		{400, "BadRequest", "not valid", "PUT", strings.Repeat("a", 64) + ".example", `{"location":"global"}`},
		{400, "BadRequest", "not valid", "PUT", strings.Repeat("a.", 34) + "example", `{"location":"global"}`},
		{400, "InvalidRequestContent", "", "PUT", "a.example", `[]`},
		{404, "ResourceNotFound", "'Microsoft.Network/privateDnsZones/a.example'", "GET", "a.example", ``},
		{404, "ResourceNotFound", "", "PATCH", "a.example", `{}`},
		{404, "ResourceNotFound", "", "GET", "a.example/ALL", ``},
		{404, "ResourceNotFound", "", "PUT", "a.example/A/x", `{"properties":{"ttl":1}}`},
		{404, "ResourceNotFound", "", "GET", "a.example/virtualNetworkLinks", ``},
	}
	for _, row := range rows {
		r.refused(row.status, row.code, row.text, row.method, r.id("privateDnsZones/"+row.name), row.put)
	}
	r.ok(200, "DELETE", id, "")
	r.ok(204, "DELETE", id, "")
	r.refused(404, "ResourceNotFound", "", "GET", id+"/SOA/@", "")
}

func TestRecordSets(t *testing.T) {
	r := newRig(t)
	zone := r.zone("contoso.example")
	a := r.ok(201, "PUT", zone+"/A/Web.EU", `{"properties":{"ttl":3600,"aRecords":[{"ipv4Address":"10.0.0.1"}],"metadata":{"k":"v"}}}`, "If-None-Match", "*")
	want := map[string]any{"id": zone + "/A/web.eu", "name": "web.eu", "type": "Microsoft.Network/privateDnsZones/A", "etag": a.at("etag"),
		"properties": map[string]any{"fqdn": "web.eu.contoso.example.", "ttl": 3600.0, "metadata": map[string]any{"k": "v"},
			"aRecords": []any{map[string]any{"ipv4Address": "10.0.0.1"}}, "isAutoRegistered": false}}
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Errorf("record set (-want +got):\n%s", diff)
	}
	r.refused(412, "PreconditionFailed", "The Record set web.eu exists already and hence cannot be created again.", "PUT", zone+"/A/web.eu", `{"properties":{"ttl":1}}`, "If-None-Match", "*")
	b := r.ok(200, "PATCH", zone+"/A/web.eu", `{"properties":{"ttl":60,"aRecords":[{"ipv4Address":"10.0.0.2"},{"ipv4Address":"10.0.0.3"}]}}`)
	if b.at("properties/ttl") != 60.0 || b.at("properties/aRecords/1/ipv4Address") != "10.0.0.3" || b.at("properties/metadata/k") != "v" {
		t.Errorf("PATCH = %s", b.text)
	}
	for path, body := range map[string]string{
		"A/@": `"aRecords":[]`, "a/*": `"aRecords":[{"ipv4Address":"10.0.0.9"}]`, "AAAA/six": `"aaaaRecords":[{"ipv6Address":"FD00::0001"}]`,
		"CNAME/alias": `"cnameRecord":{"cname":"web.eu.contoso.example"}`, "MX/@": `"mxRecords":[{"preference":10,"exchange":"mail.example"}]`,
		"PTR/4.0.0": `"ptrRecords":[{"ptrdname":"web.contoso.example."}]`, "SRV/_sip._tcp": `"srvRecords":[{"priority":1,"weight":2,"port":443,"target":"web.example"}]`,
		"TXT/note": `"txtRecords":[{"value":["a","b"]},{"value":["<&>"]}]`,
	} {
		r.ok(201, "PUT", zone+"/"+path, `{"properties":{"ttl":300,`+body+`}}`)
	}
	if six := r.ok(200, "GET", zone+"/AAAA/six", ""); six.at("properties/aaaaRecords/0/ipv6Address") != "fd00::1" {
		t.Errorf("AAAA = %s", six.text)
	}
	count := func(path string) int {
		list, _ := r.ok(200, "GET", zone+"/"+path, "").body["value"].([]any)
		return len(list)
	}
	for path, want := range map[string]int{"ALL": 10, "A": 3, "TXT": 1, "SOA": 1, "ALL?$recordsetnamesuffix=eu": 1, "ALL?$top=4": 4} {
		if got := count(path); got != want {
			t.Errorf("%s has %d record sets, want %d", path, got, want)
		}
	}
	if got := r.ok(200, "GET", zone, "").at("properties/numberOfRecordSets"); got != 10.0 {
		t.Errorf("numberOfRecordSets = %v, want 10", got)
	}
	if s := r.ok(200, "PATCH", zone+"/SOA/@", `{"properties":{"soaRecord":{"minimumTtl":20}}}`); s.at("properties/soaRecord/minimumTtl") != 20.0 || s.at("properties/soaRecord/retryTime") != 300.0 {
		t.Errorf("SOA = %s", s.text)
	}
	if s := r.ok(200, "PUT", zone+"/SOA/@", `{"properties":{"ttl":60,"soaRecord":{"email":"admin.contoso.example","minimumTtl":null}}}`); s.at("properties/soaRecord/minimumTtl") != 20.0 || s.at("properties/soaRecord/email") != "admin.contoso.example" {
		t.Errorf("SOA = %s", s.text)
	}
	r.ok(200, "DELETE", zone+"/A/web.eu", "")
	r.ok(204, "DELETE", zone+"/A/web.eu", "")
	r.refused(404, "NotFound", "'web.eu'", "GET", zone+"/A/web.eu", "")
	r.refused(404, "NotFound", "", "PATCH", zone+"/A/web.eu", "{}")
	r.refused(400, "BadRequest", "goes with its zone", "DELETE", zone+"/SOA/@", "")
	r.refused(404, "InvalidResourceType", "", "PUT", zone+"/NS/x", `{"properties":{"ttl":1}}`)
}

func TestRecordSetRefusals(t *testing.T) {
	r := newRig(t)
	zone := r.zone("contoso.example")
	r.ok(201, "PUT", zone+"/CNAME/alias", `{"properties":{"ttl":300,"cnameRecord":{"cname":"x.example"}}}`)
	r.ok(201, "PUT", zone+"/A/web", `{"properties":{"ttl":300}}`)
	many := strings.TrimSuffix(strings.Repeat(`{"value":["a"]},`, 21), ",")
	rows := []struct{ path, properties, text string }{
		{"A/x", `"ttl":0`, "'ttl'"}, {"A/x", `"aRecords":[]`, "'ttl'"}, {"A/x", `"ttl":2147483648`, "'ttl'"}, {"A/x", `"ttl":"60"`, "'ttl'"}, {"A/x", `"ttl":1.5`, "'ttl'"},
		{"A/x", `"ttl":1,"aRecords":[{"ipv4Address":"10.0.0"}]`, "'ipv4Address'"}, {"A/x", `"ttl":1,"aRecords":[{"ipv4Address":"::1"}]`, "'ipv4Address'"},
		{"A/x", `"ttl":1,"aRecords":[{"ipv4Address":"10.0.0.1"},{"ipv4Address":"10.0.0.1"}]`, "twice"}, {"A/x", `"ttl":1,"aRecords":{}`, "'aRecords'"},
		{"A/x", `"ttl":1,"aRecords":["10.0.0.1"]`, "aRecords[0]"}, {"A/x", `"ttl":1,"txtRecords":[{"value":["a"]}]`, "'txtRecords'"},
		{"AAAA/x", `"ttl":1,"aaaaRecords":[{"ipv6Address":"fe80::1%eth0"}]`, "'ipv6Address'"}, {"AAAA/x", `"ttl":1,"aaaaRecords":[{"ipv6Address":"10.0.0.1"}]`, "'ipv6Address'"},
		{"A/a..b", `"ttl":1`, "not valid"}, {"A/a.*", `"ttl":1`, "not valid"}, {"A/-a", `"ttl":1`, "not valid"}, {"A/a$", `"ttl":1`, "not valid"}, {"A/" + strings.Repeat("a", 64), `"ttl":1`, "not valid"},
		{"A/" + strings.Repeat("a.", 120) + "a", `"ttl":1`, "not valid"}, {"CNAME/@", `"ttl":1`, "'@'"}, {"SOA/x", `"ttl":1`, "'@'"}, {"SOA/@", `"ttl":1`, "'soaRecord'"},
		{"CNAME/x", `"ttl":1,"cnameRecord":{"cname":""}`, "'cname'"}, {"CNAME/x", `"ttl":1,"cnameRecord":[]`, "'cnameRecord'"}, {"CNAME/x", `"ttl":1,"cnameRecord":{"cname":"a b"}`, "'cname'"},
		{"MX/x", `"ttl":1,"mxRecords":[{"preference":70000,"exchange":"a"}]`, "'preference'"}, {"MX/x", `"ttl":1,"mxRecords":[{"preference":1}]`, "'exchange'"},
		{"SRV/x", `"ttl":1,"srvRecords":[{"priority":1,"weight":1,"port":-1,"target":"a"}]`, "'port'"}, {"TXT/x", `"ttl":1,"txtRecords":[{"value":[]}]`, "'value'"},
		{"TXT/x", `"ttl":1,"txtRecords":[{"value":["` + strings.Repeat("a", 256) + `"]}]`, "'value'"}, {"TXT/x", `"ttl":1,"txtRecords":[{"value":[1]}]`, "'value'"},
		{"TXT/x", `"ttl":1,"txtRecords":[` + many + `]`, "at most 20"}, {"A/x", `"ttl":1,"metadata":[]`, "'metadata'"}, {"A/x", `"ttl":1,"metadata":{"a":1}`, "'metadata'"},
	}
	for _, row := range rows {
		r.refused(400, "BadRequest", row.text, "PUT", zone+"/"+row.path, `{"properties":{`+row.properties+`}}`)
	}
	r.refused(400, "BadRequest", "'properties'", "PUT", zone+"/A/x", `{}`)
	r.refused(409, "Conflict", "CNAME", "PUT", zone+"/A/alias", `{"properties":{"ttl":1}}`)
	r.refused(409, "Conflict", "CNAME", "PUT", zone+"/CNAME/web", `{"properties":{"ttl":1}}`)
	if got := r.ok(200, "GET", zone, "").at("properties/numberOfRecordSets"); got != 3.0 {
		t.Errorf("numberOfRecordSets = %v, want 3: nothing refused may land", got)
	}
}

func TestLinks(t *testing.T) {
	r := newRig(t)
	zone, plain := r.zone(vaultZone), r.zone("contoso.example")
	one, two := r.network("one", "10.1"), r.network("two", "10.2")
	body := func(network, more string) string {
		return `{"location":"global","properties":{"virtualNetwork":{"id":"` + network + `"}` + more + `}}`
	}
	a := r.ok(201, "PUT", zone+"/virtualNetworkLinks/kv-link", body(one, `,"registrationEnabled":false`))
	want := map[string]any{"id": zone + "/virtualNetworkLinks/kv-link", "name": "kv-link", "type": "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
		"location": "global", "etag": a.at("etag"), "properties": map[string]any{"provisioningState": "Succeeded", "registrationEnabled": false,
			"resolutionPolicy": "Default", "virtualNetwork": map[string]any{"id": one}, "virtualNetworkLinkState": "Completed"}}
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Errorf("link (-want +got):\n%s", diff)
	}
	const overlap = "A virtual network cannot be linked to multiple zones with overlapping namespaces. You tried to link virtual network with '" + vaultZone + "' and '" + vaultZone + "' zones."
	r.refused(400, "BadRequest", overlap, "PUT", zone+"/virtualNetworkLinks/again", body(strings.ToUpper(one), ""))
	other := "/subscriptions/" + r.p.SubscriptionID + "/resourceGroups/other"
	r.ok(201, "PUT", other, `{"location":"eastus"}`)
	same := other + "/providers/Microsoft.Network/privateDnsZones/" + vaultZone
	r.ok(201, "PUT", same, `{"location":"global"}`)
	r.refused(400, "BadRequest", overlap, "PUT", same+"/virtualNetworkLinks/l", body(one, ""))
	r.ok(201, "PUT", same+"/virtualNetworkLinks/l", body(two, `,"resolutionPolicy":"nxDomainRedirect"`))
	if got := r.ok(200, "PATCH", zone+"/virtualNetworkLinks/kv-link", `{"tags":{"a":"b"},"properties":{"resolutionPolicy":"NxDomainRedirect"}}`); got.at("properties/resolutionPolicy") != "NxDomainRedirect" || got.at("tags/a") != "b" {
		t.Errorf("PATCH = %s", got.text)
	}
	if got := r.ok(201, "PUT", plain+"/virtualNetworkLinks/reg", body(one, `,"registrationEnabled":true`)); got.at("properties/registrationEnabled") != true || got.at("properties/resolutionPolicy") != nil {
		t.Errorf("link of another zone = %s", got.text)
	}
	if got := r.ok(200, "GET", plain, ""); got.at("properties/numberOfVirtualNetworkLinksWithRegistration") != 1.0 || got.at("properties/numberOfVirtualNetworkLinks") != 1.0 {
		t.Errorf("counters = %s", got.text)
	}
	r.refused(400, "BadRequest", "A virtual network can only be linked to 1 Private DNS zone(s) with auto-registration enabled; conflicting Private DNS zone is 'contoso.example'.",
		"PATCH", zone+"/virtualNetworkLinks/kv-link", `{"properties":{"registrationEnabled":true}}`)
	rows := []struct {
		status           int
		code, text, path string
		put              string
	}{
		{400, "BadRequest", "cannot be changed", "/virtualNetworkLinks/kv-link", body(two, "")},
		{400, "BadRequest", "private link zones only", "", body(two, `,"resolutionPolicy":"NxDomainRedirect"`)},
		{400, "BadRequest", "'resolutionPolicy'", "", body(two, `,"resolutionPolicy":"Other"`)},
		{400, "BadRequest", "'registrationEnabled'", "", body(two, `,"registrationEnabled":"yes"`)},
		{400, "BadRequest", "'virtualNetwork.id' is missing", "", `{"location":"global","properties":{}}`},
		{404, "ResourceNotFound", "'Microsoft.Network/virtualNetworks/none' under resource group 'postern'", "", body(r.id("virtualNetworks/none"), "")},
		{404, "ResourceNotFound", "", "", body(zone, "")},
		{400, "LocationRequired", "", "", `{"properties":{}}`},
	}
	for _, row := range rows {
		path := plain + "/virtualNetworkLinks/new"
		if row.path != "" {
			path = zone + row.path
		}
		r.refused(row.status, row.code, row.text, "PUT", path, row.put)
	}
	r.refused(400, "BadRequest", "name of the virtual network link", "PUT", plain+"/virtualNetworkLinks/-x", body(two, ""))
	r.refused(404, "ResourceNotFound", "'Microsoft.Network/privateDnsZones/"+vaultZone+"/virtualNetworkLinks/none'", "GET", zone+"/virtualNetworkLinks/none", "")
	r.refused(409, "CannotDeleteResource", "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: 'Microsoft.Network/privateDnsZones/"+
		vaultZone+"/virtualNetworkLinks/kv-link'. Please delete all nested resources before deleting this resource.", "DELETE", zone, "")
	if list, _ := r.ok(200, "GET", zone+"/virtualNetworkLinks", "").body["value"].([]any); len(list) != 1 {
		t.Errorf("%d links, want 1", len(list))
	}
	r.ok(200, "DELETE", zone+"/virtualNetworkLinks/kv-link", "")
	r.ok(204, "DELETE", zone+"/virtualNetworkLinks/kv-link", "")
	r.ok(200, "DELETE", zone, "")
	r.ok(200, "DELETE", one, "")
	if got := r.ok(200, "GET", plain, "").at("properties/numberOfVirtualNetworkLinks"); got != 0.0 {
		t.Errorf("%v links of a network that is gone", got)
	}
}
