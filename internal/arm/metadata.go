package arm

import "strings"

// isMetadata reports whether the path is that of the cloud's endpoints,
// which are told to anybody: a client reads them before it can have a token.
func isMetadata(path []string) bool {
	return len(path) == 2 && strings.EqualFold(path[0], "metadata") && strings.EqualFold(path[1], "endpoints")
}

type authentication struct {
	LoginEndpoint    string   `json:"loginEndpoint"`
	Audiences        []string `json:"audiences"`
	Tenant           string   `json:"tenant,omitempty"`
	IdentityProvider string   `json:"identityProvider,omitempty"`
}

type suffixes struct {
	KeyVaultDNS           string `json:"keyVaultDns"`
	MHSMDNS               string `json:"mhsmDns"`
	Storage               string `json:"storage"`
	StorageSyncEndpoint   string `json:"storageSyncEndpointSuffix"`
	SQLServerHostname     string `json:"sqlServerHostname"`
	AcrLoginServer        string `json:"acrLoginServer"`
	AzureFrontDoor        string `json:"azureFrontDoorEndpointSuffix"`
	AttestationEndpoint   string `json:"attestationEndpoint"`
	SynapseAnalytics      string `json:"synapseAnalytics"`
	PostgresqlServer      string `json:"postgresqlServerEndpoint"`
	MysqlServer           string `json:"mysqlServerEndpoint"`
	MariadbServer         string `json:"mariadbServerEndpoint"`
	DataLakeStore         string `json:"azureDataLakeStoreFileSystem"`
	DataLakeAnalyticsJobs string `json:"azureDataLakeAnalyticsCatalogAndJob"`
}

type cloud struct {
	Name                     string         `json:"name"`
	Portal                   string         `json:"portal"`
	Authentication           authentication `json:"authentication"`
	ResourceManager          string         `json:"resourceManager"`
	Graph                    string         `json:"graph"`
	GraphAudience            string         `json:"graphAudience"`
	MicrosoftGraphResourceID string         `json:"microsoftGraphResourceId"`
	Media                    string         `json:"media"`
	Batch                    string         `json:"batch"`
	Gallery                  string         `json:"gallery"`
	SQLManagement            string         `json:"sqlManagement"`
	VMImageAliasDoc          string         `json:"vmImageAliasDoc"`
	ActiveDirectoryDataLake  string         `json:"activeDirectoryDataLake"`
	AttestationResourceID    string         `json:"attestationResourceId"`
	LogAnalyticsResourceID   string         `json:"logAnalyticsResourceId"`
	Suffixes                 suffixes       `json:"suffixes"`
}

// loginEndpoint is what a client appends the tenant to. The login host of
// the private names is one that no client library knows; a first segment
// adfs makes them take it as it is instead of asking the public cloud about
// it (az; reference: az-cli, login recipe), and
// <login>/adfs/aad/<tenant>/oauth2/v2.0/token is served for the clients that
// build the URL of the token endpoint themselves (terraform's azurerm).
func (c *Call) loginEndpoint() string {
	if c.Family.Public {
		return c.Family.LoginURL()
	}
	return c.Family.LoginURL() + "/adfs/aad"
}

// cloud is what the names of the request's family mean to a client.
// Endpoints of services that are not here are left as they are in the
// public cloud for its names, and empty for others.
func (c *Call) cloud() cloud {
	f := c.Family
	name, provider := "AzureCloud", "AAD"
	if !f.Public {
		name = "Postern"
	}
	arm := f.ManagementURL()
	doc := cloud{
		Name:                     name,
		Portal:                   arm,
		ResourceManager:          arm + "/",
		Graph:                    f.GraphURL() + "/",
		GraphAudience:            f.GraphURL() + "/",
		MicrosoftGraphResourceID: f.GraphURL() + "/",
		Gallery:                  arm + "/",
		ActiveDirectoryDataLake:  arm + "/",
		LogAnalyticsResourceID:   arm,
		Authentication: authentication{LoginEndpoint: c.loginEndpoint(), Audiences: []string{arm, arm + "/"},
			Tenant: "common", IdentityProvider: provider},
		Suffixes: suffixes{KeyVaultDNS: f.VaultSuffix(), MHSMDNS: "managedhsm." + strings.TrimPrefix(f.VaultSuffix(), "vault.")},
	}
	if f.Public {
		doc.Portal = "https://portal.azure.com"
		doc.Authentication.Audiences = []string{"https://management.core.windows.net/", "https://management.azure.com/"}
		doc.LogAnalyticsResourceID = "https://api.loganalytics.io"
		doc.Suffixes.MHSMDNS = "managedhsm.azure.net"
		doc.Suffixes.Storage = "core.windows.net"
		doc.Suffixes.SQLServerHostname = "database.windows.net"
		doc.Suffixes.AcrLoginServer = "azurecr.io"
	}
	return doc
}

// metadata answers in the form that the version has: an object with few
// members for 2015-01-01, a list of clouds up to 2020, one cloud since.
func (c *Call) metadata() (*Answer, error) {
	c.rec.OperationName = "MetadataEndpoints"
	doc := c.cloud()
	switch {
	case c.Version < "2018":
		return OK(struct {
			GalleryEndpoint string         `json:"galleryEndpoint"`
			GraphEndpoint   string         `json:"graphEndpoint"`
			PortalEndpoint  string         `json:"portalEndpoint"`
			Authentication  authentication `json:"authentication"`
		}{doc.Gallery, doc.Graph, doc.Portal, authentication{LoginEndpoint: doc.Authentication.LoginEndpoint,
			Audiences: doc.Authentication.Audiences}}), nil
	case c.Version < "2022":
		return OK([]cloud{doc}), nil
	}
	return OK(doc), nil
}
