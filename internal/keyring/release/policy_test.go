package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// confidential is the policy of the documentation's confidential VM, with a
// second authority.
const confidential = `{"version":"1.0.0","anyOf":[
	{"authority":"https://sharedweu.weu.attest.azure.net","allOf":[
		{"claim":"x-ms-isolation-tee.x-ms-attestation-type","equals":"sevsnpvm"},
		{"claim":"x-ms-isolation-tee.x-ms-compliance-status","equals":"azure-compliant-cvm"}]},
	{"authority":"https://second/","anyOf":[{"claim":"sdk-test","equals":"true"}]}]}`

const nested = `{"anyOf":[{"authority":"i","allOf":[{"claim":"a","equals":1},
	{"anyOf":[{"claim":"b","equals":2},{"allOf":[{"claim":"c","equals":true},{"claim":"d","equals":"x"}]}]}]}]}`

func TestAllows(t *testing.T) {
	const weu = "https://sharedweu.weu.attest.azure.net"
	tee := `{"x-ms-isolation-tee":{"x-ms-attestation-type":"sevsnpvm","x-ms-compliance-status":"azure-compliant-cvm"}}`
	both := `{"allOf":[{"authority":"i","allOf":[{"claim":"a","equals":"1"}]},{"authority":"i/","anyOf":[{"claim":"b","equals":"2"}]}]}`
	for _, c := range []struct {
		name, policy, authority, claims string
		want                            bool
	}{
		{"all claims", confidential, weu, tee, true},
		{"a slash more", confidential, weu + "/", tee, true},
		{"a slash less", confidential, "https://second", `{"sdk-test":"true"}`, true},
		{"true for \"true\"", confidential, "https://second/", `{"sdk-test":true}`, true},
		{"another authority", confidential, "https://other", tee, false},
		{"no authority", confidential, "", tee, false},
		{"a part of the authority", confidential, weu[:20], tee, false},
		{"the claims of the one from the other", confidential, weu, `{"sdk-test":"true"}`, false},
		{"the other way round", confidential, "https://second/", tee, false},
		{"one claim missing", confidential, weu, `{"x-ms-isolation-tee":{"x-ms-attestation-type":"sevsnpvm"}}`, false},
		{"one claim wrong", confidential, weu, strings.Replace(tee, "sevsnpvm", "tdxvm", 1), false},
		{"another case", confidential, weu, strings.Replace(tee, "sevsnpvm", "SEVSNPVM", 1), false},
		{"no claims", confidential, weu, `{}`, false},
		{"a claim with dots in its name", confidential, weu, `{"x-ms-isolation-tee.x-ms-attestation-type":"sevsnpvm","x-ms-isolation-tee.x-ms-compliance-status":"azure-compliant-cvm"}`, false},
		{"false", confidential, "https://second/", `{"sdk-test":false}`, false},
		{"null", confidential, "https://second/", `{"sdk-test":null}`, false},
		{"a list", confidential, "https://second/", `{"sdk-test":["true"]}`, false},
		{"an object", confidential, "https://second/", `{"sdk-test":{"true":"true"}}`, false},
		{"nested, the one way", nested, "i", `{"a":1,"b":2}`, true},
		{"nested, the other way", nested, "i", `{"a":1,"c":true,"d":"x"}`, true},
		{"nested, as strings", nested, "i", `{"a":"1","b":"2"}`, true},
		{"nested, not all", nested, "i", `{"a":1,"c":true}`, false},
		{"nested, without the first", nested, "i", `{"b":2,"c":true,"d":"x"}`, false},
		{"a list in place of an object", `{"anyOf":[{"authority":"i","anyOf":[{"claim":"a.b","equals":"1"}]}]}`, "i", `{"a":[{"b":"1"}]}`, false},
		{"large numbers are not rounded", `{"anyOf":[{"authority":"i","anyOf":[{"claim":"a","equals":9007199254740993}]}]}`, "i", `{"a":9007199254740992}`, false},
		{"all authorities", both, "i", `{"a":"1","b":"2"}`, true},
		{"not all authorities", both, "i", `{"a":"1"}`, false},
		{"names in another case", `{"ANYOF":[{"Authority":"i","AllOf":[{"Claim":"a","Equals":"1"}]}]}`, "i", `{"a":"1"}`, true},
	} {
		p, err := ParsePolicy([]byte(c.policy))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := p.Allows(c.authority, decode(t, c.claims)); got != c.want {
			t.Errorf("%s: Allows(%s, %s) = %v, want %v", c.name, c.authority, c.claims, got, c.want)
		}
	}
	if new(Policy).Allows("", nil) || new(Policy).Allows("i", map[string]any{"a": "1"}) {
		t.Error("the zero policy allows something")
	}
	// Claims that were decoded to floats are compared as well.
	p, err := ParsePolicy([]byte(nested))
	if err != nil || !p.Allows("i", map[string]any{"a": 1.0, "b": 2.0}) {
		t.Errorf("claims in floats are not the policy's numbers (%v)", err)
	}
}

