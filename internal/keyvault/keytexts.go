package keyvault

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"postern/internal/fault"
	"postern/internal/keyring"
	"postern/internal/keyring/release"
	"postern/internal/keysmith"
)

// The texts of keys. Those of the first block are the service's, byte for
// byte, from recorded answers and from what people have pasted into issues.
const (
	innerKeyOperation = "KeyOperationForbidden"
	innerKeyType      = "KeyTypeNotSupported"
	innerAttestation  = "AccessDenied"

	textNotPermitted = "Operation {operation} is not permitted on this {kind}."
	textKeyType      = "Invalid kty value: {type}"
	textNoHardware   = "Hardware key operation not allowed on standard vault"
	textRequired     = "Property '{name}' is required.\r\n"
	textNotBase64    = "Content of '{name}' is not base64url.\r\n" + textRequired
	textDigestLength = "Invalid length of '{name}': {length} bytes. {algorithm} requires {size} bytes, encoded with base64url."
	textWrongCurve   = "Key and signing algorithm are incompatible. Key {id} uses curve '{curve}', and algorithm '{algorithm}' can only be used with curve '{needed}'."

	textExportablePremium = "AKV.SKR.1001: The exportable attribute is only supported with premium vaults and API version >= '7.3-preview'."
	textExportableChanged = "AKV.SKR.1003: The exportable attribute of an existing key cannot be changed." // code recorded, text own
	textPolicyMissing     = "AKV.SKR.1004: Exportable keys must have release policy."
	textPolicySuperfluous = "AKV.SKR.1005: Non-exportable keys must not have release policy."
	textExportableSoft    = "AKV.SKR.1006: Only HSM-protected keys can be exportable." // code recorded, text own
	textExportableFixed   = "AKV.SKR.1014: Cannot modify the exportable state of a key."
	textPolicyOfVersion   = "AKV.SKR.1016: Key Release Policy can only be set on versionless key."
	textPolicyImmutable   = "AKV.SKR.1020: Immutable Key Release Policy cannot be modified."
	textAttestation       = "Target environment attestation statement cannot be verified."
)

// Own choices: the codes KeyExpired and KeyNotYetValid follow KeyDisabled,
// the texts follow that of a disabled key; of the others nothing is known.
const (
	innerExpired     = "Expired"     // behind the kind: KeyExpired
	innerNotYetValid = "NotYetValid" // behind the kind: KeyNotYetValid

	textExpiredKey     = "Operation {operation} is not allowed on an expired {kind}."
	textNotYetValidKey = "Operation {operation} is not allowed on a {kind} that is not yet valid."

	textUnknown          = "(unknown)"
	textUnknownAlgorithm = "Invalid alg value: {algorithm}"
	textWrongType        = "Key and algorithm are incompatible. Key {id} is of type '{type}', and algorithm '{algorithm}' can only be used with keys of type '{needed}'."
	textTooLong          = "Invalid length of 'value': {length} bytes. {algorithm} does not take that many with this key."
	textProtectedKey     = "Importing a protected key (key_hsm) needs the hardware that the key was protected for; send the key in numbers instead."
	textPolicyUnreadable = "The release policy cannot be used: {reason}."
	textNotExportable    = "Operation release is not allowed on a key that is not exportable."
	textUnknownEnc       = "Invalid enc value: " + textUnknown
	textNoTarget         = "The attestation names no RSA key for encryption in x-ms-runtime.keys."
)

// undecryptable answers every decryption that fails, whatever it failed for:
// a caller must not learn from it what was wrong with a ciphertext.
var undecryptable = fault.New(http.StatusBadRequest, codeBadParameter, "The value cannot be decrypted with this key and algorithm.")

// unattested answers every attestation that does not satisfy the policy.
var unattested = &fault.Error{Status: http.StatusForbidden, Code: codeForbidden, Inner: innerAttestation, Message: textAttestation}

// badParameter is a 400 with one of the texts.
func badParameter(text string, pairs ...string) *fault.Error {
	return &fault.Error{Status: http.StatusBadRequest, Code: codeBadParameter, Message: fill(text, pairs...)}
}

// unsupportedKeyType repeats what the specification knows, and nothing else:
// who puts a secret into the wrong place shall not find it in the log.
func unsupportedKeyType(kty string) *fault.Error {
	if strings.TrimSuffix(kty, keysmith.Hardware) != "oct" {
		kty = textUnknown
	}
	return badParameter(textKeyType, "{type}", kty).WithInner(innerKeyType)
}

// smith puts what a vault cannot have into the service's words.
func smith(kty string, err error) error {
	if invalid := new(release.Invalid); errors.As(err, &invalid) {
		return badParameter(textPolicyUnreadable, "{reason}", strings.TrimPrefix(invalid.Error(), "release: "))
	}
	var refusal keysmith.Refusal
	if !errors.As(err, &refusal) {
		return material(err)
	}
	switch refusal {
	case keysmith.Type:
		return unsupportedKeyType(kty)
	case keysmith.NoHardware:
		return badParameter(textNoHardware)
	case keysmith.NotPremium:
		return badParameter(textExportablePremium)
	case keysmith.Changed:
		return badParameter(textExportableChanged)
	case keysmith.PolicyMissing:
		return badParameter(textPolicyMissing)
	case keysmith.PolicySuperfluous:
		return badParameter(textPolicySuperfluous)
	case keysmith.Software:
		return badParameter(textExportableSoft)
	case keysmith.Immutable:
		return badParameter(textPolicyImmutable)
	}
	return err
}

// material puts the refusal of key material or of a size into the service's
// form.
func material(err error) error {
	if invalid := new(keyring.Invalid); errors.As(err, &invalid) {
		return invalidProperty(invalid.Property, invalid.Reason)
	}
	return err
}

// refusal puts what an algorithm refused into the service's words. sent is
// what the client sent as the property.
func (u *usage) refusal(err error, property string, sent []byte) error {
	name := textUnknown
	if _, known := algorithms[*u.algorithm]; known {
		name = *u.algorithm
	}
	switch {
	case errors.Is(err, keyring.ErrCiphertext):
		return undecryptable
	case errors.Is(err, keyring.ErrAlgorithm):
		return badParameter(textUnknownAlgorithm, "{algorithm}", name)
	case errors.Is(err, keyring.ErrSize):
		if a := algorithms[*u.algorithm]; a.Digest > 0 {
			return badParameter(textDigestLength, "{name}", property, "{length}", strconv.Itoa(len(sent)), "{algorithm}", name, "{size}", strconv.Itoa(a.Digest))
		}
		return badParameter(textTooLong, "{length}", strconv.Itoa(len(sent)), "{algorithm}", name)
	case errors.Is(err, keyring.ErrMismatch):
		needed := algorithms[*u.algorithm]
		if needed.Type == keyring.EC && u.content.Curve != "" {
			return badParameter(textWrongCurve, "{id}", u.id, "{curve}", u.content.Curve, "{algorithm}", name, "{needed}", needed.Curve)
		}
		return badParameter(textWrongType, "{id}", u.id, "{type}", u.content.Type, "{algorithm}", name, "{needed}", needed.Type)
	}
	return err
}
