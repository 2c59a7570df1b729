package trusted

import "postern/access"

// What the scenarios need.
var (
	// wrap is a customer-managed key: the role Key Vault Crypto Service
	// Encryption User.
	wrap = []access.Operation{access.KeyGet, access.KeyWrap, access.KeyUnwrap}
	// wrapAndList is that of the access policy templates.
	wrapAndList = []access.Operation{access.KeyGet, access.KeyList, access.KeyWrap, access.KeyUnwrap}
	// read is a secret; a certificate with its key is read as one.
	read = []access.Operation{access.SecretGet}

	backup = []access.Operation{access.KeyGet, access.KeyList, access.KeyBackup, access.KeyRestore,
		access.SecretGet, access.SecretList, access.SecretBackup, access.SecretRestore}
	diskEncryption = []access.Operation{access.SecretSet, access.SecretGet, access.KeyWrap, access.KeyUnwrap}
	protection     = []access.Operation{access.KeyGet, access.KeyDecrypt, access.KeySign}
	lake           = []access.Operation{access.KeyGet, access.KeyList, access.KeyEncrypt, access.KeyDecrypt, access.KeyUnwrap}
	webCertificate = []access.Operation{access.SecretGet, access.CertificateGet}
	// factory is the linked service, and the pipeline that reads all.
	factory = []access.Operation{access.SecretGet, access.SecretList}
	// userSubscription is Batch's user subscription mode, beside its key.
	userSubscription = []access.Operation{access.KeyGet, access.KeyWrap, access.KeyUnwrap,
		access.SecretGet, access.SecretList, access.SecretSet, access.SecretDelete}
	workspace = []access.Operation{access.KeyGet, access.KeyWrap, access.KeyUnwrap,
		access.SecretGet, access.SecretList, access.SecretSet, access.SecretDelete}
	netApp = []access.Operation{access.KeyGet, access.KeyEncrypt, access.KeyDecrypt}
	// metadata is everything that can be read of objects without a value.
	metadata = []access.Operation{access.KeyGet, access.KeyList, access.KeyListVersions, access.SecretList, access.SecretListVersions,
		access.CertificateGet, access.CertificateList, access.CertificateListVersions}
)

// The published ids of first-party applications.
const (
	appBackup      = "262044b1-e2ce-469f-a196-69ab7ada62d3" // Backup Management Service
	appAppService  = "abfa0a7c-a6b6-4736-8310-5855508787cd" // Microsoft Azure App Service
	appBatch       = "ddbf3205-c6bd-46ae-8127-60eb93363864" // Microsoft Azure Batch
	appDatabricks  = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d" // AzureDatabricks
	appFrontDoor   = "205478c0-bd83-4e1b-a9d6-db63a3e1e1c8" // Microsoft.AzureFrontDoor-Cdn
	appClassicDoor = "ad0e1c7e-6d38-4ba4-9efd-0bc77ba9f037" // Microsoft.Azure.Frontdoor
	appRights      = "00000012-0000-0000-c000-000000000000" // Microsoft Rights Management Services
	appLearning    = "0736f41a-0425-4b46-bdb5-1563eff02385" // Azure Machine Learning
	appSQL         = "022907d3-0f1b-48f7-badc-1ba6abab6d66" // Azure SQL Database
	appStorage     = "e406a681-f3d4-42a8-90b6-c2b029497af1" // Azure Storage
	appLake        = "e9f49c6b-5ce5-44c8-925d-015017e9f7ad" // Azure Data Lake
	appCompute     = "60e6cd67-9c8c-4951-9b3c-23c25a2169af" // Compute Resource Provider
	appExchange    = "00000002-0000-0ff1-ce00-000000000000" // Office 365 Exchange Online
	appSharePoint  = "00000003-0000-0ff1-ce00-000000000000" // Office 365 SharePoint Online
	appDataAtRest  = "c066d759-24ae-40e7-a56f-027002b5d3e4" // M365DataAtRestEncryption
	appEventGrid   = "4962773b-9cdb-44cf-a8bf-237846a00ab7" // Microsoft.EventGrid
	appDevOps      = "499b84ac-1321-427f-aa17-267ca6975798" // Azure DevOps
)

// userAssigned is the type of user-assigned identities, for services that
// take no other: the resource that such a token names is the identity, not
// what it is assigned to.
const userAssigned = "microsoft.managedidentity/userassignedidentities"

const today = "Virtual network service endpoints for Azure Key Vault, table of trusted services"

