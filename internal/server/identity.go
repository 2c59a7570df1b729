package server

import (
	"postern/internal/arm"
	armidentity "postern/internal/arm/identity"
	armworkload "postern/internal/arm/workload"
)

// identityProviders are the providers of what has managed identities.
func identityProviders() []arm.Provider {
	return append(armworkload.Providers(), armidentity.Provider())
}
