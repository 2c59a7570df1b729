// Package admission is the one place where a request is decided and the
// decision recorded.
//
// Admit decides, notes the decision in the record of the request, and only
// when it allows hands back a Grant: the capability through which a handler
// reaches the objects of that one vault. There is no other way to them. A
// change that goes through a Grant is committed together with its record; of
// every other request the record is written by Finish or Refuse, and the
// planes send no answer before. A journal that cannot be written stops
// service: both fail, and so does the request.
package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/journal"
	"postern/internal/seal"
	"postern/internal/store"
	"postern/internal/throttle"
	"postern/internal/vault"
)

// Journal is what of the journal the admission needs; *journal.Journal is it.
type Journal interface {
	Append(*journal.Record) error
	Outbox(*journal.Record) (key string, value []byte)
	Deliver(record *journal.Record, key string) error
	Broken() error
}

// Controller decides and records.
type Controller struct {
	Store   store.Store
	Root    *seal.Root
	Journal Journal
	// Budget is the throttling at the start; nil for none.
	Budget *throttle.Limiter
	// Judge is asked before a write that makes or changes an object of a
	// vault; nil for nobody.
	Judge func(context.Context, *estate.Vault, vault.Proposal) error
	// Events reports whether anybody wants to know what happens in a vault,
	// Changed is told that something did; nil for nobody.
	Events  func(*estate.Vault) bool
	Changed func(*estate.Vault)
	// Observe is told every decision over a request to a vault; nil for
	// nobody.
	Observe func(access.Decision)
	Now     func() time.Time

	// replaced is the budget since SetBudget.
	replaced atomic.Pointer[budget]
	// spaces remembers, by the UID of a vault, where its objects are.
	spaces sync.Map // string → *space
}

// space is where the objects of a vault are, and the key that seals them.
type space struct {
	prefix string
	key    *seal.Key
}

func (c *Controller) space(v *estate.Vault) *space {
	if v == nil {
		return nil
	}
	uid := v.Resource.UID
	if s, ok := c.spaces.Load(uid); ok {
		return s.(*space)
	}
	s, _ := c.spaces.LoadOrStore(uid, &space{Prefix(uid), c.Root.Key("vault/" + uid)})
	return s.(*space)
}

type budget struct{ *throttle.Limiter }

// SetBudget replaces the throttling; nil for none.
func (c *Controller) SetBudget(l *throttle.Limiter) { c.replaced.Store(&budget{l}) }

func (c *Controller) budget() *throttle.Limiter {
	if b := c.replaced.Load(); b != nil {
		return b.Limiter
	}
	return c.Budget
}

// Call is one request to a vault.
type Call struct {
	Vault   *estate.Vault
	Request access.Request
	// Record is filled with what is known before the decision; Admit adds
	// the decision.
	Record *journal.Record
}

// ErrOutOfService is returned while the journal cannot be written.
var ErrOutOfService = errors.New("admission: the journal cannot be written, so nothing is served")

// Admit decides over a request to the data plane. The Grant is nil unless
// the decision allows.
func (c *Controller) Admit(call *Call) (*Grant, access.Decision) {
	r := &call.Request
	limiter := c.budget()
	var who throttle.Account
	if limiter != nil {
		who = account(call.Vault)
		r.OverBudget = limiter.Spent(who)
	}
	d := call.Vault.Compiled.Decide(r)
	if spends(d) && !limiter.Take(who, throttle.Plain) {
		r.OverBudget = true
		d = call.Vault.Compiled.Decide(r)
	}
	if c.Observe != nil {
		c.Observe(d)
	}
	note(call, d)
	if !d.Allowed() {
		return nil, d
	}
	return &Grant{controller: c, vault: call.Vault, space: c.space(call.Vault), record: call.Record, status: 200}, d
}

// account is whose budgets an operation on a vault is taken from.
func account(v *estate.Vault) throttle.Account {
	return throttle.Account{Name: strings.ToLower(v.Resource.Name), UID: v.Resource.UID, Subscription: v.Subscription}
}

