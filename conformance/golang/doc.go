// Package golang runs the unmodified Go SDK for secrets, keys and certificates
// against a running postern: through posterntest as a program's own test
// would, and by the SDK's own live test suites.
package golang
