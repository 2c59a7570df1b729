package arm

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// NotFound is the answer for a resource of a group that does not exist; what
// is its type and name: "Microsoft.KeyVault/vaults/kv".
func NotFound(group, what string) error {
	return fault.New(http.StatusNotFound, "ResourceNotFound", "The Resource '%s' under resource group '%s' was not found."+
		" For more details please go to https://aka.ms/ARMResourceNotFoundFix", what, group)
}

// NewID is the id of a new resource of the group that the path names: in the
// spelling of the group.
func NewID(c *Call, s *estate.Snapshot, typ, name string) string {
	group := GroupID(c.Vars["subscription"], c.Vars["group"])
	if res, ok := s.Resource(group); ok {
		group = res.ID
	}
	return group + "/providers/" + typ + "/" + name
}

// Resources is a page of resources, which are in the order of their ids.
func Resources(c *Call, list []*estate.Resource, body func(*estate.Resource) *ordered.Object) (*Answer, error) {
	answer, err := Page(c, list, func(r *estate.Resource) string { return estate.Key(r.ID) })
	if err != nil {
		return nil, err
	}
	return MapPage(answer, body), nil
}

// ETag is the etag of a document: a GUID that says what is in it.
func ETag(doc *ordered.Object) string {
	plain := doc.Clone()
	plain.Delete("etag")
	sum := sha256.Sum256(plain.Bytes())
	id := hex.EncodeToString(sum[:16])
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// Precondition honours If-None-Match: * and If-Match; old is what is there,
// nil for nothing, and what names it in the answer ("Zone a.example").
func (c *Call) Precondition(old *estate.Resource, what string) error {
	header := func(name string) string {
		return strings.Trim(strings.TrimPrefix(strings.TrimSpace(c.Request.Header.Get(name)), "W/"), `"`)
	}
	if header("If-None-Match") == "*" && old != nil {
		return fault.New(http.StatusPreconditionFailed, "PreconditionFailed", "The %s exists already and hence cannot be created again.", what)
	}
	match := header("If-Match")
	if match == "" || old != nil && (match == "*" || match == Document(old).Text("etag")) {
		return nil
	}
	return fault.New(http.StatusPreconditionFailed, "PreconditionFailed", "The %s has been modified (etag mismatch).", what)
}
