package keyvault

import (
	"errors"
	"io"
	"net/http"

	"postern/internal/vault"
)

// latest is the last second of the year 9999, the end of the service's
// dates.
const latest = 253402300799

// readBody reads the whole body within the bounds of the route.
func (x *exchange) readBody() ([]byte, error) {
	limit, r := x.target.route.Body, x.request
	if r.ContentLength > limit {
		return nil, bodyTooLarge
	}
	body := http.MaxBytesReader(nil, r.Body, limit)
	if r.ContentLength > 0 {
		data := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(body, data); err != nil {
			return nil, unreadableBody.Because(err)
		}
		return data, nil
	}
	data, err := io.ReadAll(body)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, bodyTooLarge
	}
	if err != nil {
		return nil, unreadableBody.Because(err)
	}
	return data, nil
}

// property reads one known member and says which one was wrong.
func property(name string, read func() error) error {
	err := read()
	if err == errType {
		return invalidProperty(name, err.Error())
	}
	return err
}

// description is what set and update have in common.
type description struct {
	contentType        *string
	enabled            vault.Flag
	notBefore, expires vault.Stamp
	tags               []vault.Tag
}

// member reads a member of either; unknown ones are ignored.
func (d *description) member(r *reader, name string) error {
	switch name {
	case "contentType":
		return property(name, func() error { return readString(r, &d.contentType) })
	case "attributes":
		return property(name, func() error { return d.attributes(r) })
	case "tags":
		return property(name, func() error { return d.readTags(r) })
	}
	return r.skip()
}

// attributes reads SecretAttributes; what is read-only is ignored.
func (d *description) attributes(r *reader) error {
	if r.null() {
		return nil
	}
	return r.object(d.attribute)
}

// attribute reads one of the attributes that every kind of object has.
func (d *description) attribute(r *reader, name string) error {
	switch name {
	case "enabled":
		return property(name, func() error { return readFlag(r, &d.enabled) })
	case "nbf":
		return property(name, func() error { return readStamp(r, &d.notBefore) })
	case "exp":
		return property(name, func() error { return readStamp(r, &d.expires) })
	}
	return r.skip()
}

func (d *description) readTags(r *reader) error {
	if r.null() {
		return nil
	}
	d.tags = []vault.Tag{}
	return r.object(func(r *reader, name string) error {
		t := vault.Tag{Name: name}
		if !r.null() {
			value, err := r.string()
			if err != nil {
				return err
			}
			t.Value = value
		}
		d.tags = append(d.tags, t)
		return nil
	})
}

func readString(r *reader, to **string) error {
	if r.null() {
		return nil
	}
	s, err := r.string()
	*to = &s
	return err
}

func readFlag(r *reader, to *vault.Flag) error {
	if r.null() {
		return nil
	}
	yes, err := r.bool()
	*to = vault.No
	if yes {
		*to = vault.Yes
	}
	return err
}

func readStamp(r *reader, to *vault.Stamp) error {
	if r.null() {
		return nil
	}
	n, err := r.integer()
	if err == nil && (n < 0 || n > latest) {
		err = errType
	}
	*to = vault.At(n)
	return err
}

// wire turns the reader's errors into the service's form.
func wire(err error) error {
	switch err {
	case errSyntax, errDepth, errDuplicate, errType:
		return malformedBody(err.Error())
	}
	return err
}

// readSecretSet reads SecretSetParameters.
func readSecretSet(data []byte) (vault.SecretInput, error) {
	var d description
	var value *string
	err := readObject(data, func(r *reader, name string) error {
		if name == "value" {
			return property(name, func() error { return readString(r, &value) })
		}
		return d.member(r, name)
	})
	if err != nil {
		return vault.SecretInput{}, wire(err)
	}
	if value == nil {
		return vault.SecretInput{}, invalidProperty("value", "is required")
	}
	in := vault.SecretInput{Value: *value, Enabled: d.enabled, NotBefore: d.notBefore, Expires: d.expires, Tags: d.tags}
	if d.contentType != nil {
		in.ContentType = *d.contentType
	}
	return in, nil
}

// readSecretUpdate reads SecretUpdateParameters.
func readSecretUpdate(data []byte) (vault.SecretPatch, error) {
	var d description
	if err := readObject(data, d.member); err != nil {
		return vault.SecretPatch{}, wire(err)
	}
	return vault.SecretPatch{ContentType: d.contentType, Enabled: d.enabled, NotBefore: d.notBefore, Expires: d.expires,
		Tags: d.tags}, nil
}

// readRestore reads SecretRestoreParameters.
func readRestore(data []byte) (string, error) {
	var value *string
	err := readObject(data, func(r *reader, name string) error {
		if name == "value" {
			return property(name, func() error { return readString(r, &value) })
		}
		return r.skip()
	})
	if err != nil {
		return "", wire(err)
	}
	if value == nil {
		return "", invalidProperty("value", "is required")
	}
	return *value, nil
}
