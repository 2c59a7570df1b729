package cli

import "errors"

// exitError is an error with the exit code it leads to, and what to do
// about it. A nil err says nothing to the user: the results said it.
type exitError struct {
	code int
	err  error
	hint string
}

// Error implements error.
func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap is the error itself.
func (e *exitError) Unwrap() error { return e.err }

// usage is an error of the command line or of what it names.
func usage(err error, hint string) error { return &exitError{ExitUsage, err, hint} }

// failure is any other error.
func failure(err error, hint string) error { return &exitError{ExitFindings, err, hint} }

// silent is an exit code that needs no words.
func silent(code int) error { return &exitError{code: code} }

// hintOf finds what to do about an error.
func hintOf(err error) string {
	var e *exitError
	if errors.As(err, &e) {
		return e.hint
	}
	return ""
}
