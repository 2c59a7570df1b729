package access

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// reader reads the lines of one case. The first error stays.
type reader struct {
	c     corpusCase
	roles map[string]*Role
	said  map[string]*Condition
	vault bool
	err   error
}

// parseCase reads one case. Everything it does not know is an error.
func parseCase(text string) (corpusCase, error) {
	rd := &reader{roles: map[string]*Role{}, said: map[string]*Condition{}}
	rd.c.rules = &Rules{ID: corpusVault, Name: "myvault"}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if m := sourceForm.FindStringSubmatch(line); m != nil && rd.c.source == "" {
			rd.c.source, rd.c.sentence = m[1], m[2]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		rd.line(word, strings.Fields(rest))
	}
	for _, need := range []struct {
		line string
		met  bool
	}{{"provenance", rd.c.source != ""}, {"vault", rd.vault}, {"request", rd.c.request != nil}, {"want", rd.c.want != ""}} {
		if !need.met {
			rd.fail("no %s line", need.line)
		}
	}
	return rd.c, rd.err
}

func (rd *reader) fail(format string, args ...any) {
	if rd.err == nil {
		rd.err = fmt.Errorf(format, args...)
	}
}

func (rd *reader) line(word string, args []string) {
	read, ok := map[string]struct {
		least, most int
		read        func([]string)
	}{
		"vault": {4, 5, rd.readVault}, "ip": {1, 1, rd.readIP}, "subnet": {1, 1, rd.readSubnet}, "endpoint": {2, 2, rd.readEndpoint},
		"perimeter": {1, 2, rd.readPerimeter}, "perimeter-ip": {1, 1, rd.readPerimeterIP}, "perimeter-subscription": {1, 1, rd.readPerimeterSubscription},
		"trusted": {1, 9, rd.readTrusted}, "enabled": {2, 2, rd.readEnabled}, "role": {2, 9, rd.readRole}, "condition": {2, 99, rd.readCondition}, "assign": {3, 5, rd.readAssign}, "deny": {3, 5, rd.readDeny},
		"policy": {1, 6, rd.readPolicy}, "request": {2, 12, rd.readRequest}, "want": {5, 6, rd.readWant},
	}[word]
	switch {
	case !ok:
		rd.fail("unknown line %q", word)
	case len(args) < read.least || len(args) > read.most:
		rd.fail("%s with %d words, want %d to %d", word, len(args), read.least, read.most)
	default:
		read.read(args)
	}
}

// one is the index of a word in a list.
func (rd *reader) one(what, word string, of ...string) int {
	i := slices.Index(of, word)
	if i < 0 || word == "" {
		rd.fail("unknown %s %q, want one of %q", what, word, of)
		return 0
	}
	return i
}

// look is the value of a word in a table.
func look[T any](rd *reader, what, word string, table map[string]T) T {
	v, ok := table[word]
	if !ok {
		rd.fail("unknown %s %q", what, word)
	}
	return v
}

func (rd *reader) readVault(args []string) {
	r := rd.c.rules
	if rd.vault {
		rd.fail("a second vault line")
	}
	rd.vault = true
	r.PublicAccess = PublicAccess(rd.one("public access", args[0], "Disabled", "Enabled", "SecuredByPerimeter"))
	r.DefaultAction = Verdict(rd.one("default action", args[1], "Deny", "Allow"))
	r.Bypass = rd.one("bypass", args[2], "None", "AzureServices") == 1
	r.Model = Model(rd.one("model", args[3], "NoModel", "RBAC", "Policies"))
	r.Tenant = corpusTenants["home"]
	if len(args) == 5 {
		name, ok := strings.CutPrefix(args[4], "tenant=")
		if !ok {
			rd.fail("unknown word %q", args[4])
		}
		r.Tenant = look(rd, "tenant", name, corpusTenants)
	}
}

func (rd *reader) prefix(s string) netip.Prefix {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		rd.fail("%v", err)
	}
	return p
}

func (rd *reader) readIP(args []string) {
	rd.c.rules.IPRules = append(rd.c.rules.IPRules, IPRule{rd.prefix(args[0])})
}

func (rd *reader) subnet(name string) string {
	rd.one("subnet", name, corpusSubnets...)
	return folded(corpusScopes["vnet"]) + "/subnets/" + name
}

func (rd *reader) readSubnet(args []string) {
	rd.c.rules.SubnetRules = append(rd.c.rules.SubnetRules, SubnetRule{rd.subnet(args[0])})
}

func (rd *reader) endpoint(name string) string {
	rd.one("endpoint", name, corpusEndpoints...)
	return folded(corpusVault) + "/privateendpointconnections/" + name
}