// spends reports whether a decision was reached behind the throttle.
func spends(d access.Decision) bool { return d.Gate == access.GatePermission }

// AdmitManagement decides over a call of the control plane: an action at a
// scope, by role assignments alone. The Grant reaches the objects of vault;
// it is nil unless the decision allows. The vault may be nil for calls that
// touch none.
func (c *Controller) AdmitManagement(s *estate.Snapshot, caller *access.Caller, action, scope string,
	vault *estate.Vault, record *journal.Record) (*Grant, access.Decision) {
	d := s.Authority().Authorize(caller, action, scope)
	record.RBACAuthorized = journal.Bool(d.Allowed())
	if !d.Allowed() {
		return nil, d
	}
	return &Grant{controller: c, vault: vault, space: c.space(vault), record: record, status: 200}, d
}

// Maintain gives the server's own housekeeping the way to the objects of a
// vault. Nobody asked for it, so nothing is decided; what it changes is
// recorded all the same.
func (c *Controller) Maintain(v *estate.Vault, operation string) *Grant {
	return &Grant{controller: c, vault: v, space: c.space(v), status: 200, upkeep: true,
		record: &journal.Record{Time: c.Now(), ResourceID: v.Resource.ID, OperationName: operation}}
}

// Refuse records a request that was not admitted. Its error means that no
// answer may leave but a failure.
func (c *Controller) Refuse(record *journal.Record, status int, description string) error {
	record.ResultDescription = description
	return c.write(record, status)
}

func (c *Controller) write(record *journal.Record, status int) error {
	record.Answered(status)
	record.Duration = c.Now().Sub(record.Time)
	if err := c.Journal.Append(record); err != nil {
		return fmt.Errorf("%w: %w", ErrOutOfService, err)
	}
	return nil
}

// Grant is the capability to work on the objects of one vault for one
// request. It implements vault.Space, bounded to that vault. It is not safe
// for concurrent use.
type Grant struct {
	controller *Controller
	vault      *estate.Vault
	space      *space
	record     *journal.Record
	status     int
	recorded   bool
	// upkeep makes every change carry a record of its own.
	upkeep bool
}

// About says which object the record is about: its URL.
func (g *Grant) About(url string) { g.record.ID = url }

// Expect says with which status a change will be answered; 200 unless said.
func (g *Grant) Expect(status int) { g.status = status }

// Spend takes what an operation costs beyond the one unit that Admit has
// taken, where that is known only now: the cost of a key depends on its type.
// False means that the budget is used up, and nothing was taken.
func (g *Grant) Spend(cost throttle.Cost) bool {
	return cost <= throttle.Plain || g.controller.budget().Take(account(g.vault), cost-throttle.Plain)
}

// Key seals what is stored of the vault.
func (g *Grant) Key() *seal.Key { return g.space.key }

// Terms are what the configuration says about the vault's objects.
func (g *Grant) Terms() vault.Terms {
	p := &g.vault.Properties
	t := vault.Terms{Name: g.vault.Resource.Name, Subscription: g.vault.Subscription, Geography: g.vault.Geography,
		RetentionDays: p.RetentionDays(), PurgeProtected: p.PurgeProtected()}
	if c := g.controller; c.Events != nil {
		t.Events = c.Events(g.vault)
	}
	if judge := g.controller.Judge; judge != nil {
		t.Judge = func(ctx context.Context, p vault.Proposal) error { return judge(ctx, g.vault, p) }
	}
	return t
}

// BackupKey seals backup blobs.
func (g *Grant) BackupKey() *seal.Key { return g.controller.Root.Key("backup") }

// Prefix is where the objects of a vault stand in the store.
func Prefix(uid string) string { return "o/" + uid + "/" }

// Get reads a key of the vault's space.
func (g *Grant) Get(ctx context.Context, key string) (store.Item, error) {
	item, err := g.controller.Store.Get(ctx, g.space.prefix+key)
	item.Key = key
	return item, err
}

