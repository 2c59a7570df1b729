// Package contract holds what a running server answers against the
// published OpenAPI documents of the data plane: every operation, in what it
// grants and in what it refuses, in every api-version there is a document
// of.
package contract
