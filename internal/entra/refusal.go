package entra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"postern/internal/fault"
)

// attempt is one request to a login host: what its answer and its log line
// are made of.
type attempt struct {
	trace, correlation string
	place              place
	// client and audience are what was asked for, as far as it was read and
	// is what it should be.
	client, audience string
}

// errorBody is the answer of the token endpoint to what it refuses (RFC 6749
// §5.2, with Entra's additions).
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
	Timestamp   string `json:"timestamp"`
	Trace       string `json:"trace_id"`
	Correlation string `json:"correlation_id"`
	URI         string `json:"error_uri,omitempty"`
}

// refusal is a fault with the number of an AADSTS code.
type refusal struct {
	fault  *fault.Error
	number int
}

// Error is the fault's.
func (r *refusal) Error() string { return r.fault.Error() }

// Unwrap is the fault, so that whoever asks for one finds it.
func (r *refusal) Unwrap() error { return r.fault }

// refuse is a refusal whose message begins with its code.
func refuse(status int, code string, number int, format string, args ...any) *refusal {
	message := fmt.Sprintf("AADSTS%d: ", number) + fmt.Sprintf(format, args...)
	return &refusal{&fault.Error{Status: status, Code: code, Message: message}, number}
}

// refuse writes an error in Entra's form and logs it.
func (l *login) refuse(ctx context.Context, a *attempt, w http.ResponseWriter, err error) {
	var r *refusal
	level := slog.LevelInfo
	if !errors.As(err, &r) {
		r = refuse(http.StatusServiceUnavailable, "temporarily_unavailable", 90033, "A transient error has occurred. Please try again.")
		r.fault.Cause = err
		level = slog.LevelError
	}
	f := r.fault
	now := l.directory.now().UTC()
	stamp := now.Format("2006-01-02 15:04:05Z")
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	body := errorBody{Error: f.Code, Codes: []int{r.number}, Timestamp: stamp, Trace: a.trace, Correlation: a.correlation,
		Description: fmt.Sprintf("%s Trace ID: %s Correlation ID: %s Timestamp: %s", f.Message, a.trace, a.correlation, stamp),
		URI:         fmt.Sprintf("%s/error?code=%d", a.place.family.LoginURL(), r.number)}
	l.log.Log(ctx, level, "login refused", "status", f.Status, "code", r.number, "client", a.client,
		"audience", a.audience, "trace", a.trace, "cause", f.Cause)
	_ = writeJSON(w, f.Status, body)
}

// clip keeps a value of a client short and printable in a message.
func clip(s string) string {
	out := make([]rune, 0, 64)
	for _, c := range s {
		if len(out) == 64 {
			return string(out) + "…"
		}
		if c < ' ' || c == 0x7f {
			c = '\ufffd'
		}
		out = append(out, c)
	}
	return string(out)
}

func refuseRoute() *refusal {
	return refuse(http.StatusNotFound, "invalid_request", 90023, "There is no such endpoint.")
}

func refuseMethod(want, got string) *refusal {
	r := refuse(http.StatusMethodNotAllowed, "invalid_request", 900561, "The endpoint only accepts %s requests. Received a %s request.", want, clip(got))
	r.fault.Header = http.Header{"Allow": {want}}
	return r
}

func refuseVersion(version string) *refusal {
	return refuse(http.StatusBadRequest, "invalid_request", 90013, "Invalid input received from the user: api-version '%s' is neither 1.0 nor 1.1.", clip(version))
}

func refuseTenant(name string) *refusal {
	return refuse(http.StatusBadRequest, "invalid_request", 90002,
		"Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.", clip(name))
}

func refuseInput(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, "invalid_request", 90013, "Invalid input received from the user: "+format, args...)
}

func refuseMissing(name string) *refusal {
	return refuse(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: '%s'.", name)
}

func refuseGrant(grant string) *refusal {
	return refuse(http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '%s'.", clip(grant))
}

func refuseApp(client, tenant string) *refusal {
	return refuse(http.StatusBadRequest, "unauthorized_client", 700016,
		"Application with identifier '%s' was not found in the directory '%s'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.", clip(client), tenant)
}

func refuseSecret(client string) *refusal {
	return refuse(http.StatusUnauthorized, "invalid_client", 7000215,
		"Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", clip(client))
}

func refuseNoSecret() *refusal {
	return refuse(http.StatusUnauthorized, "invalid_client", 7000218,
		"The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
}

func refuseResource(resource, tenant string) *refusal {
	return refuse(http.StatusBadRequest, "invalid_resource", 500011,
		"The resource principal named %s was not found in the tenant named %s. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.", clip(resource), tenant)
}

func refuseScope(scope string) *refusal {
	return refuse(http.StatusBadRequest, "invalid_scope", 1002012,
		"The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", clip(scope))
}

func refuseScopes(scope string) *refusal {
	return refuse(http.StatusBadRequest, "invalid_scope", 70011,
		"The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope %s is not valid: it names more than one resource.", clip(scope))
}

func refuseExpired(client string) *refusal {
	return refuse(http.StatusUnauthorized, "invalid_client", 7000222,
		"The provided client secret keys for app '%s' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.", clip(client))
}

func refuseDisabled(client string) *refusal {
	return refuse(http.StatusBadRequest, "unauthorized_client", 7000112, "Application '%s' is disabled.", clip(client))
}

func refuseJWT() *refusal {
	return refuse(http.StatusBadRequest, "invalid_request", 50027, "JWT token is invalid or malformed.")
}

func refuseTime(now time.Time) *refusal {
	return refuse(http.StatusUnauthorized, "invalid_client", 700024, "Client assertion is not within its valid time range. Current time: %s. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .", now.UTC().Format(time.RFC3339))
}

func refuseSignature(reason string) *refusal {
	return refuse(http.StatusUnauthorized, "invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered on application, or the signature is wrong. [Reason - %s]", reason)
}

func refuseFederation(number int, what, value string) *refusal {
	return refuse(http.StatusUnauthorized, "invalid_client", number, "No matching federated identity record found for presented assertion %s '%s'. Please check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation", what, clip(value))
}
