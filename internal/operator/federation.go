package operator

import (
	"cmp"

	"postern/internal/entra"
)

// exchange is the audience of federated tokens that Entra recommends.
const exchange = "api://AzureADTokenExchange"

func (d *direction) tellFederation(f entra.Federation) {
	d.out.Entries = append(d.out.Entries, Entry{Kind: "Federation", Name: f.Name, ID: f.ID, Detail: f.Issuer + " " + f.Subject})
}

func (d *direction) federate() error {
	object, err := d.holder()
	if err != nil {
		return err
	}
	f := entra.Federation{Name: d.in.Name, Issuer: d.in.Issuer, Subject: d.in.Subject, Audiences: []string{cmp.Or(d.in.Audience, exchange)}}
	return d.edit(func(e *entra.Editor) error {
		made, err := e.Federate(d.r.Context(), object, f)
		if err == nil {
			d.tellFederation(made)
		}
		return err
	})
}

func (d *direction) federations() error {
	object, err := d.holder()
	if err != nil {
		return err
	}
	_, _, list := d.Directory.Credentials(object)
	for _, f := range list {
		d.tellFederation(f)
	}
	return nil
}

func (d *direction) unfederate() error {
	object, err := d.holder()
	if err != nil {
		return err
	}
	return d.edit(func(e *entra.Editor) error { return e.Unfederate(d.r.Context(), object, d.in.ID) })
}

func (d *direction) setIssuer() error {
	k := entra.KnownIssuer{Issuer: d.in.Issuer, KeysURL: d.in.KeysURL, Keys: d.in.Keys}
	if err := d.edit(func(e *entra.Editor) error { return e.SetIssuer(d.r.Context(), k) }); err != nil {
		return err
	}
	return d.issuers()
}

func (d *direction) removeIssuer() error {
	return d.edit(func(e *entra.Editor) error { return e.RemoveIssuer(d.r.Context(), d.in.Issuer) })
}

func (d *direction) issuers() error {
	for _, k := range d.Directory.Issuers() {
		from := "keys by discovery"
		switch {
		case k.KeysURL != "":
			from = "keys from " + k.KeysURL
		case len(k.Keys) > 0:
			from = "keys from a file"
		}
		d.out.Entries = append(d.out.Entries, Entry{Kind: "Issuer", Name: k.Issuer, Detail: from})
	}
	return nil
}
