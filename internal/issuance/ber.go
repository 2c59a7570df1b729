package issuance

import (
	"encoding/asn1"
	"slices"
)

// Firefox, Bouncy Castle and others write PKCS#12 in BER, where a length may
// be left open and a string be cut into pieces. encoding/asn1 reads DER alone,
// so such a file is written anew before it is read.

// maxBER is how deep values may be nested; a PKCS#12 file has a dozen levels.
const maxBER = 32

// element is one value: its identifier octets and what they stand for.
type element struct {
	identifier  []byte
	constructed bool
	content     []byte    // of a primitive one
	children    []element // of a constructed one
}

// Identifiers that are looked at (X.690 §8.1.2).
const (
	identifierOctets      = 0x04
	identifierOID         = 0x06
	identifierSequence    = 0x30
	identifierFirst       = 0xa0 // [0], constructed
	identifierConstructed = 0x20
)

// definite writes BER as DER, as far as lengths and strings of octets go;
// what is DER comes back as it was.
func definite(ber []byte) ([]byte, bool) {
	e, rest, ok := readElement(ber, 0)
	if !ok || len(rest) > 0 {
		return nil, false
	}
	return e.append(nil), true
}

// readElement reads one value and returns what is behind it.
func readElement(b []byte, depth int) (e element, rest []byte, ok bool) {
	if len(b) < 2 || depth > maxBER {
		return e, nil, false
	}
	n := 1
	if b[0]&0x1f == 0x1f { // a number that needs more octets
		for n < len(b) && b[n]&0x80 != 0 {
			n++
		}
		n++
	}
	if n >= len(b) {
		return e, nil, false
	}
	e.identifier, e.constructed = b[:n], b[0]&identifierConstructed != 0
	length, rest, open, ok := readLength(b[n:])
	if !ok || open && !e.constructed {
		return e, nil, false
	}
	if !e.constructed {
		e.content = rest[:length]
		return e, rest[length:], true
	}
	inside, behind := rest, []byte(nil)
	if !open {
		inside, behind = rest[:length], rest[length:]
	}
	for {
		if !open && len(inside) == 0 {
			return e, behind, true
		}
		if open && len(inside) >= 2 && inside[0] == 0 && inside[1] == 0 {
			return e, inside[2:], true
		}
		var child element
		if child, inside, ok = readElement(inside, depth+1); !ok {
			return e, nil, false
		}
		e.children = append(e.children, child)
	}
}

// readLength reads the octets of a length; open is one that is not said.
func readLength(b []byte) (length int, rest []byte, open, ok bool) {
	if len(b) == 0 {
		return 0, nil, false, false
	}
	first, b := b[0], b[1:]
	switch n := int(first & 0x7f); {
	case first < 0x80:
		length = int(first)
	case n == 0:
		return 0, b, true, true
	case n > 4 || n > len(b):
		return 0, nil, false, false
	default:
		for _, c := range b[:n] {
			length = length<<8 | int(c)
		}
		b = b[n:]
	}
	return length, b, false, length <= len(b)
}

// append writes the value in definite lengths, with the pieces of a string
// joined: one of octets, and the encrypted content of EncryptedContentInfo,
// which is one under another tag (RFC 5652 §6.1).
func (e element) append(out []byte) []byte {
	if !e.constructed {
		return appendElement(out, e.identifier, e.content)
	}
	if e.identifier[0] == identifierOctets|identifierConstructed {
		if joined, ok := e.joined(); ok {
			return appendElement(out, []byte{identifierOctets}, joined)
		}
	}
	var content []byte
	for i, child := range e.children {
		if i == 2 && e.isEncryptedContent() {
			if joined, ok := child.joined(); ok {
				content = appendElement(content, []byte{identifierFirst &^ identifierConstructed}, joined)
				continue
			}
		}
		content = child.append(content)
	}
	return appendElement(out, e.identifier, content)
}

// joined puts the pieces of a string of octets together.
func (e element) joined() ([]byte, bool) {
	var all []byte
	for _, c := range e.children {
		switch {
		case c.identifier[0] == identifierOctets:
			all = append(all, c.content...)
		case c.identifier[0] == identifierOctets|identifierConstructed:
			more, ok := c.joined()
			if !ok {
				return nil, false
			}
			all = append(all, more...)
		default:
			return nil, false
		}
	}
	return all, true
}

// isEncryptedContent reports whether a value has the form of
// EncryptedContentInfo with its content in pieces.
func (e element) isEncryptedContent() bool {
	return e.identifier[0] == identifierSequence && len(e.children) == 3 && e.children[0].identifier[0] == identifierOID &&
		e.children[1].identifier[0] == identifierSequence && e.children[2].identifier[0] == identifierFirst
}

// appendElement writes identifier, length and content.
func appendElement(out, identifier, content []byte) []byte {
	out = append(out, identifier...)
	n := len(content)
	if n < 0x80 {
		return append(append(out, byte(n)), content...)
	}
	var octets []byte
	for ; n > 0; n >>= 8 {
		octets = append(octets, byte(n))
	}
	slices.Reverse(octets)
	return append(append(append(out, 0x80|byte(len(octets))), octets...), content...)
}

// readASN1 reads one value in BER or DER and nothing behind it.
func readASN1(ber []byte, to any) bool {
	der, ok := definite(ber)
	if !ok {
		return false
	}
	rest, err := asn1.Unmarshal(der, to)
	return err == nil && len(rest) == 0
}
