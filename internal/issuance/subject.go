package issuance

import (
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// attribute is a kind of a part of a name: how it is written, its identifier,
// how long it may be (RFC 5280 appendix A.1) and whether it is ASCII.
type attribute struct {
	name  string
	oid   asn1.ObjectIdentifier
	most  int
	ascii bool
}

// attributes are those with names. The first name of an identifier is the one
// that is written: the service writes S where RFC 4514 has ST, and E for an
// e-mail address (recorded answers of ImportCertificate).
var attributes = []attribute{
	{"CN", asn1.ObjectIdentifier{2, 5, 4, 3}, 64, false},
	{"L", asn1.ObjectIdentifier{2, 5, 4, 7}, 128, false},
	{"O", asn1.ObjectIdentifier{2, 5, 4, 10}, 64, false},
	{"OU", asn1.ObjectIdentifier{2, 5, 4, 11}, 64, false},
	{"E", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, 255, true},
	{"EMAIL", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, 255, true},
	{"EMAILADDRESS", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, 255, true},
	{"C", asn1.ObjectIdentifier{2, 5, 4, 6}, 2, false},
	{"S", asn1.ObjectIdentifier{2, 5, 4, 8}, 128, false},
	{"ST", asn1.ObjectIdentifier{2, 5, 4, 8}, 128, false},
	{"STREET", asn1.ObjectIdentifier{2, 5, 4, 9}, 128, false},
	{"T", asn1.ObjectIdentifier{2, 5, 4, 12}, 64, false},
	{"TITLE", asn1.ObjectIdentifier{2, 5, 4, 12}, 64, false},
	{"G", asn1.ObjectIdentifier{2, 5, 4, 42}, 64, false},
	{"GN", asn1.ObjectIdentifier{2, 5, 4, 42}, 64, false},
	{"GIVENNAME", asn1.ObjectIdentifier{2, 5, 4, 42}, 64, false},
	{"I", asn1.ObjectIdentifier{2, 5, 4, 43}, 64, false},
	{"INITIALS", asn1.ObjectIdentifier{2, 5, 4, 43}, 64, false},
	{"SN", asn1.ObjectIdentifier{2, 5, 4, 4}, 64, false},
	{"SURNAME", asn1.ObjectIdentifier{2, 5, 4, 4}, 64, false},
	{"DC", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, 128, true},
	{"UID", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, 256, false},
	{"SERIALNUMBER", asn1.ObjectIdentifier{2, 5, 4, 5}, 64, false},
	{"DESCRIPTION", asn1.ObjectIdentifier{2, 5, 4, 13}, 1024, false},
	{"POSTALCODE", asn1.ObjectIdentifier{2, 5, 4, 17}, 40, false},
	{"POBOX", asn1.ObjectIdentifier{2, 5, 4, 18}, 40, false},
	{"PHONE", asn1.ObjectIdentifier{2, 5, 4, 20}, 32, false},
	{"DNQUALIFIER", asn1.ObjectIdentifier{2, 5, 4, 46}, 64, false},
}

// pair is one attribute and its value, as they stand in a certificate.
type pair struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// partSET is a part of a name; the last letters of the type's name make
// encoding/asn1 write it as a set.
type partSET []pair

// name is a subject in the order in which it is written as text: the reverse
// of the certificate's (recorded answers of ImportCertificate).
type name []partSET

// propertySubject is where a subject stands in a policy.
const propertySubject = "policy.x509_props.subject"

// parseSubject reads a subject as the service takes it: parts with a comma or
// a semicolon between them, several values of one part with a plus, values
// with such characters in quotation marks, in which a doubled one stands for
// itself. Beyond that, \ before one of , ; + " \ < > = # and the space is the
// escape of RFC 4514; before anything else it is itself, as in DOMAIN\user.
func parseSubject(s string) (name, error) {
	if len(s) > maxSubject {
		return nil, invalid(propertySubject, "has %d bytes, more than %d", len(s), maxSubject)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) {
		return nil, invalid(propertySubject, "has control characters or is not UTF-8")
	}
	var out name
	part := partSET{}
	for n := 0; ; n++ {
		if n == maxAttributes {
			return nil, invalid(propertySubject, "has more than %d attributes", maxAttributes)
		}
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, badName("%q has no equals sign", clip(strings.TrimSpace(s)))
		}
		text, after, err := readValue(rest)
		if err != nil {
			return nil, err
		}
		p, err := newPair(strings.TrimSpace(key), text)
		if err != nil {
			return nil, err
		}
		part = append(part, p)
		if after != "" && after[0] == '+' {
			s = after[1:]
			continue
		}
		out = append(out, part)
		if after == "" {
			return out, nil
		}
		part, s = partSET{}, after[1:]
	}
}

// badName is a subject that cannot be read.
func badName(reason string, args ...any) *Invalid {
	return invalid(propertySubject, "is not a valid X.500 name: "+reason, args...).
		hinted(`write it as in CN=contoso.com, O="Contoso, Ltd.", C=US; values with a comma or a plus are quoted`)
}

