package posture

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/iac"
	"postern/internal/iac/arm"
)

const (
	home    = "22222222-2222-2222-2222-222222222222"
	foreign = "33333333-3333-3333-3333-333333333333"
	vaultID = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/my-vault"
)

// failer is what of testing.TB a rapid.T has as well.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// observed is a vault as az shows it, with these properties.
func observed(properties string) string {
	return `{"id":"` + vaultID + `","type":"Microsoft.KeyVault/vaults","name":"my-vault","properties":{` + properties + `}}`
}

// declared is a template with one vault.
func declared(version, properties string) string {
	return `{"$schema":"deploymentTemplate.json","parameters":{"p":{"defaultValue":"None"}},"resources":[{"type":"Microsoft.KeyVault/vaults","apiVersion":"` +
		version + `","name":"my-vault","properties":{` + properties + `}}]}`
}

func acls(members string) string { return `"networkAcls":{` + members + `}` }

func resources(t failer, documents ...string) []*iac.Resource {
	t.Helper()
	var all []*iac.Resource
	for _, d := range documents {
		doc, err := arm.Read("vault.json", []byte(d))
		if err != nil {
			t.Fatalf("Read(%s): %v", d, err)
		}
		all = append(all, doc.Resources...)
	}
	return all
}

// verdict is the answer of one check for the only vault of the documents.
func verdict(t testing.TB, check string, documents ...string) Finding {
	t.Helper()
	for _, f := range Run(resources(t, documents...), Options{Today: day("2026-11-22")}) {
		if f.Check.ID == check {
			return f
		}
	}
	t.Fatalf("Run: no answer of %s", check)
	return Finding{}
}

func day(text string) time.Time {
	d, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return d
}

