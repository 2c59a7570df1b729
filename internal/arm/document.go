package arm

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// Document is the ARM document of a resource, to read or to change: a copy.
// A document that cannot be read is an empty one.
func Document(res *estate.Resource) *ordered.Object {
	o, err := ordered.ParseObject(res.Body, 2*MaxDepth)
	if err != nil {
		return &ordered.Object{}
	}
	return o
}

// Limits of tags (documentation: tag resources).
const (
	maxTags     = 50
	maxTagName  = 512
	maxTagValue = 256
)

// Tags reads the member tags of a body: an object of strings. A body without
// tags has nil; null is an empty object.
func Tags(body *ordered.Object) (map[string]string, error) {
	v, ok := body.Get("tags")
	if !ok {
		return nil, nil
	}
	tags := map[string]string{}
	if v == nil {
		return tags, nil
	}
	o, ok := v.(*ordered.Object)
	if !ok {
		return nil, fault.New(http.StatusBadRequest, "InvalidRequestContent", "The property 'tags' must be an object of strings.")
	}
	if o.Len() > maxTags {
		return nil, fault.New(http.StatusBadRequest, "InvalidTags", "The number of tags is %d, which exceeds the maximum of %d.", o.Len(), maxTags)
	}
	for _, m := range o.Members() {
		value, ok := m.Value.(string)
		if !ok {
			return nil, fault.New(http.StatusBadRequest, "InvalidRequestContent", "The property 'tags' must be an object of strings.")
		}
		if m.Name == "" || len(m.Name) > maxTagName || len(value) > maxTagValue || strings.ContainsAny(m.Name, `<>%&\?/`) {
			return nil, fault.New(http.StatusBadRequest, "InvalidTagNameCharacters", "The tag names '%s' have reserved characters"+
				` '<,>,%%,&,\,?,/' or control characters, or a name or value is longer than %d or %d characters.`, m.Name, maxTagName, maxTagValue)
		}
		tags[m.Name] = value
	}
	return tags, nil
}

// TagObject is tags as they are written into a document: in the order of
// their names.
func TagObject(tags map[string]string) *ordered.Object {
	names := make([]string, 0, len(tags))
	for name := range tags {
		names = append(names, name)
	}
	sort.Strings(names)
	o := &ordered.Object{}
	for _, name := range names {
		o.Set(name, tags[name])
	}
	return o
}

// SystemData is who made and last changed a resource (common types v5).
func (c *Call) SystemData(before *ordered.Object) *ordered.Object {
	by, kind := c.Caller.App.String(), "Application"
	if c.Caller.User {
		by, kind = c.Caller.UPN, "User"
	}
	at := c.Now.UTC().Format("2006-01-02T15:04:05.0000000Z")
	o := before.Clone()
	if o == nil {
		o = ordered.New(ordered.Member{Name: "createdBy", Value: by}, ordered.Member{Name: "createdByType", Value: kind},
			ordered.Member{Name: "createdAt", Value: at})
	}
	o.Set("lastModifiedBy", by)
	o.Set("lastModifiedByType", kind)
	o.Set("lastModifiedAt", at)
	return o
}

// maxPage bounds $top, and is its default.
const maxPage = 1000

// Page cuts a list of items, which is sorted by key, to what $top and
// $skiptoken ask for, and makes the answer with its nextLink.
func Page[T any](c *Call, items []T, key func(T) string) (*Answer, error) {
	top := maxPage
	if s := c.Param("$top"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fault.New(http.StatusBadRequest, "InvalidTopQueryParameter", "The value '%.40s' of $top is not a positive number.", s)
		}
		top = min(n, maxPage)
	}
	if token := c.Param("$skiptoken"); token != "" {
		after, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, fault.New(http.StatusBadRequest, "InvalidSkipToken", "The $skiptoken is not one of this list.")
		}
		items = items[sort.Search(len(items), func(i int) bool { return key(items[i]) > string(after) }):]
	}
	body := page[T]{Value: items}
	if len(items) > top {
		body.Value = items[:top]
		body.Next = c.nextLink(key(items[top-1]))
	}
	if body.Value == nil {
		body.Value = []T{}
	}
	return OK(body), nil
}

// nextLink is the absolute URL of the next page: the same request with a
// token.
func (c *Call) nextLink(after string) string {
	q := maps.Clone(c.Query)
	q.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(after)))
	return c.URL(join(c.path)) + "?" + q.Encode()
}

// URL is an absolute URL of the management host by which the request came.
func (c *Call) URL(path string) string {
	return c.Family.ManagementURL() + (&url.URL{Path: path}).EscapedPath()
}

// page is the body that Page makes.
type page[T any] struct {
	Value []T    `json:"value"`
	Next  string `json:"nextLink,omitempty"`
}

// MapPage is the answer of Page with every item turned into its body: only
// the items of the page are.
func MapPage[T, U any](a *Answer, body func(T) U) *Answer {
	from, ok := a.Body.(page[T])
	if !ok {
		return a
	}
	to := page[U]{Value: make([]U, len(from.Value)), Next: from.Next}
	for i, item := range from.Value {
		to.Value[i] = body(item)
	}
	return OK(to)
}
