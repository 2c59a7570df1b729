// Package java runs the unmodified Java SDK for keys and certificates, as
// Maven Central has it, against a running postern.
package java
