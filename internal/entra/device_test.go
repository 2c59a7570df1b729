package entra

import (
	"fmt"
	"html"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

const azClient = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

// page sends the form, or gets the page without one, and returns status and
// what a person reads.
func page(t testing.TB, h *login, cookie string, form ...string) (status int, text, guard, set string) {
	t.Helper()
	r := get(publicLogin + "/common/oauth2/deviceauth")
	if form != nil {
		r = post(publicLogin+"/common/oauth2/deviceauth", form...)
	}
	if cookie != "" {
		r.Header.Set("Cookie", guardCookie+"="+cookie)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Content-Type": "text/html; charset=utf-8"} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("the page's %s = %q, want %q", name, got, want)
		}
	}
	for _, want := range []string{"HttpOnly", "Secure", "SameSite=Strict", "Path=/"} {
		if got := rec.Header().Get("Set-Cookie"); !strings.Contains(got, want) {
			t.Errorf("the cookie is %q, without %s", got, want)
		}
	}
	text = html.UnescapeString(rec.Body.String())
	if m := regexp.MustCompile(`name="guard" value="([^"]+)"`).FindStringSubmatch(text); m != nil {
		guard = m[1]
	}
	set, _, _ = strings.Cut(strings.TrimPrefix(rec.Header().Get("Set-Cookie"), guardCookie+"="), ";")
	return rec.Code, text, guard, set
}

// terminal is a client that waits for somebody to sign in.
type terminal struct {
	t              testing.TB
	w              *world
	h              *login
	code, userCode string
}

func newTerminal(t testing.TB, w *world, h *login) *terminal {
	t.Helper()
	status, body := ask(t, h, post(publicLogin+"/organizations/oauth2/v2.0/devicecode", "client_id", azClient, "scope", vaultAudience+"/.default offline_access openid profile"))
	if status != 200 || body["verification_uri"] != publicLogin+"/common/oauth2/deviceauth" || body["interval"] != 5.0 || body["expires_in"] != 900.0 {
		t.Fatalf("devicecode = %d %v", status, body)
	}
	return &terminal{t, w, h, body["device_code"].(string), body["user_code"].(string)}
}

func (x *terminal) poll() (int, map[string]any) {
	return ask(x.t, x.h, post(publicLogin+"/organizations/oauth2/v2.0/token", "grant_type", grantDevice, "client_id", azClient, "device_code", x.code))
}

// TestDeviceCode: a terminal waits, a person approves, the terminal gets its
// tokens once, and refreshes them until the sessions are revoked.
func TestDeviceCode(t *testing.T) {
	w := newWorld(t)
	h := w.Login(testName, quiet).(*login)
	e, ctx := w.Edit(nil), t.Context()
	ann := must(e.CreateUser(ctx, w.home.ID, "ann@home.example", "Ann", "correct horse"))(t)
	x := newTerminal(t, w, h)
	for i, want := range []string{"authorization_pending", "slow_down"} {
		if _, body := x.poll(); body["error"] != want {
			t.Errorf("poll %d = %v, want %s", i, body["error"], want)
		}
	}
	_, _, guard, cookie := page(t, h, "")
	status, text, guard, cookie := page(t, h, cookie, "guard", guard, "code", strings.ToLower(x.userCode[:4]+"-"+x.userCode[4:]))
	if status != 200 || !strings.Contains(text, "Microsoft Azure CLI") || !strings.Contains(text, "192.0.2.1") {
		t.Fatalf("after the code = %d %s", status, text)
	}
	status, text, guard, cookie = page(t, h, cookie, "guard", guard, "code", x.userCode, "answer", "approve", "username", "ann@home.example", "password", "wrong horse")
	if status != 401 || !strings.Contains(text, "password is wrong") {
		t.Fatalf("a wrong password = %d %s", status, text)
	}
	status, text, _, _ = page(t, h, cookie, "guard", guard, "code", x.userCode, "answer", "approve", "username", "ANN@home.example", "password", "correct horse")
	if status != 200 || !strings.Contains(text, "You have signed in to Microsoft Azure CLI.") {
		t.Fatalf("approve = %d %s", status, text)
	}
	_, body := x.poll()
	token, _ := body["access_token"].(string)
	id := w.Verifier([]string{vaultAudience}).Verify("Bearer " + token)
	if id.Token != valid || !id.User || id.Object != ann.Object || id.UPN != "ann@home.example" || id.AppID != azClient {
		t.Fatalf("the token = %v of %+v (%v)", id.Token, id, body)
	}
	if again, body := x.poll(); again != 400 || body["error"] != "bad_verification_code" {
		t.Errorf("a second time = %d %v", again, body)
	}
	identity, _ := body["id_token"].(string)
	for _, audience := range []string{vaultAudience, azClient} {
		if got := w.Verifier([]string{audience}).Verify("Bearer " + identity).Token; got == valid {
			t.Errorf("the identity token is an access token for %s", audience)
		}
	}
	refresh := func(token, client string) (int, int) {
		status, body := ask(t, h, post(publicLogin+"/organizations/oauth2/v2.0/token", "grant_type", "refresh_token", "client_id", client, "refresh_token", token, "scope", graphURL+"/.default offline_access"))
		return status, code(body)
	}
	held := body["refresh_token"].(string)
	other := must(e.CreateApplication(ctx, w.home.ID, "other", true, ann.Object))(t)
	for _, row := range []struct {
		name, token, client string
		want                int
	}{
		{"good", held, azClient, 0},
		{"again", held, azClient, 0},
		{"another client", held, other.App.String(), 9002313},
		{"cut", held[:len(held)-2], azClient, 9002313},
		{"empty", "", azClient, 9002313},
		{"an access token", token, azClient, 9002313},
	} {
		if _, got := refresh(row.token, row.client); got != row.want {
			t.Errorf("refresh: %s = AADSTS%d, want AADSTS%d", row.name, got, row.want)
		}
	}
	if err := e.Revoke(ctx, ann.Object); err != nil {
		t.Fatal(err)
	}
	if _, got := refresh(held, azClient); got != 50173 {
		t.Errorf("refresh after revocation = AADSTS%d, want AADSTS50173", got)
	}
}

