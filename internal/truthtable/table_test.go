package truthtable

import (
	"crypto/tls"
	"net/http"
	"strings"
	"sync"
	"testing"

	"postern/internal/estate"
	"postern/posterntest"
)

// table is the documented one, and it decides here: the first row that fits.
// "" fits everything.
var table = []struct{ connection, perimeter, public, action, bypass, verdict string }{
	{"approved endpoint", "", "", "", "", "admitted"},
	{"", "Enforced", "", "", "", "perimeter"},
	{"", "", "SecuredByPerimeter", "", "", "perimeter"},
	{"", "", "Disabled", "", "AzureServices", "F4 unless trusted"},
	{"", "", "Disabled", "", "None", "F5"},
	{"nothing proved", "", "Enabled", "", "AzureServices", "F1 unless trusted"},
	{"nothing proved", "", "Enabled", "", "None", "F2"},
	{"", "", "Enabled", "Allow", "", "admitted"},
	{"listed", "", "Enabled", "Deny", "", "admitted"},
	{"", "", "Enabled", "Deny", "AzureServices", "F1 unless trusted"},
	{"", "", "Enabled", "Deny", "None", "F2"},
}

func verdict(connection, perimeter, public, action, bypass string) string {
	fits := func(cell, value string) bool { return cell == "" || cell == value }
	for _, row := range table {
		if fits(row.connection, connection) && fits(row.perimeter, perimeter) && fits(row.public, public) && fits(row.action, action) && fits(row.bypass, bypass) {
			return row.verdict
		}
	}
	return "no row"
}

// refusals are the inner code and the first line of each (recorded answers).
var refusals = map[string][2]string{
	"F1": {"ForbiddenByFirewall", "Client address is not authorized and caller is not a trusted service."},
	"F2": {"ForbiddenByFirewall", "Client address is not authorized and caller was ignored because bypass is set to None"},
	"F3": {"ForbiddenByFirewall", "Request was not allowed by NSP rules and the client address is not authorized and caller was ignored because bypass is set to None"},
	"F4": {"ForbiddenByConnection", "Public network access is disabled and request is not from a trusted service nor via an approved private link."},
	"F5": {"ForbiddenByConnection", "Connection is not an approved private link and caller was ignored because bypass is not set to 'AzureServices' and PublicNetworkAccess is set to 'Disabled'."},
	"A1": {"ForbiddenByRbac", "Caller is not authorized to perform action on resource."},
}

// place is where a request comes from, and what the table calls it.
type place struct {
	name, kind string
	way        way
	// address is what the server must have seen.
	address string
	// public: a perimeter's address rules can hold the address.
	public bool
	// unknown: the connection is of a subnet that no rule names.
	unknown bool
	// member: the calling resource is in the perimeter.
	member bool
}

