package vault

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postern/internal/store/memory"
)

// The naive model of all three kinds: everything of an object in one value,
// by "kind/name" in lower case.
type (
	modelVersion struct {
		Content, Previous string
		Enabled, Managed  bool
		Expires           Stamp
	}
	modelObject struct {
		Name, Latest, Policy string
		Versions             map[string]modelVersion
		Deleted, Purge       int64
	}
	shelf map[string]modelObject
	house struct {
		Live, Gone shelf
		Pending    map[string]string // name → request and status
	}
)

func newHouse() *house { return &house{shelf{}, shelf{}, map[string]string{}} }

func (h *house) clone() *house {
	deep := func(s shelf) shelf {
		next := maps.Clone(s)
		for k, o := range next {
			o.Versions = maps.Clone(o.Versions)
			next[k] = o
		}
		return next
	}
	return &house{deep(h.Live), deep(h.Gone), maps.Clone(h.Pending)}
}

var threeKinds = []string{kindCertificates, kindKeys, kindSecrets}

// free says why a name of a kind cannot be made anew; nil when it can.
func (h *house) free(kind, name string) error {
	if _, ok := h.Live[kind+"/"+name]; ok {
		return Exists
	}
	if _, ok := h.Gone[kind+"/"+name]; ok {
		return IsDeleted
	}
	return nil
}

func (h *house) managed(kind, name string) bool {
	for _, s := range []shelf{h.Live, h.Gone} {
		if o, ok := s[kind+"/"+name]; ok {
			return o.Versions[o.Latest].Managed
		}
	}
	return false
}

// add makes a version; the previous one of a certificate is noted with it
// and its secret.
func (h *house) add(kind, name, id string, v modelVersion) {
	at := kind + "/" + strings.ToLower(name)
	o, ok := h.Live[at]
	switch {
	case !ok:
		o = modelObject{Name: name, Versions: map[string]modelVersion{}}
	case kind == kindCertificates && o.Versions[o.Latest].Content == "":
		o.Versions = map[string]modelVersion{}
	case kind == kindCertificates || kind == kindSecrets && v.Managed:
		v.Previous = o.Latest
	}
	o.Latest = id
	o.Versions[id] = v
	h.Live[at] = o
}

// parts is the kinds that move when a certificate does.
func (h *house) parts(s shelf, name string) []string {
	if o := s[kindCertificates+"/"+name]; o.Versions[o.Latest].Content == "" {
		return threeKinds[:1]
	}
	return threeKinds
}

// change is one step: what is done to the vault, and to the model.
type change struct {
	what  string
	vault func(r *rig) error
	model func(h *house, id func() string) error
}

// backup is a blob and what it holds, by kind.
type backup struct {
	kind, blob string
	parts      map[string]modelObject
}

// drawChange draws a step over all kinds.
func drawChange(t *rapid.T, r *rig, saved []backup) change {
	name := rapid.SampledFrom([]string{"a", "A", "b"}).Draw(t, "name")
	text := rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "text")
	kind := rapid.SampledFrom(threeKinds).Draw(t, "kind")
	switch rapid.IntRange(0, 10).Draw(t, "operation") {
	case 10:
		return change{"sweep", func(r *rig) error { return only(r.sweepOnce(t.Context())) }, func(*house, func() string) error { return nil }}
	case 0, 1, 2:
		return drawAdd(t, name, kind, text, r.Now.AddDate(0, 0, rapid.IntRange(-40, 40).Draw(t, "expiry")).Unix())
	case 3:
		return drawUpdate(t, r, name, kind)
	case 4:
		return drawRestore(t, saved)
	case 5:
		return drawPending(t, name, text)
	case 6:
		return rotation(t, name, r.Now.AddDate(0, 0, 90).Unix())
	}
	return drawMoves(t, name, kind, r.Now.Unix(), r.Terms.RetentionDays)
}

