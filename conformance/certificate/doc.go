// Package certificate checks the certificates of a vault against the openssl
// program and Azure's own reader of certificates: requests, certificates,
// PKCS#12 and PEM that one writes, the other reads.
package certificate