// places are all kinds of connection, most of them in more than one shape.
func places(t *testing.T, p *posterntest.Postern, hops string, kv, other posterntest.Vault) []place {
	approved, pending := newEndpoint(t, p, kv, "approved", false), newEndpoint(t, p, kv, "pending", true)
	rejected, removed := newEndpoint(t, p, kv, "rejected", true), newEndpoint(t, p, kv, "removed", false)
	elsewhere := newEndpoint(t, p, other, "elsewhere", false)
	rejected.decide(t, p, "Rejected")
	removed.remove(t, p)
	from := func(source, destination string, tlvs ...[]byte) way {
		return tcp(hops).behind(hop{source, destination, join(tlvs)}.bytes())
	}
	owner := func(source string, tlvs ...[]byte) way {
		return vantage(p.Data).behind(hop{source, "", join(tlvs)}.bytes())
	}
	perimeter, app := tlv(0xE2, []byte(estate.Key(networkID(p, "networkSecurityPerimeters/nsp")))), tlv(0xE0, []byte(estate.Key(subnetID(p, "app"))))
	return []place{
		{name: "approved endpoint by link", kind: "approved endpoint", way: from("10.0.1.20", "", link(approved.link)), address: "10.0.1.20"},
		{name: "approved endpoint by destination", kind: "approved endpoint", way: from("10.0.5.20", approved.address), address: "10.0.5.20"},
		{name: "approved endpoint by link, from outside", kind: "approved endpoint", way: from("198.51.100.6", "", link(approved.link)), address: "198.51.100.6"},
		{name: "pending endpoint by link", kind: "other", way: from("10.0.1.20", "", link(pending.link)), address: "10.0.1.20"},
		{name: "pending endpoint by link, address listed", kind: "other", way: from("203.0.113.8", "", link(pending.link)), address: "203.0.113.8"},
		{name: "pending endpoint by destination", kind: "other", way: from("10.0.1.21", pending.address), address: "10.0.1.21"},
		{name: "rejected endpoint by link", kind: "other", way: from("198.51.100.8", "", link(rejected.link)), address: "198.51.100.8"},
		{name: "rejected endpoint by destination", kind: "other", way: from("10.0.1.22", rejected.address), address: "10.0.1.22"},
		{name: "disconnected endpoint by link", kind: "other", way: from("203.0.113.9", "", link(removed.link)), address: "203.0.113.9"},
		{name: "disconnected endpoint by destination", kind: "other", way: from("10.0.1.23", removed.address), address: "10.0.1.23"},
		{name: "endpoint of another vault by link", kind: "other", way: from("10.0.1.24", "", link(elsewhere.link)), address: "10.0.1.24"},
		{name: "endpoint of another vault by destination", kind: "other", way: from("10.0.1.24", elsewhere.address), address: "10.0.1.24"},
		{name: "link of nobody, destination approved", kind: "other", way: from("10.0.1.25", approved.address, link(^approved.link)), address: "10.0.1.25"},

		{name: "subnet listed", kind: "listed", way: from("10.0.1.5", ""), address: "10.0.1.5"},
		{name: "subnet listed, named by the owner", kind: "listed", way: owner("192.168.7.7", app), address: "192.168.7.7"},
		{name: "subnet not listed", kind: "other", way: from("10.0.2.5", ""), address: "10.0.2.5", unknown: true},
		{name: "subnet without service endpoint, listed", kind: "other", way: from("10.0.4.5", ""), address: "10.0.4.5", unknown: true},
		{name: "subnet without service endpoint, not listed", kind: "other", way: from("10.0.5.5", ""), address: "10.0.5.5", unknown: true},
		{name: "address of a network, in no subnet", kind: "other", way: from("10.0.9.9", ""), address: "10.0.9.9"},
		{name: "subnet that is gone", kind: "nothing proved", way: owner("10.0.1.5", tlv(0xE0, []byte(estate.Key(subnetID(p, "gone"))))), address: "10.0.1.5"},

		{name: "public address listed", kind: "listed", way: from("203.0.113.7", "192.0.2.1"), address: "203.0.113.7", public: true},
		{name: "public address listed, mapped", kind: "listed", way: from("::ffff:203.0.113.7", ""), address: "203.0.113.7", public: true},
		{name: "public address not listed", kind: "other", way: from("198.51.100.7", ""), address: "198.51.100.7", public: true},
		{name: "public address of IPv6", kind: "other", way: from("2001:db8::7", ""), address: "2001:db8::7"},
		{name: "member of the perimeter, not listed", kind: "other", way: owner("198.51.100.9", perimeter), address: "198.51.100.9", public: true, member: true},
		{name: "member of the perimeter, by another's endpoint", kind: "other", way: owner("10.0.1.9", perimeter, link(pending.link)), address: "10.0.1.9", member: true},
		{name: "the listener itself", kind: "other", way: tcp(p.Address()), address: "127.0.0.1"},
	}
}

