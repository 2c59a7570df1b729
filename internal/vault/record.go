package vault

import (
	"encoding/binary"
	"strings"
)

// The first byte of every record is its format, so that a later version can
// tell what it reads. The first format is still written wherever it has room
// for all there is to say, which is so for nearly every secret.
const (
	recordFormat = 1
	// extendedFormat adds what is said of the object as a whole, what was
	// done of its moments, and Managed.
	extendedFormat = 2
)

// Stamp is a point in time in unix seconds that may be left out; the zero
// value is left out.
type Stamp struct {
	Unix  int64
	Known bool
}

// At is a known Stamp.
func At(unix int64) Stamp { return Stamp{unix, true} }

// Tag is one tag of an object.
type Tag struct{ Name, Value string }

// Version is one version of an object.
type Version struct {
	// ID is the version's identifier: 32 lower-case hex digits.
	ID                 string
	Enabled            bool
	NotBefore, Expires Stamp
	// Created and Updated are unix seconds.
	Created, Updated int64
	ContentType      string
	// Tags in the order in which they were written; nil when none were
	// given, which is not the same as an empty list.
	Tags []Tag
	// Previous is the version before this one, of an object that belongs to
	// a certificate; "" for others.
	Previous string
	// Managed is true for a version of a key or a secret that belongs to a
	// certificate: it changes with the certificate and not by itself.
	Managed bool
	// Value is the content: of a secret its value, of a key or a certificate
	// the encoding that the methods of Keys and Certificates take apart.
	Value string
}

// Object is an object with one of its versions.
type Object struct {
	// Name is the name as it was first written.
	Name    string
	Version Version
	// Deleted and Purge are when the object was deleted and when its time
	// has come, in unix seconds; 0 for a live object.
	Deleted, Purge int64
	// Policy is what is said of the object as a whole: the rotation policy
	// of a key, the policy of a certificate; "" for none.
	Policy string
	// life is the identifier of this existence of the name, versions how
	// many versions it has.
	life     string
	versions int
	// handled is, for each action, the moment that was acted on last; retry
	// is until when what failed is left alone, in unix seconds.
	handled [actions]int64
	retry   int64
}

// extended reports whether the record needs the extended format.
func (o *Object) extended() bool {
	return o.Policy != "" || o.retry != 0 || o.handled != [actions]int64{} || o.Version.Managed
}

// Page is one page of a list, without values.
type Page struct {
	Objects []Object
	// Next is the cursor of the next page; "" at the end.
	Next string
}

// fold is the form of names and versions in keys. Most are lower-case
// already and are returned as they are.
func fold(s string) string { return strings.ToLower(s) }

// validVersion reports whether s can be a version: 32 lower-case hex digits.
func validVersion(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendStamp(b []byte, s Stamp) []byte {
	if !s.Known {
		return append(b, 0)
	}
	return binary.AppendVarint(append(b, 1), s.Unix)
}

func appendObject(b []byte, o *Object) []byte {
	format := byte(recordFormat)
	if o.extended() {
		format = extendedFormat
	}
	b = append(b, format)
	b = appendString(b, o.Name)
	b = appendString(b, o.life)
	b = binary.AppendUvarint(b, uint64(o.versions))
	b = binary.AppendVarint(b, o.Deleted)
	b = binary.AppendVarint(b, o.Purge)
	if format == extendedFormat {
		b = appendString(b, o.Policy)
		b = binary.AppendVarint(b, o.retry)
		b = binary.AppendUvarint(b, uint64(len(o.handled)))
		for _, at := range o.handled {
			b = binary.AppendVarint(b, at)
		}
	}
	return appendFields(b, format, &o.Version)
}

func appendVersion(b []byte, v *Version) []byte {
	format := byte(recordFormat)
	if v.Managed {
		format = extendedFormat
	}
	return appendFields(append(b, format), format, v)
}

func appendFlag(b []byte, set bool) []byte {
	if set {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendFields(b []byte, format byte, v *Version) []byte {
	b = appendString(b, v.ID)
	b = appendFlag(b, v.Enabled)
	b = appendStamp(b, v.NotBefore)
	b = appendStamp(b, v.Expires)
	b = binary.AppendVarint(b, v.Created)
	b = binary.AppendVarint(b, v.Updated)
	b = appendString(b, v.ContentType)
	if v.Tags == nil {
		b = append(b, 0)
	} else {
		b = binary.AppendUvarint(b, uint64(len(v.Tags))+1)
		for _, t := range v.Tags {
			b = appendString(appendString(b, t.Name), t.Value)
		}
	}
	b = appendString(b, v.Previous)
	if format == extendedFormat {
		b = appendFlag(b, v.Managed)
	}
	return appendString(b, v.Value)
}

// reader takes a record apart; strings are pieces of the record itself.
// After the first thing that is not there, bad stays true.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) fail() { r.rest, r.bad = "", true }

func (r *reader) byte() byte {
	if r.rest == "" {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	var x uint64
	for shift := uint(0); shift < 64; shift += 7 {
		b := r.byte()
		x |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return x
		}
	}
	r.fail()
	return 0
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	x := int64(u >> 1)
	if u&1 != 0 {
		x = ^x
	}
	return x
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) stamp() Stamp {
	if r.byte() == 0 {
		return Stamp{}
	}
	return At(r.varint())
}

func (r *reader) flag() bool {
	switch r.byte() {
	case 0:
		return false
	case 1:
		return true
	}
	r.fail()
	return false
}

// format reads the first byte of a record.
func (r *reader) format() byte {
	f := r.byte()
	if f != recordFormat && f != extendedFormat {
		r.fail()
	}
	return f
}

func (r *reader) fields(format byte) (v Version) {
	v.ID = r.string()
	v.Enabled = r.byte() == 1
	v.NotBefore = r.stamp()
	v.Expires = r.stamp()
	v.Created = r.varint()
	v.Updated = r.varint()
	v.ContentType = r.string()
	if n := r.uvarint(); n > MaxTags+1 {
		r.fail()
	} else if n > 0 {
		v.Tags = make([]Tag, n-1)
		for i := range v.Tags {
			v.Tags[i] = Tag{r.string(), r.string()}
		}
	}
	v.Previous = r.string()
	if format == extendedFormat {
		v.Managed = r.flag()
	}
	v.Value = r.string()
	return v
}

// end reports whether the record was read to its end and no further.
func (r *reader) end() bool { return !r.bad && r.rest == "" }

func decodeObject(plain string) (Object, error) {
	r := reader{rest: plain}
	format := r.format()
	o := Object{Name: r.string(), life: r.string(), versions: int(r.uvarint()), Deleted: r.varint(), Purge: r.varint()}
	if format == extendedFormat {
		o.Policy = r.string()
		o.retry = r.varint()
		if r.uvarint() != uint64(len(o.handled)) {
			r.fail()
		}
		for i := range o.handled {
			o.handled[i] = r.varint()
		}
	}
	o.Version = r.fields(format)
	if !r.end() {
		return Object{}, errRecord
	}
	return o, nil
}

func decodeVersion(plain string) (Version, error) {
	r := reader{rest: plain}
	v := r.fields(r.format())
	if !r.end() {
		return Version{}, errRecord
	}
	return v, nil
}
