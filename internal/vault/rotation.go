package vault

import (
	"context"
	"encoding/json"
	"strings"

	"postern/internal/store"
)

// The actions of a rotation policy.
const (
	RotateAction = "Rotate"
	NotifyAction = "Notify"
)

// RotationAction is one lifetime action of a rotation policy; either of the
// two times is set, as an ISO 8601 duration.
type RotationAction struct {
	Type         string `json:"type"`
	AfterCreate  string `json:"after,omitempty"`
	BeforeExpiry string `json:"before,omitempty"`
}

// RotationPolicy says when a key is rotated and how long its versions live
// (spec: KeyRotationPolicy).
type RotationPolicy struct {
	// ExpiryTime is the life of a version that rotation makes, as an ISO
	// 8601 duration; "" for no end.
	ExpiryTime string           `json:"expiry,omitempty"`
	Actions    []RotationAction `json:"actions"`
	// Created and Updated are unix seconds; 0 for a policy that nobody set.
	Created int64 `json:"created,omitempty"`
	Updated int64 `json:"updated,omitempty"`
}

// Limits of a rotation policy (specification: expiryTime; documentation:
// configure-key-rotation).
const (
	minExpiry   = 28 * 86400
	minRotation = 7 * 86400
	// lastDate is the last second of the year 9999, the end of the service's
	// dates.
	lastDate = 253402300799
)

// defaultRotation is the policy of a key that has none (recorded answers).
func defaultRotation() RotationPolicy {
	return RotationPolicy{Actions: []RotationAction{{Type: NotifyAction, BeforeExpiry: "P30D"}}}
}

// normal is the policy as the service keeps it: the types in its letter
// case, and a Notify action always there (recorded answers).
func (p RotationPolicy) normal() (RotationPolicy, error) {
	life := int64(0)
	if p.ExpiryTime != "" {
		expiry, ok := ParsePeriod(p.ExpiryTime)
		if !ok {
			return p, &Invalid{"expiryTime", "is not an ISO 8601 duration"}
		}
		if life = expiry.length(); life < minExpiry {
			return p, &Invalid{"expiryTime", "is shorter than 28 days"}
		}
	}
	seen := map[string]bool{}
	actions := make([]RotationAction, 0, 2)
	for _, a := range p.Actions {
		switch {
		case strings.EqualFold(a.Type, RotateAction):
			a.Type = RotateAction
		case strings.EqualFold(a.Type, NotifyAction):
			a.Type = NotifyAction
		default:
			return p, &Invalid{"lifetimeActions", "hold an action that is neither Rotate nor Notify"}
		}
		if seen[a.Type] {
			return p, &Invalid{"lifetimeActions", "hold the action " + a.Type + " twice"}
		}
		seen[a.Type] = true
		if err := a.check(life); err != nil {
			return p, err
		}
		actions = append(actions, a)
	}
	if !seen[NotifyAction] {
		actions = append(actions, defaultRotation().Actions...)
	}
	p.Actions = actions
	return p, nil
}

// check holds an action to the limits; life is that of a version, in
// seconds, 0 for no end.
func (a *RotationAction) check(life int64) error {
	before, isBefore := ParsePeriod(a.BeforeExpiry)
	after, isAfter := ParsePeriod(a.AfterCreate)
	switch {
	case a.BeforeExpiry != "" && a.AfterCreate != "":
		return &Invalid{"lifetimeActions", "hold a trigger with two times"}
	case a.BeforeExpiry == "" && a.AfterCreate == "":
		return &Invalid{"lifetimeActions", "hold a trigger without a time"}
	case a.BeforeExpiry != "" && !isBefore:
		return &Invalid{"timeBeforeExpiry", "is not an ISO 8601 duration"}
	case a.AfterCreate != "" && !isAfter:
		return &Invalid{"timeAfterCreate", "is not an ISO 8601 duration"}
	case isAfter && a.Type == NotifyAction:
		return &Invalid{"timeAfterCreate", "applies to Rotate alone"}
	case isAfter && after.length() < minRotation:
		return &Invalid{"timeAfterCreate", "is shorter than 7 days"}
	case isBefore && before.length() < minRotation:
		return &Invalid{"timeBeforeExpiry", "is shorter than 7 days"}
	case isAfter && life != 0 && life-after.length() < minRotation:
		return &Invalid{"timeAfterCreate", "ends less than 7 days before the expiry"}
	case isBefore && a.Type == RotateAction && life != 0 && life-before.length() < minRotation:
		return &Invalid{"timeBeforeExpiry", "begins less than 7 days after the creation"}
	}
	return nil
}

