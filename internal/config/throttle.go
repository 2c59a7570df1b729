package config

import (
	"strconv"
	"strings"
	"time"

	"postern/internal/throttle"
)

func (t *Throttle) check(complain func(string, ...any)) {
	if t.Operations < 0 {
		complain("throttle.operations: %d is negative", t.Operations)
	}
	if t.RetryAfter < 0 {
		complain("throttle.retryAfter: %d is negative", t.RetryAfter)
	}
	if _, ok := throttle.Named(t.Profile); !ok {
		complain("throttle.profile: %q is not off, azure, 2021 or documents", t.Profile)
	}
	for _, v := range t.Vaults {
		name, limit, ok := strings.Cut(v, "=")
		if _, known := limitOf(limit); !ok || name == "" || !known {
			complain("throttle.vaults: %q is not NAME=PROFILE or NAME=OPERATIONS", v)
		}
	}
}

// limitOf reads a profile's name or a number of operations.
func limitOf(text string) (throttle.Profile, bool) {
	if p, ok := throttle.Named(text); ok {
		return p, true
	}
	n, err := strconv.Atoi(text)
	return throttle.Flat(n), err == nil && n > 0
}

// Limiter is the throttling that the settings ask for; nil for none.
func (t *Throttle) Limiter(now func() time.Time) *throttle.Limiter {
	profile, _ := throttle.Named(t.Profile)
	if t.Operations > 0 {
		profile = throttle.Flat(t.Operations)
	}
	vaults := map[string]throttle.Profile{}
	for _, v := range t.Vaults {
		name, limit, _ := strings.Cut(v, "=")
		vaults[strings.ToLower(name)], _ = limitOf(limit)
	}
	return throttle.New(profile, vaults, now)
}
