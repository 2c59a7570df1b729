// Package config is what an operator can set, as one documented struct.
//
// A value comes from, in rising order: the default, the configuration file,
// the environment, a flag. The tables in docs/configuration.md are made from
// the struct's tags, and a test compares them.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"postern/internal/profile"
)

// Config is the settings of a server. Tags: yaml is the key in the file, env
// the environment variable, flag the flag of "postern serve", doc what it
// means, and reload whether SIGHUP applies a change of it.
type Config struct {
	Listen []string `yaml:"listen" env:"POSTERN_LISTEN" flag:"listen" doc:"Addresses of the TLS listener, HOST:PORT. All must have the same port: it is part of the names."`
	Suffix string   `yaml:"suffix" env:"POSTERN_SUFFIX" flag:"suffix" doc:"Domain of the private names: login.SUFFIX, management.SUFFIX, VAULT.vault.SUFFIX."`
	Proxy  Proxy    `yaml:"proxy"`
	// Metrics has its own listener, so that nobody who reaches the vaults
	// reaches the metrics.
	Metrics     Metrics     `yaml:"metrics"`
	Perimeter   Perimeter   `yaml:"perimeter"`
	DNS         DNS         `yaml:"dns"`
	Identity    Identity    `yaml:"identity"`
	Propagation Propagation `yaml:"propagation"`
	Profile     string      `yaml:"profile" env:"POSTERN_PROFILE" flag:"profile" doc:"What the service is held to: azure (the service of today) or documents."`
	Throttle    Throttle    `yaml:"throttle"`
	// Issuers is checked by the directory, which knows what it can trust.
	Issuers []Issuer `yaml:"issuers" reload:"yes" doc:"Foreign issuers whose tokens are accepted, each with issuer (the claim iss), tenant (the GUID it counts as; needed unless it is a tenant of Entra), audiences, keysURL or keysFile (else its provider metadata says), caFile, and claims (names of the claims object, app, tenant, groups, type, user, resource; none reads none): foreign-issuers.md."`
	// Attestation is checked by the directory, too.
	Attestation []Attester `yaml:"attestation" reload:"yes" doc:"Attestation authorities: keys are released to environments that one of these has attested, if the key's release policy names it, too. Each with issuer (the claim iss, an https URL), keysURL or keysFile (else its provider metadata says), and caFile: keys.md."`
	// Certificates has its own listener, for the authority's challenges.
	Certificates Certificates `yaml:"certificates"`
	Events       Events       `yaml:"events"`
	Journal      Journal      `yaml:"journal"`
	Log          Log          `yaml:"log"`
}

// Events is who is told what happens to the objects of vaults.
type Events struct {
	// Webhooks is checked by the server, which opens them.
	Webhooks []Webhook `yaml:"webhooks" doc:"Webhooks that are told of new versions, of expiry that is near and that has come, in Event Grid's form, each with name, url (https), and as wanted schema (EventGridSchema or CloudEventSchemaV1_0), vaults, types (such as SecretNearExpiry), caFile, header and headerFile (a header with a secret value)."`
}

// Proxy is the CONNECT proxy by which clients reach the public names.
type Proxy struct {
	Listen      string   `yaml:"listen" env:"POSTERN_PROXY" flag:"proxy" doc:"Address of the CONNECT proxy, HOST:PORT, or off. It carries the names the server serves and refuses all others."`
	PassThrough []string `yaml:"passThrough" reload:"yes" doc:"Further hosts (HOST:PORT, no wildcards) that the proxy connects to; none unless set. A host the server serves itself is never passed on."`
}

// Metrics is the listener of the metrics.
type Metrics struct {
	Listen string `yaml:"listen" env:"POSTERN_METRICS" flag:"metrics" doc:"Address of the metrics listener (plain HTTP, path /metrics), HOST:PORT, or off. It has no authentication: keep it on a loopback or management address."`
}

// Perimeter is how the server knows where a caller is.
type Perimeter struct {
	ProxyListen string   `yaml:"proxyListen" env:"POSTERN_PROXY_PROTOCOL" flag:"proxy-protocol" doc:"Address of a further TLS listener that expects a PROXY protocol v2 header on every connection, HOST:PORT, or off."`
	Balancers   []string `yaml:"balancers" doc:"Addresses and ranges of the balancers whose PROXY headers are believed. Everybody else is refused on that listener."`
	Endpoints   string   `yaml:"endpoints" env:"POSTERN_ENDPOINTS" flag:"endpoints" doc:"auto binds a listener on the address of every private endpoint that this machine has, on the port of the TLS listener; off binds none."`
}

