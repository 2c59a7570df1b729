// Package truthtable is tests alone: the documented table of the network
// gate, every line of it and every combination of what its columns can be,
// asked of a whole server through real sockets. Where a request comes from
// is told by PROXY headers, by the socket in the data folder, and by client
// certificates; what must come back is worked out from a table that is
// written down here apart from the code that decides.
package truthtable
