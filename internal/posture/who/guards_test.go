package who

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// TestGuards: each guard that is told, put in place alone, stops the path;
// and asked again, nobody is told of it any more.
func TestGuards(t *testing.T) {
	applied := map[string]int{}
	for seed := range uint64(1000) {
		w := randomWorld(rand.New(rand.NewPCG(seed, 7)))
		s, _ := estate.New(w.list, rigOptions())
		answer, err := Ask(s, "main", Question{Object: "db", Principals: w.principals}, rigOptions())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range answer.Findings {
			actor := f.Principals[0]
			for i := range f.Paths {
				p := &f.Paths[i]
				guarded := false
				for n, step := range p.Steps() {
					for _, g := range step.Guards {
						if guarded = true; applied[step.Write.String()] >= 10 {
							continue
						}
						if why := w.guarded(&g, p, n, actor, answer); why != "" {
							t.Fatalf("estate %d: %s:%s\nguarded by %q at step %d: %s\n%s", seed, actor.Object, described(f.Paths[i:i+1]), g.String(), n, why, documents(w.list))
						}
						applied[step.Write.String()]++
					}
				}
				if !guarded && !p.Now() {
					t.Fatalf("estate %d: %s:%s has no guard", seed, actor.Object, described(f.Paths[i:i+1]))
				}
			}
		}
	}
	for w := range writes {
		if applied[w.String()] == 0 && w != TakeMore && w != MoveSubscription { // of which TestTold has examples
			t.Errorf("no guard of %s was tried", w)
		}
	}
	t.Log("guards tried:", applied)
}

// guarded says what is wrong with a guard of step n of a path.
func (w *world) guarded(g *Guard, p *Path, n int, actor Principal, answer *Answer) string {
	if len(g.Fields) > 0 {
		at := -1
		if got := w.walk(p, actor, answer, func(_ *Step, before, after []*estate.Resource) bool {
			at++
			return at == n && slices.ContainsFunc(g.Fields, func(field string) bool {
				return !reflect.DeepEqual(fieldOf(before, g.Resource, field), fieldOf(after, g.Resource, field))
			})
		}); got != "stopped" {
			return fmt.Sprintf("the walk says %q, want it stopped by the policy", got)
		}
		return ""
	}
	next := *w
	next.snapshot = nil
	self := actor
	if len(g.Actions) > 0 {
		next.list = w.without(g.Actions, p.idsOf(n, actor))
	} else {
		next.principals = slices.Clone(w.principals)
		for i := range next.principals {
			q := &next.principals[i]
			if q.Object == g.Administrator && (g.Owned.IsZero() || q.Administrator) {
				q.Administrator = false
			}
			if q.Object == g.Owned {
				q.Owners = slices.DeleteFunc(slices.Clone(q.Owners), func(id access.GUID) bool { return id == g.Administrator })
			}
			if q.Object == actor.Object {
				self = *q
			}
		}
	}
	if got := next.walk(p, self, answer, nil); !strings.HasPrefix(got, "step ") {
		return fmt.Sprintf("the walk says %q, want a step that is not allowed", got)
	}
	s, _ := estate.New(next.list, rigOptions())
	again, err := Ask(s, "main", Question{Object: "db", Principals: next.principals}, rigOptions())
	if err != nil {
		return err.Error()
	}
	was := described([]Path{*p})
	for _, q := range pathsOf(again, self) {
		if described([]Path{q}) == was {
			return "it is told all the same"
		}
	}
	return ""
}

// idsOf are the ids by which who makes a step has its rights.
func (p *Path) idsOf(n int, actor Principal) []access.GUID {
	steps := p.Steps()
	ids := append([]access.GUID{actor.Object}, actor.Groups...)
	if steps[n].As == "" {
		return ids
	}
	for _, s := range steps[:n] {
		switch {
		case s.Target == nil:
		case s.Target.name() == steps[n].As:
			return append([]access.GUID{s.Target.Object}, s.Target.Groups...)
		case "a member of "+s.Target.name() == steps[n].As:
			return append(ids, s.Target.Object)
		}
		if s.Target != nil {
			ids = append(ids, s.Target.Object)
		}
	}
	return ids
}

// fieldOf is a property of a resource.
func fieldOf(list []*estate.Resource, id, path string) any {
	at := slices.IndexFunc(list, func(r *estate.Resource) bool { return estate.Key(r.ID) == estate.Key(id) })
	if at < 0 {
		return nil
	}
	var doc any
	if err := json.Unmarshal(list[at].Body, &doc); err != nil {
		panic(err)
	}
	for _, name := range strings.Split(path, ".") {
		m, _ := doc.(map[string]any)
		doc = m[name]
	}
	return doc
}

// without are the documents with every role of some principals narrowed by
// actions.
func (w *world) without(actions []string, ids []access.GUID) []*estate.Resource {
	s, _ := estate.New(w.list, rigOptions())
	var list []*estate.Resource
	for n, r := range w.list {
		var doc struct {
			Properties struct {
				Role      string `json:"roleDefinitionId"`
				Principal string `json:"principalId"`
				Scope     string `json:"scope"`
			} `json:"properties"`
		}
		if r.Type != estate.TypeRoleAssignment || json.Unmarshal(r.Body, &doc) != nil || !slices.Contains(ids, access.MustGUID(doc.Properties.Principal)) {
			list = append(list, r)
			continue
		}
		guid := doc.Properties.Role[len("/x/"):]
		role, _ := s.Role(guid, subscription)
		if d, ok := roles.ByName(guid); ok && len(d.Conditioned) > 0 && !slices.Contains(actions, actionAssign) {
			list = append(list, r)
			continue
		}
		name := fmt.Sprintf("f0000000-0000-0000-0000-%012d", n)
		list = append(list, assignmentOf(1000+n, name, doc.Properties.Principal, doc.Properties.Scope),
			resource("/tenants/"+home+"/providers/Microsoft.Authorization/roleDefinitions/"+name, estate.TypeRoleDefinition, map[string]any{"properties": map[string]any{
				"permissions": []any{map[string]any{"actions": role.Actions, "notActions": append(slices.Clone(role.NotActions), actions...),
					"dataActions": role.DataActions, "notDataActions": role.NotDataActions}}}}))
	}
	return list
}
