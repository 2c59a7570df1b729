package keyvault

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/fault"
	"postern/internal/vault"
)

// Every text of this file is the service's, byte for byte, from recorded
// answers, unless it stands under "own choices": there the service's text or
// code is not known, and this one is postern's.

// The codes of errors and inner errors.
const (
	codeUnauthorized = "Unauthorized"
	codeForbidden    = "Forbidden"
	codeBadParameter = "BadParameter"
	codeNotFound     = "NotFound" // behind the kind: SecretNotFound
	codeConflict     = "Conflict"
	codeThrottled    = "Throttled"
	codeNotAllowed   = "MethodNotAllowed"
	codeMalformed    = "Malformed backup blob"

	innerFirewall   = "ForbiddenByFirewall"
	innerConnection = "ForbiddenByConnection"
	innerRBAC       = "ForbiddenByRbac"
	innerDisabled   = "Disabled"          // behind the kind: SecretDisabled
	innerManaged    = "ManagedByKeyVault" // likewise
	innerDeleted    = "ObjectIsDeletedButRecoverable"

	// innerPolicy is what newer records have; older ones have AccessDenied.
	innerPolicy = "ForbiddenByPolicy"
)

// 401: what is wrong with the token.
const (
	textNoToken     = "AKV10000: Request is missing a Bearer or PoP token."
	textAudience    = "AKV10022: Invalid audience. Expected {expected}, found: {found}."
	textIssuer      = "AKV10032: Invalid issuer. Expected one of {expected}, found {found}."
	textKey         = "AKV10046: Unable to resolve the key used for signature validation. EncodedJwtHeader: '{header}'."
	textExpired     = "[TokenExpired] Error validating token: 'S2S12086'."
	textMalformed   = "[AggregatedAuthenticationFailure] Error validating token: 'S2S17001'."
	textNotYetValid = textMalformed // own choice: no record of such a token
)

// serviceIssuers are the tenants of the service itself, which the texts of
// the service list behind the vault's. Their tokens are not accepted here.
var serviceIssuers = []string{
	"https://sts.windows.net/f8cdef31-a31e-4b4a-93e4-5f571e91255a/",
	"https://sts.windows.net/e2d54eb5-3869-4f70-8578-dee5fc7331f4/",
	"https://sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d/",
	"https://sts.windows.net/975f013f-7f24-47e8-a7d3-abc4752bf346/",
}

// 403 of the network gate, named after their rows in the references.
const (
	textF1 = "Client address is not authorized and caller is not a trusted service."
	textF2 = "Client address is not authorized and caller was ignored because bypass is set to None"
	textF3 = "Request was not allowed by NSP rules and the client address is not authorized and caller was ignored because bypass is set to None"
	textF4 = "Public network access is disabled and request is not from a trusted service nor via an approved private link."
	textF5 = "Connection is not an approved private link and caller was ignored because bypass is not set to 'AzureServices' and PublicNetworkAccess is set to 'Disabled'."

	textUnknownSubnet = " from unknown subnet"
)

// 403 of the permission gate.
const (
	textA1 = "Caller is not authorized to perform action on resource.\r\n" +
		"If role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\n" +
		"Caller: {caller}\r\n" +
		"Action: '{action}'\r\n" +
		"Resource: '{resource}'\r\n" +
		"Assignment: (not found)\r\n" +
		"DenyAssignmentId: {deny}\r\n" +
		"DecisionReason: {reason} \r\n" +
		"Vault: {vault}\r\n"
	textA2 = "The user, group or application '{caller}' does not have {kind} {permission} permission on key vault '{vault}'. " +
		"For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287"
	textOnBehalf = "The policy requires the caller '{caller}' to use on-behalf-of (OBO) flow. " +
		"For more information on OBO, please see https://go.microsoft.com/fwlink/?linkid=2152310"
	textNoAssignment = "'DeniedWithNoValidRBAC'"
	// Own choice: no record of a deny assignment.
	textDenyAssigned = "'DeniedByDenyAssignment'"
)

