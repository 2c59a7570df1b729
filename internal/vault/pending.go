package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"postern/internal/store"
)

// Status is how far a pending operation has come.
type Status string

// The states of a pending operation (recorded answers).
const (
	StatusInProgress Status = "inProgress"
	StatusCompleted  Status = "completed"
	StatusCancelled  Status = "cancelled"
	StatusFailed     Status = "failed"
)

// Pending is the operation that makes a certificate (spec:
// CertificateOperation). It is kept after its end, until the next one or
// DropPending, so that a client can ask how it ended.
type Pending struct {
	// Name is the certificate's, as it was first written.
	Name string
	// Request identifies the operation.
	Request string
	Status  Status
	// CSR is the request in DER. Key is the key of it until the end.
	CSR []byte
	Key KeyContent
	// Issuer is IssuerParameters in JSON. Extra is the issuer's own state,
	// opaque here.
	Issuer, Extra []byte
	// Cancel is whether the end was asked for.
	Cancel bool
	// ErrorCode and ErrorMessage are why it failed.
	ErrorCode, ErrorMessage string
	// Target is the version that was made.
	Target            string
	PreserveCertOrder bool
	// Enabled and Tags are for the version that will be made.
	Enabled Flag
	Tags    []Tag
	// Stays is true for a key that was made not to leave the vault.
	Stays bool
	// Renewal is true when the policy asked for the operation.
	Renewal bool
	// Poll is when the issuer is to be asked next; not known for one that
	// nobody asks.
	Poll             Stamp
	Created, Updated int64
}

// renewalPause is how long after a renewal that failed the next one is
// tried, in seconds.
const renewalPause = 6 * 3600

// maxPending bounds what an issuer and its state may take.
const maxPending = 512 << 10

func pendingKey(name string) string { return kindPending + "/" + fold(name) }

// indexKey is the key of the operation in the index of what is due; "" for
// none.
func (p *Pending) indexKey() string {
	if p == nil || p.Status != StatusInProgress || !p.Poll.Known || p.Poll.Unix > lastMoment {
		return ""
	}
	return DueObject{kindPending, fold(p.Name), max(p.Poll.Unix, 1)}.key(duePrefix)
}

func (s *Certificates) readPending(ctx context.Context, name string) (item store.Item, p Pending, ok bool, err error) {
	item, err = s.Space.Get(ctx, pendingKey(name))
	if errors.Is(err, store.ErrNotFound) {
		return store.Item{}, Pending{}, false, nil
	}
	if err != nil {
		return store.Item{}, Pending{}, false, err
	}
	plain, err := s.Key.Open(item.Key, item.Value)
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	if err != nil {
		return store.Item{}, Pending{}, false, fmt.Errorf("%w: %s: %w", errRecord, item.Key, err)
	}
	return item, p, true, nil
}

// replacePending puts p in the place of old and keeps the index; nil is no
// operation.
func (s *Certificates) replacePending(tx *store.Tx, name string, old, p *Pending) {
	key := pendingKey(name)
	if p == nil {
		tx.Delete(key)
	} else {
		if p.Status != StatusInProgress {
			p.Key, p.Extra = KeyContent{}, nil // nobody needs them any more
		}
		plain, err := json.Marshal(p)
		if err != nil {
			panic("vault: internal error: " + err.Error()) // strings, numbers and bytes
		}
		tx.Put(key, s.Key.Seal(key, plain))
	}
	from, to := old.indexKey(), p.indexKey()
	if from == to {
		return
	}
	if from != "" {
		tx.Delete(from)
	}
	if to != "" {
		tx.Put(to, []byte{recordFormat})
	}
}

// guardPending demands that a pending operation is as it was read.
func guardPending(tx *store.Tx, name string, item store.Item) {
	if item.Key == "" {
		tx.Absent(pendingKey(name))
	} else {
		tx.Unchanged(item)
	}
}

// Begin starts the making of a new version of a certificate (spec:
// CreateCertificate). The policy becomes the certificate's, which is made
// without content when it does not exist.
func (s *Certificates) Begin(ctx context.Context, name string, p Pending, policy []byte) (Pending, error) {
	if err := checkName(name); err != nil {
		return Pending{}, err
	}
	if err := p.check(policy); err != nil {
		return Pending{}, err
	}
	return s.begin(ctx, name, func(*Object) (Pending, []byte, error) { return p, policy, nil })
}

