package attack

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/posterntest"
)

// http1 is a client of HTTP/1.1: it sees the Content-Length as it was sent.
func http1(t testing.TB, p *posterntest.Postern) *http.Client {
	c := p.NewClient()
	t.Cleanup(c.CloseIdleConnections)
	transport := c.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = false
	return c
}

// foreigner is a service principal of another tenant.
type foreigner struct{ tenant, client, object, secret string }

// withForeigner starts a server whose directory has a second tenant.
func withForeigner(t *testing.T, options ...posterntest.Option) (*posterntest.Postern, foreigner) {
	t.Helper()
	options = append(options, posterntest.WithData(t.TempDir()))
	first := posterntest.Start(t, options...)
	first.Stop()
	var f foreigner
	open(t, first.Data, func(c closedFolder) {
		d := c.directory(t, time.Now)
		tenant, err := d.CreateTenant(context.Background(), "Elsewhere", "")
		if err != nil {
			t.Fatal(err)
		}
		who, secret, err := d.CreateServicePrincipal(context.Background(), tenant.ID, "foreigner")
		if err != nil {
			t.Fatal(err)
		}
		f = foreigner{tenant.ID.String(), who.App.String(), who.Object.String(), secret}
	})
	return posterntest.Start(t, options...), f
}

// closedVaults are the vaults of the network rows: what is laid over the
// properties.
var closedVaults = map[string]map[string]any{
	"vault-f1": {"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "AzureServices"}},
	"vault-f2": {"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "None", "ipRules": []any{map[string]any{"value": "203.0.113.0/24"}}}},
	"vault-f4": {"publicNetworkAccess": "Disabled", "networkAcls": map[string]any{"defaultAction": "Allow", "bypass": "AzureServices"}},
	"vault-f5": {"publicNetworkAccess": "Disabled", "networkAcls": map[string]any{"defaultAction": "Allow", "bypass": "None"}},
}

// text is the body of an error of the data plane.
func text(code, inner string, lines ...string) string {
	message := strings.Join(lines, "\r\n")
	quoted, _ := json.Marshal(message)
	message = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(quoted))
	if inner != "" {
		inner = `,"innererror":{"code":"` + inner + `"}`
	}
	return `{"error":{"code":"` + code + `","message":` + message + inner + `}}`
}

// callerText is a caller as the texts name one.
func callerText(p *posterntest.Postern, who posterntest.Principal) string {
	return "appid=" + who.ClientID + ";oid=" + who.ObjectID + ";iss=https://sts.windows.net/" + p.TenantID + "/"
}

func place(vault string) string { return "Vault: " + vault + ";location=eastus" }

// deniedByRole is A1, for kv1 or an object of it.
func deniedByRole(p *posterntest.Postern, who posterntest.Principal, action, object string) string {
	return text("Forbidden", "ForbiddenByRbac", "Caller is not authorized to perform action on resource.",
		"If role assignments, deny assignments or role definitions were changed recently, please observe propagation time.",
		"Caller: "+callerText(p, who), "Action: 'Microsoft.KeyVault/vaults/secrets/"+action+"'",
		"Resource: '/subscriptions/"+p.SubscriptionID+"/resourcegroups/postern/providers/microsoft.keyvault/vaults/kv1"+object+"'",
		"Assignment: (not found)", "DenyAssignmentId: null", "DecisionReason: 'DeniedWithNoValidRBAC' ", place("kv1"), "")
}

// deniedByPolicy is A2.
func deniedByPolicy(p *posterntest.Postern, who posterntest.Principal, permission string) string {
	return text("Forbidden", "ForbiddenByPolicy", "The user, group or application '"+callerText(p, who)+"' does not have secrets "+permission+
		" permission on key vault 'policies;location=eastus'. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287")
}

// missing is the 404 of a secret or a version of it.
func missing(id string) string {
	return text("SecretNotFound", "", "A secret with (name/id) "+id+" was not found in this key vault. If you recently deleted this secret you may be able to"+
		" recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182")
}

// TestDenialTexts holds every refusal of semantics.md §1.3 to §1.5 and
// clients.md §5 to its bytes, through the whole server. The lengths are
// those of recorded answers.
func TestDenialTexts(t *testing.T) {
	t.Parallel()
	c := &clock{}
	p, foreign := withForeigner(t, c.option())
	prepareTexts(t, p)
	stranger := p.CreatePrincipal("texts-stranger")
	admin := p.Token(vaultResource)
	c.move(-2 * time.Hour)
	expired := p.Token(vaultResource)
	c.move(4 * time.Hour)
	early := p.Token(vaultResource)
	c.move(-2 * time.Hour)
	parts := strings.Split(admin, ".")
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"nobody","typ":"JWT"}`))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	caller := callerText(p, posterntest.Principal{ClientID: p.ClientID, ObjectID: p.ObjectID})
	resource := strings.Replace(p.VaultURL("kv1"), "//kv1.", "//", 1)
	wrong := p.Token(p.ManagementURL)
	other := token(t, p, foreign.tenant, foreign.client, foreign.secret, vaultResource)
	mine := p.TokenFor(stranger.ClientID, stranger.Secret, vaultResource)
	malformed := text("Unauthorized", "", "[AggregatedAuthenticationFailure] Error validating token: 'S2S17001'.")
	version := strings.Repeat("0", 32)
	const bearer = "Bearer "

	client := http1(t, p)
	for _, tt := range []struct {
		row           string
		vault, method string
		path          string
		authorization string
		body          string
		status        int
		length        int // 0: not recorded
		want          string
	}{
		{"401 no token", "kv1", "GET", "/secrets/live", "", "", 401, 97, text("Unauthorized", "", "AKV10000: Request is missing a Bearer or PoP token.")},
		{"401 no token, a PUT", "kv1", "PUT", "/secrets/live", "", "", 401, 97, text("Unauthorized", "", "AKV10000: Request is missing a Bearer or PoP token.")},
		{"401 no token, nothing there", "kv1", "GET", "/", "", "", 401, 97, text("Unauthorized", "", "AKV10000: Request is missing a Bearer or PoP token.")},
		{"401 no token, closed", "vault-f5", "GET", "/secrets/live", "", "", 401, 97, text("Unauthorized", "", "AKV10000: Request is missing a Bearer or PoP token.")},
		{"401 another scheme", "kv1", "GET", "/secrets/live", "Basic eDp4", "", 401, 97, text("Unauthorized", "", "AKV10000: Request is missing a Bearer or PoP token.")},
		{"401 wrong audience", "kv1", "GET", "/secrets/live", bearer + wrong, "", 401, 0, text("Unauthorized", "", "AKV10022: Invalid audience. Expected "+resource+", found: "+p.ManagementURL+".")},
		{"401 wrong issuer", "kv1", "GET", "/secrets/live", bearer + other, "", 401, 0, text("Unauthorized", "", "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/"+p.TenantID+"/, https://sts.windows.net/f8cdef31-a31e-4b4a-93e4-5f571e91255a/, https://sts.windows.net/e2d54eb5-3869-4f70-8578-dee5fc7331f4/, https://sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d/, https://sts.windows.net/975f013f-7f24-47e8-a7d3-abc4752bf346/, found https://sts.windows.net/"+foreign.tenant+"/.")},
		{"401 unknown key", "kv1", "GET", "/secrets/live", bearer + header + "." + parts[1] + "." + parts[2], "", 401, 0, text("Unauthorized", "", "AKV10046: Unable to resolve the key used for signature validation. EncodedJwtHeader: '"+header+"'.")},
		{"401 expired", "kv1", "GET", "/secrets/live", bearer + expired, "", 401, 96, text("Unauthorized", "", "[TokenExpired] Error validating token: 'S2S12086'.")},
		{"401 not valid yet", "kv1", "GET", "/secrets/live", bearer + early, "", 401, 0, malformed},
		{"401 malformed", "kv1", "GET", "/secrets/live", bearer + "x.y.z", "", 401, 0, malformed},
		{"401 wrong signature", "kv1", "GET", "/secrets/live", bearer + parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-8] + "AAAAAAAA", "", 401, 0, malformed},
		{"401 no algorithm", "kv1", "GET", "/secrets/live", bearer + none + "." + parts[1] + ".", "", 401, 0, malformed},
		{"F1", "vault-f1", "GET", "/secrets/live", bearer + admin, "", 403, 0, text("Forbidden", "ForbiddenByFirewall", "Client address is not authorized and caller is not a trusted service.", "Client address: 127.0.0.1", "Caller: "+caller, place("vault-f1"))},
		{"F2", "vault-f2", "GET", "/secrets/live", bearer + admin, "", 403, 0, text("Forbidden", "ForbiddenByFirewall", "Client address is not authorized and caller was ignored because bypass is set to None", "Client address: 127.0.0.1", "Caller: "+caller, place("vault-f2"))},
		{"F4", "vault-f4", "GET", "/secrets/live", bearer + admin, "", 403, 0, text("Forbidden", "ForbiddenByConnection", "Public network access is disabled and request is not from a trusted service nor via an approved private link.", "Caller: "+caller, place("vault-f4"))},
		{"F5", "vault-f5", "GET", "/secrets/live", bearer + admin, "", 403, 0, text("Forbidden", "ForbiddenByConnection", "Connection is not an approved private link and caller was ignored because bypass is not set to 'AzureServices' and PublicNetworkAccess is set to 'Disabled'.", place("vault-f5"))},
		{"F5 before a body is looked at", "vault-f5", "PUT", "/secrets/live", bearer + admin, "{", 403, 0, text("Forbidden", "ForbiddenByConnection", "Connection is not an approved private link and caller was ignored because bypass is not set to 'AzureServices' and PublicNetworkAccess is set to 'Disabled'.", place("vault-f5"))},
		{"A1 get", "kv1", "GET", "/secrets/Live/" + version, bearer + mine, "", 403, 0, deniedByRole(p, stranger, "getSecret/action", "/secrets/live")},
		{"A1 list", "kv1", "GET", "/secrets", bearer + mine, "", 403, 0, deniedByRole(p, stranger, "readMetadata/action", "")},
		{"A1 set", "kv1", "PUT", "/secrets/live", bearer + mine, `{"value":"v"}`, 403, 0, deniedByRole(p, stranger, "setSecret/action", "/secrets/live")},
		{"A1 delete", "kv1", "DELETE", "/secrets/live", bearer + mine, "", 403, 0, deniedByRole(p, stranger, "delete", "/secrets/live")},
		{"A1 restore", "kv1", "POST", "/secrets/restore", bearer + mine, "{}", 403, 0, deniedByRole(p, stranger, "restore/action", "")},
		{"A1 purge", "kv1", "DELETE", "/deletedsecrets/deleted", bearer + mine, "", 403, 0, deniedByRole(p, stranger, "purge/action", "/secrets/deleted")},
		{"A2 get", "policies", "GET", "/secrets/live", bearer + mine, "", 403, 0, deniedByPolicy(p, stranger, "get")},
		{"A2 list", "policies", "GET", "/secrets", bearer + mine, "", 403, 0, deniedByPolicy(p, stranger, "list")},
		{"A2 purge", "policies", "DELETE", "/deletedsecrets/live", bearer + mine, "", 403, 0, deniedByPolicy(p, stranger, "purge")},
		{"403 disabled", "kv1", "GET", "/secrets/disabled", bearer + admin, "", 403, 132, text("Forbidden", "SecretDisabled", "Operation get is not allowed on a disabled secret.")},
		{"404", "kv1", "GET", "/secrets/secret-that-does-not-exist", bearer + admin, "", 404, 323, missing("secret-that-does-not-exist")},
		{"404 of a version", "kv1", "GET", "/secrets/live/" + version, bearer + admin, "", 404, 0, missing("live/" + version)},
		{"404 of a deleted one", "kv1", "GET", "/secrets/deleted", bearer + admin, "", 404, 0, missing("deleted")},
		{"404 deleted", "kv1", "GET", "/deletedsecrets/secret518723441", bearer + admin, "", 404, 89, text("SecretNotFound", "", "Deleted Secret not found: secret518723441")},
		{"405 no name", "kv1", "PUT", "/secrets/", bearer + admin, "{}", 405, 70, text("MethodNotAllowed", "", "HTTP PUT not allowed")},
		{"409 deleted", "kv1", "PUT", "/secrets/deleted", bearer + admin, `{"value":"v"}`, 409, 0, text("Conflict", "ObjectIsDeletedButRecoverable", "Secret deleted is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.")},
		{"400 corrupt backup", "kv1", "POST", "/secrets/restore", bearer + admin, `{"value":"AAAA"}`, 400, 78, text("Malformed backup blob", "", "Backup blob is corrupt.")},
		{"403 purge protection", "protected", "DELETE", "/deletedsecrets/kept", bearer + admin, "", 403, 0, text("Forbidden", "", `Operation "purge" is not allowed because purge protection is enabled for this vault. Key Vault service will automatically purge it after the retention period has passed.`, "Vault: protected;location=eastus")},
	} {
		header := http.Header{}
		if tt.authorization != "" {
			header.Set("Authorization", tt.authorization)
		}
		a := send(t, client, request{method: tt.method, url: p.VaultURL(tt.vault) + tt.path + api, body: tt.body, header: header})
		if a.status != tt.status || a.body != tt.want {
			t.Errorf("%s = %d\n%s", tt.row, a.status, cmp.Diff(tt.want, a.body))
		}
		if tt.length != 0 && len(tt.want) != tt.length {
			t.Errorf("%s has %d bytes, want the recorded %d", tt.row, len(tt.want), tt.length)
		}
		checkHeaders(t, p, tt.row, a)
		recorded(t, p.Data, []answer{a})
	}
}

// prepareTexts makes the vaults and secrets of the rows.
func prepareTexts(t *testing.T, p *posterntest.Postern) {
	t.Helper()
	p.CreateVault("kv1")
	p.CreateVault("policies", map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{}})
	p.CreateVault("protected", map[string]any{"enablePurgeProtection": true})
	for name, properties := range closedVaults {
		p.CreateVault(name, properties)
	}
	for _, name := range []string{"disabled", "deleted", "live"} {
		setSecret(t, p, "kv1", name, "v")
	}
	must(t, p, "PATCH", p.VaultURL("kv1")+"/secrets/disabled"+api, map[string]any{"attributes": map[string]any{"enabled": false}})
	must(t, p, "DELETE", p.VaultURL("kv1")+"/secrets/deleted"+api, nil)
	setSecret(t, p, "protected", "kept", "v")
	must(t, p, "DELETE", p.VaultURL("protected")+"/secrets/kept"+api, nil)
}

// checkHeaders checks the headers of every answer of the data plane, and the
// challenge, which only a 401 has.
func checkHeaders(t *testing.T, p *posterntest.Postern, row string, a answer) {
	t.Helper()
	challenge := ""
	if a.status == http.StatusUnauthorized {
		challenge = `Bearer authorization="` + p.LoginURL + "/" + p.TenantID + `", resource="` + strings.Replace(p.VaultURL("x"), "//x.", "//", 1) + `"`
	}
	for name, want := range map[string]string{"Www-Authenticate": challenge, "Content-Length": strconv.Itoa(len(a.body)), "Content-Type": "application/json; charset=utf-8",
		"Cache-Control": "no-cache", "Pragma": "no-cache", "Expires": "-1", "Strict-Transport-Security": "max-age=31536000;includeSubDomains", "X-Content-Type-Options": "nosniff",
		"X-Ms-Keyvault-Region": "eastus", "X-Ms-Client-Request-Id": a.id, "X-Ms-Keyvault-Network-Info": "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;", "Retry-After": ""} {
		if got := a.header.Get(name); got != want || want != "" && len(a.header[name]) != 1 {
			t.Errorf("%s: %s = %q, want %q once", row, name, a.header[name], want)
		}
	}
}