// DNS is the name server.
type DNS struct {
	Listen   string   `yaml:"listen" env:"POSTERN_DNS" flag:"dns" doc:"Address of the DNS server, HOST:PORT for UDP and TCP, or off."`
	Public   string   `yaml:"public" env:"POSTERN_DNS_PUBLIC" flag:"dns-public" doc:"Address that the public names of vaults and planes resolve to; empty is that of the TLS listener."`
	Upstream string   `yaml:"upstream" reload:"yes" doc:"Resolver, HOST:PORT, that other names are passed on to; empty refuses them."`
	Forward  []string `yaml:"forward" reload:"yes" doc:"Conditional forwarders, DOMAIN=HOST:PORT: queries for the domain and below it go to that resolver."`
	TTL      int      `yaml:"ttl" doc:"Time to live, in seconds, of public answers and of private records that do not say."`
}

// Identity is where programs get tokens of managed identities.
type Identity struct {
	Listen    string `yaml:"listen" env:"POSTERN_IDENTITY" flag:"identity" doc:"Address of the endpoints of managed identities (plain HTTP: IMDS, App Service, Azure Arc), HOST:PORT, or off. 169.254.169.254:80 is where clients look; who a caller is follows from its address."`
	ArcTokens string `yaml:"arcTokens" doc:"Folder for the proofs of machines with Azure Arc; clients look in no other than the default."`
}

// Propagation is how long changes take until decisions see them, as they do
// in the service; none unless set.
type Propagation struct {
	Firewall        time.Duration `yaml:"firewall" doc:"Delay of changes of firewall and public access, such as 90s."`
	ServiceEndpoint time.Duration `yaml:"serviceEndpoint" doc:"Delay of changes of virtual networks and their service endpoints."`
	RoleAssignment  time.Duration `yaml:"roleAssignment" doc:"Delay of role assignments."`
	PrivateEndpoint time.Duration `yaml:"privateEndpoint" doc:"Delay of private endpoints and their connections."`
	DNS             time.Duration `yaml:"dns" doc:"Delay of private DNS zones, links and records."`
}

// Throttle is the budget of operations.
type Throttle struct {
	Profile    string   `yaml:"profile" env:"POSTERN_THROTTLE" flag:"throttle" reload:"yes" doc:"Limits per vault and subscription in ten seconds, beyond which requests are answered 429: off, azure (4,000 operations, keys weighted by type, five times that for a subscription), 2021 (half of that), documents (1,000 operations)."`
	Operations int      `yaml:"operations" env:"POSTERN_THROTTLE_OPERATIONS" reload:"yes" doc:"So many operations per vault instead of the profile's; 0 leaves it to the profile."`
	Vaults     []string `yaml:"vaults" reload:"yes" doc:"Vaults with limits of their own: NAME=PROFILE or NAME=OPERATIONS."`
	RetryAfter int      `yaml:"retryAfter" reload:"yes" doc:"Seconds for a Retry-After header on 429; 0 sends none, as the service does."`
}

// Journal is the audit log.
type Journal struct {
	Sync       string `yaml:"sync" env:"POSTERN_JOURNAL_SYNC" flag:"journal-sync" doc:"When the record of a read is on disk: interval (within 50 ms; it has reached the operating system before the answer) or always (before the answer). Records of changes are always on disk before the answer."`
	MaxSegment int64  `yaml:"maxSegment" doc:"Size in bytes at which the journal goes on in a new file."`
}

// Log is the server's own log, on standard error.
type Log struct {
	Level  string `yaml:"level" env:"POSTERN_LOG_LEVEL" flag:"log-level" reload:"yes" doc:"debug, info, warn or error."`
	Format string `yaml:"format" env:"POSTERN_LOG_FORMAT" flag:"log-format" doc:"text or json. Under systemd, text without the time, which the system's journal adds."`
}

