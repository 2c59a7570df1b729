// Package dns holds what dig and nslookup print of a running postern to the
// words of the guide to private endpoints: the chain of a vault's name,
// inside the linked network and outside, and through a conditional forwarder.
package dns
