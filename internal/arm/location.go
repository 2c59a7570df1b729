package arm

import (
	"net/http"

	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
	"postern/internal/region"
)

// Location is where a resource of a type is to be, by its short name: as the
// request says, which a resource that is there (old; nil for none) does not
// let be changed. The texts are those of Resource Manager.
func (c *Call) Location(typ string, sent *ordered.Object, old *estate.Resource) (string, error) {
	name := sent.Text("location")
	known, ok := region.Find(name)
	switch {
	case old != nil && name != "" && !region.Same(name, old.Location):
		return "", fault.New(http.StatusConflict, "InvalidResourceLocation", "The resource '%s' already exists in location '%s' in resource"+
			" group '%s'. A resource with the same name cannot be created in location '%.80s'. Please select a new resource name.",
			old.Name, old.Location, c.Vars["group"], name)
	case old != nil:
		return old.Location, nil
	case name == "":
		return "", fault.New(http.StatusBadRequest, "LocationRequired", "The location property is required for this definition.")
	case !ok:
		return "", fault.New(http.StatusBadRequest, "LocationNotAvailableForResourceType", "The provided location '%.80s' is not available for"+
			" resource type '%s'. List of available regions for the resource type is '%s'.", name, typ, region.List())
	}
	return known.Name, nil
}
