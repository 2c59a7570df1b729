package vault

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postern/internal/store/memory"
)

// modelSecret is a secret in the naive model: all of it in one value.
type modelSecret struct {
	Name           string
	Versions       map[string]Version
	Latest         string
	Deleted, Purge int64
}

// model is a vault as anybody would write it down: by lower-case name.
type model struct{ Live, Gone map[string]modelSecret }

func (m model) clone() model {
	deep := func(all map[string]modelSecret) map[string]modelSecret {
		next := maps.Clone(all)
		for n, s := range next {
			s.Versions = maps.Clone(s.Versions)
			next[n] = s
		}
		return next
	}
	return model{deep(m.Live), deep(m.Gone)}
}

// expire forgets the deleted secrets whose time has come.
func (m model) expire(now int64) {
	maps.DeleteFunc(m.Gone, func(_ string, s modelSecret) bool { return now >= s.Purge })
}

// step is one operation: on the vault, and on the model. The model's part
// answers what the vault must answer, and makes its change in m.
type step struct {
	what  string
	vault func(r *rig) error
	model func(m model, id func() string) error
}

func drawStep(t *rapid.T, r *rig, blobs map[string]modelSecret) step {
	ctx := t.Context()
	name := rapid.SampledFrom([]string{"a", "A", "b", "c"}).Draw(t, "name")
	key, now := strings.ToLower(name), r.Now.Unix()
	value := rapid.StringMatching(`[a-z]{0,3}`).Draw(t, "value")
	pick := rapid.IntRange(0, 3).Draw(t, "pick")
	object := func(_ Object, err error) error { return err }
	switch rapid.IntRange(0, 6).Draw(t, "operation") {
	case 0, 1:
		return step{"set " + name, func(r *rig) error { return object(r.Set(ctx, name, SecretInput{Value: value})) }, func(m model, id func() string) error {
			if _, ok := m.Gone[key]; ok {
				return IsDeleted
			}
			s, ok := m.Live[key]
			if !ok {
				s = modelSecret{Name: name, Versions: map[string]Version{}}
			}
			s.Latest = id()
			s.Versions[s.Latest] = Version{ID: s.Latest, Enabled: true, Created: now, Updated: now, Value: value}
			m.Live[key] = s
			return nil
		}}
	case 2:
		version := ""
		if ids := slices.Sorted(maps.Keys(r.seen)); pick > 0 && len(ids) > 0 {
			version = ids[len(ids)*pick/4]
		}
		return step{"update " + name + "/" + version, func(r *rig) error {
			return object(r.Update(ctx, name, version, SecretPatch{ContentType: &value, Tags: []Tag{{value, value}}}))
		}, func(m model, _ func() string) error {
			s, ok := m.Live[key]
			id := version
			if version == "" {
				id = s.Latest
			}
			v, found := s.Versions[id]
			if !ok || !found {
				return NotFound
			}
			v.ContentType, v.Tags, v.Updated = value, []Tag{{value, value}}, now
			s.Versions[id] = v
			return nil
		}}
	case 3, 4, 5:
		return drawMove(t, name, now, r.Terms.RetentionDays)
	}
	blob := ""
	if all := slices.Sorted(maps.Keys(blobs)); len(all) > 0 {
		blob = all[len(all)*pick/4]
	}
	return step{"restore", func(r *rig) error { return object(r.Restore(ctx, []byte(blob))) }, func(m model, _ func() string) error {
		s, ok := blobs[blob]
		if !ok {
			return BackupMalformed
		}
		if _, ok := m.Live[strings.ToLower(s.Name)]; ok {
			return Exists
		}
		if _, ok := m.Gone[strings.ToLower(s.Name)]; ok {
			return IsDeleted
		}
		s.Versions = maps.Clone(s.Versions)
		m.Live[strings.ToLower(s.Name)] = s
		return nil
	}}
}

// drawMove is a step that moves a secret between its states: delete, recover
// or purge.
func drawMove(t *rapid.T, name string, now int64, days int) step {
	ctx, key := t.Context(), strings.ToLower(name)
	object := func(_ Object, err error) error { return err }
	switch rapid.IntRange(0, 2).Draw(t, "move") {
	case 0:
		return step{"delete " + name, func(r *rig) error { return object(r.Delete(ctx, name)) }, func(m model, _ func() string) error {
			s, ok := m.Live[key]
			if !ok {
				return NotFound
			}
			s.Deleted, s.Purge = now, now+int64(days)*86400
			delete(m.Live, key)
			m.Gone[key] = s
			return nil
		}}
	case 1:
		return step{"recover " + name, func(r *rig) error { return object(r.Recover(ctx, name)) }, func(m model, _ func() string) error {
			s, ok := m.Gone[key]
			if !ok {
				return NotDeleted
			}
			s.Deleted, s.Purge = 0, 0
			delete(m.Gone, key)
			m.Live[key] = s
			return nil
		}}
	}
	return step{"purge " + name, func(r *rig) error { return r.Purge(ctx, name) }, func(m model, _ func() string) error {
		if _, ok := m.Gone[key]; !ok {
			return NotDeleted
		}
		delete(m.Gone, key)
		return nil
	}}
}

