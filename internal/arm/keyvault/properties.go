package keyvault

import (
	"encoding/json"
	"strconv"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/ordered"
	"postern/internal/profile"
)

// rbacByDefault is the first version under which a new vault that does not
// say is on role assignments.
const rbacByDefault = "2026-02-01"

// completion checks the properties of a vault and fills them in (spec:
// VaultProperties). What it lets pass is what the decision reads.
type completion struct {
	profile *profile.Profile
	version string
	// old is the properties of the vault as it is; nil for a new one.
	old    *ordered.Object
	subnet func(id string, ignore bool) error
}

// readOnly are the properties that clients send back and that are the
// service's own.
var readOnly = []string{"vaultUri", "provisioningState", "hsmPoolResourceId", "privateEndpointConnections", "createMode"}

// complete turns the properties of a request into those of the vault.
func (c *completion) complete(sent *ordered.Object) (*ordered.Object, error) {
	p := sent.Clone()
	if p == nil {
		return nil, badRequest("An invalid value was provided for 'properties'.")
	}
	for _, name := range readOnly {
		p.Delete(name)
	}
	if connections, ok := c.old.Get("privateEndpointConnections"); ok {
		p.Set("privateEndpointConnections", connections)
	}
	steps := []func(*ordered.Object) error{c.sku, c.tenant, c.flags, c.model, c.softDelete, c.purgeProtection,
		c.policies, c.network}
	for _, step := range steps {
		if err := step(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// sku: family A, name standard or premium.
func (c *completion) sku(p *ordered.Object) error {
	sku := p.Object("sku")
	if sku == nil || !sku.Has("family") || !sku.Has("name") {
		return badRequest("An invalid value was provided for 'sku'.")
	}
	if err := canonical(sku, "properties.sku", "family", "A"); err != nil {
		return err
	}
	if err := canonical(sku, "properties.sku", "name", "standard", "premium"); err != nil {
		return err
	}
	p.Set("sku", sku)
	return nil
}

// tenant: a GUID. Which tenant is not asked; tokens of no other one will be
// accepted.
func (c *completion) tenant(p *ordered.Object) error {
	text := p.Text("tenantId")
	if _, err := access.ParseGUID(text); err != nil {
		return badRequest("An invalid value was provided for 'tenantId'.")
	}
	p.Set("tenantId", strings.ToLower(text))
	return nil
}

// flags: what is on or off and nothing else; null is off.
func (c *completion) flags(p *ordered.Object) error {
	for _, name := range []string{"enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment"} {
		b, err := boolean(p, "properties.", name)
		if err != nil {
			return err
		}
		p.Set(name, b != nil && *b)
	}
	return nil
}

// model: only a value of its own changes the permission model of a vault; a
// new vault that does not say gets what its api-version says.
func (c *completion) model(p *ordered.Object) error {
	const name = "enableRbacAuthorization"
	b, err := boolean(p, "properties.", name)
	if err != nil {
		return err
	}
	before, had := c.old.Get(name)
	switch {
	case b != nil:
		p.Set(name, *b)
	case c.old != nil && had:
		p.Set(name, before)
	case c.old == nil && c.version >= rbacByDefault:
		p.Set(name, true)
	default:
		p.Delete(name)
	}
	return nil
}

// onRBAC reports the model of completed properties.
func onRBAC(p *ordered.Object) bool {
	v, _ := p.Get("enableRbacAuthorization")
	on, _ := v.(bool)
	return on
}

// softDelete: always on, kept 7 to 90 days; the days are fixed once they are
// set.
func (c *completion) softDelete(p *ordered.Object) error {
	b, err := boolean(p, "properties.", "enableSoftDelete")
	if err != nil {
		return err
	}
	if b != nil && !*b {
		return badRequest(`The property "enableSoftDelete" can be set to false only for creating new vault.` +
			` Enabling the 'soft delete' functionality is an irreversible action.`)
	}
	p.Set("enableSoftDelete", true)
	const name = "softDeleteRetentionInDays"
	before, _ := c.old.Get(name)
	v, _ := p.Get(name)
	if v == nil {
		v = before
	}
	if v == nil {
		v = json.Number("90")
	}
	number, _ := v.(json.Number)
	days, err := strconv.Atoi(string(number))
	if err != nil || days < 7 || days > 90 {
		return invalidValue("properties."+name, describe(v)+". The retention is 7 to 90 days.")
	}
	if before != nil && before != any(number) {
		return badRequest("The property %q has been set already and it can't be modified.", name)
	}
	p.Set(name, number)
	return nil
}

// purgeProtection: never off again, and never said to be off.
func (c *completion) purgeProtection(p *ordered.Object) error {
	const name = "enablePurgeProtection"
	b, err := boolean(p, "properties.", name)
	if err != nil {
		return err
	}
	if b != nil && !*b {
		return badRequest(`The property "enablePurgeProtection" cannot be set to false.` +
			` Enabling the purge protection for a vault is an irreversible action.`)
	}
	before, _ := c.old.Get(name)
	if b != nil || before == true || c.old == nil && c.profile.PurgeProtection {
		p.Set(name, true)
		return nil
	}
	p.Delete(name)
	return nil
}

// policies: the list replaces the one before. A new vault that is not on
// role assignments must bring one.
func (c *completion) policies(p *ordered.Object) error {
	v, _ := p.Get("accessPolicies")
	if v == nil && c.old == nil && c.profile.PolicyListRequired && !onRBAC(p) {
		return badRequest("The parameter accessPolicies is not specified.")
	}
	list, err := policyList(v, p.Text("tenantId"), c.profile)
	if err != nil {
		return err
	}
	p.Set("accessPolicies", list)
	return nil
}

// network: publicNetworkAccess and networkAcls.
func (c *completion) network(p *ordered.Object) error {
	if err := canonical(p, "properties", "publicNetworkAccess", "Enabled", "Disabled", "SecuredByPerimeter"); err != nil {
		return err
	}
	if v, _ := p.Get("networkAcls"); v != nil && p.Object("networkAcls") == nil {
		return invalidValue(atACLs, describe(v))
	}
	f := firewall{profile: c.profile, allowed: map[string]bool{}, subnet: c.subnet}
	v, _ := c.old.Object("networkAcls").Get("virtualNetworkRules")
	before, _ := v.([]any)
	for _, item := range before {
		if rule, ok := item.(*ordered.Object); ok {
			f.allowed[estate.Key(rule.Text("id"))] = true
		}
	}
	acls, err := f.complete(p.Object("networkAcls"))
	if err != nil {
		return err
	}
	p.Set("networkAcls", acls)
	return nil
}

// merged is the properties of a vault with those of a PATCH: objects are
// merged member by member, lists replaced, and null leaves what is there.
func merged(old, patch *ordered.Object) *ordered.Object {
	next := old.Clone()
	next.Merge(withoutNulls(patch))
	return next
}

func withoutNulls(o *ordered.Object) *ordered.Object {
	next := &ordered.Object{}
	for _, m := range o.Members() {
		switch v := m.Value.(type) {
		case nil:
		case *ordered.Object:
			next.Set(m.Name, withoutNulls(v))
		default:
			next.Set(m.Name, v)
		}
	}
	return next
}
