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
	// that it dials ("0.0.0.0:443" or "[::]:443" for any).
	Source      netip.AddrPort `json:"source"`
	Destination netip.AddrPort `json:"destination"`
	// Link, Subnet, Service and Perimeter are as in perimeter.Hop.
	Link      uint32 `json:"link,omitempty"`
	Subnet    string `json:"subnet,omitempty"`
	Service   string `json:"service,omitempty"`
	Perimeter string `json:"perimeter,omitempty"`
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