// RenewIfDue is Begin of what fn makes of a certificate, if its policy asks
// for a renewal now; it reports false, and does nothing, if not. That the
// renewal was begun is remembered in the same transaction.
func (s *Certificates) RenewIfDue(ctx context.Context, name string, fn func(Object) (Pending, error)) (Pending, bool, error) {
	c := s.of(kindCertificates)
	p, err := s.begin(ctx, name, func(o *Object) (Pending, []byte, error) {
		if !c.handle(o, Renewal) {
			return Pending{}, nil, errNothing
		}
		latest := *o
		latest.Version.Value = ""
		p, err := fn(latest)
		if err == nil {
			err = p.check(nil)
		}
		p.Renewal = true
		return p, nil, err
	})
	if errors.Is(err, errNothing) {
		return Pending{}, false, nil
	}
	return p, err == nil, err
}

func (p *Pending) check(policy []byte) error {
	if len(p.CSR) > maxCER || len(p.Issuer)+len(p.Extra) > maxPending {
		return &Invalid{"csr", "is too large"}
	}
	if err := p.Key.check(); err != nil {
		return err
	}
	return checkCertificate("", p.Tags, policy)
}

// begin writes the pending operation that fn makes of the certificate, whose
// life is "" when there is none.
func (s *Certificates) begin(ctx context.Context, name string, fn func(*Object) (Pending, []byte, error)) (Pending, error) {
	t, id := s.trio(), s.NewVersion()
	var made Pending
	err := t.certificates.change(ctx, func(tx *store.Tx) error {
		item, before, running, err := s.readPending(ctx, name)
		if err != nil {
			return err
		}
		if running && before.Status == StatusInProgress {
			return InProgress
		}
		head, o, live, err := t.certificates.read(ctx, t.certificates.liveKey(fold(name)))
		if err != nil {
			return err
		}
		old := o
		p, policy, err := fn(&o)
		if err != nil {
			return err
		}
		if policy != nil {
			o.Policy = string(policy)
		}
		t.certificates.pair = &p.Key
		if live {
			tx.Unchanged(head)
			if t.certificates.hollow(&o) {
				err = t.vacant(ctx, tx, name)
			}
			if err == nil {
				err = t.certificates.judge(ctx, "create", &o)
			}
			t.certificates.replace(tx, &old, &o)
		} else {
			o, err = t.reserve(ctx, tx, name, id, &p, o.Policy)
		}
		if err != nil {
			return err
		}
		p.Name, p.Status, p.Created, p.Updated = o.Name, StatusInProgress, s.Now.Unix(), s.Now.Unix()
		guardPending(tx, name, item)
		s.replacePending(tx, name, &before, &p)
		made = p
		return nil
	})
	return made, err
}

// reserve makes a certificate without content, if the three names are free.
func (t trio) reserve(ctx context.Context, tx *store.Tx, name, id string, p *Pending, policy string) (Object, error) {
	if err := t.vacant(ctx, tx, name); err != nil {
		return Object{}, err
	}
	return t.certificates.addIn(ctx, tx, name, addition{operation: "create", version: Version{ID: id, Tags: p.Tags}, policy: &policy})
}

// vacant refuses a name under which there is a key or a secret of its own.
func (t trio) vacant(ctx context.Context, tx *store.Tx, name string) error {
	for _, c := range []*collection{t.keys, t.secrets} {
		_, _, taken, err := c.read(ctx, c.liveKey(fold(name)))
		if err != nil {
			return err
		}
		if taken {
			return Exists
		}
		// What is left of a certificate whose time has come goes with it.
		if err := c.claim(ctx, tx, fold(name)); err != nil {
			return err
		}
	}
	return nil
}

// Pending reads the pending operation of a certificate (spec:
// GetCertificateOperation).
func (s *Certificates) Pending(ctx context.Context, name string) (Pending, error) {
	_, p, ok, err := s.readPending(ctx, name)
	if err == nil && !ok {
		err = NoPending
	}
	return p, err
}

