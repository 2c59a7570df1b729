package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/internal/estate"
)

// words are what names and zones are put together from, so that they meet.
var words = []string{"myvault", "v", "vault", "azure", "net", "vaultcore", "privatelink", "a", "*", "data-prod-eus", "postern", "localhost", `x\.y`, "@"}

func drawName(t *rapid.T, label string, most int) string {
	suffix := rapid.SampledFrom([]string{"", ".vault.azure.net", ".privatelink.vaultcore.azure.net", ".vaultcore.azure.net", ".vault.postern.localhost"}).Draw(t, label+" in")
	name := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, most).Draw(t, label), ".")
	return strings.TrimPrefix(name+suffix, ".")
}

// drawEstate is an estate of which most parts lead somewhere. Every record
// set has one address.
func drawEstate(t *rapid.T) []*estate.Resource {
	list := []*estate.Resource{network("myvnet", "app=10.0.1.0/24"), network("other", "app=10.9.0.0/24")}
	for range rapid.IntRange(0, 3).Draw(t, "vaults") {
		list = append(list, vault(rapid.SampledFrom(words[:2]).Draw(t, "vault"), rapid.SampledFrom([]string{"eastus", "nowhere"}).Draw(t, "region"),
			"e="+rapid.SampledFrom([]string{"Approved", "Pending", "?"}).Draw(t, "state")))
	}
	for range rapid.IntRange(0, 4).Draw(t, "zones") {
		zone := drawName(t, "zone", 2)
		list = append(list, privateDNS(zone), linkTo(zone, rapid.SampledFrom([]string{"myvnet", "other"}).Draw(t, "network"),
			rapid.SampledFrom([]string{"", "Default", "NxDomainRedirect"}).Draw(t, "policy")))
		for range rapid.IntRange(0, 4).Draw(t, "records") {
			name := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 3).Draw(t, "record"), ".")
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				list = append(list, record(zone, name, rapid.IntRange(0, 9).Draw(t, "ttl"), "10.0.3.4"))
			case 1:
				list = append(list, recordOf("CNAME", zone, name, `"cnameRecord":{"cname":"`+strings.ReplaceAll(drawName(t, "alias", 3), `\`, `\\`)+`"}`))
			case 2:
				list = append(list, recordOf("TXT", zone, name, `"txtRecords":[]`))
			}
		}
	}
	return list
}

// TestEveryQuestionEnds: whatever the estate and the question, the answer
// has at most eight records, its aliases lead from one to the next, and it
// is either whole, negative with the SOA of a zone that holds the last name,
// or goes on elsewhere. The same question has the same answer.
func TestEveryQuestionEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := view(rapid.SampledFrom([]string{inside, "10.9.0.1", outside}).Draw(t, "client"), drawEstate(t)...)
		v.Forward = rapid.SliceOfN(rapid.SampledFrom([]string{".", "net.", "vault.azure.net.", "vaultcore.azure.net."}), 0, 2).Draw(t, "forward")
		q := Question{drawName(t, "name", 4) + ".", Type(rapid.SampledFrom([]int{1, 5, 6, 16, 28, 65, 255}).Draw(t, "type"))}
		a := Resolve(v, q)
		if text(a) != text(Resolve(v, q)) {
			t.Fatalf("Resolve(%v) = %s, and another time %s", q, text(a), text(Resolve(v, q)))
		}
		sound(t, q, a)
		if q.Type == TypeA {
			agree(t, v, q, a)
		}
	})
}

// agree: what Trace tells is what Resolve answers.
func agree(t reporter, v *View, q Question, a Answer) {
	d := Trace(v, q.Name)
	if a.Code != ServerFailure && (d.Code != a.Code.String() || len(d.Steps) == 0 || len(d.Steps) > maxHops) {
		t.Fatalf("Trace(%s) = %+v, Resolve %s", q.Name, d, text(a))
	}
	var addrs []netip.Addr
	for _, r := range a.Records {
		if r.Addr.IsValid() {
			addrs = append(addrs, r.Addr)
		}
	}
	if !slices.Equal(addrs, d.Addresses) {
		t.Fatalf("Trace(%s) leads to %v, Resolve to %v", q.Name, d.Addresses, addrs)
	}
}

type reporter interface{ Fatalf(string, ...any) }