// TestDevicePage: what the page refuses, and what ends.
func TestDevicePage(t *testing.T) {
	w := newWorld(t)
	h := w.Login(testName, quiet).(*login)
	must(w.Edit(nil).CreateUser(t.Context(), w.home.ID, "ann@home.example", "Ann", "correct horse"))(t)
	x := newTerminal(t, w, h)
	_, _, guard, cookie := page(t, h, "")
	for _, row := range []struct {
		name, cookie string
		form         []string
		status       int
	}{
		{"no cookie", "", []string{"guard", guard, "code", x.userCode}, 403},
		{"no guard", cookie, []string{"code", x.userCode}, 403},
		{"another guard", cookie, []string{"guard", guard + "x", "code", x.userCode}, 403},
		{"wrong code", cookie, []string{"guard", guard, "code", "BBBBBBBBB"}, 400},
		{"code as markup", cookie, []string{"guard", guard, "code", "<script>"}, 400},
		{"nobody", cookie, []string{"guard", guard, "code", x.userCode, "answer", "approve", "username", "x", "password", "y"}, 401},
		{"application", cookie, []string{"guard", guard, "code", x.userCode, "answer", "approve", "username", w.alice.App.String(), "password", w.secret}, 401},
	} {
		if status, text, _, _ := page(t, h, row.cookie, row.form...); status != row.status || strings.Contains(text, "<script>") {
			t.Errorf("%s = %d, want %d", row.name, status, row.status)
		}
	}
	if status, _, _, _ := page(t, h, cookie, "guard", guard, "code", x.userCode, "answer", "deny"); status != 200 {
		t.Errorf("deny = %d", status)
	}
	if _, body := x.poll(); body["error"] != "authorization_declined" {
		t.Errorf("after denying = %v", body["error"])
	}
	x = newTerminal(t, w, h)
	for i := range maxFailures + 1 {
		status, _, _, _ := page(t, h, cookie, "guard", guard, "code", x.userCode, "answer", "approve", "username", "ann@home.example", "password", fmt.Sprint("wrong horse ", i))
		if want := map[bool]int{false: 401, true: 429}[i == maxFailures]; status != want {
			t.Errorf("wrong password %d = %d, want %d", i, status, want)
		}
	}
	w.clock.add(deviceLife)
	if _, body := x.poll(); body["error"] != "expired_token" {
		t.Errorf("after a quarter of an hour = %v", body["error"])
	}
	if status, _, _, _ := page(t, h, cookie, "guard", guard, "code", x.userCode); status != 400 {
		t.Errorf("the code after a quarter of an hour = %d", status)
	}
	for _, row := range []struct {
		name string
		form []string
		want int
	}{
		{"no client", []string{"scope", vaultAudience + "/.default"}, 900144},
		{"unknown client", []string{"client_id", w.home.ID.String(), "scope", vaultAudience + "/.default"}, 700016},
		{"no scope", []string{"client_id", azClient}, 900144},
		{"unknown resource", []string{"client_id", azClient, "scope", "https://x.example/.default"}, 500011},
	} {
		if _, body := ask(t, h, post(publicLogin+"/common/oauth2/v2.0/devicecode", row.form...)); code(body) != row.want {
			t.Errorf("devicecode, %s = AADSTS%d, want AADSTS%d", row.name, code(body), row.want)
		}
	}
}

// TestDevicesAreBounded: when too many wait, no more are let in until some
// have run out.
func TestDevicesAreBounded(t *testing.T) {
	d := &devices{}
	for i := range maxDevices + 1 {
		if got := d.add(fmt.Sprint(i), &device{userCode: fmt.Sprint(i), until: start.Add(time.Minute)}, start); got != (i < maxDevices) {
			t.Fatalf("device %d = %v", i, got)
		}
	}
	if !d.add("x", &device{userCode: "x", until: start.Add(time.Hour)}, start.Add(time.Minute)) || len(d.byCode) != 1 || len(d.byUser) != 1 {
		t.Errorf("after a minute %d wait", len(d.byCode))
	}
}
