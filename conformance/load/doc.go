// Package load holds many connections open to a running server.
package load