func sound(t reporter, q Question, a Answer) {
	if len(a.Records) > maxHops {
		t.Fatalf("Resolve(%v) has %d records", q, len(a.Records))
	}
	name, whole := q.Name, false
	for i, r := range a.Records {
		if r.Name != name {
			t.Fatalf("Resolve(%v) = %s: record %d does not follow from %s", q, text(a), i, name)
		}
		if r.Type == TypeCNAME {
			name = r.Target
		}
		whole = r.Type == q.Type || q.Type == TypeANY
	}
	negative := a.Authority != nil
	if negative && !within(lower(name), a.Authority.Zone) {
		t.Fatalf("Resolve(%v) = %s: the SOA is of another zone", q, text(a))
	}
	if outcomes := count(whole, negative, a.Elsewhere != "", a.Code == ServerFailure); outcomes != 1 {
		t.Fatalf("Resolve(%v) = %s, which has %d outcomes, want 1", q, text(a), outcomes)
	}
	if a.Elsewhere != "" && a.Elsewhere != lower(name) || a.Code == NoSuchName && !negative {
		t.Fatalf("Resolve(%v) = %s", q, text(a))
	}
}

func count(list ...bool) (n int) {
	for _, b := range list {
		if b {
			n++
		}
	}
	return n
}

func FuzzResolve(f *testing.F) {
	for _, seed := range []struct{ name, zone, record, alias string }{
		{"myvault.vault.azure.net.", core, "myvault", "b"}, {"a.b.", "b", "@", "a.b"}, {`a\..b.`, "b", "*", "*.b"}, {".", "", "", "."}, {`\`, `\`, `\`, `\`},
	} {
		f.Add(seed.name, seed.zone, seed.record, seed.alias, uint16(1))
	}
	f.Fuzz(func(t *testing.T, name, zone, rec, alias string, typ uint16) {
		v := view(inside, vault("myvault", "eastus", "e=Approved"), network("myvnet", "app=10.0.1.0/24"))
		z := resource(estate.TypePrivateZone, networks+"privateDnsZones/z", "", `{}`)
		z.Name = zone
		a, c := record("z", "r", 5, "10.0.3.4"), recordOf("CNAME", "z", "c", `"cnameRecord":{"cname":`+quote(alias)+`}`)
		a.Name, c.Name = rec, alias
		v.Snapshot, _ = estate.New([]*estate.Resource{vault("myvault", "eastus", "e=Approved"), network("myvnet", "app=10.0.1.0/24"), z, linkTo("z", "myvnet", ""), a, c}, estate.Options{})
		q := Question{name, Type(typ)}
		if got := Resolve(v, q); len(got.Records) > maxHops {
			t.Fatalf("Resolve(%v) has %d records", q, len(got.Records))
		}
		Trace(v, name)
	})
}

// TestAllocations: an answer allocates its records and the name of the
// vault's alias; what leads nowhere allocates nothing.
func TestAllocations(t *testing.T) {
	v := ready(view(inside, drawing()...))
	for _, c := range []struct {
		name string
		most float64
	}{{"myvault.vault.azure.net.", 2}, {"plain.vault.azure.net.", 1}, {"login.microsoftonline.com.", 1}, {"nobody.vault.azure.net.", 0}, {"example.com.", 0}} {
		if got := testing.AllocsPerRun(100, func() { Resolve(v, Question{c.name, TypeA}) }); got > c.most {
			t.Errorf("Resolve(%s) allocates %v times, want at most %v", c.name, got, c.most)
		}
	}
}

// ready is a view as the server has it.
func ready(v *View) *View {
	v.served, v.private = serve(v.Names), compile(v.Snapshot)
	return v
}

func BenchmarkResolve(b *testing.B) {
	large := drawing()
	for i := range 1000 {
		large = append(large, network("n"+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676)),
			"s="+netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16 + byte(i/256), byte(i), 0}), 24).String()))
	}
	for _, c := range []struct {
		name, question, client string
		resources              []*estate.Resource
	}{
		{"private", "myvault.vault.azure.net.", inside, drawing()}, {"public", "myvault.vault.azure.net.", outside, drawing()},
		{"nothing", "nobody.vault.azure.net.", outside, drawing()}, {"thousandSubnets", "myvault.vault.azure.net.", inside, large},
	} {
		b.Run(c.name, func(b *testing.B) {
			v := ready(view(c.client, c.resources...))
			b.ReportAllocs()
			for b.Loop() {
				Resolve(v, Question{c.question, TypeA})
			}
		})
	}
}
