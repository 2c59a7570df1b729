package access

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
)

// Vault is the compiled form of Rules: immutable, safe for concurrent use.
// A nil *Vault denies everything.
type Vault struct {
	tenant        GUID
	publicAccess  PublicAccess
	defaultAction Verdict
	bypass        bool
	model         Model

	addresses addressIndex
	subnets   map[string]int32
	endpoints map[string]int32
	trusted   []TrustedService
	enabled   []Enabled

	// name is the vault's; conditional is set when some assignment has a
	// condition.
	name        string
	conditional bool

	perimeter          Perimeter
	perimeterAddresses addressIndex

	denies []compiledDeny
	// principals is what each principal holds.
	principals map[GUID]*holder
	// known tells of most ids that no principal has them.
	known filter
}

// opset is a set of operations.
type opset [2]uint64

func (s *opset) add(o Operation)      { s[o/64] |= 1 << (o % 64) }
func (s *opset) has(o Operation) bool { return s[(o/64)&1]&(1<<(o%64)) != 0 && o < operations }

// covered reports whether every operation of s is in other.
func (s *opset) covered(other *opset) bool { return s[0]&^other[0] == 0 && s[1]&^other[1] == 0 }

func (s *opset) union(other *opset) { s[0] |= other[0]; s[1] |= other[1] }

// grant is one assignment or policy of a principal: what it allows, its
// index in the rules, and for a compound identity the application.
type grant struct {
	ops         opset
	index       int32
	application GUID
	condition   *Condition
}

// holder is what one principal holds: on the whole vault, and on objects of
// each kind.
type holder struct {
	vault   []grant
	objects [KindCertificate + 1]map[string][]grant
}

func (v *Vault) holder(p GUID) *holder {
	h := v.principals[p]
	if h == nil {
		h = &holder{}
		v.principals[p] = h
	}
	return h
}

// filter is a set of bits in which every principal has two. A token may
// carry two hundred groups of which the vault knows none or one; the filter
// finds the others out without looking each of them up.
type filter struct {
	words []uint64
	mask  uint64
	// pieces takes the place of words where it is worth its size and not yet
	// too full.
	pieces *pieces
}

// pieces is a filter by two pieces of an identifier as they stand: one bit
// for each value of a piece, so that nothing is computed and no index can be
// out of bounds.
type pieces struct{ last, before [1 << 16 / 64]uint64 }

// Between so many principals a vault's filter is by pieces.
const minPieces, maxPieces = 128, 8192

// last is the last piece of an identifier, before the one in front of it.
func (g *GUID) last() uint   { return uint(binary.LittleEndian.Uint16(g[14:16])) }
func (g *GUID) before() uint { return uint(binary.LittleEndian.Uint16(g[12:14])) }

// next is that of filter.
func (f *pieces) next(groups []GUID, i int) int {
	rest := groups[min(i, len(groups)):]
	for n := range rest {
		g := &rest[n]
		if a := g.last(); f.last[a>>6&1023]&(1<<(a&63)) == 0 {
			continue
		}
		if b := g.before(); f.before[b>>6&1023]&(1<<(b&63)) != 0 {
			return i + n
		}
	}
	return len(groups)
}

// newFilter makes a filter with some sixty-four bits a principal: one bit
// nearly always tells, and the filter of a vault fits into the first cache.
func newFilter(principals map[GUID]*holder) filter {
	if n := len(principals); n >= minPieces && n <= maxPieces {
		f := &pieces{}
		for p := range principals {
			a, b := p.last(), p.before()
			f.last[a>>6] |= 1 << (a & 63)
			f.before[b>>6] |= 1 << (b & 63)
		}
		return filter{pieces: f}
	}
	words := 4
	for words < len(principals) && words < 1<<16 {
		words *= 2
	}
	f := filter{words: make([]uint64, words), mask: uint64(words - 1)}
	for p := range principals {
		a, b := p.first(), p.second()
		f.words[a>>48&f.mask] |= 1 << (a & 63)
		f.words[b>>48&f.mask] |= 1 << (b & 63)
	}
	return f
}

// first and second are numbers of which the highest bits say a word and the
// lowest a bit: first as the identifier stands, which is random where the
// identifier is; second of all its bytes.
func (g *GUID) first() uint64 { return binary.LittleEndian.Uint64(g[8:16]) }

func (g *GUID) second() uint64 {
	h := (binary.LittleEndian.Uint64(g[0:8]) ^ binary.LittleEndian.Uint64(g[8:16])) * 0x9e3779b97f4a7c15
	h ^= h >> 32
	return h*0x9e3779b97f4a7c15 ^ h
}

