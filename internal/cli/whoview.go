package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"postern/internal/posture/report"
	"postern/internal/posture/who"
)

// whoView is an answer being printed.
type whoView struct {
	*who.Answer
	question who.Question
	notes    []string
	options  *whoOptions
}

func (x whoView) write(w *world, form string) error {
	if form == "json" {
		return x.json(w.stdout)
	}
	return x.text(w.stdout)
}

// unexpected are the principals that --expect does not name.
func (x whoView) unexpected() []who.Principal {
	var list []who.Principal
	for _, f := range x.Findings {
		for i := range f.Principals {
			if !x.options.isExpected(&f.Principals[i]) {
				list = append(list, f.Principals[i])
			}
		}
	}
	return list
}

// text prints for people: who does now, then who could.
func (x whoView) text(out io.Writer) error {
	var b strings.Builder
	object := ""
	if x.question.Object != "" {
		object = " of " + x.question.Object
	}
	fmt.Fprintf(&b, "%s%s in %s\n\nnow:\n", x.question.Operation, object, report.Printable(x.Vault.Resource.Name))
	none := true
	for _, f := range x.Findings {
		for i := range f.Paths {
			if p := &f.Paths[i]; len(p.Steps()) == 0 {
				none = false
				x.people(&b, &f)
				x.now(&b, &f, p)
			}
		}
	}
	if none {
		b.WriteString("  nobody\n")
	}
	b.WriteString("\nby writing configuration:\n")
	none = true
	for _, f := range x.Findings {
		first := true
		for i := range f.Paths {
			p := &f.Paths[i]
			if len(p.Steps()) == 0 {
				continue
			}
			if first {
				x.people(&b, &f)
			}
			first, none = false, false
			x.path(&b, p)
		}
	}
	if none {
		b.WriteString("  nobody\n")
	}
	if x.options.strict {
		b.WriteString("\nnot expected: ")
		list := x.unexpected()
		names := make([]string, 0, len(list))
		for i := range list {
			names = append(names, principal(&list[i]))
		}
		if len(names) == 0 {
			names = []string{"nobody"}
		}
		b.WriteString(report.Printable(strings.Join(names, ", ")) + "\n")
	}
	for i, note := range x.notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "note: %s\n", report.Printable(note))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// principal is the name, if it is known, and the object id.
func principal(p *who.Principal) string {
	text := p.Object.String()
	if p.Name != "" {
		text = p.Name + " (" + text + ")"
	}
	if p.User && !p.App.IsZero() {
		text += " by the application " + p.App.String()
	}
	return text
}

// people prints the principals of a finding, and the tenant where it is not
// the vault's.
func (x whoView) people(b *strings.Builder, f *who.Finding) {
	for i := range f.Principals {
		p := &f.Principals[i]
		tenant := ""
		if p.Tenant != x.Vault.Rules.Tenant {
			tenant = " of tenant " + p.Tenant.String()
		}
		fmt.Fprintf(b, "  %s%s\n", report.Printable(principal(p)), tenant)
	}
}

func (x whoView) now(b *strings.Builder, f *who.Finding, p *who.Path) {
	line := func(what, text string) { fmt.Fprintf(b, "      %-10s  %s\n", what, report.Printable(text)) }
	line("right", strings.Replace(x.Right(&f.Principals[0], p, x.question), x.Vault.Resource.ID, "the vault", 1))
	if p.Object != "" {
		line("object", p.Object)
	}
	line("from", p.Origins.String())
	line("ended by", p.Guard())
}