func drawAdd(t *rapid.T, name, kind, text string, exp int64) change {
	ctx, key := t.Context(), strings.ToLower(name)
	own := func(h *house, id func() string) error {
		if h.managed(kind, key) && h.Live[kind+"/"+key].Name != "" {
			return Managed
		}
		if _, ok := h.Gone[kind+"/"+key]; ok {
			return IsDeleted
		}
		h.add(kind, name, id(), modelVersion{Content: text, Enabled: true, Expires: At(exp)})
		return nil
	}
	switch kind {
	case kindSecrets:
		return change{"set " + name, func(r *rig) error { return only(r.Set(ctx, name, SecretInput{Value: text, Expires: At(exp)})) }, own}
	case kindKeys:
		return change{"create key " + name, func(r *rig) error {
			return only2(r.keys().Add(ctx, name, KeyInput{Content: someKey(text), Expires: At(exp)}))
		}, own}
	}
	in := someCertificate(text)
	in.Expires = At(exp)
	return change{"import " + name, func(r *rig) error { return only2(r.certificates().Import(ctx, name, in)) }, func(h *house, id func() string) error {
		return h.issue(name, text, id, At(exp))
	}}
}

// issue makes a version of a certificate with its key and its secret.
func (h *house) issue(name, text string, id func() string, exp Stamp) error {
	key := strings.ToLower(name)
	for _, kind := range []string{kindCertificates, kindSecrets, kindKeys} {
		err := h.free(kind, key)
		if errors.Is(err, Exists) && (kind == kindCertificates || h.managed(kind, key)) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	version := id()
	if o, ok := h.Live[kindCertificates+"/"+key]; ok {
		name = o.Name
	}
	h.add(kindCertificates, name, version, modelVersion{Content: "cer " + text, Enabled: true, Expires: exp})
	h.add(kindSecrets, name, version, modelVersion{Content: "secret " + text, Enabled: true, Managed: true, Expires: exp})
	h.add(kindKeys, name, version, modelVersion{Content: "key " + text, Enabled: true, Managed: true, Expires: exp})
	return nil
}

func drawUpdate(t *rapid.T, r *rig, name, kind string) change {
	ctx, key, version := t.Context(), strings.ToLower(name), ""
	if ids := slices.Sorted(maps.Keys(r.seen)); len(ids) > 0 && rapid.Bool().Draw(t, "older") {
		version = rapid.SampledFrom(ids).Draw(t, "version")
	}
	flag, exp := rapid.SampledFrom([]Flag{Unset, No, Yes}).Draw(t, "enabled"), At(r.Now.AddDate(0, 0, rapid.IntRange(-40, 40).Draw(t, "expiry")).Unix())
	model := func(h *house, _ func() string) error {
		o, ok := h.Live[kind+"/"+key]
		id := version
		if id == "" {
			id = o.Latest
		}
		v, found := o.Versions[id]
		switch {
		case !ok || !found:
			return NotFound
		case v.Managed:
			return Managed
		case kind == kindCertificates && v.Content == "":
			return nil
		}
		kinds := []string{kind}
		if kind == kindCertificates {
			kinds = threeKinds
		}
		for _, kind := range kinds {
			v := h.Live[kind+"/"+key].Versions[id]
			if v.Expires = exp; flag != Unset {
				v.Enabled = flag == Yes
			}
			h.Live[kind+"/"+key].Versions[id] = v
		}
		return nil
	}
	do := map[string]func(r *rig) error{
		kindSecrets: func(r *rig) error {
			return only(r.Update(ctx, name, version, SecretPatch{Enabled: flag, Expires: exp}))
		},
		kindKeys: func(r *rig) error {
			return only2(r.keys().Update(ctx, name, version, KeyPatch{Enabled: flag, Expires: exp}))
		},
		kindCertificates: func(r *rig) error {
			return only2(r.certificates().Update(ctx, name, version, CertificatePatch{Enabled: flag, Expires: exp}))
		},
	}[kind]
	return change{"update " + kind + " " + name + "/" + version, do, model}
}

// drawMoves is a step between the states: delete, recover or purge.
func drawMoves(t *rapid.T, name, kind string, now int64, days int) change {
	ctx, key := t.Context(), strings.ToLower(name)
	kinds := func(h *house, s shelf) []string {
		if kind == kindCertificates {
			return h.parts(s, key)
		}
		return []string{kind}
	}
	guard := func(h *house, s shelf, missing error) error {
		if _, ok := s[kind+"/"+key]; !ok {
			return missing
		}
		if h.managed(kind, key) {
			return Managed
		}
		return nil
	}
	switch rapid.IntRange(0, 2).Draw(t, "move") {
	case 0:
		do := map[string]func(r *rig) error{kindSecrets: func(r *rig) error { return only(r.Delete(ctx, name)) },
			kindKeys:         func(r *rig) error { return only2(r.keys().Delete(ctx, name)) },
			kindCertificates: func(r *rig) error { return only2(r.certificates().Delete(ctx, name)) }}[kind]
		return change{"delete " + kind + " " + name, do, func(h *house, _ func() string) error {
			if err := guard(h, h.Live, NotFound); err != nil {
				return err
			}
			for _, kind := range kinds(h, h.Live) {
				o := h.Live[kind+"/"+key]
				o.Deleted, o.Purge = now, now+int64(days)*86400
				delete(h.Live, kind+"/"+key)
				h.Gone[kind+"/"+key] = o
			}
			if kind == kindCertificates {
				delete(h.Pending, key)
			}
			return nil
		}}
	case 1:
		do := map[string]func(r *rig) error{kindSecrets: func(r *rig) error { return only(r.Recover(ctx, name)) },
			kindKeys:         func(r *rig) error { return only2(r.keys().Recover(ctx, name)) },
			kindCertificates: func(r *rig) error { return only2(r.certificates().Recover(ctx, name)) }}[kind]
		return change{"recover " + kind + " " + name, do, func(h *house, _ func() string) error {
			if err := guard(h, h.Gone, NotDeleted); err != nil {
				return err
			}
			for _, kind := range kinds(h, h.Gone) {
				o := h.Gone[kind+"/"+key]
				o.Deleted, o.Purge = 0, 0
				delete(h.Gone, kind+"/"+key)
				h.Live[kind+"/"+key] = o
			}
			return nil
		}}
	}
	do := map[string]func(r *rig) error{kindSecrets: func(r *rig) error { return r.Purge(ctx, name) },
		kindKeys:         func(r *rig) error { return r.keys().Purge(ctx, name) },
		kindCertificates: func(r *rig) error { return r.certificates().Purge(ctx, name) }}[kind]
	return change{"purge " + kind + " " + name, do, func(h *house, _ func() string) error {
		if err := guard(h, h.Gone, NotDeleted); err != nil {
			return err
		}
		for _, kind := range kinds(h, h.Gone) {
			delete(h.Gone, kind+"/"+key)
		}
		return nil
	}}
}

func drawRestore(t *rapid.T, saved []backup) change {
	ctx, s := t.Context(), backup{blob: "nothing"}
	if len(saved) > 0 {
		s = saved[rapid.IntRange(0, len(saved)-1).Draw(t, "blob")]
	}
	do := func(r *rig) error { return only(r.Restore(ctx, []byte(s.blob))) }
	switch s.kind {
	case kindKeys:
		do = func(r *rig) error { return only2(r.keys().Restore(ctx, []byte(s.blob))) }
	case kindCertificates:
		do = func(r *rig) error { return only2(r.certificates().Restore(ctx, []byte(s.blob))) }
	}
	return change{"restore " + s.kind, do, func(h *house, _ func() string) error {
		if s.kind == "" {
			return BackupMalformed
		}
		for _, kind := range threeKinds {
			if o, ok := s.parts[kind]; ok {
				if err := h.free(kind, strings.ToLower(o.Name)); err != nil {
					return err
				}
			}
		}
		for kind, o := range s.parts {
			o.Versions = maps.Clone(o.Versions)
			h.Live[kind+"/"+strings.ToLower(o.Name)] = o
		}
		return nil
	}}
}

func drawPending(t *rapid.T, name, text string) change {
	ctx, key := t.Context(), strings.ToLower(name)
	switch rapid.IntRange(0, 2).Draw(t, "step") {
	case 0:
		return change{"begin " + name, func(r *rig) error {
			return only(r.certificates().Begin(ctx, name, Pending{Request: text, Key: someKey("key " + text), Poll: At(r.Now.Unix())}, []byte(text)))
		}, func(h *house, id func() string) error {
			if strings.HasSuffix(h.Pending[key], string(StatusInProgress)) {
				return InProgress
			}
			if _, ok := h.Live[kindCertificates+"/"+key]; !ok {
				for _, kind := range []string{kindKeys, kindSecrets, kindCertificates} {
					if err := h.free(kind, key); err != nil {
						return err
					}
				}
				h.add(kindCertificates, name, id(), modelVersion{})
			}
			o := h.Live[kindCertificates+"/"+key]
			o.Policy = text
			h.Live[kindCertificates+"/"+key] = o
			h.Pending[key] = text + " " + string(StatusInProgress)
			return nil
		}}
	case 1:
		return change{"drop " + name, func(r *rig) error { return only(r.certificates().DropPending(ctx, name)) }, func(h *house, _ func() string) error {
			if h.Pending[key] == "" {
				return NoPending
			}
			delete(h.Pending, key)
			return nil
		}}
	}
	request := ""
	return change{"complete " + name, func(r *rig) error {
		_, p, _, err := (&Certificates{Space: r.store, Key: r.Key}).readPending(ctx, name)
		if err != nil {
			return err
		}
		request = p.Request
		in := someCertificate(text)
		in.Key = KeyContent{}
		return only2(r.certificates().Complete(ctx, name, request, in))
	}, func(h *house, id func() string) error {
		if h.Pending[key] != request+" "+string(StatusInProgress) {
			return NoPending
		}
		if err := h.issue(name, text, id, Stamp{}); err != nil {
			return err
		}
		// The key is that of the operation.
		o := h.Live[kindKeys+"/"+key]
		v := o.Versions[o.Latest]
		v.Content = "key " + request
		o.Versions[o.Latest] = v
		h.Pending[key] = request + " " + string(StatusCompleted)
		return nil
	}}
}

// rotation rotates a key; on the way it gets a policy, which lets the new
// version live for 90 days.
func rotation(t *rapid.T, name string, exp int64) change {
	ctx, key := t.Context(), kindKeys+"/"+strings.ToLower(name)
	policy := rapid.Bool().Draw(t, "policy")
	return change{fmt.Sprint("rotate ", name, policy), func(r *rig) error {
		if policy {
			return only2(r.keys().SetRotationPolicy(ctx, name, RotationPolicy{ExpiryTime: "P90D", Actions: []RotationAction{{Type: RotateAction, AfterCreate: "P7D"}}}))
		}
		return only2(r.keys().Rotate(ctx, name, func(k KeyContent) (KeyInput, error) {
			return KeyInput{Content: someKey(string(k.Material) + "+")}, nil
		}))
	}, func(h *house, id func() string) error {
		o, ok := h.Live[key]
		switch {
		case !ok:
			return NotFound
		case o.Versions[o.Latest].Managed:
			return Managed
		case policy:
			o.Policy = "P90D"
			h.Live[key] = o
			return nil
		}
		v := modelVersion{Content: o.Versions[o.Latest].Content + "+", Enabled: true}
		if o.Policy != "" {
			v.Expires = At(exp)
		}
		h.add(kindKeys, name, id(), v)
		return nil
	}}
}

// observeAll reads everything: all lists two to a page, and every version.
func observeAll(t *rapid.T, r *rig) *house {
	h, ctx := newHouse(), t.Context()
	for _, kind := range threeKinds {
		c := &collection{kind: kind, terms: r.Terms, space: r.Space, key: r.Key, now: r.Now}
		for _, where := range []struct {
			prefix string
			into   shelf
		}{{c.liveKey(""), h.Live}, {c.deletedKey(""), h.Gone}} {
			for after, more := "", true; more; more = after != "" {
				p := must(c.list(ctx, where.prefix, after, 2))
				for _, o := range p.Objects {
					where.into[kind+"/"+strings.ToLower(o.Name)] = observeObject(t, c, &o)
				}
				after = p.Next
			}
		}
		for _, name := range []string{"a", "b"} {
			if p, err := r.certificates().Pending(ctx, name); err == nil {
				h.Pending[name] = p.Request + " " + string(p.Status)
			}
		}
	}
	return h
}

func observeObject(t *rapid.T, c *collection, o *Object) modelObject {
	m := modelObject{Name: o.Name, Latest: o.Version.ID, Policy: o.Policy, Deleted: o.Deleted, Purge: o.Purge, Versions: map[string]modelVersion{}}
	if c.kind == kindKeys && o.Policy != "" {
		m.Policy = must(rotationOf(o)).ExpiryTime
	}
	if o.Deleted != 0 {
		return m
	}
	for after, more := "", true; more; more = after != "" {
		p := must(c.versions(t.Context(), o.Name, after, 2))
		for _, v := range p.Objects {
			v := must(c.get(t.Context(), o.Name, v.Version.ID)).Version
			m.Versions[v.ID] = modelVersion{Content: content(c.kind, &v), Previous: v.Previous, Enabled: v.Enabled, Managed: v.Managed, Expires: v.Expires}
		}
		after = p.Next
	}
	return m
}

// seen is the model as observeAll can see it: the versions of deleted
// objects cannot be read.
func (h *house) seen() *house {
	h = h.clone()
	for k, o := range h.Gone {
		o.Versions = map[string]modelVersion{}
		h.Gone[k] = o
	}
	return h
}

// TestLifeOfAllKinds drives the vault and the naive model of all kinds with
// the same steps, while commits fail or lose their answers.
func TestLifeOfAllKinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig()
		r.Terms.RetentionDays = 7
		now, saved, fault := newHouse(), []backup{}, memory.Work
		r.store.Faults = func(c memory.Call) memory.Fault {
			if c.Verb == memory.Commit {
				return fault
			}
			return memory.Work
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			r.Now = r.Now.AddDate(0, 0, rapid.SampledFrom([]int{0, 0, 0, 0, 1, 7}).Draw(t, "days"))
			maps.DeleteFunc(now.Gone, func(_ string, o modelObject) bool { return r.Now.Unix() >= o.Purge })
			s := drawChange(t, r, saved)
			fault = rapid.SampledFrom([]memory.Fault{memory.Work, memory.Work, memory.Work, memory.Fail, memory.Lose}).Draw(t, "fault")
			made := len(r.ids)
			got := s.vault(r)
			next := now.clone()
			want := s.model(next, func() string { return r.ids[made] })
			fault = memory.Work
			seen := observeAll(t, r)
			switch {
			case errors.Is(got, memory.ErrInjected):
				if cmp.Equal(now.seen(), seen) {
					next = now
				}
			case !errors.Is(got, want):
				t.Fatalf("%s = %v, want %v", s.what, got, want)
			}
			if diff := cmp.Diff(next.seen(), seen); diff != "" {
				t.Fatalf("after %s = %v the vault differs from the model (-model +vault):\n%s", s.what, got, diff)
			}
			checkIndexes(t, r)
			now = next
			saved = save(t, r, now, saved)
		}
		finish(t, r, now)
	})
}