// throttled is the recorded 429; it comes without a Retry-After.
var throttled = fault.New(http.StatusTooManyRequests, codeThrottled,
	"Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached")

// 4xx of objects. {kind} is the word of the kind, {Kind} the same with a
// capital letter.
const (
	textNotFound = "A {kind} with (name/id) {id} was not found in this key vault. If you recently deleted this {kind} you may be able to " +
		"recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
	textDeletedNotFound = "Deleted {Kind} not found: {id}"
	textDisabled        = "Operation {operation} is not allowed on a disabled {kind}."
	textIsDeleted       = "{Kind} {id} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the {kind} " +
		"can only be recovered or purged."
	textManaged   = `Operation "{operation}" is not allowed as this object's lifetime is managed by Key Vault.`
	textProtected = `Operation "purge" is not allowed because purge protection is enabled for this vault. ` +
		"Key Vault service will automatically purge it after the retention period has passed.\r\nVault: {vault}"
	textForeignBackup   = "Cannot decrypt backup blob"
	textMalformedBackup = "Backup blob is corrupt."
	textInvalidName     = "The request URI contains an invalid name: {id}"
	textNotAllowed      = "HTTP {method} not allowed"
)

// kindWords are the words of the kinds of object in codes and texts.
var kindWords = map[access.Kind]struct{ lower, upper string }{
	access.KindNone:        {"object", "Object"},
	access.KindSecret:      {"secret", "Secret"},
	access.KindKey:         {"key", "Key"},
	access.KindCertificate: {"certificate", "Certificate"},
}

// Own choices. The service's texts, and for some its codes and statuses, are
// not known.
var (
	missingAPIVersion = fault.New(http.StatusBadRequest, codeBadParameter,
		"The query parameter api-version must be specified, once.")
	invalidMaxResults = fault.New(http.StatusBadRequest, codeBadParameter,
		"The query parameter maxresults must be a number from 1 to 25.")
	invalidSkipToken = fault.New(http.StatusBadRequest, codeBadParameter,
		"The query parameter $skiptoken is not one that this list has handed out.")
	bodyTooLarge = fault.New(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
		"The body of the request is larger than this operation allows.")
	unreadableBody = fault.New(http.StatusBadRequest, codeBadParameter, "The body of the request could not be read.")
	hardwareOnly   = fault.New(http.StatusBadRequest, codeBadParameter, "The operation is available on a managed HSM only; this is a vault.")
	noSuchPath     = fault.New(http.StatusNotFound, "NotFound", "There is no such operation.")
	outOfService   = fault.New(http.StatusServiceUnavailable, "ServiceUnavailable",
		"The audit log cannot be written; nothing is served until it can.")
	// undecided answers a refusal that has no text: nothing is given away.
	undecided = fault.New(http.StatusForbidden, codeForbidden, "Caller is not authorized to perform action on resource.")
)

const (
	textTooMany   = "{Kind} {id} has more than 500 versions, or is too large, and cannot be backed up."
	textExists    = "{Kind} {id} exists already; a backup can be restored only where its name is free."
	textContended = "{Kind} {id} is being changed by other requests; retry later."
)

// noSuchVault answers for a name that no vault has; in the public cloud the
// name would not resolve.
func noSuchVault(name string) *fault.Error {
	return fault.New(http.StatusNotFound, "VaultNotFound", "There is no vault %q here.", name)
}

func unsupportedAPIVersion(v string) *fault.Error {
	return fault.New(http.StatusBadRequest, codeBadParameter,
		"The api-version %q is not supported; 7.0 to 7.6, 2025-07-01 and 2026-04-01 are.", cut(v, maxEcho))
}

// malformedBody begins like the service's "Property  has invalid value",
// which names nothing.
func malformedBody(reason string) *fault.Error {
	return fault.New(http.StatusBadRequest, codeBadParameter, "The body of the request %s.", reason)
}