// azure is the table of today, row by row.
var azure = []entry{
	{"Azure AI Search", "Configure customer-managed keys for Azure AI Search encrypted data", today, nil, []string{"microsoft.search/searchservices"}, wrap},
	{"Azure API Management", "Deploy certificates for Custom Domain from Key Vault using MSI", today, nil, []string{"microsoft.apimanagement/service"}, read},
	{"Azure App Service", "App Service is trusted only for Deploying Azure Web App Certificate through Key Vault, for individual app itself, the outbound IPs can be added in Key Vault's IP-based rules", today, []string{appAppService}, nil, webCertificate},
	{"Azure Application Gateway", "Using Key Vault certificates for HTTPS-enabled listeners", today, nil, []string{"microsoft.network/applicationgateways", userAssigned}, read},
	{"Azure Backup", "Allow backup and restore of relevant keys and secrets during Azure Virtual Machines backup, by using Azure Backup.", today, []string{appBackup}, []string{"microsoft.recoveryservices/vaults", "microsoft.dataprotection/backupvaults"}, backup},
	{"Azure Batch", "Configure customer-managed keys for Batch accounts and Key Vault for User Subscription Batch accounts", today, []string{appBatch}, []string{"microsoft.batch/batchaccounts"}, userSubscription},
	{"Azure Bot Service", "Azure AI Bot Service encryption for data at rest", today, nil, []string{"microsoft.botservice/botservices"}, wrap},
	{"Azure CDN", "Configure HTTPS on an Azure CDN custom domain: Grant Azure CDN access to your key vault", today, []string{appFrontDoor}, []string{"microsoft.cdn/profiles"}, read},
	{"Azure Container Registry", "Registry encryption using customer-managed keys", today, nil, []string{"microsoft.containerregistry/registries"}, wrap},
	{"Azure Data Factory", "Fetch data store credentials in Key Vault from Data Factory", today, nil, []string{"microsoft.datafactory/factories"}, factory},
	{"Azure Data Lake Store", "Encryption of data in Azure Data Lake Store with a customer-managed key.", today, []string{appLake}, []string{"microsoft.datalakestore/accounts"}, lake},
	{"Azure Data Manager for Agriculture", "Store and use your own license keys", today, nil, []string{"microsoft.agfoodplatform/farmbeats"}, read},
	{"Azure Database for MySQL Single server", "Data encryption for Azure Database for MySQL Single server", today, nil, []string{"microsoft.dbformysql/servers"}, wrap},
	{"Azure Database for MySQL Flexible server", "Data encryption for Azure Database for MySQL Flexible server", today, nil, []string{"microsoft.dbformysql/flexibleservers", userAssigned}, wrap},
	{"Azure Database for PostgreSQL Single server", "Data encryption for Azure Database for PostgreSQL Single server", today, nil, []string{"microsoft.dbforpostgresql/servers"}, wrap},
	{"Azure Database for PostgreSQL Flexible server", "Data encryption for Azure Database for PostgreSQL Flexible server", today, nil, []string{"microsoft.dbforpostgresql/flexibleservers", userAssigned}, wrap},
	{"Azure Databricks", "Fast, easy, and collaborative Apache Spark–based analytics service", today, []string{appDatabricks}, []string{"microsoft.databricks/workspaces"}, wrap},
	{"Azure Disk Encryption volume encryption service", "Allow access to BitLocker Key (Windows VM) or DM Passphrase (Linux VM), and Key Encryption Key, during virtual machine deployment. This enables Azure Disk Encryption.", today, nil, nil, diskEncryption},
	{"Azure Disk Storage", "When configured with a Disk Encryption Set (DES). For more information, see Server-side encryption of Azure Disk Storage using customer-managed keys.", today, nil, []string{"microsoft.compute/diskencryptionsets"}, wrap},
	{"Azure Event Hubs", "Allow access to a key vault for customer-managed keys scenario", today, nil, []string{"microsoft.eventhub/namespaces"}, wrap},
	{"Azure ExpressRoute", "When using MACsec with ExpressRoute Direct", today, nil, []string{"microsoft.network/expressrouteports", userAssigned}, read},
	{"Azure Firewall Premium", "Azure Firewall Premium certificates", today, nil, []string{"microsoft.network/firewallpolicies", userAssigned}, read},
	{"Azure Front Door Classic", "Using Key Vault certificates for HTTPS", today, []string{appClassicDoor}, []string{"microsoft.network/frontdoors"}, read},
	{"Azure Front Door Standard/Premium", "Using Key Vault certificates for HTTPS", today, []string{appFrontDoor}, []string{"microsoft.cdn/profiles"}, read},
	{"Azure Import/Export", "Use customer-managed keys in Azure Key Vault for Import/Export service", today, nil, []string{"microsoft.importexport/jobs"}, wrap},
	{"Azure Information Protection", "Allow access to tenant key for Azure Information Protection.", today, []string{appRights}, nil, protection},
	{"Azure Machine Learning", "Secure Azure Machine Learning in a virtual network", today, []string{appLearning}, []string{"microsoft.machinelearningservices/workspaces"}, workspace},
	{"Azure Monitor", "Log Analytics dedicated cluster access to a key vault for customer-managed keys scenario", today, nil, []string{"microsoft.operationalinsights/clusters"}, wrap},
	{"Azure NetApp Files", "Allow access customer-managed keys in Azure Key Vault", today, nil, []string{"microsoft.netapp/netappaccounts"}, netApp},
	{"Azure Policy Scan", "Control plane policies for secrets, keys stored in data plane", today, nil, nil, metadata},
	{"Azure Resource Manager template deployment service", "Pass secure values during deployment.", today, nil, nil, read},
	{"Azure Service Bus", "Allow access to a key vault for customer-managed keys scenario", today, nil, []string{"microsoft.servicebus/namespaces"}, wrap},
	{"Azure SQL Database", "Transparent Data Encryption with Bring Your Own Key support for Azure SQL Database and Azure Synapse Analytics.", today, []string{appSQL}, []string{"microsoft.sql/servers", "microsoft.sql/managedinstances"}, wrapAndList},
	{"Azure Storage", "Storage Service Encryption using customer-managed keys in Azure Key Vault.", today, []string{appStorage}, []string{"microsoft.storage/storageaccounts"}, wrapAndList},
	{"Azure Synapse Analytics", "Encryption of data using customer-managed keys in Azure Key Vault", today, nil, []string{"microsoft.synapse/workspaces"}, wrap},
	{"Azure Virtual Machines deployment service", "Deploy certificates to VMs from customer-managed Key Vault.", today, []string{appCompute}, nil, read},
	{"Exchange Online, SharePoint Online, M365DataAtRestEncryption", "Allow access to customer managed keys for Data-At-Rest Encryption with Customer Key.", today, []string{appDataAtRest, appExchange, appSharePoint}, nil, wrapAndList},
	{"Microsoft PowerPlatform", "Encryption of data in Power Platform using customer-managed keys.", today, nil, []string{"microsoft.powerplatform/enterprisepolicies"}, wrap},
	{"Microsoft Purview", "Using credentials for source authentication in Microsoft Purview", today, nil, []string{"microsoft.purview/accounts"}, read},
}