// observe reads the whole vault through its lists, two to a page, and every
// value by its version.
func observe(t *rapid.T, r *rig) model {
	m := model{map[string]modelSecret{}, map[string]modelSecret{}}
	var after string
	for first := true; first || after != ""; first = false {
		p := must(r.List(t.Context(), after, 2))
		for _, o := range p.Objects {
			s := modelSecret{Name: o.Name, Latest: o.Version.ID, Versions: map[string]Version{}}
			cursor := ""
			for first := true; first || cursor != ""; first = false {
				vs := must(r.Versions(t.Context(), o.Name, cursor, 2))
				for _, v := range vs.Objects {
					if _, twice := s.Versions[v.Version.ID]; twice {
						t.Fatalf("version %s of %s is listed twice", v.Version.ID, o.Name)
					}
					s.Versions[v.Version.ID] = must(r.Get(t.Context(), o.Name, v.Version.ID)).Version
				}
				cursor = vs.Next
			}
			m.Live[strings.ToLower(o.Name)] = s
		}
		after = p.Next
	}
	after = ""
	for first := true; first || after != ""; first = false {
		p := must(r.ListDeleted(t.Context(), after, 2))
		for _, o := range p.Objects {
			m.Gone[strings.ToLower(o.Name)] = modelSecret{Name: o.Name, Latest: o.Version.ID, Deleted: o.Deleted, Purge: o.Purge}
		}
		after = p.Next
	}
	return m
}

// visible is the model as observe can see it: the versions of deleted
// secrets cannot be read.
func (m model) visible() model {
	m = m.clone()
	for n, s := range m.Gone {
		s.Versions = nil
		m.Gone[n] = s
	}
	return m
}

// TestModel drives the vault and the naive model with the same steps. Now
// and then a commit fails, or works and loses its answer: then the vault
// must be as it was or as it should have become, and nothing in between.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig()
		r.Terms.RetentionDays = 7
		now := model{map[string]modelSecret{}, map[string]modelSecret{}}
		blobs := map[string]modelSecret{}
		fault := memory.Work
		r.store.Faults = func(c memory.Call) memory.Fault {
			if c.Verb == memory.Commit {
				return fault
			}
			return memory.Work
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			r.Now = r.Now.AddDate(0, 0, rapid.SampledFrom([]int{0, 0, 0, 1, 7}).Draw(t, "days"))
			now.expire(r.Now.Unix())
			s := drawStep(t, r, blobs)
			fault = rapid.SampledFrom([]memory.Fault{memory.Work, memory.Work, memory.Work, memory.Fail, memory.Lose}).Draw(t, "fault")
			made := len(r.ids)
			got := s.vault(r)
			next := now.clone()
			want := s.model(next, func() string { return r.ids[made] })
			fault = memory.Work
			seen := observe(t, r)
			switch {
			case errors.Is(got, memory.ErrInjected):
				if cmp.Equal(now.visible(), seen) {
					next = now
				}
			case !errors.Is(got, want):
				t.Fatalf("%s = %v, want %v", s.what, got, want)
			}
			if diff := cmp.Diff(next.visible(), seen); diff != "" {
				t.Fatalf("after %s = %v the vault differs from the model (-model +vault):\n%s", s.what, got, diff)
			}
			now = next
			r.remember(now, blobs, t)
		}
		r.sweep(t.Context())
		if diff := cmp.Diff(now.visible(), observe(t, r)); diff != "" {
			t.Fatalf("after Sweep the vault differs from the model (-model +vault):\n%s", diff)
		}
		items := len(now.Gone) // their keys in the index of what is to be purged
		for _, m := range []map[string]modelSecret{now.Live, now.Gone} {
			for _, s := range m {
				items += len(s.Versions)
			}
		}
		if got := len(must(r.store.Range(t.Context(), "", "", 0))); got != items {
			t.Fatalf("the store holds %d items after Sweep, want %d: one for each version, and one for each deleted secret", got, items)
		}
	})
}

// remember notes the versions that exist and takes a backup of one secret.
func (r *rig) remember(m model, blobs map[string]modelSecret, t *rapid.T) {
	r.seen = map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(m.Live)) {
		s := m.Live[name]
		for id := range s.Versions {
			r.seen[id] = true
		}
		if len(blobs) < 3 {
			s.Versions = maps.Clone(s.Versions)
			blobs[string(must(r.BackUp(t.Context(), name)))] = s
		}
	}
}
