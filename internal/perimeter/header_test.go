package perimeter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// raw is a header put together by hand: command, family, addresses, TLVs.
func raw(command, family byte, parts ...string) string {
	rest := strings.Join(parts, "")
	return signature + string([]byte{command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

func tlv(typ byte, value string) string {
	return string([]byte{typ, byte(len(value) >> 8), byte(len(value))}) + value
}

const (
	// addresses4 is 10.0.1.7:50000 → 10.0.3.4:443.
	addresses4 = "\x0a\x00\x01\x07\x0a\x00\x03\x04\xc3\x50\x01\xbb"
	azure7     = "\xee\x00\x05\x01\x07\x00\x00\x00"
)

var (
	addresses6 = strings.Repeat("\xfd", 16) + strings.Repeat("\x00", 15) + "\x01" + "\xc3\x50\x01\xbb"
	plainHop   = Hop{Source: netip.MustParseAddrPort("10.0.1.7:50000"), Destination: netip.MustParseAddrPort("10.0.3.4:443")}
)

// checksummed is a header with a CRC32C TLV, as the sender makes it.
func checksummed(flip byte, more string) string {
	text := []byte(raw(0x21, 0x11, addresses4, tlv(0x03, "\x00\x00\x00\x00"), more))
	sum := crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(text[16+12+3:], sum^uint32(flip))
	return string(text)
}

func with(change func(*Hop)) Hop { h := plainHop; change(&h); return h }

func TestReadHop(t *testing.T) {
	linked := with(func(h *Hop) { h.Link = 7 })
	for _, tt := range []struct {
		name, text string
		operator   bool
		want       Hop
		err        string // part of the error, "" for none
	}{
		{"plain", raw(0x21, 0x11, addresses4), false, plainHop, ""},
		{"over IPv6", raw(0x21, 0x21, addresses6), false, Hop{Source: netip.MustParseAddrPort("[fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd]:50000"), Destination: netip.MustParseAddrPort("[::1]:443")}, ""},
		{"a mapped address", raw(0x21, 0x21, strings.Repeat("\x00", 10)+"\xff\xff\x0a\x00\x01\x07"+strings.Repeat("\x00", 10)+"\xff\xff\x0a\x00\x03\x04"+"\xc3\x50\x01\xbb"), false, plainHop, ""},
		{"a link", raw(0x21, 0x11, addresses4, azure7), false, linked, ""},
		{"the largest link", raw(0x21, 0x11, addresses4, "\xee\x00\x05\x01\xff\xff\xff\xff"), false, with(func(h *Hop) { h.Link = 1<<32 - 1 }), ""},
		{"little endian", raw(0x21, 0x11, addresses4, "\xee\x00\x05\x01\x01\x02\x03\x04"), false, with(func(h *Hop) { h.Link = 0x04030201 }), ""},
		{"another TLV of Azure's", raw(0x21, 0x11, addresses4, tlv(0xee, "\x02abc"), azure7), false, linked, ""},
		{"an empty TLV of Azure's", raw(0x21, 0x11, addresses4, tlv(0xee, ""), azure7), false, linked, ""},
		{"a short link", raw(0x21, 0x11, addresses4, tlv(0xee, "\x01\x07\x00\x00")), false, Hop{}, "link identifier"},
		{"a long link", raw(0x21, 0x11, addresses4, tlv(0xee, "\x01\x07\x00\x00\x00\x00")), false, Hop{}, "link identifier"},
		{"link nought", raw(0x21, 0x11, addresses4, tlv(0xee, "\x01\x00\x00\x00\x00")), false, Hop{}, "link identifier"},
		{"two links", raw(0x21, 0x11, addresses4, azure7, azure7), false, Hop{}, "twice"},
		{"padding and others'", raw(0x21, 0x11, addresses4, tlv(4, "\x00\x00"), tlv(1, "h2"), tlv(5, "id"), tlv(0x20, "\x07\x00\x00\x00\x00"), azure7), false, linked, ""},
		{"a checksum", checksummed(0, azure7), false, linked, ""},
		{"a wrong checksum", checksummed(1, azure7), false, Hop{}, "checksum is wrong"},
		{"a short checksum", raw(0x21, 0x11, addresses4, tlv(3, "abc")), false, Hop{}, "checksum of 3"},

		{"the operator's", raw(0x21, 0x11, addresses4, tlv(0xe0, "/s"), tlv(0xe1, "Azure Backup"), tlv(0xe2, "/n")), true, with(func(h *Hop) { h.Subnet, h.Service, h.Perimeter = "/s", "Azure Backup", "/n" }), ""},
		{"the operator's from a balancer", raw(0x21, 0x11, addresses4, tlv(0xe0, "/s"), tlv(0xe1, "Azure Backup"), tlv(0xe2, "/n")), false, plainHop, ""},
		{"the operator's twice", raw(0x21, 0x11, addresses4, tlv(0xe1, "a"), tlv(0xe1, "b")), true, Hop{}, "twice"},
		{"the operator's empty", raw(0x21, 0x11, addresses4, tlv(0xe1, "")), true, Hop{}, "of 0 bytes"},
		{"the operator's too long", raw(0x21, 0x11, addresses4, tlv(0xe1, strings.Repeat("a", maxClaim+1))), true, Hop{}, "of 1025 bytes"},

		{"a health check", raw(0x20, 0x00), false, Hop{}, "health check"},
		{"a health check with addresses", raw(0x20, 0x11, addresses4, azure7), false, Hop{}, "health check"},
		{"a health check too long", raw(0x20, 0x00, strings.Repeat("\x00", maxHeaderRest+1)), false, Hop{}, "too many"},

		{"version 1", "PROXY TCP4 10.0.1.7 10.0.3.4 50000 443\r\n", false, Hop{}, "not a PROXY"},
		{"version 1, short", "PROXY UNKNOWN\r\n", false, Hop{}, "not a PROXY"},
		{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false, Hop{}, "not a PROXY"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 20), false, Hop{}, "not a PROXY"},
		{"nothing", "", false, Hop{}, "EOF"},
		{"half a signature", signature[:7], false, Hop{}, "EOF"},
		{"a signature alone", signature, false, Hop{}, "EOF"},
		{"half the addresses", raw(0x21, 0x11, addresses4)[:20], false, Hop{}, "EOF"},
		{"version 3", raw(0x31, 0x11, addresses4), false, Hop{}, "not a PROXY"},
		{"an unknown command", raw(0x22, 0x11, addresses4), false, Hop{}, "not a PROXY"},
		{"an unknown family", raw(0x21, 0x41, addresses4), false, Hop{}, "not a PROXY"},
		{"no family", raw(0x21, 0x00, addresses4), false, Hop{}, "not a PROXY"},
		{"UDP", raw(0x21, 0x12, addresses4), false, Hop{}, "not of a TCP"},
		{"a Unix socket", raw(0x21, 0x31, strings.Repeat("a", 216)), false, Hop{}, "not of a TCP"},
		{"too short for its family", raw(0x21, 0x21, addresses4), false, Hop{}, "not a PROXY"},
		{"a torn TLV", raw(0x21, 0x11, addresses4, "\xee\x00"), false, Hop{}, "truncated"},
		{"a TLV longer than the header", raw(0x21, 0x11, addresses4, "\xee\x00\x09\x01"), false, Hop{}, "truncated"},
		{"too long", raw(0x21, 0x11, addresses4, tlv(4, strings.Repeat("\x00", maxHeaderRest))), false, Hop{}, "too many"},
		{"nobody's address", raw(0x21, 0x11, "\x00\x00\x00\x00"+addresses4[4:]), false, Hop{}, "nobody"},
		{"everybody's address", raw(0x21, 0x11, "\xe0\x00\x00\x01"+addresses4[4:]), false, Hop{}, "nobody"},
	} {
		got, err := readHop(strings.NewReader(tt.text+"behind"), tt.operator)
		if strings.HasSuffix(tt.err, "EOF") {
			got, err = readHop(strings.NewReader(tt.text), tt.operator)
		}
		switch {
		case tt.err == "" && (err != nil || got != tt.want):
			t.Errorf("readHop (%s) = %+v, %v, want %+v", tt.name, got, err, tt.want)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("readHop (%s) = %+v, %v, want the error %q", tt.name, got, err, tt.err)
		}
	}
}

// TestReadHopTakesNoMore: what follows the header is the client's.
func TestReadHopTakesNoMore(t *testing.T) {
	r := strings.NewReader(raw(0x21, 0x11, addresses4, azure7) + "behind")
	if _, err := readHop(r, false); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "behind" {
		t.Errorf("behind the header stands %q, want %q", rest, "behind")
	}
}

// FuzzReadHop: no header is more than it says, none is read in two ways,
// and the operator's words count from the operator alone.
func FuzzReadHop(f *testing.F) {
	for _, seed := range []string{raw(0x21, 0x11, addresses4, azure7), raw(0x21, 0x21, addresses6), raw(0x20, 0), checksummed(0, azure7),
		raw(0x21, 0x11, addresses4, tlv(0xe0, "/s"), tlv(0xe1, "Azure Backup")), "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", signature} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := bytes.NewReader(data)
		h, err := readHop(reader, true)
		plain, plainErr := readHop(bytes.NewReader(data), false)
		if plainErr == nil && (plain.Subnet != "" || plain.Service != "" || plain.Perimeter != "") {
			t.Fatalf("a balancer said %+v", plain)
		}
		if err == nil && plainErr != nil {
			t.Fatalf("believed of the operator, and refused otherwise with %v", plainErr)
		}
		if err != nil {
			if !errors.Is(err, errHeader) && !errors.Is(err, errLocal) {
				t.Fatalf("error %v is neither", err)
			}
			return
		}
		if taken := len(data) - reader.Len(); taken > headerStart+maxHeaderRest || taken != headerStart+int(binary.BigEndian.Uint16(data[14:])) {
			t.Fatalf("%d bytes taken", taken)
		}
		if !h.Source.Addr().IsValid() || h.Source.Addr().Is4In6() || h.Source.Addr().Zone() != "" {
			t.Fatalf("source %v", h.Source)
		}
		text, err := h.Header()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := readHop(bytes.NewReader(text), true); err != nil || again != h {
			t.Fatalf("written and read again: %+v, %v, want %+v", again, err, h)
		}
	})
}

// TestHeaderOfAHop: what is written is read, without a destination too.
func TestHeaderOfAHop(t *testing.T) {
	for _, h := range []Hop{plainHop, with(func(h *Hop) { h.Link, h.Subnet, h.Service, h.Perimeter = 7, "/s", "Azure Backup", "/n" })} {
		text, err := h.Header()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readHop(bytes.NewReader(text), true); err != nil || got != h {
			t.Errorf("Header(%+v) is read as %+v, %v", h, got, err)
		}
	}
	for _, source := range []string{"192.0.2.1:5", "[2001:db8::1]:5"} {
		text, err := Hop{Source: netip.MustParseAddrPort(source)}.Header()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readHop(bytes.NewReader(text), true); err != nil || !got.Destination.Addr().IsUnspecified() || got.Source.String() != source {
			t.Errorf("Header of %s alone is read as %+v, %v", source, got, err)
		}
	}
	if _, err := (Hop{}).Header(); err == nil {
		t.Error("a hop from nowhere has a header")
	}
	if !bytes.Equal(proxyproto.SIGV2, []byte(signature)) {
		t.Error("the signature of these tests is another")
	}
}