// Range reads keys of the vault's space in order.
func (g *Grant) Range(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	space := g.space.prefix
	if after != "" {
		after = space + after
	}
	items, err := g.controller.Store.Range(ctx, space+prefix, after, limit)
	for i := range items {
		items[i].Key = items[i].Key[len(space):]
	}
	return items, err
}

// Commit applies a transaction to the vault's space. The first one that
// succeeds carries the record of the request, so that there is neither a
// change without a record nor a record of a change that never was.
func (g *Grant) Commit(ctx context.Context, tx *store.Tx) error {
	if err := g.controller.Journal.Broken(); err != nil {
		return fmt.Errorf("%w: %w", ErrOutOfService, err)
	}
	space := g.space.prefix
	bounded := store.Tx{Conditions: make([]store.Condition, len(tx.Conditions)),
		Operations: make([]store.Operation, len(tx.Operations), len(tx.Operations)+1)}
	for i, c := range tx.Conditions {
		c.Key = space + c.Key
		bounded.Conditions[i] = c
	}
	for i, o := range tx.Operations {
		o.Key = space + o.Key
		bounded.Operations[i] = o
	}
	if g.controller.Changed != nil {
		defer g.controller.Changed(g.vault)
	}
	if g.recorded {
		return g.controller.Store.Commit(ctx, &bounded)
	}
	record := g.record
	if g.upkeep {
		own := *g.record
		record = &own
	}
	record.Answered(g.status)
	record.Duration = g.controller.Now().Sub(record.Time)
	key, value := g.controller.Journal.Outbox(record)
	bounded.Put(key, value)
	if err := g.controller.Store.Commit(ctx, &bounded); err != nil {
		return err
	}
	g.recorded = !g.upkeep
	if err := g.controller.Journal.Deliver(record, key); err != nil {
		return fmt.Errorf("%w: %w", ErrOutOfService, err)
	}
	return nil
}

// Finish records how the request ended, unless a change did so already. Its
// error means that no answer may leave but a failure.
func (g *Grant) Finish(status int, description string) error {
	if g.recorded {
		return nil
	}
	g.recorded = true
	g.record.ResultDescription = description
	return g.controller.write(g.record, status)
}

// note writes the decision into the record: how the network gate was
// passed, and what the permission gate said, each only if it was reached.
func note(call *Call, d access.Decision) {
	rec, rules, o := call.Record, call.Vault.Rules, &call.Request.Origin
	switch o.Path {
	case access.PathPublic:
		rec.AddrAuthType = "PublicIP"
	case access.PathSubnet:
		rec.AddrAuthType, rec.SubnetID = "Subnet", o.Subnet
	case access.PathPrivateEndpoint:
		rec.AddrAuthType, rec.PrivateEndpointID = "PrivateEndpoint", o.Endpoint
	}
	if d.Admitted == access.AdmittedTrusted {
		rec.AddrAuthType, rec.TrustedService = "TrustedService", o.Service
	}
	rec.AddressAuthorized = journal.Bool(d.Admitted != access.NotAdmitted)
	if d.WouldDeny && d.Gate != access.GateToken {
		// What an enforced perimeter would have refused; a request without
		// a token says nothing of its subscription yet.
		rec.Properties = append(rec.Properties, journal.Property{Name: "nspWouldDeny", Value: "true"})
	}
	if d.Gate != access.GatePermission {
		return
	}
	if d.Reason == access.ByFlag {
		// Neither a role nor a policy: the flag of the vault by its name.
		rec.Properties = append(rec.Properties, journal.Property{Name: rules.Enabled[d.Rule].Flag, Value: "true"})
		return
	}
	switch rules.Model {
	case access.ModelRBAC:
		rec.RBACAuthorized = journal.Bool(d.Allowed())
		if d.Reason == access.ByAssignment {
			rec.AssignmentID = rules.Assignments[d.Rule].ID
		}
	case access.ModelPolicies:
		rec.PolicyMatch = journal.Bool(d.Allowed())
	}
}
