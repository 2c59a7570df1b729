package keyvault

import (
	"strconv"
	"unicode/utf8"

	"postern/internal/vault"
)

const hexDigits = "0123456789abcdef"

// appendJSON writes a JSON string as encoding/json does without its escaping
// of <, > and &, which the service does not have either.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = appendEscape(append(b, s[from:i]...), c)
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[from:i]...), `\ufffd`...)
			from = i + size
		case r == '\u2028' || r == '\u2029':
			b = append(append(b, s[from:i]...), `\u202`...)
			b = append(b, hexDigits[r&0xf])
			from = i + size
		}
		i += size
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}

// bundle is what of an object goes into an answer (spec: SecretBundle,
// SecretItem, DeletedSecretBundle, DeletedSecretItem).
type bundle struct {
	object *vault.Object
	// id and recoveryID are URLs; recoveryID "" is a live object.
	id, recoveryID string
	// value is whether the value is shown, previous whether the version
	// before is, key whether the key of a certificate's secret is.
	value, previous, key bool
}

// appendBundle writes the properties in the service's order: those of a
// deleted object first, then value, contentType, id, managed, attributes,
// tags, kid.
func (x *exchange) appendBundle(b []byte, s bundle) []byte {
	o, v := s.object, &s.object.Version
	b = append(b, '{')
	if s.recoveryID != "" {
		b = appendJSON(append(b, `"recoveryId":`...), s.recoveryID)
		b = strconv.AppendInt(append(b, `,"deletedDate":`...), o.Deleted, 10)
		b = strconv.AppendInt(append(b, `,"scheduledPurgeDate":`...), o.Purge, 10)
		b = append(b, ',')
	}
	if s.value {
		b = append(appendJSON(append(b, `"value":`...), v.Value), ',')
	}
	if v.ContentType != "" {
		b = append(appendJSON(append(b, `"contentType":`...), v.ContentType), ',')
	}
	b = appendJSON(append(b, `"id":`...), s.id)
	if v.Managed {
		b = append(b, `,"managed":true`...)
	}
	b = x.appendAttributes(append(b, `,"attributes":`...), v)
	b = appendTags(b, v.Tags)
	if v.Managed && s.key {
		b = appendJSON(append(b, `,"kid":`...), x.base+"/keys/"+o.Name+"/"+v.ID)
	}
	if s.previous && v.Previous != "" {
		b = appendJSON(append(b, `,"previousVersion":`...), v.Previous)
	}
	return append(b, '}')
}

// appendTags writes the member tags, with a comma before it, unless there
// are none.
func appendTags(b []byte, tags []vault.Tag) []byte {
	if tags == nil {
		return b
	}
	b = append(b, `,"tags":{`...)
	for i, t := range tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(append(appendJSON(b, t.Name), ':'), t.Value)
	}
	return append(b, '}')
}

// appendAttributes writes the attributes (spec: SecretAttributes).
// recoverableDays came with 7.1 (recorded answers).
func (x *exchange) appendAttributes(b []byte, v *vault.Version) []byte {
	b = appendDates(b, v)
	terms := &x.terms
	b = append(append(b, `,"recoveryLevel":"`...), terms.RecoveryLevel()...)
	b = append(b, '"')
	if x.api >= api71 {
		b = strconv.AppendInt(append(b, `,"recoverableDays":`...), int64(terms.RetentionDays), 10)
	}
	return append(b, '}')
}

// appendDates writes the attributes that do not depend on the vault, without
// the brace at their end.
func appendDates(b []byte, v *vault.Version) []byte {
	b = strconv.AppendBool(append(b, `{"enabled":`...), v.Enabled)
	if v.NotBefore.Known {
		b = strconv.AppendInt(append(b, `,"nbf":`...), v.NotBefore.Unix, 10)
	}
	if v.Expires.Known {
		b = strconv.AppendInt(append(b, `,"exp":`...), v.Expires.Unix, 10)
	}
	b = strconv.AppendInt(append(b, `,"created":`...), v.Created, 10)
	return strconv.AppendInt(append(b, `,"updated":`...), v.Updated, 10)
}
