package keyvault

import (
	"crypto/tls"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"postern/access"
	"postern/internal/fault"
)

// serviceVersion is the version of the service whose answers these are held
// to, of the newest recordings.
const serviceVersion = "1.9.3070.1"

// healthBody is the answer of /healthstatus: the documentation shows its
// length, four bytes, and nothing else of it.
const healthBody = `"OK"`

// The constant values of headers. They are shared by all answers and never
// changed.
var (
	noCache         = []string{"no-cache"}
	expired         = []string{"-1"}
	jsonType        = []string{"application/json; charset=utf-8"}
	plainText       = []string{"text/plain; charset=utf-8"}
	transport       = []string{"max-age=31536000;includeSubDomains"}
	noSniff         = []string{"nosniff"}
	versionOfTheAPI = []string{serviceVersion}
)

// The names of headers as the service writes them: HTTP/1.1 shows them so.
// HTTP/2 has lower case for all.
const (
	headerRegion         = "x-ms-keyvault-region"
	headerRequestID      = "x-ms-request-id"
	headerClientID       = "x-ms-client-request-id"
	headerServiceVersion = "x-ms-keyvault-service-version"
	headerNetworkInfo    = "x-ms-keyvault-network-info"
	headerAssignment     = "x-ms-keyvault-rbac-assignment-id"
)

// headers is the values of one answer's own headers; the answer's header
// map points into it.
type headers struct {
	region, request, client, network, assignment [1]string
	// location and retryAfter are those of a long operation; "" for none.
	location, retryAfter [1]string
	// random is what the request's id is made of.
	random [16]byte
}

func (h *headers) requestID() string { return h.request[0] }

// correlation is the client's own id where it sent one, else that of the
// answer.
func (h *headers) correlation() string {
	if h.client[0] != "" {
		return h.client[0]
	}
	return h.request[0]
}

// begin sets the headers of every answer (recorded answers of the service).
func (h *headers) begin(header http.Header, x *exchange) {
	header["Cache-Control"] = noCache
	header["Pragma"] = noCache
	header["Expires"] = expired
	header["Strict-Transport-Security"] = transport
	header["X-Content-Type-Options"] = noSniff
	header[headerServiceVersion] = versionOfTheAPI
	x.random(h.random[:])
	h.request[0] = guid(h.random)
	header[headerRequestID] = h.request[:]
	if sent := x.request.Header["X-Ms-Client-Request-Id"]; len(sent) == 1 && echoable(sent[0]) {
		h.client[0] = sent[0]
		header[headerClientID] = h.client[:]
	}
	h.network[0] = NetworkInfo(x.call.Request.Origin)
	header[headerNetworkInfo] = h.network[:]
	if x.vault == nil {
		return
	}
	h.region[0] = x.vault.Resource.Location
	header[headerRegion] = h.region[:]
}

// allowed adds what a handler has said, and the role assignment by which the
// request was allowed.
func (h *headers) allowed(header http.Header, x *exchange) {
	if h.location[0] != "" {
		header["Location"] = h.location[:]
	}
	if h.retryAfter[0] != "" {
		header["Retry-After"] = h.retryAfter[:]
	}
	if x.decision.Reason != access.ByAssignment {
		return
	}
	h.assignment[0] = strings.ReplaceAll(x.vault.Rules.Assignments[x.decision.Rule].ID, "-", "")
	header[headerAssignment] = h.assignment[:]
}

// NetworkInfo is the header by which a client learns how the vault sees its
// connection (documentation: private-link-diagnostics). Of an unknown
// connection there is nothing to say.
func NetworkInfo(o access.Origin) string {
	// What is made here stays within the longest IPv6 form.
	b := make([]byte, 0, 96)
	switch o.Path {
	case access.PathPublic:
		kind, family := "conn_type=Ipv4;addr=", ";act_addr_fam=InterNetwork;"
		if o.Addr.Is6() {
			kind, family = "conn_type=Ipv6;addr=", ";act_addr_fam=InterNetworkV6;"
		}
		b = append(appendAddr(append(b, kind...), o.Addr), family...)
	case access.PathSubnet, access.PathPrivateEndpoint:
		b = append(appendAddr(append(b, "addr="...), o.Addr), ";act_addr_fam=InterNetworkV6;"...)
	default:
		b = append(b, "conn_type=Unknown;"...)
	}
	return string(b)
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return b
	}
	return a.AppendTo(b)
}

// echoable reports whether a client's id can be sent back and logged:
// printable ASCII of a sane length.
func echoable(s string) bool {
	if s == "" || len(s) > maxEcho {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// guid makes a GUID of random bytes (RFC 9562 version 4).
func guid(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLS1_2"
	case tls.VersionTLS13:
		return "TLS1_3"
	}
	return ""
}

// maxPooled is the largest buffer that is kept: a bundle with a value at its
// limit fits.
const maxPooled = 64 << 10

// buffers are where answers are put together.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// unsetLength is up to which length net/http finds out the length of a body
// by itself.
const unsetLength = 2048

// write sends an answer; one without a body has no type either.
func write(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	if len(body) > 0 {
		header["Content-Type"] = jsonType
	}
	if len(body) >= unsetLength {
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
	_, _ = w.Write(body)
}

// send writes a refusal in the form of the data plane (spec: KeyVaultError).
func send(w http.ResponseWriter, f *fault.Error) {
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	write(w, f.Status, f.KeyVault())
}
