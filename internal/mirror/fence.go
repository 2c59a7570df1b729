package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// A vault is trusted with its own objects and with nothing else: where it
// says a list goes on, how long that list is, what its objects are called and
// how large an answer is, is its word against these bounds.
const (
	maxPages  = 200_000 // five million objects
	maxName   = 127
	maxAnswer = 64 << 20 // a backup is the largest answer there is
	maxText   = 300      // of what a vault says of a failure
)

// fence lets requests through to one vault. The token of a request is for
// that vault, and a link in an answer does not carry it elsewhere.
type fence struct {
	host string
	next http.RoundTripper
}

// fenced is a client for one vault.
func fenced(address string, c *http.Client) (*http.Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a vault", address)
	}
	made := http.Client{}
	if c != nil {
		made = *c
	}
	next := made.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	made.Transport = &fence{u.Host, next}
	made.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &made, nil
}

// elsewhere is an error that another attempt does not mend.
type elsewhere struct{ error }

// NonRetriable tells the service's client so.
func (elsewhere) NonRetriable() {}

// RoundTrip sends the request if it goes to the vault.
func (f *fence) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.EqualFold(r.URL.Host, f.host) || r.URL.Scheme != "https" {
		return nil, elsewhere{fmt.Errorf("the vault leads to another host, %.100q, which is not asked", r.URL.Host)}
	}
	res, err := f.next.RoundTrip(r)
	if err == nil {
		res.Body = &bounded{res.Body, maxAnswer}
	}
	return res, err
}

// bounded is a body that ends with an error when it is too long.
type bounded struct {
	io.ReadCloser
	left int
}

// Read reads on within the bound.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, elsewhere{errors.New("the vault's answer is too long")}
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// entry is what the lists of all kinds say of an object.
type entry struct {
	name             string
	updated          *time.Time
	enabled, managed *bool
}

// roll reads a list to its end; of takes the entries out of a page.
func roll[P any](ctx context.Context, pager *azruntime.Pager[P], of func(P) []entry) ([]item, error) {
	var items []item
	for pages := 0; pager.More(); pages++ {
		if pages == maxPages {
			return nil, errors.New("the list does not end")
		}
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range of(page) {
			if !validName(e.name) {
				return nil, fmt.Errorf("the list has an object whose name is none, %.150q", e.name)
			}
			items = append(items, item{e.name, deref(e.updated), deref(e.enabled), deref(e.managed)})
		}
	}
	return items, nil
}

// validName reports whether an object can have the name.
func validName(name string) bool {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

// understood runs what reads answers. An answer without what every answer
// has, or with a challenge of another form, makes the service's client panic.
func understood(read func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(runtime.Error); !ok {
				panic(p)
			}
			err = errors.New("the vault's answer has another form than the service's")
		}
	}()
	return read()
}

// printable is a text of a vault that fits into a line.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}
