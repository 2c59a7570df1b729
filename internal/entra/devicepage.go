package entra

import (
	"crypto/subtle"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"

	"postern/access"
)

//go:embed device.html
var deviceHTML embed.FS

var deviceTemplate = template.Must(template.ParseFS(deviceHTML, "device.html"))

// guardCookie holds what the page's form repeats: another site can send the
// form, but neither read nor set the cookie (__Host-: RFC 6265bis §4.1.3.2).
const guardCookie = "__Host-device"

// devicePage is what the page shows.
type devicePage struct {
	Message, Guard, Code, Application, Client, Address string
	Done                                               bool
}

// deviceForm is GET …/oauth2/deviceauth: the page where people type the code.
func (l *login) deviceForm(_ *attempt, w http.ResponseWriter, r *http.Request) error {
	return l.showDevice(w, r, http.StatusOK, devicePage{})
}

// deviceApprove is POST …/oauth2/deviceauth: first the code, then who answers
// and how. Nothing of it ever stands in a URL.
func (l *login) deviceApprove(a *attempt, w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	cookie, err := r.Cookie(guardCookie)
	site := r.Header.Get("Sec-Fetch-Site")
	if err != nil || cookie.Value == "" || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(form.Get("guard"))) != 1 || site != "" && site != "same-origin" {
		return l.showDevice(w, r, http.StatusForbidden, devicePage{Message: "The page was open for too long, or the form came from elsewhere. Try again."})
	}
	code := userCodeOf(form.Get("code"))
	one, ok := l.devices.waiting(code, l.directory.now())
	if !ok {
		return l.showDevice(w, r, http.StatusBadRequest, devicePage{Message: "That code is wrong, or has expired."})
	}
	page := devicePage{Code: code, Application: one.name, Client: one.client.String(), Address: one.address}
	switch form.Get("answer") {
	case "":
		return l.showDevice(w, r, http.StatusOK, page)
	case "deny":
		l.devices.settle(code, deviceDenied, access.GUID{}, l.directory.now())
		return l.showDevice(w, r, http.StatusOK, devicePage{Message: "The request was denied.", Done: true})
	}
	p, ok, locked := l.devices.attempt(l.directory, form.Get("username"), form.Get("password"))
	switch {
	case locked:
		page.Message = "Too many wrong passwords. Wait a minute."
		return l.showDevice(w, r, http.StatusTooManyRequests, page)
	case !ok || !one.tenant.ID.IsZero() && p.Tenant != one.tenant.ID:
		page.Message = "User name or password is wrong."
		l.log.Info("sign-in refused", "client", one.client.String(), "trace", a.trace)
		return l.showDevice(w, r, http.StatusUnauthorized, page)
	case !l.devices.settle(code, deviceApproved, p.Object, l.directory.now()):
		return l.showDevice(w, r, http.StatusBadRequest, devicePage{Message: "That code has expired."})
	}
	l.log.Info("device approved", "user", p.Object.String(), "client", one.client.String(), "trace", a.trace)
	return l.showDevice(w, r, http.StatusOK, devicePage{Message: "You have signed in to " + one.name + ".", Done: true})
}

// userCodeOf is what people meant to type.
func userCodeOf(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, strings.ToUpper(clip(text)))
}

// showDevice writes the page, with a guard of its own.
func (l *login) showDevice(w http.ResponseWriter, _ *http.Request, status int, page devicePage) error {
	var b [32]byte
	if _, err := io.ReadFull(l.directory.random, b[:]); err != nil {
		return fmt.Errorf("making a guard: %w", err)
	}
	page.Guard = base64.RawURLEncoding.EncodeToString(b[:])
	var text strings.Builder
	if err := deviceTemplate.Execute(&text, page); err != nil {
		return fmt.Errorf("writing the page for devices: %w", err)
	}
	http.SetCookie(w, &http.Cookie{Name: guardCookie, Value: page.Guard, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text.String()) // a client that went away is no failure of ours
	return nil
}