func (rd *reader) readEndpoint(args []string) {
	state := EndpointState(rd.one("state", args[1], corpusStates...))
	rd.c.rules.Connections = append(rd.c.rules.Connections, Connection{rd.endpoint(args[0]), state})
}

func (rd *reader) readPerimeter(args []string) {
	p := &rd.c.rules.Perimeter
	p.Mode = PerimeterMode(rd.one("perimeter mode", args[0], corpusModes...))
	if len(args) == 2 {
		rd.one("perimeter", args[1], "nsp", "other-nsp")
		p.ID = args[1]
	}
}

func (rd *reader) readPerimeterIP(args []string) {
	rd.c.rules.Perimeter.Prefixes = append(rd.c.rules.Perimeter.Prefixes, rd.prefix(args[0]))
}

func (rd *reader) readPerimeterSubscription(args []string) {
	p := &rd.c.rules.Perimeter
	p.Subscriptions = append(p.Subscriptions, look(rd, "subscription", args[0], corpusSubscriptions))
}

func (rd *reader) readTrusted(args []string) {
	for _, name := range args {
		i := slices.IndexFunc(corpusTrusted, func(s TrustedService) bool { return s.Name == name })
		if i < 0 {
			rd.fail("unknown trusted service %q", name)
			return
		}
		rd.c.rules.Trusted = append(rd.c.rules.Trusted, corpusTrusted[i])
	}
}

// readEnabled: enabled FLAG SERVICE.
func (rd *reader) readEnabled(args []string) {
	rd.one("flag", args[0], "enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment")
	i := slices.IndexFunc(corpusTrusted, func(s TrustedService) bool { return s.Name == args[1] })
	if i < 0 {
		rd.fail("unknown trusted service %q", args[1])
		return
	}
	rd.c.rules.Enabled = append(rd.c.rules.Enabled, Enabled{args[0], corpusTrusted[i]})
}

// readRole: role NAME +action… -action…, in full or with "~" for
// Microsoft.KeyVault/vaults/; "!" marks a control-plane action.
func (rd *reader) readRole(args []string) {
	r := &Role{Name: args[0]}
	for _, a := range args[1:] {
		action := strings.Replace(a[1:], "~", vaults, 1)
		switch more := len(r.More) - 1; {
		case a == "|":
			r.More = append(r.More, Permissions{})
		case more >= 0 && a[0] == '+':
			r.More[more].DataActions = append(r.More[more].DataActions, action)
		case more >= 0 && a[0] == '-':
			r.More[more].NotDataActions = append(r.More[more].NotDataActions, action)
		case a[0] == '+':
			r.DataActions = append(r.DataActions, action)
		case a[0] == '-':
			r.NotDataActions = append(r.NotDataActions, action)
		case a[0] == '!' && more < 0:
			r.Actions = append(r.Actions, action)
		default:
			rd.fail("action %q wants + or - or ! before it", a)
		}
	}
	rd.roles[args[0]] = r
}

func (rd *reader) role(name string) *Role {
	if r, ok := rd.roles[name]; ok {
		return r
	}
	return look(rd, "role", name, corpusRoles)
}

func (rd *reader) principal(name string) GUID {
	if g, ok := corpusGroups[name]; ok {
		return g
	}
	return look(rd, "principal", name, corpusCallers).Object
}

func (rd *reader) principals(names string) []GUID {
	var list []GUID
	for _, n := range strings.Split(names, ",") {
		list = append(list, rd.principal(n))
	}
	return list
}

// scope: a name of the table, and below it what follows the first slash.
func (rd *reader) scope(s string) string {
	name, below, found := strings.Cut(s, "/")
	scope := look(rd, "scope", name, corpusScopes)
	if found {
		scope += "/" + below
	}
	return scope
}

// readCondition: condition NAME TEXT….
func (rd *reader) readCondition(args []string) {
	c, err := ParseCondition(strings.Join(args[1:], " "))
	if err != nil {
		rd.fail("%v", err)
	}
	rd.said[args[0]] = c
}

func (rd *reader) readAssign(args []string) {
	a := Assignment{Principal: rd.principal(args[0]), Role: rd.role(args[1]), Scope: rd.scope(args[2])}
	switch {
	case len(args) == 5 && args[3] == "if":
		a.Condition = look(rd, "condition", args[4], rd.said)
	case len(args) > 3:
		rd.one("word", args[len(args)-1], "conditional")
		a.Conditional = true
	}
	rd.c.rules.Assignments = append(rd.c.rules.Assignments, a)
}

