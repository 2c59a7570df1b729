package migrate

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"postern/access"
)

// Known is what the directory says of a principal.
type Known struct {
	Name string
	// Type is its type in role assignments: "ServicePrincipal"; "" when it
	// was not found out.
	Type string
}

// Directory is what is known of principals.
type Directory map[access.GUID]Known

// The forms in which names may stand in commands that somebody will paste;
// whatever else a document holds is replaced by a word in capitals.
var (
	vaultName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,23}$`)
	groupName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,89}$`)
	plainID   = regexp.MustCompile(`^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$`)
	objectID  = regexp.MustCompile(`^[a-z0-9-]+$`)
)

func plain(form *regexp.Regexp, text, instead string) string {
	if form.MatchString(text) {
		return text
	}
	return instead
}

// Name is the vault's name, ID its ARM id, in the form of commands.
func (p *Proposal) Name() string { return plain(vaultName, p.Vault.Rules.Name, "VAULT") }

// ID is the vault's ARM id.
func (p *Proposal) ID() string { return plain(plainID, p.Vault.Rules.ID, "VAULT-ID") }

func (p *Proposal) group() string { return plain(groupName, p.Vault.Resource.Group(), "GROUP") }

// WriteText is the proposal for people.
func (p *Proposal) WriteText(w io.Writer, known Directory) error {
	b := &strings.Builder{}
	entries := len(p.Vault.Rules.Policies)
	if p.RBAC {
		fmt.Fprintf(b, "%s goes by role assignments already; its %d access policies do not count\n", p.Name(), entries)
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(b, "%s: %d access policies\n", p.Name(), entries)
	for i := range p.Principals {
		p.Principals[i].text(b, known)
	}
	for _, l := range p.Left {
		fmt.Fprintf(b, "\naccessPolicies[%d], %s: not convertible\n  why     %s\n", l.Entry, known.label(l.Object), l.Why)
		words(b, "lost", l.Lost, "")
	}
	if n := len(p.Vault.Rules.DenyAssignments); n > 0 {
		fmt.Fprintf(b, "\n%d deny assignments reach the vault and begin to count; they take from members of groups too\n", n)
	}
	fmt.Fprintf(b, "\nplan\n  1  %d role assignments at the vault\n  2  enableRbacAuthorization: true\n", len(p.Assignments()))
	_, err := io.WriteString(w, b.String())
	return err
}

func (d Directory) label(object access.GUID) string {
	if name := d[object].Name; name != "" {
		return object.String() + " (" + name + ")"
	}
	return object.String()
}

func (one *Principal) text(b *strings.Builder, known Directory) {
	fmt.Fprintf(b, "\n%s\n", known.label(one.Object))
	for _, i := range one.Entries {
		fmt.Fprintf(b, "  from    accessPolicies[%d]\n", i)
	}
	if len(one.Entries) == 0 {
		b.WriteString("  from    role assignments that are there and do not count yet\n")
	}
	for _, r := range one.Roles {
		fmt.Fprintf(b, "  assign  %s\n", r.RoleName)
	}
	if len(one.Roles) == 0 && len(one.Entries) > 0 {
		b.WriteString("  assign  nothing\n")
	}
	for i := range one.Changes {
		c := &one.Changes[i]
		where := ""
		switch {
		case c.Object != "":
			where = " at " + quoted(c.Object)
			if c.none() {
				fmt.Fprintf(b, "  same    everything%s\n", where)
			}
		case len(one.Changes) > 1:
			where = " elsewhere"
		}
		words(b, "lost", c.Lost, where)
		words(b, "gained", c.Gained, where)
		words(b, "if", c.Conditional, where+", as a condition says")
	}
	if len(one.Storage) > 0 {
		fmt.Fprintf(b, "  lost    storage %s: no role has it\n", quoted(strings.Join(one.Storage, " ")))
	}
	if actions := one.ControlPlane(); len(actions) > 0 {
		fmt.Fprintf(b, "  gained  on the control plane: %s\n", strings.Join(actions, " "))
	}
}

// ControlPlane is the control-plane actions that come with the roles.
func (one *Principal) ControlPlane() []string {
	var list []string
	for _, r := range one.Roles {
		for _, a := range r.Actions {
			if !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	return list
}

func quoted(text string) string {
	if objectID.MatchString(text) {
		return text
	}
	return strconv.QuoteToASCII(text)
}

func words(b *strings.Builder, what string, list []access.Operation, where string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "  %-6s ", what)
	for _, o := range list {
		b.WriteString(" " + o.String())
	}
	b.WriteString(where + "\n")
}

// WriteAZ is the commands that do it.
func (p *Proposal) WriteAZ(w io.Writer, known Directory) error {
	b := &strings.Builder{}
	for _, a := range p.Assignments() {
		typ := ""
		if t := known[a.Principal].Type; t != "" {
			typ = " --assignee-principal-type " + t
		}
		fmt.Fprintf(b, "az role assignment create --name %s --role %q --assignee-object-id %s%s --scope %s\n", a.Name, a.Role.RoleName, a.Principal, typ, p.ID())
	}
	if !p.RBAC {
		fmt.Fprintf(b, "az keyvault update --name %s --resource-group %s --enable-rbac-authorization true\n", p.Name(), p.group())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteBicep is the assignments as Bicep, with what to change at the vault
// as a comment: a vault that stands in another file is declared once.
func (p *Proposal) WriteBicep(w io.Writer, known Directory) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "// deploy to the resource group %s; afterwards set enableRbacAuthorization: true at the vault\n", p.group())
	fmt.Fprintf(b, "resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {\n  name: '%s'\n}\n", p.Name())
	for i, a := range p.Assignments() {
		fmt.Fprintf(b, "\n// %s\nresource assignment%d 'Microsoft.Authorization/roleAssignments@2022-04-01' = {\n  name: '%s'\n  scope: vault\n  properties: {\n", a.Role.RoleName, i, a.Name)
		fmt.Fprintf(b, "    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '%s')\n    principalId: '%s'\n", a.Role.Name, a.Principal)
		if t := known[a.Principal].Type; t != "" {
			fmt.Fprintf(b, "    principalType: '%s'\n", t)
		}
		b.WriteString("  }\n}\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteTerraform is the assignments as Terraform (azurerm), with what to
// change at the vault as a comment.
func (p *Proposal) WriteTerraform(w io.Writer, known Directory) error {
	b := &strings.Builder{}
	b.WriteString("# afterwards, at the azurerm_key_vault: rbac_authorization_enabled = true (enable_rbac_authorization before azurerm 5)\n# and no access_policy\n")
	for i, a := range p.Assignments() {
		fmt.Fprintf(b, "\nresource \"azurerm_role_assignment\" \"%s_%d\" {\n  name                 = %q\n  scope                = %q\n  role_definition_name = %q\n  principal_id         = %q\n",
			strings.ToLower(strings.ReplaceAll(p.Name(), "-", "_")), i, a.Name, p.ID(), a.Role.RoleName, a.Principal)
		if t := known[a.Principal].Type; t != "" {
			fmt.Fprintf(b, "  principal_type       = %q\n", t)
		}
		b.WriteString("}\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