func invalidProperty(name, reason string) *fault.Error {
	it := "it"
	if strings.HasPrefix(reason, "are ") || strings.HasPrefix(reason, "hold ") {
		it = "they"
	}
	return fault.New(http.StatusBadRequest, codeBadParameter, "Property %s has invalid value: %s %s.", name, it, reason)
}

// Texts of the service again.

func invalidName(name string) *fault.Error {
	return &fault.Error{Status: http.StatusBadRequest, Code: codeBadParameter, Message: fill(textInvalidName, "{id}", cut(name, maxEcho))}
}

func methodNotAllowed(method string, allow []string) *fault.Error {
	slices.Sort(allow)
	return &fault.Error{Status: http.StatusMethodNotAllowed, Code: codeNotAllowed,
		Message: fill(textNotAllowed, "{method}", cut(method, maxEcho)),
		Header:  http.Header{"Allow": {strings.Join(slices.Compact(allow), ", ")}}}
}

// fill puts values in the places of a text. The values are not looked at
// for places again.
func fill(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

// fault puts what went wrong behind the decision into the service's words.
func (x *exchange) fault(err error) *fault.Error {
	if invalid := new(vault.Invalid); errors.As(err, &invalid) {
		if invalid.Property == "name" {
			return invalidName(x.target.name)
		}
		return invalidProperty(invalid.Property, invalid.Reason)
	}
	if f := x.certificateFault(err); f != nil {
		return f
	}
	var refusal vault.Refusal
	if !errors.As(err, &refusal) {
		return fault.Of(err)
	}
	info := x.target.route.Operation.Info()
	kind := kindWords[info.Kind]
	id := x.target.name
	if x.target.version != "" {
		id += "/" + cut(x.target.version, maxEcho)
	}
	made := func(status int, code, inner, text string) *fault.Error {
		return &fault.Error{Status: status, Code: code, Inner: inner, Message: fill(text, "{kind}", kind.lower, "{Kind}", kind.upper, "{id}", id,
			"{vault}", place(x.vault), "{operation}", info.Permission)}
	}
	switch refusal {
	case vault.NotFound:
		return made(http.StatusNotFound, kind.upper+codeNotFound, "", textNotFound)
	case vault.NotDeleted:
		// A recovery answers with the text of a live object.
		if strings.HasSuffix(x.target.route.Pattern, "/recover") {
			return made(http.StatusNotFound, kind.upper+codeNotFound, "", textNotFound)
		}
		return made(http.StatusNotFound, kind.upper+codeNotFound, "", textDeletedNotFound)
	case vault.IsDeleted:
		return made(http.StatusConflict, codeConflict, innerDeleted, textIsDeleted)
	case vault.Exists:
		return made(http.StatusConflict, codeConflict, "", textExists)
	case vault.Disabled:
		return made(http.StatusForbidden, codeForbidden, kind.upper+innerDisabled, textDisabled)
	case vault.Managed:
		return made(http.StatusForbidden, codeForbidden, kind.upper+innerManaged, textManaged)
	case vault.Protected:
		return made(http.StatusForbidden, codeForbidden, "", textProtected)
	case vault.TooManyVersions:
		return made(http.StatusBadRequest, codeBadParameter, "", textTooMany)
	case vault.BackupMalformed:
		return made(http.StatusBadRequest, codeMalformed, "", textMalformedBackup)
	case vault.BackupForeign:
		return made(http.StatusBadRequest, codeBadParameter, "", textForeignBackup)
	case vault.NotPermitted:
		return made(http.StatusForbidden, codeForbidden, innerKeyOperation, textNotPermitted)
	case vault.Expired:
		return made(http.StatusForbidden, codeForbidden, kind.upper+innerExpired, textExpiredKey)
	case vault.NotYetValid:
		return made(http.StatusForbidden, codeForbidden, kind.upper+innerNotYetValid, textNotYetValidKey)
	case vault.Contended:
		return made(http.StatusConflict, codeConflict, "", textContended)
	}
	return fault.Of(err)
}
