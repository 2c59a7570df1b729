package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"postern/internal/estate"
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
			if p := &f.Paths[i]; p.Now() {
				none = false
				x.people(&b, &f)
				x.now(&b, &f, p)
			}
		}
	}
	for _, s := range x.Served {
		none = false
		fmt.Fprintf(&b, "  %s\n", s.Service)
		field(&b, "right", s.Flag+", without an entry")
		field(&b, "from", "its own compute, for whoever may have it work")
		field(&b, "ended by", s.Flag+" set to false")
	}
	if none {
		b.WriteString("  nobody\n")
	}
	b.WriteString("\nby writing configuration:\n")
	none = true
	for _, f := range x.Findings {
		ways := x.ways(&f)
		if len(ways) == 0 {
			continue
		}
		none = false
		x.people(&b, &f)
		said := map[string]bool{}
		for i := range ways {
			x.way(&b, &ways[i], said)
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

// field prints one thing that is said of somebody.
func field(b *strings.Builder, what, text string) {
	fmt.Fprintf(b, "      %-10s  %s\n", what, report.Printable(text))
}

func (x whoView) now(b *strings.Builder, f *who.Finding, p *who.Path) {
	field(b, "right", strings.Replace(x.Right(&f.Principals[0], p, x.question), x.Vault.Resource.ID, "the vault", 1))
	if p.Object != "" {
		field(b, "object", p.Object)
	}
	field(b, "from", p.Origins.String())
	field(b, "ended by", p.Guard())
}

// way is paths that differ only in what opens the network: the steps that
// they have in common, and from where the objects are reached after which
// others.
type way struct {
	head  string
	steps []who.Step
	// through is what is said instead of the steps of somebody else.
	through string
	from    []reached
}

// reached is from where, and after which steps more.
type reached struct {
	origins string
	steps   []who.Step
}

// ways puts the paths of a finding together.
func (x whoView) ways(f *who.Finding) []way {
	var list []way
	at := map[string]int{}
	for i := range f.Paths {
		p := &f.Paths[i]
		if p.Now() {
			continue
		}
		steps := p.Steps()
		w := way{head: "lets in " + whoReader(p)}
		if p.Template {
			w.head += ", by a template deployment"
		}
		var more []who.Step
		key := ""
		if as := p.Through(); as != nil {
			w.head, w.steps, w.through = "acts as "+principal(as), steps[:p.Chain()], "and then all that "+principal(as)+" is told of"
		} else {
			for n, s := range steps {
				if n >= p.Chain() && s.Write.Network() && !p.Template {
					more = append(more, s)
					continue
				}
				w.steps = append(w.steps, s)
				key += "\n" + s.As + s.Text + s.Scope
			}
		}
		key = w.head + w.through + key
		n, had := at[key]
		if !had {
			n = len(list)
			at[key] = n
			list = append(list, w)
		}
		if w.through == "" {
			list[n].from = append(list[n].from, reached{p.Origins.String(), more})
		}
	}
	return list
}

// way prints a way. What a step needs and what stops it is said once.
func (x whoView) way(b *strings.Builder, w *way, said map[string]bool) {
	fmt.Fprintf(b, "    - %s\n", report.Printable(w.head))
	for i := range w.steps {
		x.step(b, &w.steps[i], fmt.Sprintf("      %d. ", i+1), said)
	}
	if w.through != "" {
		fmt.Fprintf(b, "      %s\n", report.Printable(w.through))
	}
	for _, r := range w.from {
		if len(r.steps) == 0 {
			fmt.Fprintf(b, "      from  %s\n", r.origins)
			continue
		}
		fmt.Fprintf(b, "      from  %s, once it\n", r.origins)
		for i := range r.steps {
			x.step(b, &r.steps[i], "       - ", said)
		}
	}
}

func (x whoView) step(b *strings.Builder, s *who.Step, mark string, said map[string]bool) {
	as := ""
	if s.As != "" {
		as = "as " + s.As + ", "
	}
	text := as + strings.Replace(s.Text, x.Vault.Resource.ID, "the vault", 1)
	fmt.Fprintf(b, "%s%s\n", mark, report.Printable(text))
	key := s.Write.String() + s.Action + s.Scope + s.Guard()
	if said[key] {
		return
	}
	said[key] = true
	if s.Action != "" {
		fmt.Fprintf(b, "         needs       %s at %s\n", s.Action, report.Printable(x.place(s.Scope)))
	}
	for _, n := range s.Also {
		fmt.Fprintf(b, "                     %s at %s\n", n.Action, report.Printable(x.place(n.Scope)))
	}
	fmt.Fprintf(b, "         stopped by  %s\n", report.Printable(strings.ReplaceAll(s.Guard(), x.Vault.Resource.ID, "the vault")))
}

// place is a scope, in fewer words where it is the vault.
func (x whoView) place(scope string) string {
	if rest, ok := strings.CutPrefix(scope, x.Vault.Resource.ID); ok {
		return "the vault" + rest
	}
	return estate.Shown(scope)
}

func whoReader(p *who.Path) string {
	if p.Reader == who.Itself && p.Others {
		return "itself, or another principal"
	}
	switch {
	case !p.To.IsZero():
		return p.To.String()
	case p.As != nil:
		return "itself, as " + principal(p.As)
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
		Services   []jsonServed     `json:"services,omitempty"`
		Unexpected []jsonPrincipal  `json:"unexpected,omitempty"`
		Notes      []string         `json:"notes"`
	}
	jsonServed struct {
		Service string `json:"service"`
		Flag    string `json:"flag"`
	}
	jsonWhoFinding struct {
		Principals []jsonPrincipal `json:"principals"`
		Now        bool            `json:"now"`
		Paths      []jsonWhoPath   `json:"paths"`
	}
	jsonWhoPath struct {
		Reader   string        `json:"reader"`
		As       string        `json:"as,omitempty"`
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
		Write  string     `json:"write"`
		As     string     `json:"as,omitempty"`
		Action string     `json:"action,omitempty"`
		Scope  string     `json:"scope,omitempty"`
		Also   []jsonNeed `json:"also,omitempty"`
		Role   string     `json:"roleDefinition,omitempty"`
		Target string     `json:"objectId,omitempty"`
		Text   string     `json:"does"`
		Guard  string     `json:"stoppedBy"`
	}
	jsonNeed struct {
		Action string `json:"action"`
		Scope  string `json:"scope"`
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

func jsonStep(s *who.Step) jsonWhoStep {
	j := jsonWhoStep{Write: s.Write.String(), As: s.As, Action: s.Action, Scope: estate.Shown(s.Scope), Role: s.Role, Text: s.Text, Guard: s.Guard()}
	if s.Target != nil {
		j.Target = s.Target.Object.String()
	}
	for _, n := range s.Also {
		j.Also = append(j.Also, jsonNeed{n.Action, estate.Shown(n.Scope)})
	}
	return j
}

func (x whoView) json(out io.Writer) error {
	j := jsonWho{Vault: x.Vault.Resource.Name, Operation: x.question.Operation.String(), Object: x.question.Object,
		Findings: []jsonWhoFinding{}, Notes: nonNil(x.notes)}
	for _, s := range x.Served {
		j.Services = append(j.Services, jsonServed{s.Service, s.Flag})
	}
	for i := range x.Findings {
		f := &x.Findings[i]
		finding := jsonWhoFinding{Principals: jsonPeople(f.Principals), Now: f.Now()}
		for k := range f.Paths {
			p := &f.Paths[k]
			path := jsonWhoPath{Reader: p.Reader.String(), Others: p.Others, To: p.To.String(), Template: p.Template, Object: p.Object, Steps: []jsonWhoStep{},
				Origins: p.Origins.Words(), Guard: p.Guard()}
			for _, s := range p.Steps() {
				path.Steps = append(path.Steps, jsonStep(&s))
			}
			if len(path.Steps) == 0 {
				path.Right = x.Right(&f.Principals[0], p, x.question)
			}
			if p.As != nil {
				path.As = p.As.Object.String()
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
