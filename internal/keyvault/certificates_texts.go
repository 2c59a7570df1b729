package keyvault

import (
	"errors"
	"net/http"
	"strings"

	"postern/access"
	"postern/internal/enrollment"
	"postern/internal/fault"
	"postern/internal/issuance"
	"postern/internal/issuance/acme"
	"postern/internal/vault"
)

// The texts of Certificates, from recorded answers; own choices stand below.
const (
	textNoPending = "Pending certificate not found: {id}"
	textMergeHeld = "Merge is forbidden on pending object created with issuer : {issuer} while it is in progess."
	textPEM       = "The specified PEM X.509 certificate content is in an unexpected format. Please check if certificate is in valid PEM format."
	textPKCS12    = "The specified PKCS#12 X.509 certificate content can not be read. Please check if certificate is in valid PKCS#12 format."
	textX509      = "The specified X.509 certificate content is invalid. Error: {reason}."

	// What a pending operation says of itself.
	textInProgress = "Pending certificate created. Certificate request is in progress. This may take some time based on the issuer provider. " +
		"Please check again later."
	textPerformMerge = "Pending certificate created. Please Perform Merge to complete the request."
)

var (
	noContacts = fault.New(http.StatusNotFound, "ContactsNotFound", "Contacts not found")
	noIssuer   = fault.New(http.StatusNotFound, "CertificateIssuerNotFound", "Issuer not found")
	notPending = fault.New(http.StatusForbidden, codeForbidden, "Pending status must be in progress to allow update.")
	inProgress = fault.New(http.StatusConflict, codeConflict,
		"A new key vault certificate can not be created or imported while a pending key vault certificate's status is inProgress.")
)

// textNameInUse is an own choice, like what follows it.
const textNameInUse = "The name %s is in use by a key or a secret of its own; a certificate needs it for all three."

// Own choices.
var (
	issuerDisabled = fault.New(http.StatusForbidden, codeForbidden, "The issuer that the policy names is disabled.").
			WithHint("enable it with a PATCH of attributes.enabled")
	notMergeable = fault.New(http.StatusForbidden, codeForbidden, "Pending status must be in progress to allow merge.")
)

func noPending(name string) *fault.Error {
	return &fault.Error{Status: http.StatusNotFound, Code: "PendingCertificateNotFound", Message: fill(textNoPending, "{id}", name)}
}

// unreadable is the answer to a file that cannot be imported. What is wrong
// with one that can be read as far as that is said behind the service's
// words.
func unreadable(value string, why *issuance.Invalid) error {
	text := textPKCS12
	switch {
	case why.Property != "value" && why.Property != "pwd":
		return why
	case strings.HasPrefix(why.Reason, "has "):
		text = fill(textX509, "{reason}", "it "+why.Reason)
	case strings.Contains(value, "-----BEGIN "):
		text = textPEM
	}
	return fault.New(http.StatusBadRequest, codeBadParameter, "%s", text).WithHint(why.Hint).Because(why)
}

// certificateFault puts what went wrong with a certificate into the
// service's words; nil for what is not about one.
func (x *exchange) certificateFault(err error) *fault.Error {
	if said := new(fault.Error); errors.As(err, &said) {
		return said
	}
	if invalid := new(issuance.Invalid); errors.As(err, &invalid) {
		return invalidProperty(invalid.Property, invalid.Reason).WithHint(invalid.Hint)
	}
	if refused := new(acme.Refused); errors.As(err, &refused) {
		return fault.New(http.StatusBadRequest, codeBadParameter, "%s", refused.Reason).WithHint(refused.Hint)
	}
	if held := new(enrollment.Held); errors.As(err, &held) {
		return &fault.Error{Status: http.StatusForbidden, Code: codeForbidden, Message: fill(textMergeHeld, "{issuer}", held.Issuer)}
	}
	operation := x.target.route.Operation
	switch {
	case errors.Is(err, vault.Exists) && (operation == access.CertificateCreate || operation == access.CertificateImport || operation == access.CertificatePendingMerge):
		return fault.New(http.StatusConflict, codeConflict, textNameInUse, x.target.name)
	case errors.Is(err, vault.NoPending):
		return noPending(x.target.name)
	case errors.Is(err, vault.InProgress):
		return inProgress
	case errors.Is(err, enrollment.ErrNoIssuer):
		return noIssuer
	case errors.Is(err, enrollment.ErrIssuerDisabled):
		return issuerDisabled
	case errors.Is(err, enrollment.ErrNotInProgress):
		return notMergeable
	}
	return nil
}
