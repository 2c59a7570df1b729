package contract

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// preparations make, before an example's request is sent, what it takes for
// granted, and put into its parameters what no example can know: a version
// of this vault, a ciphertext or a backup of this server.
var preparations = map[string]func(d driver, e map[string]any){
	"SetSecret":         nil,
	"GetSecret":         madeSecret,
	"UpdateSecret":      madeSecret,
	"DeleteSecret":      madeSecret,
	"BackupSecret":      madeSecret,
	"GetSecretVersions": func(d driver, e map[string]any) { madeSecret(d, e); madeSecret(d, e) },
	"GetSecrets": func(d driver, _ map[string]any) {
		madeSecret(d, fields{"secret-name": "one"})
		madeSecret(d, fields{"secret-name": "two"})
	},
	"GetDeletedSecret":     deletedSecret,
	"PurgeDeletedSecret":   deletedSecret,
	"RecoverDeletedSecret": deletedSecret,
	"GetDeletedSecrets": func(d driver, _ map[string]any) {
		deletedSecret(d, fields{"secret-name": "one"})
		deletedSecret(d, fields{"secret-name": "two"})
	},
	"RestoreSecret": func(d driver, e map[string]any) {
		d.send(200, "PUT", "/secrets/kept", fields{"value": "x", "contentType": "text", "attributes": fields{"nbf": 1, "exp": 4000000000}})
		e["body"].(fields)["value"] = d.send(200, "POST", "/secrets/kept/backup", nil).text("value")
		d.send(200, "DELETE", "/secrets/kept", nil)
		d.send(204, "DELETE", "/deletedsecrets/kept", nil)
	},
}

func madeSecret(d driver, e map[string]any) {
	path := "/secrets/" + e["secret-name"].(string)
	e["secret-version"] = d.send(200, "PUT", path, fields{"value": "x", "contentType": "plainText", "tags": fields{"a": "b"}}).versionOf("id")
}

func deletedSecret(d driver, e map[string]any) {
	madeSecret(d, e)
	d.send(200, "DELETE", "/secrets/"+e["secret-name"].(string), nil)
}

// unlike are the parts of an example's answer that ours need not have.
var unlike = map[string][]string{}

// TestExamples sends the examples of the documents and compares the answers:
// the same status, and everything that the example's answer has.
func TestExamples(t *testing.T) {
	folder := shared(t)
	if folder == "" {
		return
	}
	p, authority := start(t)
	token := p.Token("https://vault.azure.net")
	for i, version := range versions {
		spec, err := load(folder, version)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(spec.operations)) {
			o := spec.operations[name]
			if !driven(name) || inHardware(o) {
				continue
			}
			t.Run(version+"/"+o.id, func(t *testing.T) {
				prepare, known := preparations[o.id]
				if !known || len(o.examples) == 0 {
					t.Fatalf("%d examples, prepared: %v", len(o.examples), known)
				}
				for n, e := range o.examples {
					kv := p.CreateVault(strings.ToLower(fmt.Sprintf("v%d%.18s%d", i, o.id, n)), premium)
					d := driver{t: t, p: p, base: p.PublicVaultURL(kv.Name), version: version, token: token, spec: spec, rows: newCoverage(), authority: authority}
					replay(d, o, e, prepare)
				}
			})
		}
	}
}

// replay sends one example.
func replay(d driver, o *operation, e example, prepare func(driver, map[string]any)) {
	if e.body != "" {
		e.Parameters["body"] = e.Parameters[e.body]
	}
	if prepare != nil {
		prepare(d, e.Parameters)
	}
	target := o.pattern
	query := url.Values{}
	for name, value := range e.Parameters {
		if text := fmt.Sprint(value); strings.Contains(target, "{"+name+"}") {
			target = strings.ReplaceAll(target, "{"+name+"}", text)
		} else if name == "maxresults" || name == "includePending" || name == "outContentType" {
			query.Set(name, text)
		}
	}
	for status, want := range e.Responses {
		got := d.send(status, o.method, target+"?"+query.Encode(), e.Parameters["body"])
		for _, lost := range lacks(want.Body, got.value, "") {
			if !slices.Contains(unlike[o.id], lost) {
				d.t.Errorf("%s: the answer lacks %s, or it is of another type:\n%s\nthe example:\n%v", e.name, lost, got.body, want.Body)
			}
		}
	}
}

// lacks are the places of a value that another does not have, or has with
// another type.
func lacks(want, got any, place string) []string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{place}
		}
		var lost []string
		for _, name := range slices.Sorted(maps.Keys(w)) {
			if place == "tags" || strings.HasSuffix(place, ".tags") {
				continue
			}
			lost = append(lost, lacks(w[name], g[name], strings.TrimPrefix(place+"."+name, "."))...)
		}
		return lost
	case []any:
		g, ok := got.([]any)
		if !ok || len(w) > 0 && len(g) == 0 {
			return []string{place}
		}
		var lost []string
		if len(w) > 0 {
			lost = lacks(w[0], g[0], place+".0")
		}
		return lost
	case nil:
		return nil
	}
	if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
		return []string{place}
	}
	return nil
}
