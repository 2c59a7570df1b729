package operator

import (
	"errors"
	"net/http"
	"net/netip"
)

// Place is a place on the network by its name, and what a connection from
// there says of itself in its PROXY header.
type Place struct {
	// Where is what was asked for, Title what it was found to be.
	Where string `json:"where"`
	Title string `json:"title"`
	// Source is the address that a client has there, Destination the one
	// that it dials; invalid for the public one.
	Source      netip.Addr `json:"source"`
	Destination netip.Addr `json:"destination,omitzero"`
	// Link, Subnet, Service and Perimeter are as in perimeter.Hop.
	Link      uint32 `json:"link,omitempty"`
	Subnet    string `json:"subnet,omitempty"`
	Service   string `json:"service,omitempty"`
	Perimeter string `json:"perimeter,omitempty"`
	// Resolves tells whether names mean there what the place's own DNS says:
	// Ways tells what.
	Resolves bool `json:"resolves,omitempty"`
	// Notes say what somebody should know who looks from there.
	Notes []string `json:"notes,omitempty"`
}

// Places asks for places by their names.
type Places struct {
	Where []string `json:"where"`
}

// Found is the places that were asked for, and the hosts besides the
// server's own that a CONNECT proxy carries.
type Found struct {
	Places      []*Place `json:"places"`
	PassThrough []string `json:"passThrough,omitempty"`
}

// maxPlaces bounds one question.
const maxPlaces = 256

func (a *api) places(_ *http.Request, in Places) (any, error) {
	if len(in.Where) > maxPlaces {
		return nil, wrong(http.StatusBadRequest, "", "more than %d places", maxPlaces)
	}
	found := Found{Places: []*Place{}, PassThrough: a.PassThrough()}
	for _, name := range in.Where {
		p, err := a.Place(name)
		if err != nil {
			var told *Error
			if errors.As(err, &told) {
				return nil, told
			}
			return nil, wrong(http.StatusNotFound, "", "%v", err)
		}
		found.Places = append(found.Places, p)
	}
	return found, nil
}

// Way asks where a host leads, for a client at a place.
type Way struct {
	Source netip.Addr `json:"source"`
	// Subnet is the Key of the subnet, where the place was named by it.
	Subnet string `json:"subnet,omitempty"`
	Host   string `json:"host"`
}

// Lead is where a host leads: to the address of a private endpoint, to the
// public address (an invalid Address), or nowhere, and why.
type Lead struct {
	Address netip.Addr `json:"address,omitzero"`
	Lost    string     `json:"lost,omitempty"`
}

func (a *api) way(_ *http.Request, in Way) (any, error) {
	if !in.Source.IsValid() || len(in.Host) > 255 {
		return nil, wrong(http.StatusBadRequest, "", "a way needs a source and a host")
	}
	return a.Way(in), nil
}
