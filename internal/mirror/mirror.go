// Package mirror keeps the objects of one vault equal to those of another:
// secrets, certificates, and the keys that may be copied. Either vault may be
// one of Azure: it is read and written with the service's own clients, with
// the rights of whoever runs it and nothing more.
//
// What is compared is the latest version of each object: its content, its
// attributes and its tags. Certificates go first, since they bring a key and
// a secret of their own along. The private part of a key never leaves a
// vault, so a key is copied as a backup, which the service restores within
// one subscription and geography alone; where it does not, the key is left
// and the report says so.
//
// A run can be broken off at any moment. Each object is settled by itself, and
// the state file remembers which were, so that the next run reads only the
// lists and what has changed since.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// Kind is a kind of object, as it stands in URLs.
type Kind string

// The kinds, in the order in which they are copied.
const (
	Certificates Kind = "certificates"
	Secrets      Kind = "secrets"
	Keys         Kind = "keys"
)

// Kinds are all kinds, in the order in which they are copied.
func Kinds() []Kind { return []Kind{Certificates, Secrets, Keys} }

// Side is one of the two vaults.
type Side struct {
	// URL is "https://myvault.vault.azure.net".
	URL        string
	Credential azcore.TokenCredential
	// Client sends the requests; nil for the default one.
	Client *http.Client
}

// Options say what is to be made equal.
type Options struct {
	From, To Side
	// Kinds are the kinds that are copied; nil for all.
	Kinds []Kind
	// Matches picks objects by their names; nil for all.
	Matches func(name string) bool
	// Delete deletes what the first vault does not have.
	Delete bool
	// DryRun reads and compares, and writes nothing.
	DryRun bool
	// State is the file that remembers what was settled; "" for none.
	State string
	// Progress is told how far a kind is; nil for nobody.
	Progress func(k Kind, done, all int)
}

// Action is what was done with an object, or would be.
type Action string

// The actions.
const (
	Same    Action = "same"
	Create  Action = "create"
	Update  Action = "update" // a new version
	Amend   Action = "amend"  // attributes, tags or a policy of the latest version
	Recover Action = "recover"
	Delete  Action = "delete"
	Left    Action = "left" // it cannot be copied; Reason says why
	Failed  Action = "failed"
)

// Actions are all actions, in the order in which they are counted.
func Actions() []Action { return []Action{Create, Update, Amend, Recover, Delete, Same, Left, Failed} }