func TestChecks(t *testing.T) {
	const (
		services = "keyvault_notrustedservices"
		open     = "keyvault_default_allow"
		ruleless = "keyvault_public_without_rules"
		policies = "keyvault_access_policy_mode"
		purge    = "keyvault_no_purge_protection"
		tenant   = "keyvault_foreign_tenant"
	)
	off, rules := `"publicNetworkAccess":"Disabled"`, `"ipRules":[{"value":"203.0.113.0/24"}]`
	policy := func(tenant string) string { return `"accessPolicies":[{"tenantId":"` + tenant + `"}]` }
	vault := func(tenant string) string { return `"tenantId":"` + tenant + `"` }
	account := `{"id":"11111111-1111-1111-1111-111111111111","tenantId":"` + home + `","isDefault":true,"name":"s"}`
	for _, test := range []struct {
		check, name, text string
		want              Verdict
	}{
		{services, "deny none", observed(acls(`"defaultAction":"Deny","bypass":"None"`)), Fail},
		{services, "any letter case", observed(acls(`"DefaultAction":"dENY","BYPASS":"nONE"`)), Fail},
		{services, "allow none", observed(acls(`"defaultAction":"Allow","bypass":"None"`)), Pass},
		{services, "deny services", observed(acls(`"defaultAction":"Deny","bypass":"AzureServices"`)), Pass},
		{services, "deny services in lower case", observed(acls(`"defaultAction":"Deny","bypass":"azureservices"`)), Pass},
		{services, "deny without bypass", observed(acls(`"defaultAction":"Deny"`)), Pass},
		{services, "deny with null", observed(acls(`"defaultAction":"Deny","bypass":null`)), Pass},
		{services, "private only, not accepted", observed(off + "," + acls(`"defaultAction":"Deny","bypass":"None"`)), Fail},
		{services, "no networkAcls", observed(``), Pass},
		{services, "networkAcls null", observed(`"networkAcls":null`), Pass},
		{services, "a word that does not exist", observed(acls(`"defaultAction":"Deny","bypass":"Nobody"`)), CannotTell},
		{services, "not a word", observed(acls(`"defaultAction":"Deny","bypass":["None"]`)), CannotTell},
		{services, "twice", observed(acls(`"defaultAction":"Deny","bypass":"None","Bypass":"AzureServices"`)), CannotTell},
		{services, "parameter with a default", declared("2023-07-01", acls(`"defaultAction":"Deny","bypass":"[parameters('p')]"`)), CannotTell},
		{services, "parameter under allow", declared("2023-07-01", acls(`"defaultAction":"Allow","bypass":"[parameters('p')]"`)), Pass},
		{services, "parameter for the action", declared("2023-07-01", acls(`"defaultAction":"[parameters('p')]","bypass":"None"`)), CannotTell},
		{services, "either way", declared("2023-07-01", acls(`"defaultAction":"[parameters('p')]","bypass":"AzureServices"`)), Pass},
		{services, "fragment without action", `{"bypass":"None"}`, CannotTell},
		{services, "list without properties", `[{"id":"` + vaultID + `","type":"Microsoft.KeyVault/vaults","name":"my-vault"}]`, CannotTell},

		{open, "allow", observed(acls(`"defaultAction":"Allow"`)), Fail},
		{open, "allow with rules", observed(acls(`"defaultAction":"Allow",` + rules)), Fail},
		{open, "allow, switched off", observed(off + "," + acls(`"defaultAction":"Allow"`)), Pass},
		{open, "no networkAcls", observed(``), Fail},
		{open, "declared without networkAcls", declared("2023-07-01", ``), Fail},
		{open, "no networkAcls, switched off", observed(off), Pass},
		{open, "by perimeter", observed(`"publicNetworkAccess":"SecuredByPerimeter"`), Pass},
		{open, "deny", observed(acls(`"defaultAction":"deny"`)), Pass},
		{open, "deny, public unknown", declared("2023-07-01", `"publicNetworkAccess":"[parameters('p')]",`+acls(`"defaultAction":"Deny"`)), Pass},
		{open, "allow, public unknown", declared("2023-07-01", `"publicNetworkAccess":"[parameters('p')]"`), CannotTell},
		{open, "fragment", `{"bypass":"None","defaultAction":"Allow","ipRules":[],"virtualNetworkRules":[]}`, CannotTell},

		{ruleless, "deny without rules", observed(acls(`"defaultAction":"Deny"`)), Fail},
		{ruleless, "allow without rules", observed(``), Fail},
		{ruleless, "deny with a rule", observed(acls(`"defaultAction":"Deny",` + rules)), Pass},
		{ruleless, "deny with a subnet", observed(acls(`"defaultAction":"Deny","virtualNetworkRules":[{"id":"/x"}]`)), Pass},
		{ruleless, "switched off", observed(off), Pass},
		{ruleless, "switched off in lower case", observed(`"publicNetworkAccess":"disabled"`), Pass},
		{ruleless, "rules by parameter", declared("2023-07-01", acls(`"defaultAction":"Deny","ipRules":"[parameters('p')]"`)), CannotTell},
		{ruleless, "rules by copy", declared("2023-07-01", acls(`"copy":[{"name":"ipRules","count":1,"input":{}}]`)), CannotTell},

		{policies, "true", observed(`"enableRbacAuthorization":true`), Pass},
		{policies, "false", observed(`"enableRbacAuthorization":false`), Fail},
		{policies, "null", observed(`"enableRbacAuthorization":null`), Fail},
		{policies, "old version", declared("2023-07-01", ``), Fail},
		{policies, "new version", declared("2026-02-01", ``), CannotTell},
		{policies, "parameter", declared("2023-07-01", `"enableRbacAuthorization":"[parameters('p')]"`), CannotTell},

		{purge, "true", observed(`"enablePurgeProtection":true`), Pass},
		{purge, "absent", observed(``), Fail},
		{purge, "null", observed(`"enablePurgeProtection":null`), Fail},
		{purge, "json null", declared("2023-07-01", `"enablePurgeProtection":"[json('null')]"`), Fail},
		{purge, "a number", observed(`"enablePurgeProtection":1`), CannotTell},

		{tenant, "home unknown", observed(vault(home)), CannotTell},
		{tenant, "same as account", "[" + account + "," + observed(vault(home)) + "]", Pass},
		{tenant, "other than account", "[" + account + "," + observed(vault(foreign)) + "]", Fail},
		{tenant, "letter case", "[" + account + "," + observed(vault(strings.ToUpper(home))) + "]", Pass},
		{tenant, "foreign policy", "[" + account + "," + observed(vault(home)+","+policy(foreign)) + "]", Fail},
		{tenant, "own policy", "[" + account + "," + observed(vault(home)+","+policy(home)) + "]", Pass},
		{tenant, "policy without tenant", "[" + account + "," + observed(vault(home)+`,"accessPolicies":[{}]`) + "]", CannotTell},
		{tenant, "subscription().tenantId", declared("2023-07-01", vault("[subscription().tenantId]")), Pass},
		{tenant, "the same expression", declared("2023-07-01", vault("[subscription().tenantId]")+","+policy("[ subscription().tenantId ]")), Pass},
		{tenant, "policy literal, vault not", declared("2023-07-01", vault("[subscription().tenantId]")+","+policy(home)), CannotTell},
		{tenant, "parameter", declared("2023-07-01", vault("[parameters('p')]")), CannotTell},
		{tenant, "absent", observed(``), CannotTell},
	} {
		if f := verdict(t, test.check, test.text); f.Verdict != test.want {
			t.Errorf("%s: %s = %v (%s), want %v", test.check, test.name, f.Verdict, f.Message, test.want)
		}
	}
}

