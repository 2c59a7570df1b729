// Package issuance is what a vault does with X.509: the policy of a
// certificate, the request and the self-signed certificate made from it, the
// files that certificates come in, and the secret that holds one.
//
// It knows neither the wire nor the store. Everything that somebody sent is
// refused with an *Invalid, which names the property as the service's bodies
// name it; limits on sizes and counts are in this file.
package issuance

import "fmt"

// The limits on what is read. The service states none of them.
const (
	maxPolicy       = 64 << 10  // bytes of a policy
	maxDepth        = 16        // of the policy's JSON
	maxNames        = 250       // subject alternative names of all kinds together
	maxUsages       = 64        // extended key usages
	maxActions      = 2         // lifetime actions
	maxSubject      = 4 << 10   // bytes of a subject
	maxAttributes   = 64        // attributes in a subject
	maxMonths       = 1200      // of validity
	maxImport       = 256 << 10 // characters of a value to import
	maxCertificate  = 64 << 10  // bytes of one certificate
	maxCertificates = 32        // in one file or one merge
)

// The content types of the secret behind a certificate.
const (
	// PKCS12 is a PFX file without a password, in base64.
	PKCS12 = "application/x-pkcs12"
	// PEM is text: the private key in PKCS#8, then the certificates.
	PEM = "application/x-pem-file"
)

// Invalid says which property of a request cannot be taken, and why.
type Invalid struct {
	// Property is its path in the body, such as policy.key_props.kty, or the
	// parameter's name.
	Property string
	// Reason is a sentence without the property's name: "is not a number".
	Reason string
	// Hint says what to do next; "" when the reason does.
	Hint string
}

// Error is the property, the reason and the hint.
func (e *Invalid) Error() string {
	s := e.Property + " " + e.Reason
	if e.Hint != "" {
		s += "\nhint: " + e.Hint
	}
	return s
}

// invalid is an *Invalid with a formatted reason.
func invalid(property, reason string, args ...any) *Invalid {
	return &Invalid{Property: property, Reason: fmt.Sprintf(reason, args...)}
}

// hinted adds what to do next.
func (e *Invalid) hinted(hint string) *Invalid { e.Hint = hint; return e }
