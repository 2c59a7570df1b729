package entra

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"postern/access"
)

// The device authorization grant (RFC 8628), by which people sign in at a
// terminal.
const (
	deviceLife     = 15 * time.Minute
	deviceInterval = 5 * time.Second
	maxDevices     = 4096
	// userCodeLetters are consonants without those that are mistaken for
	// others: codes spell no words (RFC 8628 §6.1).
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 9
)

// publicClients are the applications without a secret that every tenant has.
var publicClients = map[access.GUID]string{
	access.MustGUID("04b07795-8ddb-461a-bbee-02f9e1bf7b46"): "Microsoft Azure CLI",
	access.MustGUID("1950a258-227b-4e31-a9cf-717495945fc2"): "Microsoft Azure PowerShell",
}

// deviceState is how far a request has come.
type deviceState uint8

const (
	devicePending deviceState = iota
	deviceDenied
	deviceApproved
)

// device is one terminal that waits to be approved.
type device struct {
	userCode     string
	client       access.GUID
	name         string // the application's
	tenant       Tenant // zero for everyone's
	address      string // where the request came from
	audience     string
	until, asked time.Time
	state        deviceState
	object       access.GUID // who approved it
}

// devices are those that wait. They live in memory: a restart ends them.
type devices struct {
	mu     sync.Mutex
	byCode map[[sha256.Size]byte]*device // by the hash of the device code
	byUser map[string]*device
	// failures counts wrong passwords by user name; hashing lets one password
	// be checked at a time.
	failures map[string]*failure
	hashing  sync.Mutex
}

// failure is how often a user's password was wrong.
type failure struct {
	count int
	until time.Time
}

// add remembers a device, unless too many wait.
func (d *devices) add(code string, one *device, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byCode == nil {
		d.byCode, d.byUser, d.failures = map[[sha256.Size]byte]*device{}, map[string]*device{}, map[string]*failure{}
	}
	if len(d.byCode) >= maxDevices {
		for k, o := range d.byCode {
			if !now.Before(o.until) {
				delete(d.byCode, k)
				delete(d.byUser, o.userCode)
			}
		}
	}
	if len(d.byCode) >= maxDevices || d.byUser[one.userCode] != nil {
		return false
	}
	d.byCode[sha256.Sum256([]byte(code))], d.byUser[one.userCode] = one, one
	return true
}

// waiting is a copy of the device with a user code that still waits.
func (d *devices) waiting(userCode string, now time.Time) (device, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.byUser[userCode]
	if o == nil || o.state != devicePending || !now.Before(o.until) {
		return device{}, false
	}
	return *o, true
}

// settle ends the waiting of a device.
func (d *devices) settle(userCode string, state deviceState, object access.GUID, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.byUser[userCode]
	if o == nil || o.state != devicePending || !now.Before(o.until) {
		return false
	}
	o.state, o.object = state, object
	delete(d.byUser, userCode)
	return true
}

