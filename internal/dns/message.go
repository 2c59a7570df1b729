package dns

import (
	"encoding/binary"
	"net/netip"

	wire "github.com/miekg/dns"
)

// Limits of messages.
const (
	// maxQuery is the size of the largest question that is read.
	maxQuery = 4096
	// maxUDP bounds an answer over UDP, whatever the client says that it
	// takes: larger datagrams are lost in fragments (DNS flag day 2020).
	maxUDP = 1232
	// headerSize is the size of a message's header.
	headerSize = 12
)

// asker is who asks, and how.
type asker struct {
	client netip.Addr
	// local is the address that was asked.
	local netip.Addr
	tcp   bool
}

// desk is what one goroutine answers questions at. What an answer is made of
// is used again for the next, so a reply is valid until then.
type desk struct {
	query, reply wire.Msg
	out          []byte
	records      [maxHops]slot
	soa          wire.SOA
	opt          wire.OPT
	answer       []wire.RR
	authority    [1]wire.RR
	extra        [1]wire.RR
	question     [1]wire.Question
}

// slot is the room for one record.
type slot struct {
	a     wire.A
	aaaa  wire.AAAA
	cname wire.CNAME
	addr  [16]byte
}

func newDesk() *desk { return &desk{out: make([]byte, 2*maxUDP)} }

// head reads what can be known of a question from its header alone (RFC 1035
// §4.1.1). ok is false when that is all there is to say: with drop, nothing
// is answered, otherwise the code is.
func head(packet []byte) (code int, drop, ok bool) {
	if len(packet) < headerSize || packet[2]&0x80 != 0 {
		// Too short to answer, or an answer itself: answering those is how
		// servers talk to one another for ever.
		return 0, true, false
	}
	switch opcode := int(packet[2]>>3) & 0xf; opcode {
	case wire.OpcodeQuery:
	case wire.OpcodeNotify, wire.OpcodeUpdate:
		return wire.RcodeRefused, false, false
	default:
		return wire.RcodeNotImplemented, false, false
	}
	count := func(i int) uint16 { return binary.BigEndian.Uint16(packet[i:]) }
	// An incremental transfer has one record in its authority section.
	if count(4) != 1 || count(6) != 0 || count(8) > 1 || count(10) > 2 {
		return wire.RcodeFormatError, false, false
	}
	return 0, false, true
}

// refusal is an answer that is a header with a code and nothing else.
func (d *desk) refusal(packet []byte, code int) []byte {
	out := append(d.out[:0], packet[0], packet[1], packet[2]&0x79|0x80, 0x80|packet[3]&0x10|byte(code))
	return append(out, 0, 0, 0, 0, 0, 0, 0, 0)
}

// read reads a question. A code other than success is the answer.
func (d *desk) read(packet []byte) (q Question, code int) {
	m := &d.query
	if err := m.Unpack(packet); err != nil || len(m.Question) != 1 {
		return q, wire.RcodeFormatError
	}
	options := 0
	for _, rr := range m.Extra {
		if opt, ok := rr.(*wire.OPT); ok {
			options++
			if opt.Hdr.Name != "." || options > 1 {
				return q, wire.RcodeFormatError
			}
			if opt.Version() != 0 {
				code = wire.RcodeBadVers
			}
		}
	}
	asked := m.Question[0]
	if code != wire.RcodeSuccess {
		return q, code
	}
	// Types from 128 on are no data but questions and transfers (RFC 6895).
	if asked.Qclass != wire.ClassINET || asked.Qtype >= 128 && asked.Qtype < wire.TypeANY || asked.Qtype == wire.TypeOPT {
		return q, wire.RcodeRefused
	}
	return Question{asked.Name, Type(asked.Qtype)}, wire.RcodeSuccess
}