const (
	older     = "Configure Azure Key Vault firewalls and virtual networks, list of trusted services"
	bypass    = "Key Vault Does Not Allow Trusted Microsoft Services Bypass"
	finePrint = "Read the Fine Print - Azure Key Vault Loopholes"
	guide     = "the guide to private endpoints, §3.4"
)

// documents is the ten rows of the older page, and what the other documents
// name beside them.
var documents = []entry{
	{"Azure Virtual Machines deployment service", "Deploy certificates to VMs from customer-managed Key Vault.", older, []string{appCompute}, nil, read},
	{"Azure Resource Manager template deployment service", "Pass secure values during deployment.", older, nil, nil, read},
	{"Azure Disk Encryption volume encryption service", "Allow access to BitLocker Key (Windows VM) or DM Passphrase (Linux VM), and Key Encryption Key, during virtual machine deployment. This enables Azure Disk Encryption.", older, nil, nil, diskEncryption},
	{"Azure Backup", "Allow backup and restore of relevant keys and secrets during Azure Virtual Machines backup, by using Azure Backup.", older, []string{appBackup}, []string{"microsoft.recoveryservices/vaults", "microsoft.dataprotection/backupvaults"}, backup},
	{"Exchange Online & SharePoint Online", "Allow access to customer key for Azure Storage Service Encryption with Customer Key.", older, []string{appExchange, appSharePoint, appDataAtRest}, nil, wrapAndList},
	{"Azure Information Protection", "Allow access to tenant key for Azure Information Protection.", older, []string{appRights}, nil, protection},
	// The resource type is that of "App Service and Functions referencing Key
	// Vault secrets in app settings", which another document counts in.
	{"Azure App Service", "Deploy Azure Web App Certificate through Key Vault.", older, []string{appAppService}, []string{"microsoft.web/sites"}, webCertificate},
	{"Azure SQL Database", "Transparent Data Encryption with Bring Your Own Key support for Azure SQL Database and Data Warehouse.", older, []string{appSQL}, []string{"microsoft.sql/servers", "microsoft.sql/managedinstances"}, wrapAndList},
	{"Azure Storage", "Storage Service Encryption using customer-managed keys in Azure Key Vault.", older, []string{appStorage}, []string{"microsoft.storage/storageaccounts"}, wrapAndList},
	{"Azure Data Lake Store", "Encryption of data in Azure Data Lake Store with a customer-managed key.", older, []string{appLake}, []string{"microsoft.datalakestore/accounts"}, lake},
	{"Event Grid", "It applies to a curated list of first-party services that authenticate to your vault and that Microsoft has vetted, such as Azure Backup, Azure Disk Encryption, Azure App Service, and Event Grid.", bypass, []string{appEventGrid}, []string{"microsoft.eventgrid/topics", "microsoft.eventgrid/namespaces"}, read},
	{"Azure Data Factory", "ADF Linked Service + system-assigned identity authorized in access policy", finePrint, nil, []string{"microsoft.datafactory/factories"}, factory},
	{"Azure DevOps", "it can block legitimate operations such as ARM deployments or Azure DevOps pipelines that require access to Key Vault objects.", finePrint, []string{appDevOps}, nil, read},
	{"Azure Event Hubs", "Azure Event Hubs / Service Bus (CMK)", guide, nil, []string{"microsoft.eventhub/namespaces"}, wrap},
	{"Azure Service Bus", "Azure Event Hubs / Service Bus (CMK)", guide, nil, []string{"microsoft.servicebus/namespaces"}, wrap},
}
