package config

import (
	"strings"
	"testing"
	"time"

	"postern/internal/throttle"
)

func TestSourcesInRisingOrder(t *testing.T) {
	c := Default()
	if err := c.read(strings.NewReader("throttle: {operations: 5}\nlog: {level: warn}\n"), "f.yaml"); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"POSTERN_LOG_LEVEL": "error", "POSTERN_LISTEN": "127.0.0.1:1,[::1]:1"}
	if err := c.Environment(func(k string) (string, bool) { v, ok := env[k]; return v, ok }); err != nil {
		t.Fatal(err)
	}
	if c.Throttle.Operations != 5 || c.Log.Level != "error" || len(c.Listen) != 2 || c.Suffix != "postern.localhost" {
		t.Fatalf("config = %+v", c)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"listn: [a:1]", "listn"},
		{"log: {levle: info}", "levle"},
		{"listen: 5\nproxy: []", ""},
		{"listen: []", "at least one address"},
		{"listen: ['127.0.0.1']", "not HOST:PORT"},
		{"listen: ['127.0.0.1:1', '[::1]:2']", "same port"},
		{"suffix: localhost", "two labels"},
		{"suffix: 'a..b'", "two labels"},
		{"suffix: 'A.b'", "two labels"},
		{"proxy: {listen: here}", "proxy.listen"},
		{"proxy: {passThrough: ['*.example.test:443']}", "passThrough"},
		{"metrics: {listen: x}", "metrics.listen"},
		{"profile: best", "profile"},
		{"throttle: {operations: -1}", "negative"},
		{"throttle: {retryAfter: -1}", "negative"},
		{"throttle: {profile: fast}", "throttle.profile"},
		{"throttle: {vaults: [a]}", "throttle.vaults"},
		{"throttle: {vaults: ['a=b']}", "throttle.vaults"},
		{"journal: {sync: never}", "journal.sync"},
		{"journal: {maxSegment: 5}", "maxSegment"},
		{"log: {level: loud}", "log.level"},
		{"perimeter: {balancers: [x]}", "balancers"},
		{"perimeter: {proxyListen: '127.0.0.1:1'}", "whose PROXY headers"},
		{"perimeter: {endpoints: on}", "endpoints"},
		{"propagation: {firewall: -1s}", "propagation"},
		{"propagation: {firewall: soon}", "time.Duration"},
		{"dns: {listen: '53'}", "dns.listen"},
		{"dns: {public: here}", "dns.public"},
		{"dns: {upstream: x}", "dns.upstream"},
		{"dns: {forward: [a]}", "dns.forward"},
		{"dns: {ttl: -1}", "dns.ttl"},
		{"log: {format: xml}", "log.format"},
		{"certificates: {acme: {directory: 'http://ca.test/dir', challenge: '0.0.0.0:80'}}", "not an https URL"},
		{"certificates: {acme: {directory: 'https://ca.test/dir'}}", "needs a listener"},
		{"certificates: {acme: {directory: 'https://ca.test/dir', challenge: '0.0.0.0:80'}}", "certificates.acme.hosts"},
		{"certificates: {acme: {challenge: here}}", "certificates.acme.challenge"},
		{"certificates: {acme: {terms: yes}}", "terms"},
	} {
		cfg := Default()
		err := cfg.read(strings.NewReader(c.text), "f.yaml")
		if err == nil {
			err = cfg.Check()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.text, err, c.want)
		}
	}
}

func TestDurations(t *testing.T) {
	c := Default()
	if err := c.read(strings.NewReader("propagation: {firewall: 90s}"), "f.yaml"); err != nil || c.Propagation.Firewall.Seconds() != 90 {
		t.Fatalf("firewall = %v, %v", c.Propagation.Firewall, err)
	}
}

func TestDifferences(t *testing.T) {
	a, b := Default(), Default()
	b.Throttle.Operations, b.Suffix = 7, "x.test"
	var keys []string
	for _, s := range Differences(&a, &b) {
		keys = append(keys, s.Key+"="+s.Value())
	}
	if got := strings.Join(keys, " "); got != "suffix=x.test throttle.operations=7" {
		t.Fatalf("Differences = %s", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("listen: ['127.0.0.1:8443']\nlog: {level: info}")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		c := Default()
		if c.read(strings.NewReader(text), "f.yaml") == nil {
			_ = c.Check()
		}
	})
}

func TestLimiter(t *testing.T) {
	now := func() time.Time { return time.Unix(0, 0) }
	for _, c := range []struct {
		text string
		want int // operations of the vault kv; 0 is no limit
	}{
		{"", 0}, {"throttle: {profile: documents}", 1000}, {"throttle: {profile: azure}", 4000}, {"throttle: {operations: 7}", 7},
		{"throttle: {profile: azure, vaults: ['KV=2021']}", 2000}, {"throttle: {vaults: ['kv=9']}", 9}, {"throttle: {vaults: ['other=9']}", 0},
	} {
		cfg := Default()
		if err := cfg.read(strings.NewReader(c.text), "f.yaml"); err != nil {
			t.Fatal(err)
		}
		l, got := cfg.Throttle.Limiter(now), 0
		for got < 5000 && l.Take(throttle.Account{Name: "kv", UID: "u"}, throttle.Plain) {
			got++
		}
		if c.want == 0 && got != 5000 || c.want != 0 && got != c.want {
			t.Errorf("%q: %d operations, want %d", c.text, got, c.want)
		}
	}
}