// rotationOf is the rotation policy of a key.
func rotationOf(o *Object) (RotationPolicy, error) {
	if o.Policy == "" {
		return defaultRotation(), nil
	}
	var p RotationPolicy
	if json.Unmarshal([]byte(o.Policy), &p) != nil {
		return RotationPolicy{}, errRecord
	}
	return p, nil
}

// RotationPolicy reads the rotation policy of a key (spec:
// GetKeyRotationPolicy); where none was set, the default one.
func (k *Keys) RotationPolicy(ctx context.Context, name string) (Object, RotationPolicy, error) {
	o, err := k.collection().get(ctx, name, "")
	if err != nil {
		return Object{}, RotationPolicy{}, err
	}
	o.Version.Value = ""
	p, err := rotationOf(&o)
	return o, p, err
}

// SetRotationPolicy replaces the rotation policy of a key (spec:
// UpdateKeyRotationPolicy) and returns it as it is kept.
func (k *Keys) SetRotationPolicy(ctx context.Context, name string, p RotationPolicy) (Object, RotationPolicy, error) {
	p, err := p.normal()
	if err != nil {
		return Object{}, RotationPolicy{}, err
	}
	c := k.collection()
	o, err := c.adjust(ctx, "policy", name, func(_ *store.Tx, o *Object) error {
		if err := c.own(o); err != nil {
			return err
		}
		before, err := rotationOf(o)
		if err != nil {
			return err
		}
		p.Created, p.Updated = before.Created, k.Now.Unix()
		if p.Created == 0 {
			p.Created = p.Updated
		}
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		o.Policy = string(text)
		return nil
	})
	o.Version.Value = ""
	return o, p, err
}

// Rotate makes a new version of a key of what fn makes of the latest one
// (spec: RotateKey). What fn leaves out is taken over: operations, tags,
// release policy, exportable. The rotation policy decides over the expiry;
// the new version is enabled.
func (k *Keys) Rotate(ctx context.Context, name string, fn func(latest KeyContent) (KeyInput, error)) (Object, KeyContent, error) {
	return k.rotate(ctx, name, func(*Object) error { return nil }, fn)
}

// RotateIfDue is Rotate if the rotation policy asks for it now; it reports
// false, and does nothing, if not.
func (k *Keys) RotateIfDue(ctx context.Context, name string, fn func(latest KeyContent) (KeyInput, error)) (Object, bool, error) {
	c := k.collection()
	o, _, err := k.rotate(ctx, name, func(o *Object) error {
		if !hasAction(c.dueNow(o), Rotation) {
			return errNothing
		}
		return nil
	}, fn)
	return o, err == nil, unlessGone(err)
}

func (k *Keys) rotate(ctx context.Context, name string, allow func(*Object) error,
	fn func(latest KeyContent) (KeyInput, error)) (Object, KeyContent, error) {
	var of string // the version that in was made of: a key is not made twice
	var in KeyInput
	return keyOf(k.collection().add(ctx, name, addition{operation: "rotate", inherit: func(old *Object, v *Version) (err error) {
		if old == nil {
			return NotFound
		}
		if err := allow(old); err != nil {
			return err
		}
		if of != old.Version.ID {
			if in, err = successor(old, fn); err != nil {
				return err
			}
			of = old.Version.ID
		}
		policy, err := rotationOf(old)
		if err != nil {
			return err
		}
		in.Expires = Stamp{}
		if life, ok := ParsePeriod(policy.ExpiryTime); ok {
			in.Expires = At(min(life.After(k.Now).Unix(), lastDate))
		}
		made := in.version()
		made.ID, made.Created, made.Updated = v.ID, v.Created, v.Updated
		*v = made
		return nil
	}}))
}

// successor is what fn makes of the latest version, completed by it.
func successor(o *Object, fn func(latest KeyContent) (KeyInput, error)) (KeyInput, error) {
	latest, err := decodeKey(o.Version.Value)
	if err != nil {
		return KeyInput{}, err
	}
	in, err := fn(latest)
	if err != nil {
		return KeyInput{}, err
	}
	in.Enabled = Yes
	in.Content.Exportable = latest.Exportable
	if in.Content.Operations == nil {
		in.Content.Operations = latest.Operations
	}
	if in.Content.Release == nil {
		in.Content.Release = latest.Release
	}
	if in.Tags == nil {
		in.Tags = o.Version.Tags
	}
	return in, checkKey(&in)
}