// readValue reads one value and returns what stands behind it: nothing, or
// the separator and more.
func readValue(s string) (value, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	if strings.HasPrefix(s, `"`) {
		return readQuoted(s[1:])
	}
	var b strings.Builder
	kept := 0 // so much of b may not be trimmed
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`,;+"\<>=# `, s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
			kept = b.Len()
		case c == '"':
			return "", "", badName("a quotation mark stands inside a value")
		case c == '#' && b.Len() == 0:
			return "", "", badName("a value begins with #")
		case c == ',' || c == ';' || c == '+':
			return trimValue(b.String(), kept), s[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	return trimValue(b.String(), kept), "", nil
}

func trimValue(s string, kept int) string { return s[:kept] + strings.TrimRight(s[kept:], " ") }

// readQuoted reads what follows an opening quotation mark.
func readQuoted(s string) (value, rest string, err error) {
	var b strings.Builder
	for {
		text, after, ok := strings.Cut(s, `"`)
		if !ok {
			return "", "", badName("a quotation mark is not closed")
		}
		b.WriteString(text)
		if !strings.HasPrefix(after, `"`) {
			after = strings.TrimLeft(after, " ")
			if after != "" && strings.IndexByte(",;+", after[0]) < 0 {
				return "", "", badName("%q follows a closing quotation mark", clip(after))
			}
			return b.String(), after, nil
		}
		b.WriteByte('"')
		s = after[1:]
	}
}

// newPair finds the attribute and holds the value against its bounds.
func newPair(key, value string) (pair, error) {
	a := attribute{name: key, most: 256}
	dotted := strings.TrimPrefix(strings.ToUpper(key), "OID.")
	if i := slices.IndexFunc(attributes, func(a attribute) bool { return strings.EqualFold(a.name, key) }); i >= 0 {
		a = attributes[i]
	} else if oid, ok := parseOID(dotted); ok {
		a.oid = oid
		if i := slices.IndexFunc(attributes, func(a attribute) bool { return a.oid.Equal(oid) }); i >= 0 {
			a = attributes[i]
		}
	} else {
		return pair{}, badName("%q is no attribute", clip(key))
	}
	switch n := utf8.RuneCountInString(value); {
	case n == 0:
		return pair{}, badName("%s has no value", a.name)
	case n > a.most:
		return pair{}, badName("the value of %s has %d characters, more than %d", a.name, n, a.most)
	case a.name == "C" && (n != 2 || !isPrintable(value)):
		return pair{}, badName("C is a country's code of two letters")
	case a.ascii && strings.ContainsFunc(value, func(r rune) bool { return r > '~' }):
		return pair{}, badName("the value of %s is not ASCII", a.name)
	}
	tag := asn1.TagUTF8String
	switch {
	case a.ascii:
		tag = asn1.TagIA5String
	case isPrintable(value):
		tag = asn1.TagPrintableString
	}
	return pair{a.oid, asn1.RawValue{Tag: tag, Bytes: []byte(value)}}, nil
}

// isPrintable reports whether a PrintableString can hold it.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" '()+,-./:=?", r))
	})
}

// der is the name as it stands in a certificate.
func (n name) der() ([]byte, error) {
	turned := slices.Clone(n)
	slices.Reverse(turned)
	return asn1.Marshal(turned)
}

// readName reads the name of a certificate.
func readName(der []byte) (name, error) {
	var n name
	if rest, err := asn1.Unmarshal(der, &n); err != nil || len(rest) > 0 {
		return nil, invalid("value", "holds a certificate whose subject cannot be read")
	}
	slices.Reverse(n)
	return n, nil
}

// String is the name as the service writes it, for example
// O=Internet Widgits Pty Ltd, S=Some-State, C=AU.
func (n name) String() string {
	var b strings.Builder
	for i, part := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		for j, p := range part {
			if j > 0 {
				b.WriteString(" + ")
			}
			b.WriteString(p.label() + "=" + p.text())
		}
	}
	return b.String()
}

func (p pair) label() string {
	if i := slices.IndexFunc(attributes, func(a attribute) bool { return a.oid.Equal(p.Type) }); i >= 0 {
		return attributes[i].name
	}
	return "OID." + p.Type.String()
}

// text is the value, quoted where it has to be; one that is no string is
// written in hexadecimal.
func (p pair) text() string {
	var s string
	switch b := p.Value.Bytes; p.Value.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString:
		s = strings.ToValidUTF8(string(b), "\uFFFD")
	case asn1.TagT61String:
		for _, c := range b {
			s += string(rune(c)) // in practice it is Latin-1
		}
	case asn1.TagBMPString:
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		}
		s = string(utf16.Decode(units))
	default:
		return "#" + hex.EncodeToString(p.Value.FullBytes)
	}
	if s == "" || strings.ContainsAny(s, ",;+\"\\<>=#\n") || s != strings.TrimSpace(s) {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}
