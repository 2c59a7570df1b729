package contract

import (
	"net/http"
	"strings"
	"testing"
)

// TestJudge shows that an answer which is not as the documents say is found.
func TestJudge(t *testing.T) {
	folder := shared(t)
	if folder == "" {
		return
	}
	tests := []struct {
		name   string
		status int
		body   string
		want   string // "" is that nothing is wrong
	}{
		{"as it should be", 200, `{"value":"x","id":"https://x/secrets/a/b","attributes":{"enabled":true,"created":1},"tags":{"a":"b"}}`, ""},
		{"a property that is not written down", 200, `{"value":"x","surplus":1}`, `property "surplus" is unsupported`},
		{"one deeper down", 200, `{"attributes":{"surplus":1}}`, `property "surplus" is unsupported`},
		{"a number for a text", 200, `{"value":1}`, "value must be a string"},
		{"a text for a number", 200, `{"attributes":{"exp":"1"}}`, "value must be an integer"},
		{"a tag that is no text", 200, `{"tags":{"a":1}}`, "value must be a string"},
		{"a word that is not in the list", 200, `{"attributes":{"recoveryLevel":"Full"}}`, "not one of the allowed values"},
		{"a status that is not in the document", 201, `{}`, "the status 201 is not in the document"},
		{"no JSON", 200, `x`, "invalid character"},
		{"an error", 404, `{"error":{"code":"a","message":"b","innererror":{"code":"c"}}}`, ""},
		{"an error of another form", 404, `{"error":{"why":"a"}}`, `property "why" is unsupported`},
	}
	for _, version := range versions {
		s, err := load(folder, version)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range tests {
			header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
			err := s.judge("GET", "/secrets/{name}/{version}", test.status, header, []byte(test.body))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: judge(%s) = %v, want %q", version, test.name, err, test.want)
			}
		}
	}
}
