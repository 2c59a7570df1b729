package attack

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"postern/posterntest"
)

// withSecret is the server that bad input is sent to.
func withSecret(t *testing.T) func(p *posterntest.Postern) {
	return func(p *posterntest.Postern) {
		p.CreateVault("kv1")
		setSecret(t, p, "kv1", "a", "v")
	}
}

// host is the host name of a vault, without the port.
func host(p *posterntest.Postern, vault string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(p.VaultURL(vault), "https://"), ":")
	return name
}

// raw sends the bytes of requests over a connection of their own.
func raw(t *testing.T, p *posterntest.Postern, bytes string) []answer {
	t.Helper()
	conn := dial(t, p, host(p, "kv1"), "http/1.1")
	defer conn.Close()
	return exchange(conn, bytes)
}

// statuses are the statuses of answers.
func statuses(answers []answer) string {
	var list []string
	for _, a := range answers {
		list = append(list, fmt.Sprint(a.status))
	}
	return strings.Join(list, " ")
}

// TestHosts: a request is for the vault that its one Host names, in every
// way to write it, whatever the TLS name was; no other name is served.
func TestHosts(t *testing.T) {
	t.Parallel()
	nothingLanded(t, withSecret(t), func(p *posterntest.Postern) {
		own, admin := host(p, "kv1"), p.Token(vaultResource)
		port := p.Address()[strings.LastIndex(p.Address(), ":"):]
		for _, tt := range []struct{ host, want string }{
			{own, "200"}, {own + port, "200"}, {own + ":1", "200"}, {strings.ToUpper(own), "200"}, {own + ".", "200"}, {own + "." + port, "200"}, {"kv1.vault.azure.net", "200"}, {"KV1.Vault.Azure.NET:443", "200"},
			{"kv2.vault.azure.net", "404"}, {"x.kv1.vault.azure.net", "421"}, {"vault.azure.net", "421"}, {".vault.azure.net", "421"}, {"..vault.azure.net", "421"}, {own + "..", "421"}, {"kv1.vault.azure.net.evil.example", "421"},
			{"kv1.vault.azure.com", "421"}, {"kv1-vault.azure.net", "421"}, {"localhost", "421"}, {"127.0.0.1", "421"}, {"127.0.0.1" + port, "421"}, {"[::1]" + port, "421"}, {"[::ffff:127.0.0.1]", "421"}, {"2130706433", "421"}, {"::1", "421"}, {"", "421"}, {":443", "421"},
			{"kv1%2evault.azure.net", "421"}, {"kv1.vault.azure.net%00", "421"}, {"kv1.vault.azure.net:443:443", "421"}, {"[kv1.vault.azure.net]:443", "200"}, {"user@kv1.vault.azure.net", "400"}, {"user:x@kv1.vault.azure.net", "400"},
			{"kv1.vault.azure.net/", "400"}, {"kv1.vault.azure.net/secrets", "400"}, {"kv1 .vault.azure.net", "400"}, {"kv1.vault.azure.net,kv2.vault.azure.net", "421"}, {"kv1.vault.azure.net\t", "200"}, {"k\u0131v1.vault.azure.net", "400"}, {"*.vault.azure.net", "404"}, {strings.Repeat("a", 64) + ".vault.azure.net", "404"},
			{strings.Repeat("a.", 5000) + "vault.azure.net", "421"},
		} {
			got := raw(t, p, "GET /secrets/a"+api+" HTTP/1.1\r\nHost: "+tt.host+"\r\nAuthorization: Bearer "+admin+"\r\nConnection: close\r\n\r\n")
			if statuses(got) != tt.want {
				t.Errorf("Host %.60q = %s %.200v, want %s", tt.host, statuses(got), got, tt.want)
			}
		}
		for _, tt := range []struct{ what, request, want string }{
			{"two hosts", "GET /secrets/a" + api + " HTTP/1.1\r\nHost: " + own + "\r\nHost: evil.example\r\n", "400"},
			{"two equal hosts", "GET /secrets/a" + api + " HTTP/1.1\r\nHost: " + own + "\r\nHost: " + own + "\r\n", "400"},
			{"no host", "GET /secrets/a" + api + " HTTP/1.1\r\n", "400"},
			{"no host in 1.0", "GET /secrets/a" + api + " HTTP/1.0\r\n", "421"},
			{"a host with a blank before the colon", "GET /secrets/a" + api + " HTTP/1.1\r\nHost : " + own + "\r\n", "400"},
			{"a folded host", "GET /secrets/a" + api + " HTTP/1.1\r\nHost:\r\n " + own + "\r\n", "200"}, // RFC 9112 §5.2: a fold is a blank,
			{"a forwarded host", "GET /secrets/a" + api + " HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: " + own + "\r\nForwarded: host=" + own + "\r\n", "421"},
			{"an absolute form", "GET https://kv1.vault.azure.net/secrets/a" + api + " HTTP/1.1\r\nHost: evil.example\r\n", "200"},
			{"an absolute form of another", "GET https://evil.example/secrets/a" + api + " HTTP/1.1\r\nHost: " + own + "\r\n", "421"},
			{"an absolute form of another scheme", "GET file:///etc/passwd HTTP/1.1\r\nHost: " + own + "\r\n", "404"},
			{"an absolute form with a user", "GET https://kv1.vault.azure.net@evil.example/secrets/a HTTP/1.1\r\nHost: " + own + "\r\n", "421"},
			{"an authority form", "CONNECT " + own + ":443 HTTP/1.1\r\nHost: " + own + "\r\n", "404"},
			{"a connect to elsewhere", "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: " + own + "\r\n", "421"},
			{"an upgrade to h2c", "GET /secrets/a HTTP/1.1\r\nHost: " + own + "\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n", "400"},
		} {
			got := raw(t, p, tt.request+"Authorization: Bearer "+admin+"\r\nConnection: close\r\n\r\n")
			if statuses(got) != tt.want {
				t.Errorf("%s = %s %.300v, want %s", tt.what, statuses(got), got, tt.want)
			}
		}
		// The TLS name gives nothing: the Host alone counts, and it is the
		// vault's own gates that are asked.
		conn := dial(t, p, "login.microsoftonline.com", "http/1.1")
		if got := exchange(conn, "GET /secrets/a"+api+" HTTP/1.1\r\nHost: kv1.vault.azure.net\r\nConnection: close\r\n\r\n"); statuses(got) != "401" {
			t.Errorf("a vault under the TLS name of the login host = %s, want 401", statuses(got))
		}
		alive(t, p, "bad hosts")
	})
}