// save notes the versions that exist and takes backups.
func save(t *rapid.T, r *rig, h *house, saved []backup) []backup {
	r.seen = map[string]bool{}
	for _, at := range slices.Sorted(maps.Keys(h.Live)) {
		o, kind := h.Live[at], strings.SplitN(at, "/", 2)[0]
		for id := range o.Versions {
			r.seen[id] = true
		}
		if len(saved) >= 6 || o.Versions[o.Latest].Managed || o.Versions[o.Latest].Content == "" {
			continue
		}
		blob, parts := []byte(nil), map[string]modelObject{}
		switch kind {
		case kindSecrets:
			blob = must(r.BackUp(t.Context(), o.Name))
		case kindKeys:
			blob = must(r.keys().BackUp(t.Context(), o.Name))
		default:
			blob = must(r.certificates().BackUp(t.Context(), o.Name))
			for _, kind := range threeKinds[1:] {
				parts[kind] = h.clone().Live[kind+"/"+strings.ToLower(o.Name)]
			}
		}
		parts[kind] = h.clone().Live[at]
		saved = append(saved, backup{kind, string(blob), parts})
	}
	return saved
}

// finish sweeps, and holds the store to the model item by item.
func finish(t *rapid.T, r *rig, h *house) {
	r.sweep(t.Context())
	if diff := cmp.Diff(h.seen(), observeAll(t, r)); diff != "" {
		t.Fatalf("after the sweep the vault differs from the model (-model +vault):\n%s", diff)
	}
	checkIndexes(t, r)
	want := len(h.Pending)
	for _, s := range []shelf{h.Live, h.Gone} {
		for _, o := range s {
			want += len(o.Versions)
		}
	}
	got := 0
	for _, item := range must(r.store.Range(t.Context(), "", "", 0)) {
		if !strings.HasPrefix(item.Key, duePrefix) && !strings.HasPrefix(item.Key, purgePrefix) {
			got++
		}
	}
	if got != want {
		t.Fatalf("the store holds %d items after the sweep, want %d: one for each version and each operation", got, want)
	}
}
