package keyvault

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// A skip token is the cursor of a list, sealed under the vault's key for the
// one list it belongs to. It tells its holder nothing, works nowhere else,
// and one that nobody here made does not open.

// maxSkipToken bounds a token that a client sends back.
const maxSkipToken = 1024

// listID names the list: the path, without the letter case of names.
func (x *exchange) listID() string {
	return "skiptoken" + strings.ToLower(strings.Replace(x.target.route.Pattern, "{name}", x.target.name, 1))
}

// cursor opens the client's skip token; "" is the first page.
func (x *exchange) cursor() (string, error) {
	token := x.query.skipToken
	if token == "" {
		return "", nil
	}
	if len(token) > maxSkipToken {
		return "", invalidSkipToken
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return "", invalidSkipToken
	}
	plain, err := x.grant.Key().Open(x.listID(), sealed)
	if err != nil {
		return "", invalidSkipToken
	}
	return string(plain), nil
}

// appendNextLink writes the URL of the next page, or null.
func (x *exchange) appendNextLink(b []byte, next string, limit int) []byte {
	if next == "" {
		return append(b, "null"...)
	}
	link := x.base
	if !strings.Contains(x.family.VaultSuffix(), ":") {
		link += ":443"
	}
	path := strings.Replace(x.target.route.Pattern, "{name}", x.target.name, 1)
	token := base64.RawURLEncoding.EncodeToString(x.grant.Key().Seal(x.listID(), []byte(next)))
	link += path + "?api-version=" + x.query.apiVersion + "&$skiptoken=" + token
	if x.query.maxResults != "" {
		link += "&maxresults=" + strconv.Itoa(limit)
	}
	if x.includePending() {
		link += "&includePending=true"
	}
	return appendJSON(b, link)
}
