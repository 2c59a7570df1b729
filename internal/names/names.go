// Package names knows by which host names postern is reached, and what each
// of them stands for.
//
// There are two families of names. The private family is
// <plane>.<suffix>[:port], and <vault>.vault.<suffix>[:port] for vaults; the
// public family is the names of the public cloud, for clients that come
// through the CONNECT proxy or the DNS server. Every URL in an answer is made
// from the family by which the request came, so a client never leaves it.
package names

import (
	"net"
	"strconv"
	"strings"
)

// Plane is what a host name stands for.
type Plane uint8

// The planes; the zero value is none of ours.
const (
	None Plane = iota
	Login
	Management
	Graph
	Vault
)

// String is the plane's name in logs and metrics.
func (p Plane) String() string {
	return [...]string{"none", "login", "management", "graph", "vault"}[p]
}

// Family is one set of names that belong together.
type Family struct {
	// Public is true for the names of the public cloud.
	Public                   bool
	login, management, graph string
	// vault is the domain below which the vaults are: "vault.azure.net".
	vault string
	// port is ":8443", or "" for 443.
	port string
}

// LoginURL is "https://login.microsoftonline.com", without a slash.
func (f *Family) LoginURL() string { return "https://" + f.login + f.port }

// ManagementURL is "https://management.azure.com", without a slash.
func (f *Family) ManagementURL() string { return "https://" + f.management + f.port }

// GraphURL is "https://graph.microsoft.com", without a slash.
func (f *Family) GraphURL() string { return "https://" + f.graph + f.port }

// VaultURL is "https://myvault.vault.azure.net", without a slash.
func (f *Family) VaultURL(vault string) string { return "https://" + vault + "." + f.vault + f.port }

// VaultResource is the resource of the challenge and the audience of the
// tokens: "https://vault.azure.net". It carries the port, which the SDKs
// compare with the vault's.
func (f *Family) VaultResource() string { return "https://" + f.vault + f.port }

// VaultSuffix is the DNS suffix that az puts behind a vault's name, with
// the port: "vault.azure.net".
func (f *Family) VaultSuffix() string { return f.vault + f.port }

// Hosts are the fixed names of the family and the wildcard of its vaults,
// without ports: what a certificate must cover.
func (f *Family) Hosts() []string {
	return []string{f.login, f.management, f.graph, "*." + f.vault}
}

// Names is the two families of a server.
type Names struct {
	Private, Public *Family
	// aliases are further names of planes, lower-case.
	aliases map[string]Host
}

// Host is what a host name was found to be.
type Host struct {
	Plane  Plane
	Family *Family
	// Vault is the vault's name, lower-case, for Plane Vault.
	Vault string
}

// New makes the names of a server that is reached by suffix
// ("postern.localhost") on port.
func New(suffix string, port int) *Names {
	p := ""
	if port != 443 {
		p = ":" + strconv.Itoa(port)
	}
	suffix = strings.ToLower(suffix)
	private := &Family{login: "login." + suffix, management: "management." + suffix, graph: "graph." + suffix,
		vault: "vault." + suffix, port: p}
	public := &Family{Public: true, login: "login.microsoftonline.com", management: "management.azure.com",
		graph: "graph.microsoft.com", vault: "vault.azure.net"}
	n := &Names{Private: private, Public: public, aliases: map[string]Host{}}
	for _, f := range []*Family{private, public} {
		n.aliases[f.login] = Host{Plane: Login, Family: f}
		n.aliases[f.management] = Host{Plane: Management, Family: f}
		n.aliases[f.graph] = Host{Plane: Graph, Family: f}
	}
	n.aliases["arm."+suffix] = Host{Plane: Management, Family: private}
	n.aliases["login.windows.net"] = Host{Plane: Login, Family: public}
	n.aliases["management.core.windows.net"] = Host{Plane: Management, Family: public}
	return n
}

// Resolve finds what a Host header, an SNI name or a CONNECT target stands
// for. Letter case, a port and one trailing dot do not matter. The zero
// Host is a name that is not ours.
func (n *Names) Resolve(hostport string) Host {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if h, ok := n.aliases[host]; ok {
		return h
	}
	for _, f := range [...]*Family{n.Private, n.Public} {
		name, ok := strings.CutSuffix(host, f.vault)
		if ok && len(name) > 1 && strings.IndexByte(name, '.') == len(name)-1 {
			return Host{Plane: Vault, Family: f, Vault: name[:len(name)-1]}
		}
	}
	return Host{}
}

// Serves reports whether HOST:PORT is a name of the server's with a port
// under which clients know it: 443, or that of its own listener.
func (n *Names) Serves(hostport string) bool {
	_, port, err := net.SplitHostPort(hostport)
	return err == nil && (port == "443" || ":"+port == n.Private.port) && n.Resolve(hostport).Plane != None
}

// Hosts are the names of both families that a certificate must cover.
func (n *Names) Hosts() []string {
	hosts := append(n.Private.Hosts(), n.Public.Hosts()...)
	suffix := strings.TrimPrefix(n.Private.vault, "vault.")
	return append(hosts, "arm."+suffix, "login.windows.net", "management.core.windows.net")
}