func (rd *reader) readDeny(args []string) {
	d := DenyAssignment{Role: rd.role(args[1]), Scope: rd.scope(args[2])}
	if d.Everyone = args[0] == "everyone"; !d.Everyone {
		d.Principals = rd.principals(args[0])
	}
	if len(args) > 3 {
		rd.one("word", args[3], "except")
		if len(args) == 5 {
			d.Exclude = rd.principals(args[4])
		} else {
			rd.fail("except whom?")
		}
	}
	rd.c.rules.DenyAssignments = append(rd.c.rules.DenyAssignments, d)
}

func (rd *reader) readPolicy(args []string) {
	p := Policy{Tenant: rd.c.rules.Tenant, Object: rd.principal(args[0])}
	for _, a := range args[1:] {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "secrets":
			p.Secrets = rd.words(key, value)
		case "keys":
			p.Keys = rd.words(key, value)
		case "certificates":
			p.Certificates = rd.words(key, value)
		case "tenant":
			p.Tenant = look(rd, "tenant", value, corpusTenants)
		case "app":
			p.Application = look(rd, "application", value, corpusApps)
		default:
			rd.fail("unknown word %q", a)
		}
	}
	rd.c.rules.Policies = append(rd.c.rules.Policies, p)
}

// words are permissions of a kind, in any letter case, as vaults hold them.
func (rd *reader) words(kind, value string) []string {
	list := strings.Split(value, ",")
	for _, w := range list {
		rd.one(kind+" permission", folded(w), strings.Fields(folded(corpusWords[kind]))...)
	}
	return list
}

func (rd *reader) readRequest(args []string) {
	if rd.c.request != nil {
		rd.fail("a second request line")
	}
	r := &Request{Operation: OperationNamed(args[0])}
	rd.c.request = r
	if r.Operation == NoOperation && args[0] != "nothing" {
		rd.fail("unknown operation %q", args[0])
	}
	given := map[string]bool{}
	for i, a := range args[1:] {
		key, value, found := strings.Cut(a, "=")
		if given[key] {
			rd.fail("%s given twice", key)
		}
		given[key] = true
		switch {
		case !found && i == 0:
			r.Object = a
		case !found:
			rd.one("word", a, "over-budget")
			r.OverBudget = true
		default:
			rd.attribute(r, key, value)
		}
	}
	if !given["from"] || !given["as"] {
		rd.fail("the request wants as= and from=")
	}
	if r.Caller.Token == TokenAbsent {
		r.Caller = Caller{}
	}
}

func (rd *reader) attribute(r *Request, key, value string) {
	switch key {
	case "as":
		if r.Caller.Token != TokenAbsent || r.Caller.Groups != nil || !r.Caller.App.IsZero() {
			rd.fail("as= comes before what is said of the caller")
		}
		r.Caller = look(rd, "caller", value, corpusCallers)
	case "from":
		r.Origin.Path, r.Origin.Addr, r.Origin.Subnet, r.Origin.Endpoint = rd.origin(value)
	case "token":
		r.Caller.Token = TokenState(rd.one("token", value, corpusTokens...))
	case "app":
		r.Caller.App = look(rd, "application", value, corpusApps)
	case "groups":
		for _, g := range strings.Split(value, ",") {
			r.Caller.Groups = append(r.Caller.Groups, look(rd, "group", g, corpusGroups))
		}
	case "strangers":
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil {
			rd.fail("%v", err)
		}
		for i := range n {
			r.Caller.Groups = append(r.Caller.Groups, number(9, byte(i)))
		}
	case "compute":
		if r.Origin.Service = value; !slices.ContainsFunc(corpusTrusted, func(s TrustedService) bool { return s.Name == value }) {
			rd.fail("unknown service %q", value)
		}
	case "member":
		rd.one("perimeter", value, "nsp", "other-nsp")
		r.Origin.Perimeter = value
	default:
		rd.fail("unknown word %q", key)
	}
}

// origin: unknown, an address, subnet:NAME or endpoint:NAME; the latter two
// may have an address after an @.
func (rd *reader) origin(s string) (path Path, addr netip.Addr, subnet, endpoint string) {
	if s == "unknown" {
		return PathUnknown, addr, "", ""
	}
	kind, name, found := strings.Cut(s, ":")
	name, at, placed := strings.Cut(name, "@")
	switch {
	case found && kind == "subnet":
		path, subnet, s = PathSubnet, rd.subnet(name), "10.0.1.4"
	case found && kind == "endpoint":
		path, endpoint, s = PathPrivateEndpoint, rd.endpoint(name), "10.0.3.5"
	default:
		path = PathPublic
	}
	if placed {
		s = at
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		rd.fail("%v", err)
	}
	return path, addr, subnet, endpoint
}

func (rd *reader) readWant(args []string) {
	if rd.c.want != "" {
		rd.fail("a second want line")
	}
	rd.c.want = strings.Join(args, " ")
	if err := checkWant(rd.c.want); err != nil {
		rd.fail("%v", err)
	}
}