// ChangePending applies fn to the pending operation of a certificate (spec:
// UpdateCertificateOperation): a wish to cancel it, what its issuer said, or
// its end without a certificate. fn may run more than once.
func (s *Certificates) ChangePending(ctx context.Context, name string, fn func(*Pending) error) (Pending, error) {
	var made Pending
	err := s.of(kindCertificates).change(ctx, func(tx *store.Tx) error {
		item, before, ok, err := s.readPending(ctx, name)
		if err != nil {
			return err
		}
		if !ok {
			return NoPending
		}
		p := before
		if err := fn(&p); err != nil {
			return err
		}
		if err := p.check(nil); err != nil {
			return err
		}
		p.Name, p.Updated = before.Name, s.Now.Unix()
		tx.Unchanged(item)
		s.replacePending(tx, name, &before, &p)
		made = p
		if p.Renewal && p.Status == StatusFailed && before.Status == StatusInProgress {
			return s.renewAgain(ctx, tx, name)
		}
		return nil
	})
	return made, err
}

// renewAgain makes a renewal that failed due again after a while: a
// certificate does not expire because its issuer was down once.
func (s *Certificates) renewAgain(ctx context.Context, tx *store.Tx, name string) error {
	c := s.of(kindCertificates)
	head, o, live, err := c.read(ctx, c.liveKey(fold(name)))
	if err != nil || !live {
		return err
	}
	old := o
	o.handled[Renewal], o.retry = 0, s.Now.Unix()+renewalPause
	tx.Unchanged(head)
	c.replace(tx, &old, &o)
	return nil
}

// DropPending removes the pending operation of a certificate and returns
// what it was (spec: DeleteCertificateOperation).
func (s *Certificates) DropPending(ctx context.Context, name string) (Pending, error) {
	var made Pending
	err := s.of(kindCertificates).change(ctx, func(tx *store.Tx) error {
		item, p, ok, err := s.readPending(ctx, name)
		if err != nil {
			return err
		}
		if !ok {
			return NoPending
		}
		tx.Unchanged(item)
		s.replacePending(tx, name, &p, nil)
		made = p
		return nil
	})
	return made, err
}

// Complete makes the version that a pending operation is for: the version,
// its key and secret, and the end of the operation are one transaction
// (spec: MergeCertificate). What the input leaves out of key, tags and
// enabled is the operation's.
func (s *Certificates) Complete(ctx context.Context, name, request string, in CertificateInput) (Object, CertificateContent, error) {
	t, id := s.trio(), s.NewVersion()
	var made Object
	err := t.certificates.change(ctx, func(tx *store.Tx) error {
		item, before, ok, err := s.readPending(ctx, name)
		if err != nil {
			return err
		}
		if !ok || before.Request != request || before.Status != StatusInProgress {
			return NoPending
		}
		p, in := before, in
		if in.Key.Type == "" {
			in.Key = p.Key
		}
		if in.Tags == nil {
			in.Tags = p.Tags
		}
		if in.Enabled == Unset {
			in.Enabled = p.Enabled
		}
		if err := in.check(); err != nil {
			return err
		}
		if made, err = t.addIn(ctx, tx, name, "create", id, &in); err != nil {
			return err
		}
		p.Status, p.Target, p.Updated = StatusCompleted, id, s.Now.Unix()
		tx.Unchanged(item)
		s.replacePending(tx, name, &before, &p)
		return nil
	})
	return certificateOf(made, err)
}

// pendingMoments is Moments of a pending operation.
func (u *Upkeep) pendingMoments(ctx context.Context, d DueObject) (Object, []Moment, error) {
	s := Certificates{Space: u.Space, Key: u.Key}
	item, p, ok, err := s.readPending(ctx, d.Name)
	if err != nil {
		return Object{}, nil, err
	}
	key := p.indexKey()
	if ok && key == d.key(duePrefix) && p.Poll.Unix <= u.Now.Unix() {
		return Object{Name: p.Name}, []Moment{{Poll, d.At}}, nil
	}
	if !ok || key != d.key(duePrefix) {
		return Object{}, nil, u.forget(ctx, item, pendingKey(d.Name), d.key(duePrefix))
	}
	return Object{}, nil, nil
}