// Step is what became of one object.
type Step struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`
	Action Action `json:"action"`
	Reason string `json:"reason,omitempty"`
}

// Report is what became of all of them, in the order of kinds and names.
type Report struct {
	From   string `json:"from"`
	To     string `json:"to"`
	DryRun bool   `json:"dryRun"`
	Steps  []Step `json:"steps"`
}

// Count is how many steps were of an action.
func (r *Report) Count(a Action) int {
	n := 0
	for _, s := range r.Steps {
		if s.Action == a {
			n++
		}
	}
	return n
}

// workers is how many objects are in work at the same time.
const workers = 8

// item is an object in a list.
type item struct {
	name    string
	updated time.Time
	enabled bool
	// managed is set for a key or secret that belongs to a certificate.
	managed bool
}

// copier is what is different between the kinds.
type copier interface {
	// list reads the live objects of a side.
	list(ctx context.Context, from bool) ([]item, error)
	// settle makes one object equal; to is nil where there is none.
	settle(ctx context.Context, from item, to *item) (Action, string, error)
	// remove deletes one object of the second vault.
	remove(ctx context.Context, name string) error
}

// run is one run.
type run struct {
	Options
	state   *state
	started time.Time
	report  *Report
}

// Run makes the second vault equal to the first. Its error means that it
// could not begin or go on; what became of single objects is in the report,
// which is there in any case.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := &run{Options: o, started: time.Now(), report: &Report{From: o.From.URL, To: o.To.URL, DryRun: o.DryRun}}
	if strings.EqualFold(strings.TrimRight(o.From.URL, "/"), strings.TrimRight(o.To.URL, "/")) {
		return r.report, errors.New("both vaults are the same")
	}
	if r.Kinds == nil {
		r.Kinds = Kinds()
	}
	var err error
	if r.state, err = openState(o.State, o.From.URL, o.To.URL, o.DryRun); err != nil {
		return r.report, err
	}
	err = r.all(ctx)
	return r.report, errors.Join(err, r.state.close())
}

func (r *run) all(ctx context.Context) error {
	from, to, err := r.clients()
	if err != nil {
		return err
	}
	both := pair{r, from, to}
	copiers := map[Kind]copier{Certificates: &certificates{both}, Secrets: &secrets{both}, Keys: &keys{both}}
	for _, k := range Kinds() {
		if !slices.Contains(r.Kinds, k) {
			continue
		}
		if err := r.kind(ctx, k, copiers[k]); err != nil {
			return err
		}
	}
	return nil
}

// clients are the service's clients of one vault.
type clients struct {
	secrets      *azsecrets.Client
	keys         *azkeys.Client
	certificates *azcertificates.Client
}

// pair is the two vaults of a run.
type pair struct {
	*run
	from, to clients
}

// of is the clients of the first vault or of the second.
func (p *pair) of(from bool) *clients {
	if from {
		return &p.from
	}
	return &p.to
}

func (r *run) clients() (from, to clients, err error) {
	if from, err = r.From.clients(); err != nil {
		return from, to, err
	}
	to, err = r.To.clients()
	return from, to, err
}

func (s Side) clients() (c clients, err error) {
	options := azcore.ClientOptions{Telemetry: policy.TelemetryOptions{ApplicationID: "postern-sync"}}
	client, err := fenced(s.URL, s.Client)
	if err != nil {
		return c, err
	}
	options.Transport = client
	if c.secrets, err = azsecrets.NewClient(s.URL, s.Credential, &azsecrets.ClientOptions{ClientOptions: options}); err != nil {
		return c, fmt.Errorf("%s: %w", s.URL, err)
	}
	if c.keys, err = azkeys.NewClient(s.URL, s.Credential, &azkeys.ClientOptions{ClientOptions: options}); err != nil {
		return c, fmt.Errorf("%s: %w", s.URL, err)
	}
	if c.certificates, err = azcertificates.NewClient(s.URL, s.Credential, &azcertificates.ClientOptions{ClientOptions: options}); err != nil {
		return c, fmt.Errorf("%s: %w", s.URL, err)
	}
	return c, nil
}

// kind settles the objects of one kind.
func (r *run) kind(ctx context.Context, k Kind, c copier) error {
	from, err := r.listed(ctx, k, c, true)
	if err != nil {
		return err
	}
	to, err := r.listed(ctx, k, c, false)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(from))
	for name := range from {
		names = append(names, name)
	}
	if r.Delete {
		for name := range to {
			if _, ok := from[name]; !ok {
				names = append(names, name)
			}
		}
	}
	sort.Strings(names)
	steps := make([]Step, len(names))
	err = r.each(ctx, k, len(names), func(i int) {
		name := names[i]
		steps[i] = Step{Kind: k, Name: name}
		s := &steps[i]
		f, here := from[name]
		t, there := to[name]
		switch {
		case !here:
			s.Action, s.Reason = r.remove(ctx, c, name)
		case there:
			s.Name = f.name
			s.Action, s.Reason = r.settle(ctx, k, c, f, &t)
		default:
			s.Name = f.name
			s.Action, s.Reason = r.settle(ctx, k, c, f, nil)
		}
	})
	for _, s := range steps {
		if s.Action != "" {
			r.report.Steps = append(r.report.Steps, s)
		}
	}
	return err
}

// each calls fn for every index, some at the same time, until the context
// ends.
func (r *run) each(ctx context.Context, k Kind, n int, fn func(i int)) error {
	var group sync.WaitGroup
	var mu sync.Mutex
	next, done := 0, 0
	for range min(workers, n) {
		group.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return
				}
				fn(i)
				mu.Lock()
				done++
				if r.Progress != nil {
					r.Progress(k, done, n)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return ctx.Err()
}

// listed are the objects of a side that are copied, by folded name: not
// those that belong to a certificate, which goes by itself.
func (r *run) listed(ctx context.Context, k Kind, c copier, from bool) (map[string]item, error) {
	var list []item
	err := understood(func() (err error) { list, err = c.list(ctx, from); return err })
	if err != nil {
		side := r.To.URL
		if from {
			side = r.From.URL
		}
		return nil, fmt.Errorf("listing the %s of %s: %w", k, side, brief(err))
	}
	byName := make(map[string]item, len(list))
	for _, i := range list {
		if r.Matches != nil && !r.Matches(i.name) || i.managed && from {
			continue
		}
		byName[strings.ToLower(i.name)] = i
	}
	return byName, nil
}

// settle makes one object equal, unless the state says that it is.
func (r *run) settle(ctx context.Context, k Kind, c copier, from item, to *item) (Action, string) {
	if to != nil && to.managed {
		return Left, "a certificate of the second vault has this name"
	}
	if to != nil && r.state.settled(k, from, *to) {
		return Same, ""
	}
	var action Action
	var reason string
	err := understood(func() (err error) { action, reason, err = c.settle(ctx, from, to); return err })
	switch {
	case err != nil:
		return Failed, brief(err).Error()
	case action == Same && to != nil && !r.DryRun:
		if err := r.state.settle(k, from, *to, r.started); err != nil {
			return Failed, err.Error()
		}
	}
	return action, reason
}

func (r *run) remove(ctx context.Context, c copier, name string) (Action, string) {
	if r.DryRun {
		return Delete, ""
	}
	if err := understood(func() error { return c.remove(ctx, name) }); err != nil && !answered(err, http.StatusNotFound) {
		return Failed, brief(err).Error()
	}
	return Delete, ""
}