// Default is the configuration of a server that is told nothing.
func Default() Config {
	return Config{
		Listen:       []string{"127.0.0.1:8443", "[::1]:8443"},
		Suffix:       "postern.localhost",
		Proxy:        Proxy{Listen: "127.0.0.1:8442"},
		Metrics:      Metrics{Listen: "off"},
		Perimeter:    Perimeter{ProxyListen: Off, Endpoints: "auto"},
		DNS:          DNS{Listen: Off, TTL: 60},
		Identity:     Identity{Listen: Off, ArcTokens: "/var/opt/azcmagent/tokens"},
		Profile:      "azure",
		Throttle:     Throttle{Profile: Off},
		Certificates: Certificates{ACME: ACME{Challenge: Off}},
		Journal:      Journal{Sync: "interval", MaxSegment: 64 << 20},
		Log:          Log{Level: "info", Format: "text"},
	}
}

// Off is the address of a listener that is not wanted.
const Off = "off"

// Load reads a configuration file over c. A key that is not known is an
// error that names it and its line.
func (c *Config) Load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the configuration: %w", err)
	}
	defer f.Close()
	return c.read(io.LimitReader(f, 1<<20), path)
}

func (c *Config) read(r io.Reader, path string) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil
	}
	if err := yaml.Load(text, c, yaml.WithKnownFields()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Environment reads the environment variables over c.
func (c *Config) Environment(lookup func(string) (string, bool)) error {
	for _, s := range c.settings() {
		value, ok := lookup(s.Env)
		if s.Env == "" || !ok || value == "" {
			continue
		}
		if err := s.Set(value); err != nil {
			return fmt.Errorf("environment variable %s: %w", s.Env, err)
		}
	}
	return nil
}

// Check says what is wrong with the values; every problem at once.
func (c *Config) Check() error {
	var wrong []error
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if len(c.Listen) == 0 {
		complain("listen: at least one address is needed")
	}
	port := ""
	for _, a := range c.Listen {
		_, p, err := net.SplitHostPort(a)
		if err != nil {
			complain("listen: %q is not HOST:PORT", a)
		} else if port != "" && p != port {
			complain("listen: all addresses must have the same port, not %s and %s", port, p)
		}
		port = p
	}
	for _, l := range [...]struct{ key, address string }{{"proxy.listen", c.Proxy.Listen}, {"metrics.listen", c.Metrics.Listen},
		{"perimeter.proxyListen", c.Perimeter.ProxyListen}, {"dns.listen", c.DNS.Listen},
		{"identity.listen", c.Identity.Listen}, {"certificates.acme.challenge", c.Certificates.ACME.Challenge}} {
		if _, _, err := net.SplitHostPort(l.address); err != nil && l.address != Off {
			complain("%s: %q is neither HOST:PORT nor off", l.key, l.address)
		}
	}
	for _, a := range c.Proxy.PassThrough {
		if host, _, err := net.SplitHostPort(a); err != nil || host == "" || strings.Contains(host, "*") {
			complain("proxy.passThrough: %q is not HOST:PORT", a)
		}
	}
	c.checkPerimeter(complain)
	c.checkDNS(complain)
	if !validSuffix(c.Suffix) {
		complain("suffix: %q is not a domain of at least two labels (a certificate for *.vault.SUFFIX must be possible)", c.Suffix)
	}
	if _, ok := profile.Named(c.Profile); !ok {
		complain("profile: %q is not a profile", c.Profile)
	}
	c.Throttle.check(complain)
	c.Certificates.ACME.check(complain)
	if c.Journal.Sync != "interval" && c.Journal.Sync != "always" {
		complain("journal.sync: %q is neither interval nor always", c.Journal.Sync)
	}
	if c.Journal.MaxSegment < 1<<16 {
		complain("journal.maxSegment: %d is less than 65536", c.Journal.MaxSegment)
	}
	if _, err := c.Log.Slog(); err != nil {
		complain("log.level: %w", err)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		complain("log.format: %q is neither text nor json", c.Log.Format)
	}
	return errors.Join(wrong...)
}

func (c *Config) checkPerimeter(complain func(string, ...any)) {
	for _, b := range c.Perimeter.Balancers {
		if _, err := ParseRange(b); err != nil {
			complain("perimeter.balancers: %q is neither an address nor a range", b)
		}
	}
	if c.Perimeter.ProxyListen != Off && len(c.Perimeter.Balancers) == 0 {
		complain("perimeter.balancers: perimeter.proxyListen needs to know whose PROXY headers to believe")
	}
	if c.Perimeter.Endpoints != "auto" && c.Perimeter.Endpoints != Off {
		complain("perimeter.endpoints: %q is neither auto nor off", c.Perimeter.Endpoints)
	}
	p := c.Propagation
	for _, d := range [...]time.Duration{p.Firewall, p.ServiceEndpoint, p.RoleAssignment, p.PrivateEndpoint, p.DNS} {
		if d < 0 || d > 24*time.Hour {
			complain("propagation: %s is not between nothing and a day", d)
		}
	}
}

func (c *Config) checkDNS(complain func(string, ...any)) {
	if c.DNS.Public != "" {
		if _, err := netip.ParseAddr(c.DNS.Public); err != nil {
			complain("dns.public: %q is not an address", c.DNS.Public)
		}
	}
	if _, _, err := net.SplitHostPort(c.DNS.Upstream); err != nil && c.DNS.Upstream != "" {
		complain("dns.upstream: %q is not HOST:PORT", c.DNS.Upstream)
	}
	for _, f := range c.DNS.Forward {
		domain, to, ok := strings.Cut(f, "=")
		if _, _, err := net.SplitHostPort(to); err != nil || !ok || domain == "" {
			complain("dns.forward: %q is not DOMAIN=HOST:PORT", f)
		}
	}
	if c.DNS.TTL < 0 || c.DNS.TTL > 86400 {
		complain("dns.ttl: %d is not between 0 and 86400", c.DNS.TTL)
	}
}

// ParseRange reads an address, or a range in CIDR form.
func ParseRange(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// Slog is the level as the log package has it.
func (l Log) Slog() (slog.Level, error) {
	var level slog.Level
	err := level.UnmarshalText([]byte(l.Level))
	return level, err
}

func validSuffix(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 || len(s) > 200 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' ||
			strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// Setting is one leaf of the configuration.
type Setting struct {
	// Key is the path in the file, "journal.sync".
	Key, Env, Flag, Doc string
	// Reload tells whether SIGHUP applies a change.
	Reload bool
	// Default is the value as the field holds it.
	value reflect.Value
}

// Settings lists what can be set, in the order of the struct.
func (c *Config) Settings() []Setting { return c.settings() }

func (c *Config) settings() []Setting { return settingsOf(reflect.ValueOf(c).Elem(), "") }

func settingsOf(v reflect.Value, prefix string) []Setting {
	var list []Setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key := prefix + field.Tag.Get("yaml")
		if field.Type.Kind() == reflect.Struct {
			list = append(list, settingsOf(v.Field(i), key+".")...)
			continue
		}
		list = append(list, Setting{Key: key, Env: field.Tag.Get("env"), Flag: field.Tag.Get("flag"),
			Doc: field.Tag.Get("doc"), Reload: field.Tag.Get("reload") != "", value: v.Field(i)})
	}
	return list
}

// Value is the value in words.
func (s Setting) Value() string {
	if list, ok := s.value.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	if s.value.Kind() == reflect.Slice {
		if s.value.Len() == 0 {
			return ""
		}
		text, _ := json.Marshal(s.value.Interface()) // plain structs of texts
		return string(text)
	}
	return fmt.Sprint(s.value.Interface())
}

// Set reads a value from words: a list of words is separated by commas, one
// of anything else is YAML.
func (s Setting) Set(text string) error {
	switch s.value.Kind() {
	case reflect.String:
		s.value.SetString(text)
	case reflect.Slice:
		if s.value.Type().Elem().Kind() == reflect.Struct {
			if err := yaml.Load([]byte(text), s.value.Addr().Interface(), yaml.WithKnownFields()); err != nil {
				return fmt.Errorf("not a list: %w", err)
			}
			return nil
		}
		s.value.Set(reflect.ValueOf(strings.Split(text, ",")))
	default:
		if s.value.Type() == reflect.TypeFor[time.Duration]() {
			d, err := time.ParseDuration(text)
			if err != nil {
				return fmt.Errorf("%q is not a duration", text)
			}
			s.value.SetInt(int64(d))
			return nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		s.value.SetInt(n)
	}
	return nil
}

// String and Type make a Setting a flag's value.
func (s Setting) String() string { return s.Value() }

// Type is the word for the value in usage texts.
func (s Setting) Type() string {
	switch s.value.Kind() {
	case reflect.Slice:
		return "list"
	case reflect.String:
		return "text"
	}
	return "number"
}

// Differences names the settings in which two configurations differ.
func Differences(a, b *Config) []Setting {
	var list []Setting
	other := b.settings()
	for i, s := range a.settings() {
		if s.Value() != other[i].Value() {
			list = append(list, other[i])
		}
	}
	return list
}