// next is the index of the first group from i on that may be known, and
// len(groups) when there is none. That the others are not known is certain.
func (f *filter) next(groups []GUID, i int) int {
	if f.pieces != nil {
		return f.pieces.next(groups, i)
	}
	words, mask := f.words, f.mask
	rest := groups[min(i, len(groups)):]
	for n := range rest {
		g := &rest[n]
		a := g.first()
		if words[a>>48&mask]>>(a&63)&1 == 0 {
			continue
		}
		if b := g.second(); words[b>>48&mask]>>(b&63)&1 != 0 {
			return i + n
		}
	}
	return len(groups)
}

type compiledDeny struct {
	rule   *DenyAssignment
	ops    opset
	kind   Kind // KindNone: the whole vault
	object string
	index  int32
}

// Compile turns rules into the form that Decide reads. The rules must not
// be changed afterwards.
func Compile(rules *Rules) *Vault {
	v := &Vault{
		tenant: rules.Tenant, publicAccess: rules.PublicAccess, defaultAction: rules.DefaultAction,
		bypass: rules.Bypass, model: rules.Model, name: rules.Name, trusted: rules.Trusted, enabled: rules.Enabled, perimeter: rules.Perimeter,
		subnets: map[string]int32{}, endpoints: map[string]int32{},
		principals: map[GUID]*holder{},
	}
	prefixes := make([]netip.Prefix, len(rules.IPRules))
	for i, r := range rules.IPRules {
		prefixes[i] = r.Prefix
	}
	v.addresses = newAddressIndex(prefixes)
	v.perimeterAddresses = newAddressIndex(rules.Perimeter.Prefixes)
	for i, r := range rules.SubnetRules {
		keepFirst(v.subnets, r.Subnet, i)
	}
	for i, c := range rules.Connections {
		if c.State == EndpointApproved {
			keepFirst(v.endpoints, c.ID, i)
		}
	}
	switch rules.Model {
	case ModelRBAC:
		v.compileAssignments(rules)
	case ModelPolicies:
		v.compilePolicies(rules)
	}
	v.known = newFilter(v.principals)
	return v
}

func keepFirst(m map[string]int32, key string, i int) {
	if _, taken := m[key]; key != "" && !taken {
		m[key] = int32(i)
	}
}

func (v *Vault) compileAssignments(rules *Rules) {
	roles := map[*Role]*opset{}
	for i := range rules.Assignments {
		a := &rules.Assignments[i]
		if a.Conditional || a.Principal.IsZero() || a.Role == nil {
			continue
		}
		kind, object, ok := rules.reach(a.Scope)
		if !ok {
			continue
		}
		g := grant{ops: *roleSet(roles, a.Role), index: int32(i), condition: a.Condition}
		v.conditional = v.conditional || a.Condition != nil
		if kind == KindNone {
			h := v.holder(a.Principal)
			h.vault = addGrant(h.vault, g)
			continue
		}
		h := v.holder(a.Principal)
		if h.objects[kind] == nil {
			h.objects[kind] = map[string][]grant{}
		}
		g.ops = g.ops.of(kind)
		h.objects[kind][object] = addGrant(h.objects[kind][object], g)
	}
	for i := range rules.DenyAssignments {
		d := &rules.DenyAssignments[i]
		if kind, object, ok := rules.reach(d.Scope); ok {
			v.denies = append(v.denies, compiledDeny{d, *deniedSet(roles, d.Role), kind, object, int32(i)})
		}
	}
}

// reach is what of the vault a scope covers: all of it (KindNone), or one
// object. A scope that covers neither is not ok.
func (rules *Rules) reach(scope string) (Kind, string, bool) {
	if !rules.placed() {
		return KindNone, "", false
	}
	if covers(scope, rules.ID) {
		return KindNone, "", true
	}
	if !covers(rules.ID, scope) {
		return KindNone, "", false
	}
	collection, object, ok := strings.Cut(scope[len(rules.ID)+1:], "/")
	if !ok || object == "" {
		return KindNone, "", false
	}
	for _, k := range [...]Kind{KindSecret, KindKey, KindCertificate} {
		if same(collection, k.String()) {
			return k, folded(object), true
		}
	}
	return KindNone, "", false
}

// roleSet is the set of operations that a role's data actions cover.
func roleSet(cache map[*Role]*opset, role *Role) *opset {
	if s, ok := cache[role]; ok {
		return s
	}
	s := &opset{}
	for _, o := range Operations() {
		if a := o.Info().DataAction; a != "" && role.allowsData(a) {
			s.add(o)
		}
	}
	cache[role] = s
	return s
}

// deniedSet is roleSet for a deny assignment: without a role, everything.
func deniedSet(cache map[*Role]*opset, role *Role) *opset {
	if role == nil {
		role = everything
	}
	return roleSet(cache, role)
}