// TestPaths: whatever stands in a path, it is one object's name or nothing.
func TestPaths(t *testing.T) {
	t.Parallel()
	nothingLanded(t, withSecret(t), func(p *posterntest.Postern) {
		own, admin, manager := host(p, "kv1"), p.Token(vaultResource), p.Token(p.ManagementURL)
		long := strings.Repeat("a", 60000)
		var answers []answer
		for _, tt := range []struct{ path, want string }{
			{"/secrets/a", "200"}, {"//secrets//a//", "200"}, {"/SECRETS/A", "200"}, {"/secrets/%61", "200"}, {"/%73ecrets/a", "200"}, {"/./secrets/a", "404"}, {"/secrets/./a", "400"}, {"/x/../secrets/a", "404"}, {"/secrets/../secrets/a", "404"},
			{"/secrets/..", "400"}, {"/secrets/%2e%2e", "400"}, {"/secrets/%2e%2e%2fa", "400"}, {"/secrets/b%2f..%2fa", "400"}, {"/secrets%2fa", "404"}, {"/secrets/a%00", "400"}, {"/secrets/a%0d%0aX:y", "400"}, {"/secrets/%ff%fe", "400"}, {"/secrets/\xff\xfe", "400"},
			{"/secrets/a%", "400"}, {"/secrets/%zz", "400"}, {"/secrets/a;x=1", "400"}, {"/secrets/a%3fx", "400"}, {"/secrets/a%23x", "400"}, {"/secrets/a\\b", "400"}, {"/secrets/a b", "400"}, {"/secrets/ä", "400"}, {"/secrets/%C3%A4", "400"}, {"/secrets/ａ", "400"},
			{"/secrets/" + strings.Repeat("a", 127), "404"}, {"/secrets/" + strings.Repeat("a", 128), "400"}, {"/secrets/" + long, "400"}, {"/" + strings.Repeat("/", 60000) + "secrets/a", "200"}, {strings.Repeat("/a", 30000), "404"},
			{"/secrets/a/" + strings.Repeat("0", 32), "404"}, {"/secrets/a/..", "404"}, {"/secrets/a/%2e%2e%2f%2e%2e%2fa", "404"}, {"/secrets/a/" + long, "404"}, {"/secrets/a/x/y", "404"}, {"/deletedsecrets/a%2frecover", "400"},
			{"/secrets/a" + "?api-version=7.4&api-version=7.3", "400"}, {"/secrets/a?api-version=" + strings.Repeat("7", 9999), "400"}, {"/secrets/a?api-version=7.4%00", "400"}, {"/secrets/a?API%2DVERSION=7.4", "200"}, {"/secrets/a?api-version", "400"}, {"/secrets?maxresults=26&api-version=7.4", "400"},
			{"/secrets?maxresults=-1&api-version=7.4", "400"}, {"/secrets?maxresults=99999999999999999999&api-version=7.4", "400"}, {"/secrets?$skiptoken=AAAA&api-version=7.4", "400"}, {"/secrets?$skiptoken=" + strings.Repeat("A", 2000) + "&api-version=7.4", "400"}, {"/secrets?$skiptoken=../../o&api-version=7.4", "400"},
			{"*", "404"},
		} {
			path := tt.path
			if !strings.Contains(path, "?") {
				path += api
			}
			if tt.path == "*" {
				path = "*"
			}
			id := nextID()
			got := raw(t, p, "GET "+path+" HTTP/1.1\r\nHost: "+own+"\r\nAuthorization: Bearer "+admin+"\r\nx-ms-client-request-id: "+id+"\r\nConnection: close\r\n\r\n")
			if statuses(got) != tt.want {
				t.Errorf("GET %.60q = %s %.200v, want %s", tt.path, statuses(got), got, tt.want)
				continue
			}
			// What net/http itself refuses as no request has no record.
			if got[0].header.Get("x-ms-request-id") != "" {
				got[0].id = id
				answers = append(answers, got[0])
			} else if tt.want != "400" {
				t.Errorf("GET %.60q = %s without a request id", tt.path, statuses(got))
			}
		}
		sub := "/subscriptions/" + p.SubscriptionID
		for _, path := range []string{sub + "/..", sub + "/%2e%2e/x", sub + "%2fresourceGroups", sub + "/resourceGroups/a%00", sub + "/resourceGroups/\xff", sub + "/resourceGroups/%2f", sub + "/" + strings.Repeat("a/", 100), "/" + long, sub + "/resourceGroups/a%5cb",
			sub + "/resourceGroups/%25", "/../metadata/endpoints", "/metadata/endpoints/..", p.VaultID("kv1") + "/secrets/%2e%2e", p.VaultID("..") + "/secrets/a", p.VaultID("kv1%2f..%2fkv1"), sub + "/providers//../x"} {
			id := nextID()
			got := raw(t, p, "GET "+path+armAPI+" HTTP/1.1\r\nHost: management.azure.com\r\nAuthorization: Bearer "+manager+"\r\nx-ms-client-request-id: "+id+"\r\nConnection: close\r\n\r\n")
			if len(got) != 1 || got[0].status < 400 || got[0].status >= 500 {
				t.Errorf("control plane: GET %.60q = %s %.200v, want a refusal", path, statuses(got), got)
				continue
			}
			got[0].id = id
			answers = append(answers, got[0])
		}
		for _, path := range []string{"/..", "/%2e%2e/oauth2/v2.0/token", "/" + long + "/oauth2/v2.0/token", "/a%00/v2.0/.well-known/openid-configuration", "/\xff/discovery/keys", "//", "/common/discovery/instance/.."} {
			if got := raw(t, p, "GET "+path+" HTTP/1.1\r\nHost: login.microsoftonline.com\r\nConnection: close\r\n\r\n"); len(got) != 1 || got[0].status < 400 || got[0].status >= 500 {
				t.Errorf("login: GET %.60q = %s %.200v, want a refusal", path, statuses(got), got)
			}
		}
		alive(t, p, "bad paths")
		recorded(t, p.Data, answers)
	})
}

