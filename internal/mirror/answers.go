package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"encoding/json"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// answered reports whether an error is an answer of this status.
func answered(err error, status int) bool {
	var e *azcore.ResponseError
	return errors.As(err, &e) && e.StatusCode == status
}

// brief is an error in one line: of an answer, what the service said.
func brief(err error) error {
	var e *azcore.ResponseError
	if !errors.As(err, &e) {
		return err
	}
	text := e.ErrorCode
	if e.RawResponse != nil && e.RawResponse.Body != nil {
		data, readErr := io.ReadAll(io.LimitReader(e.RawResponse.Body, 64<<10))
		var body struct {
			Error struct{ Code, Message string }
		}
		if readErr == nil && json.Unmarshal(data, &body) == nil && body.Error.Message != "" {
			first, _, _ := strings.Cut(body.Error.Message, "\r\n")
			text = first
		}
	}
	return fmt.Errorf("%d %s: %s", e.StatusCode, http.StatusText(e.StatusCode), printable(text))
}

// The service may take its time after a deletion or a recovery; so long it
// is asked again.
const (
	patience = 2 * time.Minute
	pause    = time.Second
)

// until asks again while there is no such object.
func until(ctx context.Context, ask func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if !answered(err, http.StatusNotFound) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// equalTags compares tags; none and an empty list are the same.
func equalTags(a, b map[string]*string) bool {
	if len(a) != len(b) {
		return false
	}
	for name, value := range a {
		other, ok := b[name]
		if !ok || deref(value) != deref(other) {
			return false
		}
	}
	return true
}

// tagsOf are the tags to write: an empty list takes away what is there.
func tagsOf(tags map[string]*string) map[string]*string {
	if tags == nil {
		return map[string]*string{}
	}
	return tags
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func equalTimes(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Equal(*b)
}

// cleared reports whether a date that is there would have to go: an update
// can set one, and not take it away.
func cleared(from, to *time.Time) bool { return from == nil && to != nil }
