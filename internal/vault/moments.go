package vault

import (
	"encoding/json"
	"strings"
	"time"
)

// Action is what is to be done about an object at a moment.
type Action uint8

// The actions.
const (
	// NearExpiry: the object will expire soon; an event says so.
	NearExpiry Action = iota
	// Expiry: the object has expired; an event says so.
	Expiry
	// Rotation: the rotation policy of a key wants a new version.
	Rotation
	// Renewal: the policy of a certificate wants a new version (AutoRenew).
	Renewal
	// Notice: the policy of a certificate wants its contacts told
	// (EmailContacts).
	Notice
	actions = 5
	// Poll: the issuer of a pending certificate is to be asked. It is of
	// pending operations alone, and not remembered.
	Poll Action = actions
)

// String is the action in a word, for logs.
func (a Action) String() string {
	return [...]string{"near expiry", "expiry", "rotation", "renewal", "notice", "poll"}[a]
}

// Moment is when what is to be done, in unix seconds.
type Moment struct {
	Action Action
	At     int64
}

// nearExpiry is how long before its expiry an object is near it
// (documentation: event-grid-overview). Of an object with a shorter life the
// moment is past when it is made, and is acted on at once.
const nearExpiry = 30 * 86400

// lastMoment bounds the times that fit the keys of the index; what is later
// never comes.
const lastMoment = 999_999_999_999

// moments is what is to be done about a live object and when, whatever was
// done already. It depends on nothing but the object. The latest version
// alone counts, and nothing is done about one that is disabled, or that
// belongs to a certificate, which speaks for all three.
func moments(kind string, o *Object) []Moment {
	v := &o.Version
	if !v.Enabled || v.Managed || o.Deleted != 0 {
		return nil
	}
	var all []Moment
	near := Period{Seconds: nearExpiry}
	switch kind {
	case kindKeys:
		all, near = keyMoments(o, near)
	case kindCertificates:
		all = certificateMoments(o)
	}
	if v.Expires.Known && v.Expires.Unix <= lastMoment {
		all = append(all, Moment{NearExpiry, near.Before(time.Unix(v.Expires.Unix, 0)).Unix()}, Moment{Expiry, v.Expires.Unix})
	}
	n := 0
	for _, m := range all {
		if m.At <= lastMoment {
			m.At = max(m.At, 1)
			all[n] = m
			n++
		}
	}
	return all[:n]
}

// keyMoments is the rotation of a key, and how long before its expiry it is
// near it: what its rotation policy says.
func keyMoments(o *Object, near Period) ([]Moment, Period) {
	if o.Policy == "" {
		return nil, near
	}
	var p RotationPolicy
	if json.Unmarshal([]byte(o.Policy), &p) != nil {
		return nil, near
	}
	var all []Moment
	for _, a := range p.Actions {
		before, isBefore := ParsePeriod(a.BeforeExpiry)
		after, isAfter := ParsePeriod(a.AfterCreate)
		expires := o.Version.Expires
		switch {
		case a.Type == NotifyAction && isBefore:
			near = before
		case a.Type == RotateAction && isAfter:
			all = append(all, Moment{Rotation, after.After(time.Unix(o.Version.Created, 0)).Unix()})
		case a.Type == RotateAction && isBefore && expires.Known && expires.Unix <= lastMoment:
			all = append(all, Moment{Rotation, before.Before(time.Unix(expires.Unix, 0)).Unix()})
		}
	}
	return all, near
}

// lifetimePolicy is what of a certificate's policy decides over its moments
// (spec: CertificatePolicy).
type lifetimePolicy struct {
	Issuer struct {
		Name string `json:"name"`
	} `json:"issuer"`
	Actions []struct {
		Trigger struct {
			Percentage *int64 `json:"lifetime_percentage"`
			Days       *int64 `json:"days_before_expiry"`
		} `json:"trigger"`
		Action struct {
			Type string `json:"action_type"`
		} `json:"action"`
	} `json:"lifetime_actions"`
}

// certificateMoments is what the lifetime actions of a certificate's policy
// ask for. What an unknown issuer issued cannot be renewed by itself.
func certificateMoments(o *Object) []Moment {
	v := &o.Version
	var p lifetimePolicy
	if o.Policy == "" || !v.Expires.Known || v.Expires.Unix > lastMoment || json.Unmarshal([]byte(o.Policy), &p) != nil {
		return nil
	}
	begin, end := v.Created, v.Expires.Unix
	if v.NotBefore.Known {
		begin = max(v.NotBefore.Unix, 0)
	}
	var all []Moment
	for _, a := range p.Actions {
		action := Notice
		switch {
		case strings.EqualFold(a.Action.Type, "AutoRenew"):
			action = Renewal
			if strings.EqualFold(p.Issuer.Name, "Unknown") {
				continue
			}
		case !strings.EqualFold(a.Action.Type, "EmailContacts"):
			continue
		}
		var at int64
		switch t := a.Trigger; {
		case t.Days != nil && *t.Days >= 0 && *t.Days <= maxPeriod:
			// A version that lives hardly longer than that, as an issuer is
			// free to make it, would be due as soon as it is there, and so
			// would the next one: it is due late in its life instead.
			if at = end - *t.Days*86400; action == Renewal && at < begin+(end-begin)/10 {
				at = begin + (end-begin)/5*4
			}
		case t.Percentage != nil && *t.Percentage >= 0 && *t.Percentage <= 100 && begin <= end:
			at = begin + (end-begin)/100**t.Percentage + (end-begin)%100**t.Percentage/100
		default:
			continue
		}
		if !hasAction(all, action) {
			all = append(all, Moment{action, at})
		}
	}
	return all
}

func hasAction(all []Moment, a Action) bool {
	for _, m := range all {
		if m.Action == a {
			return true
		}
	}
	return false
}

// waiting is the moments of an object that were not acted on yet.
func waiting(kind string, o *Object) []Moment {
	all := moments(kind, o)
	n := 0
	for _, m := range all {
		if o.handled[m.Action] != m.At {
			all[n] = m
			n++
		}
	}
	return all[:n]
}

// next is when an object is due, in unix seconds: its first waiting moment,
// or later when an attempt failed; 0 for never.
func next(kind string, o *Object) int64 {
	var at int64
	for _, m := range waiting(kind, o) {
		if at == 0 || m.At < at {
			at = m.At
		}
	}
	if at == 0 {
		return 0
	}
	return max(at, o.retry)
}