// TestFraming: what could be two requests to one reader and one to another
// never brings a second request past the gates.
func TestFraming(t *testing.T) {
	t.Parallel()
	nothingLanded(t, withSecret(t), func(p *posterntest.Postern) {
		own, admin := host(p, "kv1"), p.Token(vaultResource)
		put := "PUT /secrets/smuggled" + api + " HTTP/1.1\r\nHost: " + own + "\r\nContent-Type: application/json\r\n"
		auth := "Authorization: Bearer " + admin + "\r\n"
		inner := put + "Content-Length: 13\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"
		for _, tt := range []struct{ what, bytes string }{
			{"two lengths", put + auth + "Content-Length: 13\r\nContent-Length: 0\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"a list of lengths", put + auth + "Content-Length: 13, 0\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"a negative length", put + auth + "Content-Length: -1\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"a length with a sign", put + auth + "Content-Length: +13\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"a hexadecimal length", put + auth + "Content-Length: 0xd\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"an immense length", put + auth + "Content-Length: 99999999999999999999\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"a large length", put + auth + "Content-Length: 9223372036854775807\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"a blank before the colon", put + "Authorization : Bearer " + admin + "\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"an unknown coding", put + auth + "Transfer-Encoding: xchunked\r\nConnection: close\r\n\r\nd\r\n{\"value\":\"v\"}\r\n0\r\n\r\n"},
			{"two codings", put + auth + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nConnection: close\r\n\r\nd\r\n{\"value\":\"v\"}\r\n0\r\n\r\n"},
			{"gzip, chunked", put + auth + "Transfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\nd\r\n{\"value\":\"v\"}\r\n0\r\n\r\n"},
			{"a bad chunk", put + auth + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n{\"value\":\"v\"}\r\n0\r\n\r\n"},
			{"an immense chunk", put + auth + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nffffffffffffffffff\r\n{\"value\":\"v\"}\r\n0\r\n\r\n"},
			{"a negative chunk", put + auth + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n-d\r\n{\"value\":\"v\"}\r\n0\r\n\r\n"},
			{"a request behind a length", "GET /healthstatus HTTP/1.1\r\nHost: " + own + "\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\nConnection: close\r\n\r\n" + inner},
			{"a request behind a chunked end", strings.Replace(put, "PUT", "GET", 1) + auth + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner},
			{"a request behind a short length", put + auth + "Content-Length: 0\r\n\r\n" + inner},
			{"a bare line feed", strings.ReplaceAll(put, "\r\n", "\n") + "Content-Length: 13\nConnection: close\n\n{\"value\":\"v\"}"},
			{"a trailer with a token", put + "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\nConnection: close\r\n\r\nd\r\n{\"value\":\"v\"}\r\n0\r\n" + auth + "\r\n"},
			{"a method of its own", strings.Replace(put, "PUT ", "PUT\tX ", 1) + auth + "Connection: close\r\n\r\n"},
			{"a method override", "POST /secrets/smuggled" + api + " HTTP/1.1\r\nHost: " + own + "\r\nX-HTTP-Method-Override: PUT\r\n" + auth + "Content-Length: 13\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"an original url", "GET /healthstatus HTTP/1.1\r\nHost: " + own + "\r\nX-Original-URL: /secrets/a\r\nX-Rewrite-URL: /secrets/a\r\nConnection: close\r\n\r\n"},
			{"an old version", "GET /secrets/a" + api + "\r\n\r\n"},
			{"a new version", "GET /secrets/a" + api + " HTTP/3.0\r\nHost: " + own + "\r\n\r\n"},
			{"two tokens", put + auth + auth + "Content-Length: 13\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"two tokens in one", put + "Authorization: Bearer " + admin + ", Bearer " + admin + "\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"value\":\"v\"}"},
			{"a header without end", "GET / HTTP/1.1\r\nHost: " + own + "\r\nX: " + strings.Repeat("x", 200<<10) + "\r\nConnection: close\r\n\r\n"},
			{"very many headers", "GET /secrets/a" + api + " HTTP/1.1\r\nHost: " + own + "\r\n" + strings.Repeat("X: y\r\n", 20000) + "Connection: close\r\n\r\n"},
			{"a token that is too long", "GET /secrets/a" + api + " HTTP/1.1\r\nHost: " + own + "\r\nAuthorization: Bearer " + strings.Repeat("a", 40<<10) + "\r\nConnection: close\r\n\r\n"},
			{"a null in a header", "GET /secrets/a" + api + " HTTP/1.1\r\nHost: " + own + "\r\nX: a\x00b\r\nConnection: close\r\n\r\n"},
		} {
			for _, a := range raw(t, p, tt.bytes) {
				if a.status < 400 && a.body != `"OK"` || a.status >= 500 && a.status != http.StatusNotImplemented && a.status != http.StatusHTTPVersionNotSupported || strings.Contains(a.body, `"value"`) {
					t.Errorf("%s = %d %s, want a refusal", tt.what, a.status, a.body)
				}
			}
		}
		alive(t, p, "bad framing")
	})
}

// TestStrangeBytes: what is no TLS, or an old one, gets nothing.
func TestStrangeBytes(t *testing.T) {
	t.Parallel()
	nothingLanded(t, withSecret(t), func(p *posterntest.Postern) {
		own := host(p, "kv1")
		hello11 := "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x02" + strings.Repeat("\x01", 32) + "\x00\x00\x04\xc0\x13\x00\x2f\x01\x00"
		for _, tt := range []struct{ what, bytes string }{
			{"plain HTTP", "GET /secrets/a HTTP/1.1\r\nHost: " + own + "\r\n\r\n"},
			{"an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
			{"PROXY v1", "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\nGET / HTTP/1.1\r\n\r\n"},
			{"PROXY v2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xc0\x00\x02\x01\xdc\x04\x01\xbb"},
			{"SSLv2", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02\x00\x80\x03\x00\x80\x04\x00\x80\x05\x00\x80\x06\x00\x40\x07\x00\xc0" + strings.Repeat("\x01", 16)},
			{"SSLv3", "\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00" + strings.Repeat("\x01", 32) + "\x00\x00\x04\x00\x05\x00\x0a\x01\x00"},
			{"TLS 1.1", hello11},
			{"a record that is too long", "\x16\x03\x01\xff\xff" + strings.Repeat("\x01", 70000)},
			{"an alert", "\x15\x03\x03\x00\x02\x02\x28"},
			{"application data", "\x17\x03\x03\x00\x05hello"},
			{"zeros", strings.Repeat("\x00", 4096)},
			{"noise", string(bytes.Repeat([]byte{0x9d, 0x3b, 0xe1, 0x77, 0x02}, 1000))},
		} {
			got := plain(t, p.Address(), tt.bytes)
			if strings.Contains(got, " 200 ") || strings.Contains(got, "secrets") {
				t.Errorf("%s is answered with %q", tt.what, got)
			}
		}
		alive(t, p, "bytes that are no TLS")
	})
}

// TestBodies: a body is one object of known types within its bounds, or
// nothing is stored.
func TestBodies(t *testing.T) {
	t.Parallel()
	nothingLanded(t, withSecret(t), func(p *posterntest.Postern) {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		_, _ = io.WriteString(w, `{"value":"v"}`)
		w.Close()
		var bomb bytes.Buffer
		w = gzip.NewWriter(&bomb)
		_, _ = w.Write(bytes.Repeat([]byte("a"), 8<<20))
		w.Close()
		bodies := []struct{ what, set, arm string }{
			{"nothing", "", ""}, {"blanks", "  \n", " "}, {"null", "null", "null"}, {"a number", "1", "1"}, {"a string", `"v"`, `"v"`}, {"a list", `[{"value":"v"}]`, `[]`}, {"true", "true", "true"},
			{"two objects", `{"value":"v"}{"value":"w"}`, `{"properties":{"value":"v"}}{}`}, {"a comma behind", `{"value":"v"},`, `{"properties":{"value":"v"}},`}, {"a comma within", `{"value":"v",}`, `{"properties":{"value":"v",}}`}, {"a comment", `{"value":"v"/**/}`, `{"properties":{"value":"v"}}//`},
			{"single quotes", `{'value':'v'}`, `{'properties':{}}`}, {"no quotes", `{value:"v"}`, `{properties:{}}`}, {"no end", `{"value":"v"`, `{"properties":{"value":"v"}`}, {"a line break", "{\"value\":\"a\nb\"}", "{\"properties\":{\"value\":\"a\nb\"}}"}, {"a null byte", "{\"value\":\"a\x00b\"}", "{\"properties\":{\"value\":\"a\x00b\"}}"},
			{"twice", `{"value":"v","value":"w"}`, `{"properties":{"value":"v","value":"w"}}`}, {"twice, escaped", `{"value":"v","\u0076alue":"w"}`, `{"properties":{"value":"v","\u0076alue":"w"}}`}, {"twice, far down", `{"value":"v","x":{"a":1,"a":2}}`, `{"properties":{"value":"v"},"x":{"a":1,"a":2}}`},
			{"an object", `{"value":{}}`, `{"properties":{"value":{}}}`}, {"a value that is a number", `{"value":1}`, `{"properties":{"value":1}}`}, {"a value that is null", `{"value":null}`, `{"properties":{"value":null}}`}, {"a value that is a list", `{"value":["v"]}`, `{"properties":{"value":["v"]}}`}, {"no value", `{}`, `{}`},
			{"NaN", `{"value":NaN}`, `{"properties":{"value":NaN}}`}, {"Infinity", `{"value":"v","attributes":{"exp":Infinity}}`, `{"properties":{"value":"v","attributes":{"exp":Infinity}}}`}, {"1e999", `{"value":"v","attributes":{"exp":1e999}}`, `{"properties":{"value":"v","attributes":{"exp":1e999}}}`},
			{"a huge number", `{"value":"v","attributes":{"exp":` + strings.Repeat("9", 5000) + `}}`, `{"properties":{"value":"v","attributes":{"exp":` + strings.Repeat("9", 5000) + `}}}`}, {"a negative date", `{"value":"v","attributes":{"nbf":-1}}`, `{"properties":{"value":"v","attributes":{"nbf":-1}}}`},
			{"a date behind the end", `{"value":"v","attributes":{"nbf":253402300800}}`, `{"properties":{"value":"v","attributes":{"nbf":253402300800}}}`}, {"a fraction", `{"value":"v","attributes":{"nbf":1.5}}`, `{"properties":{"value":"v","attributes":{"nbf":1.5}}}`}, {"octal", `{"value":"v","attributes":{"nbf":010}}`, `{"properties":{"value":"v","attributes":{"nbf":010}}}`},
			{"a flag of text", `{"value":"v","attributes":{"enabled":"true"}}`, `{"properties":{"value":"v","attributes":{"enabled":"true"}}}`}, {"invalid UTF-8", "{\"value\":\"\xff\xfe\"}", "{\"properties\":{\"value\":\"\xff\xfe\"}}"}, {"an overlong form", "{\"value\":\"\xc0\x80\"}", "{\"properties\":{\"value\":\"\xc0\x80\"}}"},
			{"half a surrogate", `{"value":"\ud800"}`, `{"properties":{"value":"\ud800"}}`}, {"surrogates turned round", `{"value":"\udc00\ud800"}`, `{"properties":{"value":"\udc00\ud800"}}`}, {"UTF-16", "\xff\xfe{\x00}\x00", "\xff\xfe{\x00}\x00"},
			{"deep", `{"value":"v","x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, `{"properties":{"value":"v"},"x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`}, {"deep without an end", strings.Repeat(`{"a":`, 50000), strings.Repeat(`{"a":`, 50000)},
			{"long", `{"value":"` + strings.Repeat("v", 25<<10+1) + `"}`, `{"properties":{"value":"` + strings.Repeat("v", 25<<10+1) + `"}}`}, {"longer", `{"value":"` + strings.Repeat("v", 1<<20) + `"}`, `{"properties":{"value":"` + strings.Repeat("v", 2<<20) + `"}}`}, {"blanks and blanks", `{"value":"v"` + strings.Repeat(" ", 2<<20) + `}`, `{"properties":{"value":"v"}` + strings.Repeat(" ", 2<<20) + `}`},
			{"many tags", `{"value":"v","tags":{` + numbered(16) + `}}`, `{"properties":{"value":"v"},"tags":{` + numbered(60) + `}}`}, {"very many members", `{"value":"v",` + numbered(5000) + `}`, `{"properties":7,` + numbered(5000) + `}`}, {"gzip", zipped.String(), zipped.String()}, {"a bomb", bomb.String(), bomb.String()},
		}
		admin, manager := p.Token(vaultResource), p.Token(p.ManagementURL)
		var answers []answer
		for _, b := range bodies {
			for _, q := range []request{
				{method: "PUT", url: p.VaultURL("kv1") + "/secrets/landed" + api, token: admin, body: b.set},
				{method: "POST", url: p.VaultURL("kv1") + "/secrets/restore" + api, token: admin, body: b.set},
				{method: "PUT", url: p.ManagementURL + p.VaultID("kv1") + "/secrets/landed" + armAPI, token: manager, body: b.arm},
				{method: "PUT", url: p.ManagementURL + p.VaultID("landed") + armAPI, token: manager, body: b.arm},
				{method: "PUT", url: p.ManagementURL + p.VaultID("kv1") + "/providers/Microsoft.Authorization/roleAssignments/11111111-1111-4111-8111-111111111111?api-version=2022-04-01", token: manager, body: b.arm},
				{method: "POST", url: p.ManagementURL + "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.KeyVault/checkNameAvailability" + armAPI, token: manager, body: b.arm},
			} {
				// The encoding that it claims is not undone.
				if strings.HasPrefix(b.set, "\x1f\x8b") {
					q.header = http.Header{"Content-Encoding": {"gzip"}}
				}
				a := send(t, p.Client(), q)
				if a.status < 400 || a.status >= 500 {
					t.Errorf("%s: %s %s = %d %.300s, want a refusal", b.what, q.method, q.url, a.status, a.body)
				}
				answers = append(answers, a)
			}
		}
		alive(t, p, "bad bodies")
		recorded(t, p.Data, answers)
	})
}

// numbered is n members of an object.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"m%d":"x",`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// TestGoodBodies: what is unusual and right is taken: the refusals of
// TestBodies are not for the sake of refusing.
func TestGoodBodies(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	admin := p.Token(vaultResource)
	for i, tt := range []struct {
		body   string
		header http.Header
	}{
		{`{"value":"v"}`, http.Header{"Content-Type": {"text/plain"}}},
		{`{"value":"v"}`, http.Header{"Content-Type": {"application/json; charset=utf-16"}}},
		{" \r\n\t{\"value\" : \"\\u0076\" , \"unknown\":[{}, null, 1e5, \"\\ud83d\\ude00\"] } \n", nil},
		{`{"value":"v","attributes":null,"tags":null,"contentType":null}`, nil},
		{`{"value":"v","attributes":{"exp":253402300799}}`, nil},
		{`{"value":"v"}`, http.Header{"Expect": {"100-continue"}}},
	} {
		target := fmt.Sprintf("%s/secrets/good%d%s", p.VaultURL("kv1"), i, api)
		if a := send(t, p.Client(), request{method: "PUT", url: target, token: admin, body: tt.body, header: tt.header}); a.status != 200 || !strings.HasPrefix(a.body, `{"value":"v"`) {
			t.Errorf("PUT %s = %d %s, want 200", tt.body, a.status, a.body)
		}
	}
	own := host(p, "kv1")
	for i, framing := range []string{"Content-Length: 13\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n{\"value\":\"v\"}", "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n{\"val\r\n8;x=y\r\nue\":\"v\"}\r\n0\r\n\r\n"} {
		got := raw(t, p, fmt.Sprintf("PUT /secrets/raw%d%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s", i, api, own, admin, framing))
		if s := statuses(got); s != "200" && s != "100 200" {
			t.Errorf("%.40q = %s %v, want 200", framing, s, got)
		}
	}
}
