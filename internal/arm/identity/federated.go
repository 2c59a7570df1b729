package identity

import (
	"errors"
	"net/http"

	"postern/internal/arm"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// findFederated finds the credential that the path names, and the identity
// above it.
func findFederated(c *arm.Call, s *estate.Snapshot) (above, res *estate.Resource, err error) {
	if above, err = find(c, s); err != nil {
		return nil, nil, err
	}
	res, ok := s.Resource(above.ID + "/federatedIdentityCredentials/" + c.Vars["credential"])
	if !ok {
		return above, nil, arm.NotFound(c.Vars["group"], Type+"/"+c.Vars["identity"]+"/federatedIdentityCredentials/"+c.Vars["credential"])
	}
	return above, res, nil
}

// putFederated makes a federated credential (201) or replaces it (200).
func putFederated(c *arm.Call) (*arm.Answer, error) {
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	props := sent.Object("properties")
	if props.Has("claimsMatchingExpression") {
		return nil, fault.New(http.StatusBadRequest, "BadRequest", "The property 'claimsMatchingExpression' is not supported by this server.")
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		above, old, err := findFederated(c, s)
		if above == nil {
			return nil, err
		}
		status := http.StatusCreated
		next := &estate.Resource{ID: above.ID + "/federatedIdentityCredentials/" + c.Vars["credential"], Type: TypeFederated,
			Name: c.Vars["credential"], Created: c.Now}
		var before *ordered.Object
		if old != nil {
			status, next.ID, next.Name, next.Created = http.StatusOK, old.ID, old.Name, old.Created
			before = arm.Document(old).Object("systemData")
		}
		audiences, _ := props.Get("audiences")
		doc := ordered.New(ordered.Member{Name: "id", Value: next.ID}, ordered.Member{Name: "name", Value: next.Name},
			ordered.Member{Name: "type", Value: TypeFederated},
			ordered.Member{Name: "properties", Value: ordered.New(ordered.Member{Name: "issuer", Value: props.Text("issuer")},
				ordered.Member{Name: "subject", Value: props.Text("subject")}, ordered.Member{Name: "audiences", Value: audiences})},
			ordered.Member{Name: "systemData", Value: c.SystemData(before)})
		next.Body, next.Changed = doc.Bytes(), c.Now
		d.Put(next)
		if err := federate(c, s, d, above); err != nil {
			return nil, err
		}
		return &arm.Answer{Status: status, Body: doc}, nil
	})
}

// federate gives the principal of an identity the credentials that stand
// below the identity after the change.
func federate(c *arm.Call, s *estate.Snapshot, d *estate.Draft, above *estate.Resource) error {
	var list []entra.Federation
	seen := map[string]bool{}
	ids := []string{above.ID + "/federatedIdentityCredentials/" + c.Vars["credential"]}
	for _, child := range s.Under(above.ID, TypeFederated) {
		ids = append(ids, child.ID)
	}
	for _, id := range ids {
		res, ok := d.Resource(id)
		if !ok || seen[estate.Key(id)] {
			continue
		}
		seen[estate.Key(id)] = true
		list = append(list, federation(res))
	}
	m, err := c.Managed(d)
	if err != nil {
		return err
	}
	object, _ := Principal(above)
	if err = m.Federate(object, list); errors.Is(err, entra.ErrFederation) {
		return fault.New(http.StatusBadRequest, "BadRequest", "The federated credential is not valid: it has a name of 3 to 120 letters, digits,"+
			" hyphens and underscores, an https issuer, a subject and one audience; issuer and subject occur once in an identity, and an"+
			" identity has at most 20.")
	}
	return err
}

func federation(res *estate.Resource) entra.Federation {
	props := arm.Document(res).Object("properties")
	f := entra.Federation{ID: res.Name, Name: res.Name, Issuer: props.Text("issuer"), Subject: props.Text("subject")}
	audiences, _ := props.Get("audiences")
	list, _ := audiences.([]any)
	for _, a := range list {
		text, _ := a.(string)
		f.Audiences = append(f.Audiences, text)
	}
	return f
}

func getFederated(c *arm.Call) (*arm.Answer, error) {
	_, res, err := findFederated(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	return arm.OK(arm.Document(res)), nil
}

func allFederated(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	above, err := find(c, s)
	if err != nil {
		return nil, err
	}
	return arm.Resources(c, s.Under(above.ID, TypeFederated), arm.Document)
}

func dropFederated(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		above, res, err := findFederated(c, s)
		if err != nil {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		d.Delete(res.ID)
		return &arm.Answer{Status: http.StatusOK}, federate(c, s, d, above)
	})
}
