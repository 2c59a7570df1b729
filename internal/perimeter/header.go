package perimeter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// Hop is what a header of the PROXY protocol, version 2, says of the
// connection behind it.
type Hop struct {
	// Source is the client, Destination the address it dialled.
	Source, Destination netip.AddrPort
	// Link names a private endpoint connection (Azure's LINKID, a vault's
	// linkIdentifier); 0 for none.
	Link uint32
	// Subnet (estate.Key of its id), Service (a trusted service's name) and
	// Perimeter (estate.Key of its id) are said by the operator alone, on
	// the socket in the data folder; "" for none.
	Subnet, Service, Perimeter string
}

// The TLVs that only the operator's socket knows. They are of the range for
// applications; other senders use the same numbers for other things, so
// elsewhere they are skipped.
const (
	tlvSubnet    = proxyproto.PP2Type(0xE0)
	tlvService   = proxyproto.PP2Type(0xE1)
	tlvPerimeter = proxyproto.PP2Type(0xE2)
)

const (
	// headerStart is the part of every header that says how long the rest
	// is (PROXY protocol §2.2).
	headerStart = 16
	// maxHeaderRest bounds the rest: addresses and TLVs.
	maxHeaderRest = 4096
	// maxClaim bounds one TLV of the operator's.
	maxClaim = 1024
)

var (
	// errHeader: what came is not a header of the PROXY protocol, version 2.
	errHeader = errors.New("not a PROXY protocol v2 header")
	// errLocal: the balancer opened the connection for itself, to see
	// whether the server is there. There is no client.
	errLocal = errors.New("a health check of the balancer")
)

// readHop reads one header, and nothing of what comes behind it. Anything
// that is not exactly a header of a TCP connection is an error; errLocal is
// that of a health check. operator says whether the operator's TLVs count.
func readHop(r io.Reader, operator bool) (Hop, error) {
	raw := make([]byte, headerStart, 256)
	signature := raw[:len(proxyproto.SIGV2)]
	if _, err := io.ReadFull(r, signature); err != nil {
		return Hop{}, fmt.Errorf("%w: %w", errHeader, err)
	}
	if !bytes.Equal(signature, proxyproto.SIGV2) {
		return Hop{}, errHeader
	}
	if _, err := io.ReadFull(r, raw[len(signature):]); err != nil {
		return Hop{}, fmt.Errorf("%w: %w", errHeader, err)
	}
	rest := int(binary.BigEndian.Uint16(raw[headerStart-2:]))
	if rest > maxHeaderRest {
		return Hop{}, fmt.Errorf("%w: %d bytes are too many", errHeader, rest)
	}
	raw = append(raw, make([]byte, rest)...)
	if _, err := io.ReadFull(r, raw[headerStart:]); err != nil {
		return Hop{}, fmt.Errorf("%w: %w", errHeader, err)
	}
	return parseHop(raw, operator)
}

// parseHop reads a whole header.
func parseHop(raw []byte, operator bool) (Hop, error) {
	header, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(raw), headerStart))
	if err != nil {
		return Hop{}, fmt.Errorf("%w: %w", errHeader, err)
	}
	if header.Command.IsLocal() {
		return Hop{}, errLocal
	}
	source, destination, ok := header.TCPAddrs()
	if !ok {
		return Hop{}, fmt.Errorf("%w: not of a TCP connection", errHeader)
	}
	h := Hop{Source: plainPort(source), Destination: plainPort(destination)}
	if a := h.Source.Addr(); a.IsUnspecified() || a.IsMulticast() {
		return Hop{}, fmt.Errorf("%w: %v is nobody's address", errHeader, a)
	}
	tlvs, err := header.TLVs()
	if err != nil {
		return Hop{}, fmt.Errorf("%w: %w", errHeader, err)
	}
	return h, h.read(tlvs, raw, operator)
}

