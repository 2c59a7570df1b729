package journal

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// maxField bounds each string of a record; what is longer is cut, and ends
// in an ellipsis.
const maxField = 8 << 10

// timeLayout is that of the resource log: UTC with seven decimals.
const timeLayout = "2006-01-02T15:04:05.0000000Z"

// appendBody appends the record as a JSON object without its closing brace:
// the number and the chain of the line follow. id is written as recordId
// when it is not empty.
func appendBody(b []byte, r *Record, id string) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, r.Time)
	b = append(b, `","resourceId":"`...)
	b = appendUpper(b, r.ResourceID)
	b = append(b, `","operationName":"`...)
	b = appendText(b, r.OperationName)
	b = append(b, `","operationVersion":"`...)
	b = appendText(b, r.OperationVersion)
	b = append(b, `","category":"`...)
	if r.Category == "" {
		b = append(b, "AuditEvent"...)
	} else {
		b = appendText(b, r.Category)
	}
	b = append(b, `","resultType":"`...)
	b = appendText(b, r.ResultType)
	b = append(b, `","resultSignature":"`...)
	b = appendText(b, r.ResultSignature)
	b = append(b, `","resultDescription":"`...)
	b = appendText(b, r.ResultDescription)
	b = append(b, `","durationMs":"`...)
	b = strconv.AppendInt(b, r.Duration.Milliseconds(), 10)
	b = append(b, `","callerIpAddress":"`...)
	if r.CallerIP.IsValid() {
		b = r.CallerIP.WithZone("").Unmap().AppendTo(b)
	}
	b = append(b, `","correlationId":"`...)
	b = appendText(b, r.CorrelationID)
	b = append(b, '"')
	if id != "" {
		b = appendFirst(b, "recordId", id)
	}
	b = appendIdentity(b, &r.Identity)
	return appendProperties(b, r)
}

func appendIdentity(b []byte, i *Identity) []byte {
	if *i == (Identity{}) {
		return append(b, `,"identity":{}`...)
	}
	b = append(b, `,"identity":{"claim":{`...)
	b = appendMember(b, "oid", i.Object)
	b = appendMember(b, "appid", i.App)
	b = appendMember(b, "iss", i.Issuer)
	b = appendMember(b, "upn", i.UPN)
	b = appendMember(b, "idtyp", i.Type)
	b = appendMember(b, "xms_mirid", i.ResourceID)
	return append(b, `}}`...)
}

func appendProperties(b []byte, r *Record) []byte {
	b = append(b, `,"properties":{`...)
	b = appendMember(b, "id", r.ID)
	b = appendMember(b, "clientInfo", r.ClientInfo)
	b = appendMember(b, "requestUri", r.RequestURI)
	if r.Status != 0 {
		b = appendName(b, "httpStatusCode")
		b = strconv.AppendInt(b, int64(r.Status), 10)
	}
	b = appendMember(b, "tlsVersion", r.TLSVersion)
	b = appendMember(b, "addrAuthType", r.AddrAuthType)
	b = appendTri(b, "isAddressAuthorized", r.AddressAuthorized)
	b = appendMember(b, "subnetId", r.SubnetID)
	b = appendMember(b, "privateEndpointId", r.PrivateEndpointID)
	b = appendMember(b, "trustedService", r.TrustedService)
	b = appendTri(b, "isRbacAuthorized", r.RBACAuthorized)
	b = appendMember(b, "appliedAssignmentId", r.AssignmentID)
	b = appendTri(b, "isAccessPolicyMatch", r.PolicyMatch)
	for _, p := range r.Properties {
		b = appendProperty(b, p)
	}
	return append(b, '}')
}

// appendName appends a member's name, a constant without anything to escape,
// after a comma unless it is the first of its object.
func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, `":`...)
}

// appendMember appends a member, unless its value is empty.
func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendFirst(b, name, value)
}

func appendFirst(b []byte, name, value string) []byte {
	b = appendName(b, name)
	b = append(b, '"')
	b = appendText(b, value)
	return append(b, '"')
}

// appendProperty is appendMember for a name that may be anything.
func appendProperty(b []byte, p Property) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = appendText(b, p.Name)
	b = append(b, `":"`...)
	b = appendText(b, p.Value)
	return append(b, '"')
}

func appendTri(b []byte, name string, t Tri) []byte {
	if t == Unset {
		return b
	}
	return strconv.AppendBool(appendName(b, name), t == Yes)
}

// appendTime writes timeLayout. AppendFormat would take three times as long.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return append(b, "0001-01-01T00:00:00.0000000Z"...)
	}
	hour, minute, second := t.Clock()
	b = appendDigits(b, year, 4)
	b = appendDigits(append(b, '-'), int(month), 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), hour, 2)
	b = appendDigits(append(b, ':'), minute, 2)
	b = appendDigits(append(b, ':'), second, 2)
	b = appendDigits(append(b, '.'), t.Nanosecond()/100, 7)
	return append(b, 'Z')
}

func appendDigits(b []byte, n, width int) []byte {
	var d [7]byte
	for i := width - 1; i >= 0; i-- {
		d[i] = byte('0' + n%10)
		n /= 10
	}
	return append(b, d[:width]...)
}

const hexDigits = "0123456789abcdef"

// plainASCII says which bytes stand for themselves in a JSON string.
var plainASCII = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendText appends s as the inside of a JSON string (RFC 8259 §7). Bytes
// that are not UTF-8 become U+FFFD, each of them, as encoding/json has it.
func appendText(b []byte, s string) []byte {
	cut := len(s) > maxField
	if cut {
		s = cutText(s)
	}
	start := 0
	for i := plainPrefix(s); i < len(s); {
		c := s[i]
		if plainASCII[c] {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			b = appendEscape(b, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[start:i]...)
			b = append(b, "\uFFFD"...)
			start = i + 1
		}
		i += size
	}
	b = append(b, s[start:]...)
	if cut {
		b = append(b, "…"...)
	}
	return b
}

// plainPrefix is how many bytes at the beginning of s certainly stand for
// themselves, found eight at a time. Nearly always that is all but the last
// few.
func plainPrefix(s string) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quote, backslash := x^(ones*'"'), x^(ones*'\\')
		// A byte's high bit is set in the first where it is below 0x20, in
		// the others where it is the character; a borrow can set it once too
		// often, which costs a closer look and nothing else.
		if (x|(x-ones*0x20)|(quote-ones)|(backslash-ones))&highs != 0 {
			break
		}
	}
	return i
}

// cutText cuts s to maxField bytes, not within a character.
func cutText(s string) string {
	n := maxField
	for n > maxField-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}

// appendUpper is appendText with the letters a to z of s in upper case. An
// ARM id has nothing to escape; one that has goes the long way.
func appendUpper(b []byte, s string) []byte {
	start := len(b)
	for i := range len(s) {
		c := s[i]
		if !plainASCII[c] || i == maxField {
			return appendText(b[:start], upperASCII(s))
		}
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

func upperASCII(s string) string {
	u := []byte(s)
	for i, c := range u {
		if 'a' <= c && c <= 'z' {
			u[i] = c - ('a' - 'A')
		}
	}
	return string(u)
}