// TestThrottledText holds the 429 to its bytes, and a refused operation to
// spend nothing.
func TestThrottledText(t *testing.T) {
	t.Parallel()
	at := time.Now()
	p := posterntest.Start(t, posterntest.WithThrottle(3), posterntest.WithClock(func() time.Time { return at }))
	p.CreateVault("kv1")
	client, admin := http1(t, p), p.Token(vaultResource)
	stranger := p.CreatePrincipal("throttled")
	get := func(bearer string) answer {
		return send(t, client, request{method: "GET", url: p.VaultURL("kv1") + "/secrets/a" + api, token: bearer})
	}
	for range 5 {
		get("") // strangers spend nothing
	}
	for i := range 3 {
		if a := get(admin); a.status != 404 {
			t.Fatalf("request %d = %d %s, want 404", i, a.status, a.body)
		}
	}
	want := text("Throttled", "", "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached")
	if len(want) != 146 {
		t.Errorf("the text has %d bytes, want the recorded 146", len(want))
	}
	for _, bearer := range []string{admin, p.TokenFor(stranger.ClientID, stranger.Secret, vaultResource)} {
		a := get(bearer)
		if a.status != 429 || a.body != want {
			t.Errorf("over the budget = %d %s, want 429 %s", a.status, a.body, want)
		}
		checkHeaders(t, p, "429", a)
		recorded(t, p.Data, []answer{a})
	}
	if a := get(""); a.status != 401 {
		t.Errorf("without a token = %d %s, want the challenge", a.status, a.body)
	}
}