// read takes what counts out of the TLVs. One that is said twice is said by
// somebody else the second time: the header is refused.
func (h *Hop) read(tlvs []proxyproto.TLV, raw []byte, operator bool) error {
	seen := map[proxyproto.PP2Type]bool{}
	once := func(t proxyproto.PP2Type) error {
		if seen[t] {
			return fmt.Errorf("%w: TLV %#x twice", errHeader, byte(t))
		}
		seen[t] = true
		return nil
	}
	for _, t := range tlvs {
		var text *string
		switch t.Type {
		case proxyproto.PP2_TYPE_CRC32C:
			if err := errors.Join(once(t.Type), checksum(raw, t.Value)); err != nil {
				return err
			}
		case tlvparse.PP2_TYPE_AZURE:
			if len(t.Value) == 0 || t.Value[0] != tlvparse.PP2_SUBTYPE_AZURE_PRIVATEENDPOINT_LINKID {
				continue
			}
			link, ok := tlvparse.FindAzurePrivateEndpointLinkID([]proxyproto.TLV{t})
			if !ok || link == 0 {
				return fmt.Errorf("%w: the link identifier cannot be read", errHeader)
			}
			if err := once(t.Type); err != nil {
				return err
			}
			h.Link = link
		case tlvSubnet:
			text = &h.Subnet
		case tlvService:
			text = &h.Service
		case tlvPerimeter:
			text = &h.Perimeter
		}
		if text == nil || !operator {
			continue
		}
		if err := once(t.Type); err != nil {
			return err
		}
		if len(t.Value) == 0 || len(t.Value) > maxClaim {
			return fmt.Errorf("%w: TLV %#x of %d bytes", errHeader, byte(t.Type), len(t.Value))
		}
		*text = string(t.Value)
	}
	return nil
}

// checksum checks PP2_TYPE_CRC32C (PROXY protocol §2.2.3): over the whole
// header, with the checksum itself taken as zero.
func checksum(raw, value []byte) error {
	field := []byte{byte(proxyproto.PP2_TYPE_CRC32C), 0, 4}
	at := bytes.LastIndex(raw, append(field, value...))
	if len(value) != 4 || at < 0 {
		return fmt.Errorf("%w: a checksum of %d bytes", errHeader, len(value))
	}
	zeroed := bytes.Clone(raw)
	clear(zeroed[at+len(field) : at+len(field)+4])
	if crc32.Checksum(zeroed, crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(value) {
		return fmt.Errorf("%w: the checksum is wrong", errHeader)
	}
	return nil
}

func plainPort(a *net.TCPAddr) netip.AddrPort {
	ap := a.AddrPort()
	return netip.AddrPortFrom(plain(ap.Addr()), ap.Port())
}

// Header is the hop as it stands in front of a connection. A destination
// that is not known is that of the unspecified address.
func (h Hop) Header() ([]byte, error) {
	if !h.Source.IsValid() {
		return nil, errors.New("perimeter: a hop without a source")
	}
	destination := h.Destination
	if !destination.IsValid() {
		none := netip.IPv4Unspecified()
		if h.Source.Addr().Is6() {
			none = netip.IPv6Unspecified()
		}
		destination = netip.AddrPortFrom(none, h.Source.Port())
	}
	header := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(h.Source), net.TCPAddrFromAddrPort(destination))
	var tlvs []proxyproto.TLV
	if h.Link != 0 {
		value := binary.LittleEndian.AppendUint32([]byte{tlvparse.PP2_SUBTYPE_AZURE_PRIVATEENDPOINT_LINKID}, h.Link)
		tlvs = append(tlvs, proxyproto.TLV{Type: tlvparse.PP2_TYPE_AZURE, Value: value})
	}
	for _, t := range [...]struct {
		of   proxyproto.PP2Type
		text string
	}{{tlvSubnet, h.Subnet}, {tlvService, h.Service}, {tlvPerimeter, h.Perimeter}} {
		if t.text != "" {
			tlvs = append(tlvs, proxyproto.TLV{Type: t.of, Value: []byte(t.text)})
		}
	}
	if err := header.SetTLVs(tlvs); err != nil {
		return nil, fmt.Errorf("perimeter: %w", err)
	}
	raw, err := header.Format()
	if err != nil {
		return nil, fmt.Errorf("perimeter: %w", err)
	}
	return raw, nil
}
