package migrate

import (
	"encoding/json"
	"io"

	"postern/access"
)

type changeJSON struct {
	Object      string   `json:"object,omitempty"`
	Lost        []string `json:"lost"`
	Gained      []string `json:"gained"`
	Conditional []string `json:"conditional,omitempty"`
}

type assignJSON struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	RoleName string `json:"roleName"`
}

type principalJSON struct {
	ObjectID     string       `json:"objectId"`
	Name         string       `json:"name,omitempty"`
	Type         string       `json:"type,omitempty"`
	Entries      []int        `json:"entries"`
	Assign       []assignJSON `json:"assign"`
	Changes      []changeJSON `json:"changes"`
	Storage      []string     `json:"storage,omitempty"`
	ControlPlane []string     `json:"controlPlane,omitempty"`
}

type leftJSON struct {
	Entry         int      `json:"entry"`
	TenantID      string   `json:"tenantId"`
	ObjectID      string   `json:"objectId"`
	ApplicationID string   `json:"applicationId,omitempty"`
	Why           string   `json:"why"`
	Lost          []string `json:"lost"`
}

type proposalJSON struct {
	Vault         string          `json:"vault"`
	ID            string          `json:"id"`
	RBAC          bool            `json:"enableRbacAuthorization"`
	Principals    []principalJSON `json:"principals"`
	NotConverted  []leftJSON      `json:"notConvertible"`
	DenyingReach  int             `json:"denyAssignments"`
	SomethingLost bool            `json:"somethingLost"`
	Notes         []string        `json:"notes,omitempty"`
}

// WriteJSON is the proposal for programs.
func (p *Proposal) WriteJSON(w io.Writer, known Directory, notes []string) error {
	doc := proposalJSON{Vault: p.Vault.Rules.Name, ID: p.Vault.Rules.ID, RBAC: p.RBAC, Principals: []principalJSON{}, NotConverted: []leftJSON{},
		DenyingReach: len(p.Vault.Rules.DenyAssignments), SomethingLost: p.Loses(), Notes: notes}
	assignments := p.Assignments()
	for i := range p.Principals {
		one := &p.Principals[i]
		view := principalJSON{ObjectID: one.Object.String(), Name: known[one.Object].Name, Type: known[one.Object].Type, Entries: append([]int{}, one.Entries...),
			Assign: []assignJSON{}, Storage: one.Storage, ControlPlane: one.ControlPlane()}
		for _, a := range assignments {
			if a.Principal == one.Object {
				view.Assign = append(view.Assign, assignJSON{a.Name, a.Role.Name, a.Role.RoleName})
			}
		}
		for _, c := range one.Changes {
			change := changeJSON{c.Object, names(c.Lost), names(c.Gained), nil}
			if len(c.Conditional) > 0 {
				change.Conditional = names(c.Conditional)
			}
			view.Changes = append(view.Changes, change)
		}
		doc.Principals = append(doc.Principals, view)
	}
	for _, l := range p.Left {
		doc.NotConverted = append(doc.NotConverted, leftJSON{l.Entry, l.Tenant.String(), l.Object.String(), l.Application.String(), l.Why, names(l.Lost)})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

func names(list []access.Operation) []string {
	out := make([]string, len(list))
	for i, o := range list {
		out[i] = o.String()
	}
	return out
}
