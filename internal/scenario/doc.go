// Package scenario is tests alone: whole stories of the documents, told to a
// running server by everybody who has a part in them, each with the identity
// and from the network that it would really have.
package scenario