// A resource of its own can hand a policy of another tenant to the vault.
func TestForeignTenantInChildResource(t *testing.T) {
	f := verdict(t, "keyvault_foreign_tenant", `{"$schema":"deploymentTemplate.json","resources":[
		{"type":"Microsoft.KeyVault/vaults","name":"my-vault","properties":{"tenantId":"`+home+`"}},
		{"type":"Microsoft.KeyVault/vaults/accessPolicies","name":"my-vault/add","properties":{"accessPolicies":[
			{"tenantId":"`+foreign+`"}]}}]}`)
	if f.Verdict != Fail || f.At.Line != 4 {
		t.Errorf("foreign policy in a child = %v at %v, want fail at line 4", f.Verdict, f.At)
	}
}

// The failing JSON of the document fails, in the line of the value.
func TestDocument000(t *testing.T) {
	data, err := os.ReadFile("../iac/arm/testdata/document-000.json")
	if err != nil {
		t.Fatal(err)
	}
	f := verdict(t, "keyvault_notrustedservices", string(data))
	if f.Verdict != Fail || f.At.Line != 5 {
		t.Errorf("document 000 = %v at %v, want fail at line 5", f.Verdict, f.At)
	}
}

// A check says of the network what the decision does: it is asked of random
// vaults with a caller whom nothing admits but the default action.
func TestChecksAgreeWithDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		member := func(name string, values ...string) string {
			v := rapid.SampledFrom(append(values, "")).Draw(t, name)
			if v == "" {
				return ""
			}
			return fmt.Sprintf("%q:%q,", name, v)
		}
		list := rapid.SampledFrom([]string{`"ipRules":[]`, `"ipRules":[{"value":"203.0.113.7"}]`}).Draw(t, "rules")
		text := observed(strings.TrimSuffix(member("publicNetworkAccess", "Enabled", "disabled", "Disabled")+
			acls(member("defaultAction", "Allow", "deny", "Deny")+member("bypass", "None", "AzureServices", "none")+list), ","))
		all := resources(t, text)
		snapshot, _ := estate.New((&explaining{subject: &subject{Resource: all[0]}}).estate(), estate.Options{})
		vault, _ := snapshot.Vault("my-vault")
		stranger := access.Request{Origin: access.Origin{Path: access.PathPublic, Addr: netip.MustParseAddr("198.51.100.1")}, Operation: access.SecretGet,
			Caller: access.Caller{Token: access.TokenValid}}
		d := vault.Compiled.Decide(&stranger)
		for _, f := range Run(all, Options{}) {
			switch f.Check.ID {
			case "keyvault_default_allow":
				if want := d.Admitted == access.AdmittedOpen; (f.Verdict == Fail) != want {
					t.Fatalf("%s of %s = %v, but the decision admits openly: %v", f.Check.ID, text, f.Verdict, want)
				}
			case "keyvault_notrustedservices":
				refused := d.Reason == access.FirewallBypassNone || d.Reason == access.PublicDisabledBypassNone
				if f.Verdict == Fail && !refused {
					t.Fatalf("%s of %s = fail, but the decision is %v", f.Check.ID, text, d.Reason)
				}
				if f.Verdict == Pass && d.Reason == access.FirewallBypassNone {
					t.Fatalf("%s of %s = pass, but the decision is %v", f.Check.ID, text, d.Reason)
				}
			}
		}
	})
}

func TestAcceptance(t *testing.T) {
	private := observed(`"publicNetworkAccess":"Disabled",` + acls(`"defaultAction":"Deny","bypass":"None"`))
	public := observed(acls(`"defaultAction":"Deny","bypass":"None","ipRules":[{"value":"203.0.113.7"}]`))
	entry := func(vault, until string) string {
		return "accepted:\n- {check: keyvault_notrustedservices, vault: " + vault + ", owner: team, reason: private only, until: " + until + "}\n"
	}
	for _, test := range []struct {
		name, vault, yaml string
		want              Verdict
		note              string
	}{
		{"private and accepted", private, entry("my-vault", "2026-12-31"), Accepted, ""},
		{"by id, any case", private, entry(strings.ToUpper(vaultID), "2026-12-31"), Accepted, ""},
		{"on its last day", private, entry("MY-VAULT", "2026-11-22"), Accepted, ""},
		{"ended yesterday", private, entry("my-vault", "2026-11-21"), Fail, "team accepted it until 2026-11-21; that has passed"},
		{"of another vault", private, entry("other", "2026-12-31"), Fail, ""},
		{"reachable stays visible", public, entry("my-vault", "2026-12-31"), Accepted, "accepted although the public endpoint is, or may be, reachable"},
	} {
		a, err := ReadAcceptances(".postern.yaml", []byte(test.yaml))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		opt := Options{Today: day("2026-11-22").Add(13 * time.Hour), Accepted: func(string) *Acceptances { return a }}
		f := Run(resources(t, test.vault), opt)[0]
		if f.Verdict != test.want || f.Note != test.note {
			t.Errorf("%s: %v (%s), want %v (%s)", test.name, f.Verdict, f.Note, test.want, test.note)
		}
	}
}