// path prints the steps, each with what would stop it.
func (x whoView) path(b *strings.Builder, p *who.Path) {
	how := ""
	if p.Template {
		how = ", by a template deployment"
	}
	fmt.Fprintf(b, "    - lets in %s%s\n", whoReader(p), how)
	for i, s := range p.Steps() {
		fmt.Fprintf(b, "      %d. %s\n", i+1, report.Printable(strings.Replace(s.Text, x.Vault.Resource.ID, "the vault", 1)))
		fmt.Fprintf(b, "         needs       %s at %s\n", s.Action, report.Printable(x.place(s.Scope)))
		fmt.Fprintf(b, "         stopped by  %s\n", report.Printable(strings.Replace(s.Guard, x.Vault.Resource.ID, "the vault", 1)))
	}
	fmt.Fprintf(b, "      from  %s\n", p.Origins)
}

// place is a scope, in fewer words where it is the vault.
func (x whoView) place(scope string) string {
	if rest, ok := strings.CutPrefix(scope, x.Vault.Resource.ID); ok {
		return "the vault" + rest
	}
	return scope
}

func whoReader(p *who.Path) string {
	if p.Reader == who.Itself && p.Others {
		return "itself, or another principal"
	}
	if !p.To.IsZero() {
		return p.To.String()
	}
	return p.Reader.String()
}

// The JSON form.
type (
	jsonWho struct {
		Vault      string           `json:"vault"`
		Operation  string           `json:"operation"`
		Object     string           `json:"object,omitempty"`
		Findings   []jsonWhoFinding `json:"findings"`
		Unexpected []jsonPrincipal  `json:"unexpected,omitempty"`
		Notes      []string         `json:"notes"`
	}
	jsonWhoFinding struct {
		Principals []jsonPrincipal `json:"principals"`
		Now        bool            `json:"now"`
		Paths      []jsonWhoPath   `json:"paths"`
	}
	jsonWhoPath struct {
		Reader   string        `json:"reader"`
		Others   bool          `json:"others,omitempty"`
		To       string        `json:"objectId,omitempty"`
		Template bool          `json:"template,omitempty"`
		Right    string        `json:"right,omitempty"`
		Object   string        `json:"object,omitempty"`
		Steps    []jsonWhoStep `json:"steps"`
		Origins  []string      `json:"origins"`
		Guard    string        `json:"stoppedBy,omitempty"`
	}
	jsonWhoStep struct {
		Write  string `json:"write"`
		Action string `json:"action"`
		Scope  string `json:"scope"`
		Role   string `json:"roleDefinition,omitempty"`
		Text   string `json:"does"`
		Guard  string `json:"stoppedBy"`
	}
)

func jsonPeople(list []who.Principal) []jsonPrincipal {
	out := make([]jsonPrincipal, len(list))
	for i := range list {
		p := &list[i]
		out[i] = jsonPrincipal{p.Object.String(), p.App.String(), p.Tenant.String(), p.Name}
	}
	return out
}

func (x whoView) json(out io.Writer) error {
	j := jsonWho{Vault: x.Vault.Resource.Name, Operation: x.question.Operation.String(), Object: x.question.Object,
		Findings: []jsonWhoFinding{}, Notes: nonNil(x.notes)}
	for i := range x.Findings {
		f := &x.Findings[i]
		finding := jsonWhoFinding{Principals: jsonPeople(f.Principals), Now: f.Now()}
		for k := range f.Paths {
			p := &f.Paths[k]
			path := jsonWhoPath{Reader: p.Reader.String(), Others: p.Others, To: p.To.String(), Template: p.Template, Object: p.Object, Steps: []jsonWhoStep{},
				Origins: p.Origins.Words(), Guard: p.Guard()}
			for _, s := range p.Steps() {
				path.Steps = append(path.Steps, jsonWhoStep{s.Write.String(), s.Action, s.Scope, s.Role, s.Text, s.Guard})
			}
			if len(path.Steps) == 0 {
				path.Right = x.Right(&f.Principals[0], p, x.question)
			}
			finding.Paths = append(finding.Paths, path)
		}
		j.Findings = append(j.Findings, finding)
	}
	if x.options.strict {
		j.Unexpected = jsonPeople(x.unexpected())
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(j)
}
