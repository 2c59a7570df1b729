package who

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/estate"
)

// Vaults that share answers get what they would get alone.
func TestShared(t *testing.T) {
	s, _ := estate.New(large(30, 400), rigOptions())
	said := func(a *Answer) string {
		text := ""
		for _, f := range a.Findings {
			text += "\n"
			for _, p := range f.Principals {
				text += p.Object.String() + " "
			}
			for i := range f.Paths {
				p := &f.Paths[i]
				text += fmt.Sprintf("\n  %s %v %v %q %s", p.Reader, p.Others, p.Template, p.Object, p.Origins)
				for _, step := range p.Steps() {
					text += fmt.Sprintf("; %s %s %s", step.Text, step.Action, step.Scope)
				}
			}
		}
		return text
	}
	for _, q := range []Question{{Object: "db"}, {}} {
		for _, a := range AskAll(s, q, rigOptions()) {
			alone, err := Ask(s, a.Vault.Resource.Name, q, rigOptions())
			if err != nil {
				t.Fatal(err)
			}
			if got, want := said(a), said(alone); got != want {
				g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
				n := 0
				for n < min(len(g), len(w))-1 && g[n] == w[n] {
					n++
				}
				t.Fatalf("AskAll(%q) of %s = … %s\nwant, as asked alone: … %s", q.Object, a.Vault.Resource.Name, g[n], w[n])
			}
		}
	}
}
