// Package identity runs unmodified clients with managed identities against a
// running postern: DefaultAzureCredential by the endpoint of App Service and
// by 169.254.169.254, which needs a network namespace of its own.
package identity