func join(parts [][]byte) (all []byte) {
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// who asks, and for what.
type who struct {
	name, token string
	certificate string // the service whose proof is shown
	remove      bool   // instead of a read, the removal of what is not there
	// What holds of the caller: trusted by the table's words, with a right,
	// without a token.
	trusted, right, absent bool
	// subscription is that of the resource which a managed identity belongs
	// to, as its token says.
	subscription string
	// broken is what is answered to a token that is no good, where the
	// network lets it come that far; "" for one that is.
	broken string
}

// trustedServices are those that take part.
var trustedServices = []string{"Azure Backup", "Azure Batch"}

func callers(t *testing.T, p *posterntest.Postern, kv posterntest.Vault) []who {
	backup, batch, stranger := p.Service("Azure Backup"), p.Service("Azure Batch"), p.CreatePrincipal("stranger")
	assign(t, p, kv, 1, backup)
	machine := managed(t, p, kv)
	resource := vaultResource(kv)
	own, theirs, without := p.Token(resource), p.TokenFor(backup.ClientID, backup.Secret, resource), p.TokenFor(batch.ClientID, batch.Secret, resource)
	nobody := p.TokenFor(stranger.ClientID, stranger.Secret, resource)
	return []who{
		{name: "somebody", token: own, right: true},
		{name: "somebody without a right", token: nobody},
		{name: "managed identity", token: machine, right: true, subscription: p.SubscriptionID},
		{name: "managed identity, forged", token: machine[:len(machine)-8] + "AAAAAAAA",
			broken: "[AggregatedAuthenticationFailure] Error validating token: 'S2S17001'."},
		{name: "trusted service", token: theirs, certificate: "Azure Backup", trusted: true, right: true},
		{name: "its identity without proof", token: theirs, right: true},
		{name: "its identity with another's proof", token: theirs, certificate: "Azure Batch", right: true},
		{name: "its proof with another identity", token: own, certificate: "Azure Backup", right: true},
		{name: "an operation outside of its scenario", token: theirs, certificate: "Azure Backup", right: true, remove: true},
		{name: "trusted service without a right", token: without, certificate: "Azure Batch", trusted: true},
		{name: "no token, with proof", certificate: "Azure Backup", absent: true},
		{name: "forged token, with proof", token: theirs[:len(theirs)-8] + "AAAAAAAA", certificate: "Azure Backup",
			broken: "[AggregatedAuthenticationFailure] Error validating token: 'S2S17001'."},
		{name: "token for another audience, with proof", token: p.TokenFor(backup.ClientID, backup.Secret, p.ManagementURL), certificate: "Azure Backup",
			broken: "AKV10022: Invalid audience. Expected " + resource + ", found: " + p.ManagementURL + "."},
	}
}

// settings is one configuration.
type settings struct{ perimeter, rule, public, action, bypass string }

// rule is what a perimeter may let in.
type rule struct {
	name string
	in   object
}

// rules are by address, or by the subscription of a managed identity; being
// in the perimeter needs none.
func rules(p *posterntest.Postern) []rule {
	of := func(subscription string) object {
		return object{"direction": "Inbound", "subscriptions": []object{{"id": "/subscriptions/" + subscription}}}
	}
	return []rule{
		{"nothing", nil},
		{"address", object{"direction": "Inbound", "addressPrefixes": []string{"198.51.100.0/24"}}},
		{"addresses", object{"direction": "Inbound", "addressPrefixes": []string{"198.51.100.0/24", "203.0.113.0/24"}}},
		{p.SubscriptionID, of(p.SubscriptionID)},
		{"another-subscription", of("00000000-1111-2222-3333-444444444444")},
	}
}

// want is what the table says: status, inner code, first line, and the
// second where it names the address.
func (s settings) want(at place, by who) answer {
	v := verdict(at.kind, s.perimeter, s.public, s.action, s.bypass)
	inside := s.perimeter != "none" && (at.member || by.subscription != "" && s.rule == by.subscription || at.public &&
		(strings.HasPrefix(s.rule, "address") && strings.HasPrefix(at.address, "198.51.100.") || s.rule == "addresses" && strings.HasPrefix(at.address, "203.0.113.")))
	switch {
	case by.absent:
		return answer{status: http.StatusUnauthorized, first: "AKV10000: Request is missing a Bearer or PoP token."}
	case v == "perimeter" && !inside:
		return refusal("F3", "Client address: "+at.address)
	case strings.HasSuffix(v, " unless trusted") && !by.trusted || v == "F2" || v == "F5":
		second := "Client address: " + at.address
		if at.unknown || at.kind == "listed" && !at.public {
			second += " from unknown subnet"
		}
		return refusal(v[:2], second)
	case by.broken != "":
		return answer{status: http.StatusUnauthorized, first: by.broken}
	case !by.right:
		return refusal("A1", "")
	case by.remove:
		return answer{status: http.StatusNotFound}
	}
	return answer{status: http.StatusOK}
}

func refusal(name, second string) answer {
	if name != "F1" && name != "F2" && name != "F3" {
		second = ""
	}
	return answer{status: http.StatusForbidden, inner: refusals[name][0], first: refusals[name][1], second: second}
}

// same compares what came with what was expected of it.
func same(got, want answer) bool {
	if got.status != want.status || got.inner != want.inner {
		return false
	}
	if want.status == http.StatusOK || want.status == http.StatusNotFound {
		return true
	}
	return got.first == want.first && (want.second == "" || got.second == want.second)
}

// TestTable asks every combination. The connections stay open throughout:
// what is configured holds for the next request over each of them.
func TestTable(t *testing.T) {
	p, hops := start(t, "127.0.0.1")
	network(t, p)
	kv, other := p.CreateVault("kv1"), p.CreateVault("kv2")
	if status, text := p.Do(http.MethodPut, kv.URL+"/secrets/a"+api, object{"value": "v"}); status != http.StatusOK {
		t.Fatalf("PUT = %d %s", status, text)
	}
	asked := &asker{t: t, url: kv.URL, callers: callers(t, p, kv)}
	certificates := map[string]*tls.Certificate{"": nil}
	for _, service := range trustedServices {
		issued := p.IssueCertificate(service, 0)
		certificates[service] = &issued.Certificate
	}
	for _, at := range places(t, p, hops, kv, other) {
		v := visitor{place: at, by: map[string]*caller{}}
		for service, certificate := range certificates {
			v.by[service] = newCaller(t, p, at.way, certificate)
		}
		asked.visitors = append(asked.visitors, v)
	}
	patch(t, p, kv, object{"networkAcls": object{"ipRules": []object{{"value": "203.0.113.0/24"}}, "virtualNetworkRules": []object{
		{"id": subnetID(p, "app")}, {"id": subnetID(p, "blind"), "ignoreMissingVnetServiceEndpoint": true}}}})
	nsp := networkID(p, "networkSecurityPerimeters/nsp")
	arm(t, p, http.MethodPut, nsp, networkAPI, object{"location": "eastus"})
	rules := rules(p)
	for _, rule := range rules {
		arm(t, p, http.MethodPut, nsp+"/profiles/"+rule.name, networkAPI, object{"properties": object{}})
		if rule.in != nil {
			arm(t, p, http.MethodPut, nsp+"/profiles/"+rule.name+"/accessRules/in", networkAPI, object{"properties": rule.in})
		}
	}
	for _, perimeter := range []struct{ mode, access string }{{"none", ""}, {"Transition", "Learning"}, {"Enforced", "Enforced"}} {
		for _, rule := range rules {
			if perimeter.mode == "none" && rule.in != nil {
				continue
			}
			if perimeter.mode != "none" {
				arm(t, p, http.MethodPut, nsp+"/resourceAssociations/kv", networkAPI, object{"properties": object{"accessMode": perimeter.access,
					"privateLinkResource": object{"id": kv.ID}, "profile": object{"id": nsp + "/profiles/" + rule.name}}})
			}
			for _, public := range []string{"Enabled", "Disabled", "SecuredByPerimeter"} {
				for _, action := range []string{"Allow", "Deny"} {
					for _, bypass := range []string{"AzureServices", "None"} {
						patch(t, p, kv, object{"publicNetworkAccess": public, "networkAcls": object{"defaultAction": action, "bypass": bypass}})
						asked.all(settings{perimeter.mode, rule.name, public, action, bypass})
					}
				}
			}
		}
	}
	for _, v := range asked.visitors {
		for service, c := range v.by {
			if n := c.lost.Load(); n != 0 {
				t.Errorf("from %s with the proof %q: the server ended %d connections, want all to stay", v.place.name, service, n)
			}
		}
	}
	if want := (1 + 2*len(rules)) * 12 * len(asked.visitors) * len(asked.callers); asked.count != want {
		t.Errorf("%d combinations, want %d", asked.count, want)
	}
	t.Logf("%d combinations of %d places and %d callers", asked.count, len(asked.visitors), len(asked.callers))
}

// visitor is a place with a connection for each proof that is shown there.
type visitor struct {
	place place
	by    map[string]*caller
}

type asker struct {
	t        *testing.T
	url      string
	visitors []visitor
	callers  []who

	mu    sync.Mutex // guards what follows
	count int
	wrong int
}

// maxWrong bounds what is printed: one mistake shows up many times.
const maxWrong = 20

// all asks everybody from everywhere, under one configuration.
func (a *asker) all(s settings) {
	a.t.Helper()
	var wg sync.WaitGroup
	for _, v := range a.visitors {
		wg.Go(func() {
			for _, by := range a.callers {
				a.one(s, v, by)
			}
		})
	}
	wg.Wait()
	if a.wrong > maxWrong {
		a.t.Fatalf("%d answers are not what the table says", a.wrong)
	}
}

func (a *asker) one(s settings, v visitor, by who) {
	method, url := http.MethodGet, a.url+"/secrets/a/"+api
	if by.remove {
		method, url = http.MethodDelete, a.url+"/secrets/nothing"+api
	}
	got, err := v.by[by.certificate].ask(method, url, by.token, nil)
	want := s.want(v.place, by)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count++
	seen := "addr=" + v.place.address + ";"
	if v.place.kind == "nothing proved" {
		seen = "conn_type=Unknown;"
	}
	if err == nil && same(got, want) && strings.Contains(got.networkInfo, seen) {
		return
	}
	if a.wrong++; a.wrong <= maxWrong {
		a.t.Errorf("%+v: %s, %s = %+v (%v), want %+v, seen as %s", s, v.place.name, by.name, got, err, want, seen)
	}
}
