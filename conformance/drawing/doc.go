// Package drawing builds the drawing of the guide to Key Vault networking
// out of network namespaces and sends real packets through it: an app
// subnet, an AKS subnet and a private endpoint subnet behind a virtual
// network's router, an office behind its own router and a VPN, a second
// region, and the internet. Unmodified clients ask in each of them who the
// vault is and whether they get in.
//
// Everything that has an address is inside namespaces that the test makes;
// nothing leaves the machine. Making them takes root. Where that is missing
// the same table runs through PROXY protocol headers, and the test says so.
package drawing
