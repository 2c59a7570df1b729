package config

// Issuer is an issuer of tokens outside of the directory of the server: a
// tenant of the real Entra, or any OpenID provider. Its fields are those of
// the list "issuers" in the file.
type Issuer struct {
	// Issuer is the claim iss of its tokens.
	Issuer string `yaml:"issuer" json:"issuer"`
	// Audiences are accepted beside those of the server.
	Audiences []string `yaml:"audiences" json:"audiences,omitempty"`
	// Tenant is the tenant, a GUID, that its tokens count as.
	Tenant string `yaml:"tenant" json:"tenant,omitempty"`
	// KeysURL or KeysFile is its JWK set.
	KeysURL  string `yaml:"keysURL" json:"keysURL,omitempty"`
	KeysFile string `yaml:"keysFile" json:"keysFile,omitempty"`
	// CAFile holds the authorities that vouch for its hosts.
	CAFile string `yaml:"caFile" json:"caFile,omitempty"`
	// Claims names the claims that are read: object, app, tenant, groups,
	// type, user, resource.
	Claims map[string]string `yaml:"claims" json:"claims,omitempty"`
}

// Attester is an authority that attests environments to which keys can be
// released. Its fields are those of the list "attestation" in the file.
type Attester struct {
	// Issuer is the claim iss of its tokens.
	Issuer string `yaml:"issuer" json:"issuer"`
	// KeysURL or KeysFile is its JWK set.
	KeysURL  string `yaml:"keysURL" json:"keysURL,omitempty"`
	KeysFile string `yaml:"keysFile" json:"keysFile,omitempty"`
	// CAFile holds the authorities that vouch for its hosts.
	CAFile string `yaml:"caFile" json:"caFile,omitempty"`
}
