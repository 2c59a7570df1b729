package keyvault

import (
	"net/http"
	"strconv"

	"postern/internal/vault"
)

// maxActions bounds what is read of a rotation policy; it may have two
// actions.
const maxActions = 8

// getRotationPolicy is GetKeyRotationPolicy of the specification.
func getRotationPolicy(x *exchange, b []byte) ([]byte, int, error) {
	o, p, err := x.keys().RotationPolicy(x.request.Context(), x.target.name)
	if err != nil {
		return b, 0, err
	}
	return x.appendRotationPolicy(b, o.Name, &p), http.StatusOK, nil
}

// setRotationPolicy is UpdateKeyRotationPolicy of the specification.
func setRotationPolicy(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	p, err := readRotationPolicy(data)
	if err != nil {
		return b, 0, err
	}
	o, p, err := x.keys().SetRotationPolicy(x.request.Context(), x.target.name, p)
	if err != nil {
		return b, 0, err
	}
	return x.appendRotationPolicy(b, o.Name, &p), http.StatusOK, nil
}

// appendRotationPolicy writes KeyRotationPolicy. One that nobody set has no
// id and no attributes (recorded answers).
func (x *exchange) appendRotationPolicy(b []byte, name string, p *vault.RotationPolicy) []byte {
	b = append(b, '{')
	if p.Created != 0 {
		b = append(appendJSON(append(b, `"id":`...), x.objectID(name, "rotationpolicy")), ',')
	}
	b = append(b, `"lifetimeActions":[`...)
	for i, a := range p.Actions {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"trigger":{`...)
		if a.AfterCreate != "" {
			b = appendJSON(append(b, `"timeAfterCreate":`...), a.AfterCreate)
		} else {
			b = appendJSON(append(b, `"timeBeforeExpiry":`...), a.BeforeExpiry)
		}
		b = append(appendJSON(append(b, `},"action":{"type":`...), a.Type), "}}"...)
	}
	b = append(b, `],"attributes":`...)
	if p.Created == 0 {
		return append(b, "null}"...)
	}
	b = append(b, '{')
	if p.ExpiryTime != "" {
		b = append(appendJSON(append(b, `"expiryTime":`...), p.ExpiryTime), ',')
	}
	b = strconv.AppendInt(append(b, `"created":`...), p.Created, 10)
	b = strconv.AppendInt(append(b, `,"updated":`...), p.Updated, 10)
	return append(b, "}}"...)
}

// readRotationPolicy reads KeyRotationPolicy. What it may say is for package
// vault to judge.
func readRotationPolicy(data []byte) (vault.RotationPolicy, error) {
	var p vault.RotationPolicy
	err := readObject(data, func(r *reader, name string) error {
		switch name {
		case "lifetimeActions":
			return property(name, func() error { return readActions(r, &p) })
		case "attributes":
			return property(name, func() error {
				return members(r, map[string]*string{"expiryTime": &p.ExpiryTime})
			})
		}
		return r.skip()
	})
	return p, wire(err)
}

func readActions(r *reader, p *vault.RotationPolicy) error {
	if r.null() {
		return nil
	}
	return r.array(func(r *reader) error {
		if len(p.Actions) == maxActions {
			return invalidProperty("lifetimeActions", "has too many actions")
		}
		var a vault.RotationAction
		err := r.object(func(r *reader, name string) error {
			switch name {
			case "trigger":
				return property(name, func() error {
					return members(r, map[string]*string{"timeAfterCreate": &a.AfterCreate, "timeBeforeExpiry": &a.BeforeExpiry})
				})
			case "action":
				return property(name, func() error { return members(r, map[string]*string{"type": &a.Type}) })
			}
			return r.skip()
		})
		p.Actions = append(p.Actions, a)
		return err
	})
}

// members reads an object of texts; null is none, and so is a text that is
// null.
func members(r *reader, to map[string]*string) error {
	if r.null() {
		return nil
	}
	return r.object(func(r *reader, name string) error {
		into, ok := to[name]
		if !ok || r.null() {
			if ok {
				return nil
			}
			return r.skip()
		}
		return property(name, func() (err error) {
			*into, err = r.string()
			return err
		})
	})
}
