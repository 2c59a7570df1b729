// Package fault is the one error type that an answer can be made of.
//
// A handler returns an *Error; the plane it belongs to encodes it in its own
// form (KeyVault, ARM, OAuth). Any other error becomes a 500 whose text
// stays in the log: Of does that.
package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Error is a refusal or a failure as the client will see it, and, apart from
// that, what caused it.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is the service's word for it ("Forbidden", "SecretNotFound").
	Code string
	// Inner is the code of the inner error of the data plane; "" for none.
	Inner string
	// Message is what the service says, byte for byte where it is known.
	Message string
	// Header is added to the answer; nil for none.
	Header http.Header
	// Hint tells a person what to do next. It is shown by postern's own
	// commands and log, never on the wire.
	Hint string
	// Cause is kept for the log alone.
	Cause error
}

// Error is the code and the message, then the cause.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return e.Code + ": " + e.Message
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New is an Error with a formatted message.
func New(status int, code, format string, args ...any) *Error {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return &Error{Status: status, Code: code, Message: format}
}

// WithInner is a copy with the inner code set.
func (e *Error) WithInner(code string) *Error { next := *e; next.Inner = code; return &next }

// WithHint is a copy with the hint set.
func (e *Error) WithHint(hint string) *Error { next := *e; next.Hint = hint; return &next }

// Because is a copy with the cause set.
func (e *Error) Because(cause error) *Error { next := *e; next.Cause = cause; return &next }

// Of finds the *Error in err; any other error becomes a 500 that says
// nothing of it.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Status: http.StatusInternalServerError, Code: "InternalServerError",
		Message: "An internal error occurred; the server's log has it under this answer's x-ms-request-id.", Cause: err}
}

type inner struct {
	Code string `json:"code"`
}

type body struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	InnerError *inner `json:"innererror,omitempty"`
}

type envelope struct {
	Error body `json:"error"`
}

// KeyVault is the body of the data plane:
// {"error":{"code","message","innererror":{"code"}}} (spec: KeyVaultError).
func (e *Error) KeyVault() []byte {
	b := body{Code: e.Code, Message: e.Message}
	if e.Inner != "" {
		b.InnerError = &inner{e.Inner}
	}
	return encode(envelope{b})
}

// ARM is the body of the control plane: {"error":{"code","message"}}
// (spec: CloudError).
func (e *Error) ARM() []byte { return encode(envelope{body{Code: e.Code, Message: e.Message}}) }

// OAuth is the body of the token endpoint: {"error","error_description"}
// (RFC 6749 §5.2).
func (e *Error) OAuth() []byte {
	return encode(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{e.Code, e.Message})
}

// encode writes compact JSON without escaping <, > and &, as the service
// does.
func encode(v any) []byte {
	out, err := marshal(v)
	if err != nil {
		panic("fault: internal error: " + err.Error())
	}
	return out
}

func marshal(v any) ([]byte, error) {
	var buf writer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return buf[:len(buf)-1], nil
}

type writer []byte

func (w *writer) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }
