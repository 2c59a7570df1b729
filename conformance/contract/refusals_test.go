package contract

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/keyvault"
	"postern/posterntest"
)

// bodies are what an operation is sent that needs a body to get as far as
// finding that its object is not there.
var bodies = map[access.Operation]any{
	access.SecretSet: fields{"value": "x"}, access.SecretUpdate: fields{}, access.SecretRestore: fields{"value": "AAAA"},
}

// path fills the places of a route's path.
func path(r keyvault.Route, name string) string {
	filled := strings.NewReplacer("{name}", name, "{version}", strings.Repeat("0", 32)).Replace(r.Pattern)
	return braces.ReplaceAllString(filled, name)
}

// missing are the operations on a named object that make it, or that answer
// though there is none: no 404.
var missing = []access.Operation{access.SecretSet}

// refusals asks every operation of the route table for what is refused
// whatever the operation is.
func refusals(t *testing.T, p *posterntest.Postern, specs map[string]*specification, rows *coverage) {
	version := versions[0]
	kv := p.CreateVault("refusals")
	locked := p.CreateVault("locked", map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "AzureServices"}})
	guarded := p.CreateVault("guarded", map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{}})
	nobody := p.CreatePrincipal("nobody")
	admin := p.Token("https://vault.azure.net")
	stranger := p.TokenFor(nobody.ClientID, nobody.Secret, "https://vault.azure.net")
	wrong := p.TokenFor(p.ClientID, p.ClientSecret, p.ManagementURL)
	for _, r := range keyvault.Routes() {
		body := bodies[r.Operation]
		if body == nil && r.Body > 0 {
			body = fields{}
		}
		all := driver{p: p, base: p.PublicVaultURL(kv.Name), version: version, token: admin, spec: specs[version], rows: rows}
		row := func(name string, status int, inner string, change func(d *driver) any) {
			t.Run(fmt.Sprintf("%s/%s", r.Operation, name), func(t *testing.T) {
				d := all.at(t)
				sent := change(&d)
				a := d.send(status, r.Method, path(r, "nothing"), sent)
				a.text("error.message")
				if inner != "" {
					a.expect("error.innererror.code", inner)
				}
			})
		}
		row("no token", 401, "", func(d *driver) any { d.token = ""; return nil })
		row("no token that it is", 401, "", func(d *driver) any { d.token = "x.y.z"; return body })
		row("a token for another service", 401, "", func(d *driver) any { d.token = wrong; return body })
		row("no role", 403, "ForbiddenByRbac", func(d *driver) any { d.token = stranger; return body })
		row("firewall", 403, "ForbiddenByFirewall", func(d *driver) any { d.base = p.PublicVaultURL(locked.Name); return body })
		row("no policy", 403, "ForbiddenByPolicy", func(d *driver) any { d.base = p.PublicVaultURL(guarded.Name); return body })
		row("no api-version", 400, "", func(d *driver) any { d.version = ""; return body })
		row("an api-version that is not", 400, "", func(d *driver) any { d.version = "1.0"; d.spec = nil; return body })
		if r.Body > 0 {
			row("no JSON", 400, "", func(*driver) any { return []byte("{") })
			row("a body of another form", 400, "", func(*driver) any { return []byte("[1]") })
			row("a large body", 413, "", func(*driver) any { return bytes.Repeat([]byte(" "), int(r.Body)+1) })
		}
		if r.Operation.Info().Named && !slices.Contains(missing, r.Operation) {
			row("no such object", 404, "", func(*driver) any { return body })
		}
	}
	t.Run("purge protection", func(t *testing.T) {
		kv := p.CreateVault("protected", map[string]any{"enablePurgeProtection": true})
		protected(driver{t: t, p: p, base: p.PublicVaultURL(kv.Name), version: version, token: admin, spec: specs[version], rows: rows})
	})
	methods(t, driver{p: p, base: p.PublicVaultURL(kv.Name), version: version, token: admin, spec: specs[version], rows: rows})
}

// protected deletes what then cannot be purged.
func protected(d driver) {
	d.send(200, "PUT", "/secrets/kept", fields{"value": "x"})
	d.send(200, "POST", "/keys/kept-key/create", fields{"kty": "EC"})
	d.made("kept-certificate")
	for _, path := range []string{"secrets/kept", "keys/kept-key", "certificates/kept-certificate"} {
		d.send(200, "DELETE", "/"+path, nil).expect("attributes.recoveryLevel", "Recoverable")
		d.send(403, "DELETE", "/deleted"+path, nil).expect("error.code", "Forbidden")
		d.send(200, "POST", "/deleted"+path+"/recover", nil)
	}
}

// methods asks every path of the route table with a method that it does not
// have.
func methods(t *testing.T, d driver) {
	allowed := map[string][]string{}
	for _, r := range keyvault.Routes() {
		allowed[path(r, "nothing")] = append(allowed[path(r, "nothing")], r.Method)
	}
	for _, target := range slices.Sorted(maps.Keys(allowed)) {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
			if slices.Contains(allowed[target], method) || d.rows.known(method, target) {
				continue
			}
			t.Run(method+" "+target, func(t *testing.T) {
				a := d.at(t).send(405, method, target, nil)
				a.expect("error.code", "MethodNotAllowed")
			})
		}
	}
}

// known is whether a route has the method and the path.
func (c *coverage) known(method, path string) bool {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	return slices.ContainsFunc(c.routes, func(r keyvault.Route) bool {
		return r.Method == method && fits(strings.Split(r.Pattern[1:], "/"), segments) >= 0
	})
}

// throttled asks every operation of a vault whose budget is spent.
func throttled(t *testing.T, specs map[string]*specification, rows *coverage) {
	version := versions[0]
	p := posterntest.Start(t, posterntest.WithThrottle(1))
	kv := p.CreateVault("throttled")
	d := driver{t: t, p: p, base: p.PublicVaultURL(kv.Name), version: version, token: p.Token("https://vault.azure.net"), spec: specs[version], rows: rows}
	for _, r := range keyvault.Routes() {
		t.Run(r.Operation.String(), func(t *testing.T) {
			d := d.at(t)
			for range 3 {
				if a := d.send(0, r.Method, path(r, "nothing"), bodies[r.Operation]); a.status == http.StatusTooManyRequests {
					a.expect("error.code", "Throttled")
					return
				}
			}
			t.Errorf("%s is not throttled", r.Operation)
		})
	}
}
