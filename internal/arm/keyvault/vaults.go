package keyvault

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// notFound is the answer for a resource of a group that does not exist.
func notFound(c *arm.Call, what string) error {
	return fault.New(http.StatusNotFound, "ResourceNotFound", "The Resource '%s' under resource group '%s' was not found."+
		" For more details please go to https://aka.ms/ARMResourceNotFoundFix", what, c.Vars["group"])
}

// validName holds for the name of a vault (text of VaultNameNotValid).
func validName(name string) bool {
	if len(name) < 3 || len(name) > 24 || !isLetter(name[0]) || name[len(name)-1] == '-' || strings.Contains(name, "--") {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isLetter(c) && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func nameText(name string) string {
	return "The vault name '" + name + "' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name must begin with" +
		" a letter, end with a letter or digit, and not contain consecutive hyphens. Follow this link for more information:" +
		" https://go.microsoft.com/fwlink/?linkid=2147742"
}

func takenText(name string) string {
	return "The vault name '" + name + "' is already in use. Vault names are globally unique so it is possible that the name is already" +
		" taken. If you are sure that the vault name was not taken then it is possible that a vault with the same name was recently" +
		" deleted but not purged after being placed in a recoverable state. If the vault is in a recoverable state then the vault will" +
		" need to be purged before reusing the name. For more information about VaultAlreadyExists, soft delete and purging a vault" +
		" follow this link https://go.microsoft.com/fwlink/?linkid=2147740."
}

// body is a vault as it is answered: what is kept, and what depends on the
// request: the URI by the names through which it came.
func body(c *arm.Call, res *estate.Resource) *ordered.Object {
	doc := arm.Document(res)
	props := doc.Object("properties")
	if props == nil {
		props = &ordered.Object{}
		doc.Set("properties", props)
	}
	props.Set("vaultUri", c.Family.VaultURL(strings.ToLower(res.Name))+"/")
	props.Set("provisioningState", "Succeeded")
	if !props.Has("privateEndpointConnections") {
		// az reads the list without asking whether it is there.
		props.Set("privateEndpointConnections", []any{})
	}
	return doc
}

// getVault is Vaults_Get of the specification.
func getVault(c *arm.Call) (*arm.Answer, error) {
	res, err := theVault(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	return arm.OK(body(c, res)), nil
}

// listVaults is Vaults_ListByResourceGroup and Vaults_ListBySubscription.
func listVaults(c *arm.Call) (*arm.Answer, error) {
	scope := "/subscriptions/" + c.Vars["subscription"]
	if group, ok := c.Vars["group"]; ok {
		scope = arm.GroupID(c.Vars["subscription"], group)
	}
	return page(c, c.Snapshot().Under(scope, estate.TypeVault), func(res *estate.Resource) *ordered.Object { return body(c, res) })
}

func page(c *arm.Call, list []*estate.Resource, body func(*estate.Resource) *ordered.Object) (*arm.Answer, error) {
	answer, err := arm.Page(c, list, func(r *estate.Resource) string { return estate.Key(r.ID) })
	if err != nil {
		return nil, err
	}
	return arm.MapPage(answer, body), nil
}

// putVault creates a vault or replaces its configuration (spec:
// Vaults_CreateOrUpdate). createMode recover brings a deleted one back.
func putVault(c *arm.Call) (*arm.Answer, error) {
	if !validName(c.Vars["vault"]) {
		return nil, fault.New(http.StatusBadRequest, "VaultNameNotValid", "%s", nameText(c.Vars["vault"]))
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	mode := sent.Object("properties").Text("createMode")
	if mode != "" && !strings.EqualFold(mode, "default") && !strings.EqualFold(mode, "recover") {
		return nil, invalidValue("properties.createMode", describe(mode))
	}
	uid, err := c.Identifier()
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(mode, "recover") {
		c.Rename("VaultRecover")
		return recoverVault(c, sent)
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, exists := s.Resource(arm.VaultID(c.Vars))
		if !exists {
			if err := free(c, s, d); err != nil {
				return nil, err
			}
			old = nil
		}
		next, err := write(c, s, sent, sent.Object("properties"), old)
		if err != nil {
			return nil, err
		}
		status := http.StatusOK
		if old == nil {
			next.UID = uid
			// Older versions answer 200 to the first PUT too (recorded).
			if c.Version >= "2025-05-01" {
				status = http.StatusCreated
			}
		}
		d.Put(next)
		return &arm.Answer{Status: status, Body: body(c, next)}, nil
	})
}

// free checks that the name of the path is not taken. A deleted vault whose
// time has come does not hold it any more, and is taken out.
func free(c *arm.Call, s *estate.Snapshot, d *estate.Draft) error {
	name := c.Vars["vault"]
	holder, taken := s.Taken(name)
	switch {
	case !taken:
		return nil
	case holder.Deleted == nil:
		return fault.New(http.StatusConflict, "VaultAlreadyExists", "%s", takenText(name))
	case !expired(holder, c.Now):
		return fault.New(http.StatusConflict, "ConflictError", "A vault with the same name already exists in deleted state. You need to"+
			" either recover or purge existing key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more"+
			" information on soft delete.").WithHint("az keyvault recover --name " + name + ", or az keyvault purge --name " + name)
	}
	forget(d, holder)
	return nil
}

// patchVault merges properties into those of a vault (spec: Vaults_Update).
func patchVault(c *arm.Call) (*arm.Answer, error) {
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, err := theVault(c, s)
		if err != nil {
			return nil, err
		}
		before := arm.Document(old)
		doc := before.Clone()
		for _, m := range sent.Members() {
			if m.Value != nil && !strings.EqualFold(m.Name, "properties") {
				doc.Set(m.Name, m.Value)
			}
		}
		next, err := write(c, s, doc, merged(before.Object("properties"), sent.Object("properties")), old)
		if err != nil {
			return nil, err
		}
		d.Put(next)
		return arm.OK(body(c, next)), nil
	})
}

// write makes the resource of a document: sent with everything that is the
// server's own put over it, and with the properties checked and complete.
func write(c *arm.Call, s *estate.Snapshot, sent, properties *ordered.Object, old *estate.Resource) (*estate.Resource, error) {
	place, err := c.Location(estate.TypeVault, sent, old)
	if err != nil {
		return nil, err
	}
	tags, err := arm.Tags(sent)
	if err != nil {
		return nil, err
	}
	next := &estate.Resource{Type: estate.TypeVault, Name: c.Vars["vault"], Created: c.Now, ID: canonicalID(c, s)}
	var before *ordered.Object
	if old != nil {
		*next, before = *old, arm.Document(old)
	}
	next.Location, next.Tags, next.Changed = place, tags, c.Now
	done := completion{profile: c.Profile(), version: c.Version, old: before.Object("properties"), subnet: subnetRule(c, s)}
	props, err := done.complete(properties)
	if err != nil {
		return nil, err
	}
	doc := ordered.New(
		ordered.Member{Name: "id", Value: next.ID},
		ordered.Member{Name: "name", Value: next.Name},
		ordered.Member{Name: "type", Value: next.Type},
		ordered.Member{Name: "location", Value: next.Location},
		ordered.Member{Name: "tags", Value: arm.TagObject(tags)},
		ordered.Member{Name: "systemData", Value: c.SystemData(before.Object("systemData"))},
		ordered.Member{Name: "properties", Value: props})
	for _, m := range sent.Clone().Members() {
		if _, ok := doc.Get(m.Name); !ok {
			doc.Set(m.Name, m.Value)
		}
	}
	note(c, before.Object("properties"), props)
	next.Body = doc.Bytes()
	if len(next.Body) > maxDocument {
		return nil, fault.New(http.StatusRequestEntityTooLarge, "RequestContentTooLarge", "The vault's configuration exceeds the maximum size of %d bytes.", maxDocument)
	}
	return next, nil
}

// canonicalID is the id of a new vault: in the spelling of its group.
func canonicalID(c *arm.Call, s *estate.Snapshot) string {
	id := arm.GroupID(c.Vars["subscription"], c.Vars["group"])
	if group, ok := s.Resource(id); ok {
		id = group.ID
	}
	return id + "/providers/" + estate.TypeVault + "/" + c.Vars["vault"]
}

// note tells the record what a change did to the ways in: the rules and
// policies that were not there before, and the policies that are gone.
func note(c *arm.Call, before, after *ordered.Object) {
	c.Note("properties.networkAcls.defaultAction", after.Object("networkAcls").Text("defaultAction"))
	old := keys(before.Object("networkAcls"), "ipRules", func(o *ordered.Object) string { return o.Text("value") })
	for _, v := range keys(after.Object("networkAcls"), "ipRules", func(o *ordered.Object) string { return o.Text("value") }) {
		if !holds(old, v) {
			c.Note("addedIpRule.Value", v)
		}
	}
	object := func(o *ordered.Object) string { return strings.ToLower(o.Text("objectId")) }
	had, has := keys(before, "accessPolicies", object), keys(after, "accessPolicies", object)
	for _, v := range has {
		if !holds(had, v) {
			c.Note("addedAccessPolicy.ObjectId", v)
		}
	}
	for _, v := range had {
		if !holds(has, v) {
			c.Note("removedAccessPolicy.ObjectId", v)
		}
	}
}

func keys(o *ordered.Object, list string, key func(*ordered.Object) string) []string {
	v, _ := o.Get(list)
	items, _ := v.([]any)
	var out []string
	for _, item := range items {
		if entry, ok := item.(*ordered.Object); ok {
			out = append(out, key(entry))
		}
	}
	return out
}

// putPolicies adds, replaces or removes access policies (spec:
// Vaults_UpdateAccessPolicy).
func putPolicies(c *arm.Call) (*arm.Answer, error) {
	kind := strings.ToLower(c.Vars["change"])
	if kind != "add" && kind != "replace" && kind != "remove" {
		return nil, badRequest("An invalid value was provided for 'operationKind'.")
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, err := theVault(c, s)
		if err != nil {
			return nil, err
		}
		doc := arm.Document(old)
		props := doc.Object("properties")
		v, _ := sent.Object("properties").Get("accessPolicies")
		if v == nil {
			return nil, badRequest("The parameter accessPolicies is not specified.")
		}
		change, err := policyList(v, props.Text("tenantId"), c.Profile())
		if err != nil {
			return nil, err
		}
		have, _ := props.Get("accessPolicies")
		list, _ := have.([]any)
		patched := props.Clone()
		patched.Set("accessPolicies", changePolicies(kind, list, change))
		next, err := write(c, s, doc, patched, old)
		if err != nil {
			return nil, err
		}
		d.Put(next)
		result, _ := patched.Get("accessPolicies")
		return arm.OK(ordered.New(
			ordered.Member{Name: "id", Value: next.ID + "/accessPolicies/"},
			ordered.Member{Name: "type", Value: "Microsoft.KeyVault/vaults/accessPolicies"},
			ordered.Member{Name: "properties", Value: ordered.New(ordered.Member{Name: "accessPolicies", Value: result})})), nil
	})
}