// of keeps the operations that name an object of the kind.
func (s opset) of(kind Kind) opset {
	var kept opset
	for _, o := range Operations() {
		if info := o.Info(); info.Kind == kind && info.Named && s.has(o) {
			kept.add(o)
		}
	}
	return kept
}

// addGrant appends a grant that allows something the earlier ones do not.
func addGrant(list []grant, g grant) []grant {
	var all opset
	for i := range list {
		if list[i].application.IsZero() && list[i].condition == nil {
			all.union(&list[i].ops)
		}
	}
	if g.ops.covered(&all) {
		return list
	}
	return append(list, g)
}

func (v *Vault) compilePolicies(rules *Rules) {
	for i := range rules.Policies {
		p := &rules.Policies[i]
		if p.Tenant != rules.Tenant || p.Object.IsZero() {
			continue
		}
		g := grant{index: int32(i), application: p.Application}
		for _, o := range Operations() {
			if p.permits(o) {
				g.ops.add(o)
			}
		}
		h := v.holder(p.Object)
		h.vault = addGrant(h.vault, g)
	}
}

// span is a run of addresses, both ends included, and the first rule that
// holds them.
type span struct {
	first, last address
	rule        int32
}

// address is an IP address in the form the index compares: IPv4 as mapped.
type address struct{ hi, lo uint64 }

func (a address) less(b address) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a address) next() address {
	if a.lo++; a.lo == 0 {
		a.hi++
	}
	return a
}

func (a address) previous() address {
	if a.lo == 0 {
		a.hi--
	}
	a.lo--
	return a
}

func addressOf(a netip.Addr) address {
	b := a.As16()
	return address{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// addressIndex finds the first of many prefixes that holds an address:
// disjoint spans in order, a list for each family.
type addressIndex struct{ v4, v6 []span }

func newAddressIndex(prefixes []netip.Prefix) addressIndex {
	return addressIndex{disjoint(prefixes, true), disjoint(prefixes, false)}
}

// disjoint cuts the overlapping prefixes of a family into disjoint spans,
// each with the lowest rule that holds it.
func disjoint(prefixes []netip.Prefix, v4 bool) []span {
	var spans, index []span
	var cuts []address
	for i, p := range prefixes {
		if !p.IsValid() {
			continue
		}
		if p = plainPrefix(p); p.Addr().Is4() != v4 {
			continue
		}
		first, last := addressOf(p.Addr()), lastOf(p)
		spans = append(spans, span{first, last, int32(i)})
		cuts = append(cuts, first)
		if end := last.next(); end != (address{}) {
			cuts = append(cuts, end)
		}
	}
	slices.SortFunc(cuts, compareAddress)
	cuts = slices.Compact(cuts)
	slices.SortStableFunc(spans, func(a, b span) int { return compareAddress(a.first, b.first) })
	var open []span // those that hold the current cut, lowest rule first
	at := 0
	for i, cut := range cuts {
		for ; at < len(spans) && spans[at].first == cut; at++ {
			open = append(open, spans[at])
		}
		open = slices.DeleteFunc(open, func(s span) bool { return s.last.less(cut) })
		if len(open) == 0 {
			continue
		}
		best, last := open[0].rule, address{^uint64(0), ^uint64(0)}
		for _, s := range open {
			best = min(best, s.rule)
		}
		if i+1 < len(cuts) {
			last = cuts[i+1].previous()
		}
		if n := len(index); n > 0 && index[n-1].rule == best && index[n-1].last.next() == cut {
			index[n-1].last = last
			continue
		}
		index = append(index, span{cut, last, best})
	}
	return index
}

func compareAddress(a, b address) int {
	switch {
	case a.less(b):
		return -1
	case b.less(a):
		return 1
	}
	return 0
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) address {
	a := addressOf(p.Addr())
	host := 128 - p.Bits()
	if p.Addr().Is4() {
		host = 32 - p.Bits()
	}
	switch {
	case host >= 128:
		return address{^uint64(0), ^uint64(0)}
	case host >= 64:
		return address{a.hi | (1<<(host-64) - 1), ^uint64(0)}
	}
	return address{a.hi, a.lo | (1<<host - 1)}
}

// find is the first rule that holds the address, NoRule when none does.
func (x *addressIndex) find(a netip.Addr) int32 {
	if !a.IsValid() {
		return NoRule
	}
	spans := x.v6
	if a.Is4() || a.Is4In6() {
		spans = x.v4
	}
	at := addressOf(a)
	lo, hi := 0, len(spans)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if spans[mid].last.less(at) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(spans) && !at.less(spans[lo].first) {
		return spans[lo].rule
	}
	return NoRule
}
