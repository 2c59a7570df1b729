// Package curl looks at the bare wire with curl: the challenge, the
// discovery documents, health, protocols, certificates and the CONNECT
// proxy's allow-list.
package curl
