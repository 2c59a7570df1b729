package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Sockets are the sockets of a server: one port, UDP and TCP.
type Sockets struct {
	udp *net.UDPConn
	tcp net.Listener
	// wild is true when the socket is bound to no address of its own: then
	// each datagram tells which it was sent to, and the answer must come
	// from there.
	wild bool
}

// Listen binds an address, HOST:PORT, for UDP and TCP. With port 0, one that
// is free for both is chosen.
func Listen(ctx context.Context, address string) (*Sockets, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	var lc net.ListenConfig
	var failed error
	for range 10 {
		pc, err := lc.ListenPacket(ctx, "udp", address)
		if err != nil {
			return nil, fmt.Errorf("dns: listening: %w", err)
		}
		udp := pc.(*net.UDPConn)
		local := udp.LocalAddr().(*net.UDPAddr)
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(local.Port)))
		if err == nil {
			s := &Sockets{udp: udp, tcp: l, wild: local.IP.IsUnspecified()}
			return s, s.prepare()
		}
		udp.Close()
		if failed = err; port != "0" {
			break
		}
	}
	return nil, fmt.Errorf("dns: listening: %w", failed)
}

// prepare asks the system to tell where datagrams were sent to, of either
// family that the socket has.
func (s *Sockets) prepare() error {
	if !s.wild {
		return nil
	}
	err6 := ipv6.NewPacketConn(s.udp).SetControlMessage(ipv6.FlagDst, true)
	err4 := ipv4.NewPacketConn(s.udp).SetControlMessage(ipv4.FlagDst, true)
	if err4 != nil && err6 != nil {
		return errors.Join(err4, err6, s.Close())
	}
	return nil
}

// Addr is HOST:PORT of the sockets.
func (s *Sockets) Addr() string { return s.tcp.Addr().String() }

// Close closes the sockets.
func (s *Sockets) Close() error {
	var errs []error
	for _, c := range []interface{ Close() error }{s.udp, s.tcp} {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// datagram is where a datagram came from and was sent to.
type datagram struct {
	size int
	from netip.AddrPort
	to   netip.Addr
}

// control is the room for what the system tells of a datagram; nil when it
// need not.
func (s *Sockets) control() []byte {
	if !s.wild {
		return nil
	}
	return make([]byte, max(len(ipv4.NewControlMessage(ipv4.FlagDst)), len(ipv6.NewControlMessage(ipv6.FlagDst)))+64)
}

func (s *Sockets) read(packet, control []byte) (datagram, error) {
	if !s.wild {
		n, from, err := s.udp.ReadFromUDPAddrPort(packet)
		return datagram{n, from, localOf(s.udp.LocalAddr())}, err
	}
	n, told, _, from, err := s.udp.ReadMsgUDPAddrPort(packet, control)
	return datagram{n, from, destination(control[:told])}, err
}

// destination reads where a datagram was sent to.
func destination(control []byte) netip.Addr {
	var six ipv6.ControlMessage
	if six.Parse(control) == nil && six.Dst != nil {
		a, _ := netip.AddrFromSlice(six.Dst)
		return a.Unmap()
	}
	var four ipv4.ControlMessage
	if four.Parse(control) == nil && four.Dst != nil {
		a, _ := netip.AddrFromSlice(four.Dst)
		return a.Unmap()
	}
	return netip.Addr{}
}

// write sends a reply to where the datagram came from, from the address that
// it was sent to. A reply that cannot be sent is lost, as on any network.
func (s *Sockets) write(reply []byte, m datagram) {
	if !s.wild || !m.to.IsValid() {
		_, _ = s.udp.WriteToUDPAddrPort(reply, m.from)
		return
	}
	var control []byte
	if m.to.Is4() {
		control = (&ipv4.ControlMessage{Src: m.to.AsSlice()}).Marshal()
	} else {
		control = (&ipv6.ControlMessage{Src: m.to.AsSlice()}).Marshal()
	}
	_, _, _ = s.udp.WriteMsgUDPAddrPort(reply, control, m.from)
}

// localOf is the address of a socket's own end.
func localOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