func TestReadAcceptancesRefuses(t *testing.T) {
	const good = "check: keyvault_notrustedservices, vault: v, owner: o, reason: r, until: 2027-01-01"
	for _, test := range []struct{ text, want string }{
		{"accept: []", "accept"},
		{"accepted: [{" + good + ", extra: 1}]", "extra"},
		{"accepted: [{" + strings.Replace(good, "owner: o, ", "", 1) + "}]", "owner is missing"},
		{"accepted: [{" + strings.Replace(good, "reason: r", "reason: ' '", 1) + "}]", "reason is missing"},
		{"accepted: [{" + strings.Replace(good, ", until: 2027-01-01", "", 1) + "}]", "until is missing"},
		{"accepted: [{" + strings.Replace(good, "vault: v, ", "", 1) + "}]", "vault or file is missing"},
		{"accepted: [{" + strings.Replace(good, "2027-01-01", "someday", 1) + "}]", `"someday" is not a day`},
		{"accepted: [{" + strings.Replace(good, "notrusted", "nosuch", 1) + "}]", "does not exist"},
		{"accepted: [~]", "accepted[0]"},
		{"accepted: [{" + good + "}]\naccepted: []", "accepted"},
	} {
		_, err := ReadAcceptances(".postern.yaml", []byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ReadAcceptances(%s) = %v, want an error about %s", test.text, err, test.want)
		}
	}
}

// What a document says never becomes part of a command beyond a name that
// the service would take.
func TestFixesQuoteNothingForeign(t *testing.T) {
	for _, name := range []string{"x; rm -rf ~", "$(id)", "a\nb", "`id`", "../x", "-n"} {
		text := fmt.Sprintf(`{"id":%q,"type":"Microsoft.KeyVault/vaults","name":%q,"properties":{}}`,
			"/subscriptions/s/resourceGroups/"+name+"/providers/Microsoft.KeyVault/vaults/"+name, name)
		for _, f := range Run(resources(t, text), Options{}) {
			for _, foreign := range []string{"rm -rf", "$(id)", "`id`", "a\nb", "--name -n", "../x"} {
				if strings.Contains(f.Fix.AZ, foreign) {
					t.Errorf("%s: the command for %q is %q", f.Check.ID, name, f.Fix.AZ)
				}
			}
		}
	}
}

// FuzzAcceptances holds that no file makes the reader panic, and that what
// it takes is complete.
func FuzzAcceptances(f *testing.F) {
	f.Add([]byte("accepted:\n- check: keyvault_notrustedservices\n  vault: v\n  owner: o\n  reason: r\n  until: 2027-01-01\n"))
	f.Add([]byte("accepted: [{check: x}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ReadAcceptances("f", data)
		if err != nil {
			return
		}
		for _, e := range a.Accepted {
			if e.Owner == "" || e.Reason == "" || e.until.IsZero() {
				t.Fatalf("ReadAcceptances(%q) took %+v", data, e)
			}
		}
	})
}

// FuzzRun holds that no document makes a check panic, and that a check that
// passes or fails rests on a value that was read.
func FuzzRun(f *testing.F) {
	f.Add([]byte(observed(acls(`"defaultAction":"Deny","bypass":"None"`))))
	f.Add([]byte(declared("2026-02-01", `"networkAcls":"[parameters('p')]"`)))
	f.Add([]byte(`{"bypass":"None","defaultAction":"Deny","ipRules":[],"virtualNetworkRules":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := arm.Read("f", data)
		if err != nil {
			return
		}
		for _, finding := range Run(doc.Resources, Options{}) {
			if finding.Verdict != CannotTell && finding.Resource.Body.Get("properties").Kind == iac.Unknown {
				t.Fatalf("%s = %v although the properties are unknown: %q", finding.Check.ID, finding.Verdict, data)
			}
			if finding.Message == "" || finding.Check.Source == "" {
				t.Fatalf("%s says nothing: %q", finding.Check.ID, data)
			}
		}
	})
}
