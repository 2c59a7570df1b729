package journal

import (
	"net/http"
	"net/netip"
	"time"
)

// Tri is a yes or no that may also be left out of the record: a gate that
// was not reached says nothing. The zero value leaves it out.
type Tri uint8

// The three values.
const (
	Unset Tri = iota
	No
	Yes
)

// Bool is Yes or No.
func Bool(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// Record is one event, in the form of the resource log of a vault (category
// AuditEvent). Empty fields are left out of properties and identity. No
// field holds the value of an object; none may be made to.
type Record struct {
	Time time.Time
	// ResourceID is the vault's ARM id; it is written in upper case.
	ResourceID string
	// OperationName is the audit name ("SecretGet"), OperationVersion the
	// api-version the client asked for.
	OperationName, OperationVersion string
	// Category is "AuditEvent" when it is empty.
	Category string
	// ResultType, ResultSignature and Status are set together by Answered.
	ResultType, ResultSignature string
	// ResultDescription is the error message of a refusal.
	ResultDescription string
	// Status is the HTTP status of the answer (httpStatusCode).
	Status int
	// Duration is written in whole milliseconds (durationMs).
	Duration time.Duration
	// CallerIP is the client's address; the zero value is written as "".
	CallerIP netip.Addr
	// CorrelationID is the client's x-ms-client-request-id or our own.
	CorrelationID string
	// Identity is what the token claims.
	Identity Identity

	// RequestURI is the whole URL, ID that of the object with its version,
	// ClientInfo the User-Agent.
	RequestURI, ID, ClientInfo string
	// TLSVersion is "TLS1_2" or "TLS1_3".
	TLSVersion string
	// AddrAuthType says how the network gate was passed: "PublicIP",
	// "Subnet", "PrivateEndpoint", "TrustedService".
	AddrAuthType string
	// AddressAuthorized says whether it was passed.
	AddressAuthorized Tri
	// SubnetID and PrivateEndpointID are ARM ids of where the caller is.
	SubnetID, PrivateEndpointID string
	// TrustedService names the service the caller is; "" for none.
	TrustedService string
	// RBACAuthorized and AssignmentID are of vaults with role assignments,
	// PolicyMatch of vaults with access policies; the other stays unset.
	RBACAuthorized Tri
	AssignmentID   string
	PolicyMatch    Tri
	// Properties are further properties in their order. The names are
	// constants of the program, never of the client.
	Properties []Property

	// key and outbox are the store key and the encoded body that Outbox
	// gave out, so that what Deliver appends is what was committed.
	key    string
	outbox []byte
}

// Identity is identity.claim of the resource log.
type Identity struct {
	// Object, App, Issuer, UPN, Type and ResourceID are the claims oid,
	// appid, iss, upn, idtyp and xms_mirid.
	Object, App, Issuer, UPN, Type, ResourceID string
}

// Property is one further name and value.
type Property struct{ Name, Value string }

// Answered sets what the record says of the answer, from its status: Success
// below 400, Failed from there on, and the status in words.
func (r *Record) Answered(status int) {
	r.Status = status
	r.ResultSignature = http.StatusText(status)
	r.ResultType = "Success"
	if status >= 400 {
		r.ResultType = "Failed"
	}
}