// decode reads claims as a token's are read.
func decode(t *testing.T, text string) (claims map[string]any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestAuthorities(t *testing.T) {
	p, err := ParsePolicy([]byte(strings.ReplaceAll(`{"anyOf":[{"authority":"b",X},{"authority":"a",X},{"authority":"b",X}]}`, "X", `"anyOf":[{"claim":"c","equals":1}]`)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "a"}, p.Authorities()); diff != "" {
		t.Errorf("Authorities (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	deep := `{"anyOf":[{"authority":"i","anyOf":[` + strings.Repeat(`{"allOf":[`, 9) + `{"claim":"c","equals":1}` + strings.Repeat(`]}`, 9) + `]}]}`
	many := `{"anyOf":[{"authority":"i","anyOf":[` + strings.Repeat(`{"claim":"c","equals":1},`, maxConditions) + `{"claim":"c","equals":1}]}]}`
	for _, c := range []struct{ path, policy string }{
		{"", ``}, {"", `[]`}, {"", `null`}, {"", `"anyOf"`}, {"", `{}`}, {"", `{`}, {"", `{"version":"1.0.0"}`}, {"", strings.Repeat(" ", maxPolicy+1)},
		{"", confidential + confidential}, {"", confidential + "x"}, {"", strings.TrimSuffix(confidential, "}")},
		{"version", `{"version":"0.2","anyOf":[]}`}, {"version", `{"version":1}`}, {"rules", `{"rules":[]}`},
		{"anyOf", `{"anyOf":[]}`}, {"anyOf", `{"anyOf":{}}`}, {"anyOf", `{"anyOf":null}`}, {"anyOf[0]", `{"anyOf":["i"]}`}, {"anyOf[0]", `{"anyOf":[{}]}`},
		{"allOf", strings.TrimSuffix(confidential, "}") + `,"allOf":[]}`}, {"ANYOF", strings.TrimSuffix(confidential, "}") + `,"ANYOF":[]}`},
		{"anyOf[0]", `{"anyOf":[{"authority":"i"}]}`}, {"anyOf[0]", `{"anyOf":[{"anyOf":[{"claim":"c","equals":1}]}]}`},
		{"anyOf[0].authority", `{"anyOf":[{"authority":"/"}]}`}, {"anyOf[0].authority", `{"anyOf":[{"authority":1}]}`}, {"anyOf[0].issuer", `{"anyOf":[{"issuer":"i"}]}`},
		{"anyOf[0].anyOf", `{"anyOf":[{"authority":"i","anyOf":[]}]}`},
		{"anyOf[0].allOf", `{"anyOf":[{"authority":"i","anyOf":[{"claim":"c","equals":1}],"allOf":[{"claim":"c","equals":1}]}]}`},
		{"anyOf[0].anyOf[0]", one(`{}`)}, {"anyOf[0].anyOf[0]", one(`{"claim":"c"}`)}, {"anyOf[0].anyOf[0]", one(`{"equals":1}`)},
		{"anyOf[0].anyOf[0].claim", one(`{"claim":"","equals":1}`)}, {"anyOf[0].anyOf[0].claim", one(`{"claim":"a..b","equals":1}`)}, {"anyOf[0].anyOf[0].claim", one(`{"claim":".","equals":1}`)},
		{"anyOf[0].anyOf[0].claim", one(`{"claim":7,"equals":1}`)}, {"anyOf[0].anyOf[0].claim", one(`{"claim":"a","claim":"b","equals":1}`)},
		{"anyOf[0].anyOf[0].equals", one(`{"claim":"c","equals":null}`)}, {"anyOf[0].anyOf[0].equals", one(`{"claim":"c","equals":{}}`)}, {"anyOf[0].anyOf[0].equals", one(`{"claim":"c","equals":[]}`)},
		{"anyOf[0].anyOf[0].equals", one(`{"claim":"c","equals":1e}`)}, {"anyOf[0].anyOf[0].equals", one(`{"claim":"c","equals":1,"equals":2}`)},
		{"anyOf[0].anyOf[0].notEquals", one(`{"claim":"c","notEquals":1}`)}, {"anyOf[0].anyOf[0].exists", one(`{"claim":"c","exists":true}`)}, {"anyOf[0].anyOf[0].greater", one(`{"claim":"c","greater":1}`)},
		{"anyOf[0].anyOf[0].condition", one(`{"claim":"c","condition":"equals","value":1}`)},
		{"anyOf[0].anyOf[0]", one(`{"claim":"c","equals":1,"anyOf":[{"claim":"c","equals":1}]}`)},
		{"anyOf[0].anyOf[512]", many},
		{"anyOf[0].anyOf[0]" + strings.Repeat(".allOf[0]", 6), deep},
	} {
		p, err := ParsePolicy([]byte(c.policy))
		var invalid *Invalid
		if p != nil || !errors.As(err, &invalid) || invalid.Path != c.path {
			t.Errorf("ParsePolicy(%.120s) = %v, %v, want it refused at %q", c.policy, p, err, c.path)
		}
	}
}

// one is a policy with one condition.
func one(condition string) string {
	return fmt.Sprintf(`{"anyOf":[{"authority":"i","anyOf":[%s]}]}`, condition)
}

// FuzzParsePolicy: what is read has an authority, allows nothing to an unknown
// one, and nothing without claims.
func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{confidential, nested, one(`{"claim":"a.b","equals":1e3}`), one(`{"allOf":[{"claim":"a","equals":false}]}`), `{"allOf":[]}`, `{}`} {
		f.Add([]byte(s), []byte(`{"a":1,"b":{"c":true}}`))
	}
	f.Fuzz(func(t *testing.T, policy, text []byte) {
		p, err := ParsePolicy(policy)
		if err != nil {
			return
		}
		var claims map[string]any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if d.Decode(&claims) != nil {
			claims = nil
		}
		authorities := p.Authorities()
		if len(authorities) == 0 {
			t.Errorf("ParsePolicy(%q) has no authorities", policy)
		}
		for _, a := range append(authorities, "", "/", "https://nobody") {
			p.Allows(a, claims)
			if p.Allows(a, nil) {
				t.Errorf("the policy %q allows %q without claims", policy, a)
			}
		}
		if p.Allows("", claims) || p.Allows("/", claims) {
			t.Errorf("the policy %q allows nobody's %q", policy, text)
		}
	})
}