// begin makes the reply to the question that was read last.
func (d *desk) begin(code int) *wire.Msg {
	r := &d.reply
	*r = wire.Msg{Compress: true}
	q := &d.query
	r.MsgHdr = wire.MsgHdr{Id: q.Id, Response: true, RecursionDesired: q.RecursionDesired,
		// It answers for all the names of a chain, which is what stub
		// resolvers ask by this bit.
		RecursionAvailable: true, CheckingDisabled: q.CheckingDisabled, Rcode: code}
	d.question[0] = q.Question[0]
	r.Question = d.question[:]
	if opt := q.IsEdns0(); opt != nil {
		d.opt = wire.OPT{Hdr: wire.RR_Header{Name: ".", Rrtype: wire.TypeOPT}}
		d.opt.SetUDPSize(maxUDP)
		if opt.Do() {
			d.opt.SetDo()
		}
		d.extra[0] = &d.opt
		r.Extra = d.extra[:]
	}
	return r
}

// fill puts an answer into the reply.
func (d *desk) fill(r *wire.Msg, a Answer) {
	r.Rcode, r.Authoritative = int(a.Code), a.Own && a.Code != ServerFailure && a.Code != Refused
	d.answer = d.answer[:0]
	for i := range a.Records {
		room := &slot{}
		if i < len(d.records) {
			room = &d.records[i]
		}
		d.answer = append(d.answer, d.record(&a.Records[i], room))
	}
	r.Answer = d.answer
	if a.Authority != nil {
		d.soa = soa(a.Authority.Zone, a.Authority)
		// The time for which nothing may be remembered (RFC 2308 §3).
		d.soa.Hdr.Ttl = min(a.Authority.TTL, a.Authority.Minimum)
		d.authority[0] = &d.soa
		r.Ns = d.authority[:]
	}
}

func (d *desk) record(r *Record, s *slot) wire.RR {
	h := wire.RR_Header{Name: r.Name, Rrtype: uint16(r.Type), Class: wire.ClassINET, Ttl: r.TTL}
	switch r.Type {
	case TypeCNAME:
		s.cname = wire.CNAME{Hdr: h, Target: r.Target}
		return &s.cname
	case TypeSOA:
		d.soa = soa(r.Name, r.Authority)
		return &d.soa
	case TypeAAAA:
		s.addr = r.Addr.As16()
		s.aaaa = wire.AAAA{Hdr: h, AAAA: s.addr[:]}
		return &s.aaaa
	}
	four := r.Addr.As4()
	s.a = wire.A{Hdr: h, A: append(s.addr[:0], four[:]...)}
	return &s.a
}

func soa(name string, a *Authority) wire.SOA {
	return wire.SOA{Hdr: wire.RR_Header{Name: name, Rrtype: wire.TypeSOA, Class: wire.ClassINET, Ttl: a.TTL},
		Ns: a.Master, Mbox: a.Mailbox, Serial: a.Serial, Refresh: a.Refresh, Retry: a.Retry, Expire: a.Expire, Minttl: a.Minimum}
}

// room is how large the reply to the question that was read last may be.
func (d *desk) room(tcp bool) int {
	if tcp {
		return wire.MaxMsgSize
	}
	if opt := d.query.IsEdns0(); opt != nil {
		return min(max(int(opt.UDPSize()), wire.MinMsgSize), maxUDP)
	}
	return wire.MinMsgSize
}

// pack is the reply as bytes: cut, and marked as cut, when it does not fit.
func (d *desk) pack(r *wire.Msg, room int) []byte {
	out, err := r.PackBuffer(d.out)
	if err == nil && len(out) > room {
		r.Truncate(room)
		out, err = r.PackBuffer(d.out)
	}
	if err != nil {
		// A record that cannot be written, which an upstream sent.
		fail := wire.Msg{MsgHdr: r.MsgHdr, Question: r.Question}
		fail.Rcode, fail.Authoritative = wire.RcodeServerFailure, false
		if out, err = fail.PackBuffer(d.out); err != nil {
			return nil
		}
	}
	return out
}