// poll is what a terminal learns that shows its device code. An approval is
// told once.
func (d *devices) poll(code string, client access.GUID, now time.Time) (device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := sha256.Sum256([]byte(code))
	o := d.byCode[key]
	switch {
	case o == nil || o.client != client:
		return device{}, refuse(http.StatusBadRequest, "bad_verification_code", 70018, "Invalid verification code. The device code is wrong, or was used.")
	case !now.Before(o.until):
		return device{}, refuse(http.StatusBadRequest, "expired_token", 70020, "The provided value for the input parameter 'device_code' is not valid. This device code has expired.")
	case o.state == devicePending:
		early := now.Sub(o.asked) < deviceInterval/2
		o.asked = now
		if early {
			return device{}, refuse(http.StatusBadRequest, "slow_down", 70016, "OAuth 2.0 device flow error. Authorization is pending. Poll less often.")
		}
		return device{}, refuse(http.StatusBadRequest, "authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	}
	delete(d.byCode, key)
	delete(d.byUser, o.userCode)
	if o.state == deviceDenied {
		return device{}, refuse(http.StatusBadRequest, "authorization_declined", 70017, "The user declined to authorize the device.")
	}
	return *o, nil
}

// The limits of guessing passwords: after ten wrong ones a name waits a
// minute.
const (
	maxFailures  = 10
	failureWait  = time.Minute
	maxFailNames = 1 << 14
)

// attempt checks a password. locked tells that the name has to wait.
func (d *devices) attempt(dir *Directory, upn, password string) (p *principal, ok, locked bool) {
	name, now := strings.ToLower(upn), dir.now()
	d.mu.Lock()
	f := d.failures[name]
	locked = f != nil && f.count >= maxFailures && now.Before(f.until)
	d.mu.Unlock()
	if locked {
		return nil, false, true
	}
	d.hashing.Lock()
	p, ok = dir.signIn(upn, password)
	d.hashing.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if ok {
		delete(d.failures, name)
		return p, true, false
	}
	if f = d.failures[name]; f == nil || !now.Before(f.until) {
		if len(d.failures) >= maxFailNames {
			clear(d.failures)
		}
		f = &failure{}
		d.failures[name] = f
	}
	f.count++
	f.until = now.Add(failureWait)
	return nil, false, false
}

// deviceAnswer is the answer of the device endpoint (RFC 8628 §3.2), with the
// name that version 1.0 has for the URL.
type deviceAnswer struct {
	UserCode   string `json:"user_code"`
	DeviceCode string `json:"device_code"`
	URI        string `json:"verification_uri"`
	URL        string `json:"verification_url"`
	Expires    any    `json:"expires_in"`
	Interval   any    `json:"interval"`
	Message    string `json:"message"`
}

// deviceCode is POST …/oauth2/v2.0/devicecode.
func (l *login) deviceCode(a *attempt, w http.ResponseWriter, r *http.Request) error {
	return l.authorizeDevice(a, w, r, false)
}

// deviceCodeV1 is POST …/oauth2/devicecode.
func (l *login) deviceCodeV1(a *attempt, w http.ResponseWriter, r *http.Request) error {
	return l.authorizeDevice(a, w, r, true)
}

func (l *login) authorizeDevice(a *attempt, w http.ResponseWriter, r *http.Request, v1 bool) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	client, name, err := l.publicClient(a, form)
	if err != nil {
		return err
	}
	audience, err := l.audience(a, form, v1)
	if err != nil {
		return err
	}
	if !l.resources[audience] {
		return refuseResource(audience, l.tenantName(a.place.tenant.ID))
	}
	code, userCode, err := l.directory.deviceCodes()
	if err != nil {
		return err
	}
	now := l.directory.now()
	one := &device{userCode: userCode, client: client, name: name, tenant: a.place.tenant, address: address(r), audience: audience, until: now.Add(deviceLife)}
	if !l.devices.add(code, one, now) {
		return fmt.Errorf("entra: %d devices wait already", maxDevices)
	}
	where := a.place.family.LoginURL() + "/common/oauth2/deviceauth"
	out := deviceAnswer{UserCode: userCode, DeviceCode: code, URI: where, URL: where, Expires: int(deviceLife.Seconds()), Interval: int(deviceInterval.Seconds()),
		Message: "To sign in, use a web browser to open the page " + where + " and enter the code " + userCode + " to authenticate."}
	if v1 {
		out.Expires, out.Interval = strconv.Itoa(int(deviceLife.Seconds())), strconv.Itoa(int(deviceInterval.Seconds()))
	}
	return writeJSON(w, http.StatusOK, out)
}

// address is where a request came from, without its port.
func address(r *http.Request) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(r.RemoteAddr, "["), "]")
	if strings.Count(host, ":") == 1 {
		host, _, _ = strings.Cut(host, ":")
	}
	return host
}

// publicClient is the application that people sign in with: one that every
// tenant has, or one that is registered and reaches the tenant.
func (l *login) publicClient(a *attempt, form url.Values) (access.GUID, string, error) {
	id := form.Get("client_id")
	if id == "" {
		return access.GUID{}, "", refuseMissing("client_id")
	}
	app, err := access.ParseGUID(id)
	if err == nil {
		a.client = app.String()
		if name, ok := publicClients[app]; ok {
			return app, name, nil
		}
		if r := l.directory.state.Load().registered[app]; r != nil && (r.MultiTenant || r.Tenant == a.place.tenant.ID) {
			return app, r.DisplayName, nil
		}
	}
	return access.GUID{}, "", refuseApp(id, l.tenantName(a.place.tenant.ID))
}

// deviceCodes makes the code that the terminal keeps and the one that people
// type.
func (d *Directory) deviceCodes() (code, userCode string, err error) {
	var b [32]byte
	if _, err := io.ReadFull(d.random, b[:]); err != nil {
		return "", "", fmt.Errorf("making a device code: %w", err)
	}
	letters := make([]byte, 0, userCodeLength)
	var one [1]byte
	for len(letters) < userCodeLength {
		if _, err := io.ReadFull(d.random, one[:]); err != nil {
			return "", "", fmt.Errorf("making a user code: %w", err)
		}
		if one[0] < 240 {
			letters = append(letters, userCodeLetters[one[0]%20])
		}
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), string(letters), nil
}
