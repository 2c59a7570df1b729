package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"postern/access"
	"postern/internal/fault"
	"postern/internal/keyvault"
	"postern/internal/names"
	"postern/internal/posture"
	"postern/internal/posture/report"
)

// explained is an explanation being printed.
type explained struct {
	*posture.Explanation
	name string // of the principal
}

// answer is what the client would get; nil when it would be served, or when
// that cannot be told.
func (x explained) answer() *fault.Error {
	if x.Outcome != posture.Refused || x.Way.Lost != "" {
		return nil
	}
	family := names.New("postern.localhost", 443).Public
	return keyvault.Refusal(keyvault.View{Vault: x.Vault, Family: family}, &x.Request, x.Decision)
}

func (x explained) write(w *world, form string) error {
	if form == "json" {
		return x.json(w.stdout)
	}
	return x.text(w.stdout, w.colour(w.stdout))
}

// outcome is the word for what a gate says.
func outcome(g *posture.GateSays) string {
	if g.Doubt != "" {
		return "cannot tell"
	}
	return g.Outcome.String()
}

// text prints for people.
func (x explained) text(out io.Writer, color bool) error {
	var b strings.Builder
	object := ""
	if x.Request.Object != "" {
		object = " of " + x.Request.Object
	}
	fmt.Fprintf(&b, "%s%s in %s from %s as %s\n\n", x.Request.Operation, object, x.Vault.Resource.Name, report.Printable(x.from()), x.who())
	if x.Headline != "" {
		fmt.Fprintf(&b, "%s\n\n", report.Printable(x.Headline))
	}
	x.where(&b)
	for i := range x.Gates {
		x.gate(&b, i, color)
	}
	fmt.Fprintf(&b, "\nverdict: %s\n", x.verdict())
	if a := x.answer(); a != nil {
		fmt.Fprintf(&b, "\nthe client gets: %s\n", status(a))
		for line := range strings.SplitSeq(strings.TrimRight(a.Message, "\r\n"), "\r\n") {
			fmt.Fprintf(&b, "  %s\n", report.Printable(line))
		}
	}
	x.changes(&b)
	x.resolved(&b)
	if x.Outcome == posture.Refused && x.Request.Caller.App.IsZero() {
		x.Notes = append(x.Notes, "the application id of the caller is not known, so the answer is shown without it")
	}
	for i, note := range x.Notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "note: %s\n", report.Printable(note))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// gate prints one gate; the one that decided is marked.
func (x explained) gate(b *strings.Builder, i int, color bool) {
	g := &x.Gates[i]
	mark := "  "
	if g.Decided {
		mark = "> "
	}
	word := fmt.Sprintf("%-11s", outcome(g))
	if color {
		word = gateColors[outcome(g)] + word + "\x1b[0m"
	}
	says := g.Text
	if g.Doubt != "" {
		says = g.Doubt
	}
	fmt.Fprintf(b, "%s%d %-10s  %s  %s\n", mark, i+1, g.Gate, word, report.Printable(says))
	if where := g.At.String(); g.At.Line > 0 {
		fmt.Fprintf(b, "%29sat %s\n", "", report.Printable(where))
	}
}

var gateColors = map[string]string{"passed": "\x1b[32m", "refused": "\x1b[31m", "cannot tell": "\x1b[33m", "not asked": ""}

// who is the name and the object id of the principal.
func (x explained) who() string {
	object := x.Request.Caller.Object.String()
	if x.name == "" || strings.EqualFold(x.name, object) {
		return object
	}
	return report.Printable(x.name) + " (" + object + ")"
}

func (x explained) verdict() string {
	for i := range x.Gates {
		if x.Gates[i].Decided && x.Outcome != posture.Served {
			return fmt.Sprintf("%s, at gate %d (%s)", x.Outcome, i+1, x.Gates[i].Gate)
		}
	}
	return x.Outcome.String()
}

// status is "403 Forbidden (ForbiddenByFirewall)".
func status(a *fault.Error) string {
	s := fmt.Sprintf("%d %s", a.Status, a.Code)
	if a.Inner != "" {
		s += " (" + a.Inner + ")"
	}
	return s
}

// The JSON form.
type (
	jsonExplained struct {
		Verdict   string          `json:"verdict"`
		Headline  string          `json:"headline,omitempty"`
		Vault     string          `json:"vault"`
		Operation string          `json:"operation"`
		Object    string          `json:"object,omitempty"`
		From      string          `json:"from"`
		Place     jsonPlace       `json:"place"`
		Principal jsonPrincipal   `json:"principal"`
		Gates     []jsonGate      `json:"gates"`
		Answer    *jsonAnswer     `json:"answer,omitempty"`
		DNS       *jsonDNS        `json:"dns,omitempty"`
		Causes    []posture.Cause `json:"causes"`
		Changes   []string        `json:"changes"`
		Advice    string          `json:"advice,omitempty"`
		Notes     []string        `json:"notes"`
	}
	jsonPrincipal struct {
		Object string `json:"objectId"`
		App    string `json:"appId,omitempty"`
		Tenant string `json:"tenantId"`
		Name   string `json:"name,omitempty"`
	}
	jsonGate struct {
		Gate    string `json:"gate"`
		Outcome string `json:"outcome"`
		Decided bool   `json:"decided"`
		Reason  string `json:"reason,omitempty"`
		Text    string `json:"text"`
		File    string `json:"file,omitempty"`
		Line    int    `json:"line,omitempty"`
	}
	jsonAnswer struct {
		Status  int    `json:"status"`
		Code    string `json:"code"`
		Inner   string `json:"innerCode,omitempty"`
		Message string `json:"message"`
	}
)

func (x explained) json(out io.Writer) error {
	caller := &x.Request.Caller
	j := jsonExplained{Verdict: x.Outcome.String(), Vault: x.Vault.Resource.Name, Operation: x.Request.Operation.String(), Object: x.Request.Object,
		From: x.from(), Place: x.place(), DNS: x.dns(), Headline: x.Headline, Causes: x.causes(), Changes: nonNil(x.Commands()), Advice: x.Advice, Notes: nonNil(x.Notes),
		Principal: jsonPrincipal{caller.Object.String(), caller.App.String(), caller.Tenant.String(), x.name}}
	for i := range x.Gates {
		g := &x.Gates[i]
		gate := jsonGate{Gate: g.Gate.String(), Outcome: outcome(g), Decided: g.Decided, Text: g.Text, File: g.At.File, Line: g.At.Line}
		if g.Doubt != "" {
			gate.Text = g.Doubt
		} else if g.Decided && x.Way.Lost == "" && x.Decision.Reason != access.Undecided {
			gate.Reason = x.Decision.Reason.String()
		}
		j.Gates = append(j.Gates, gate)
	}
	if a := x.answer(); a != nil {
		j.Answer = &jsonAnswer{a.Status, a.Code, a.Inner, a.Message}
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(j)
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
