package access

import "strings"

// The names of the corpus. Whatever is not in these tables is an error, so
// that a misspelt name cannot make a case pass.
const (
	corpusSub   = "/subscriptions/11111111-1111-1111-1111-111111111111"
	corpusGroup = corpusSub + "/resourceGroups/rg"
	corpusVault = corpusGroup + "/providers/Microsoft.KeyVault/vaults/myvault"
	otherSub    = "/subscriptions/22222222-2222-2222-2222-222222222222"
)

var corpusScopes = map[string]string{
	"root": "/", "sub": corpusSub, "rg": corpusGroup, "vault": corpusVault, "VAULT": strings.ToUpper(corpusVault),
	"other-sub": otherSub, "other-rg": corpusSub + "/resourceGroups/rg-westus", "vault2": corpusVault + "2",
	"half-rg": corpusSub + "/resourceGroups/r", "half-vault": strings.TrimSuffix(corpusVault, "ault"),
	"other-vault": corpusGroup + "/providers/Microsoft.KeyVault/vaults/kv-westus",
	"vnet":        corpusGroup + "/providers/Microsoft.Network/virtualNetworks/myvnet",
}

// number is a GUID by its last bytes.
func number(kind, n byte) GUID { return GUID{0: kind, 15: n} }

var corpusTenants = map[string]GUID{"home": number(1, 1), "partner": number(1, 2)}

var corpusSubscriptions = map[string]GUID{
	"prod": MustGUID("11111111-1111-1111-1111-111111111111"), "data": number(5, 1), "partner": number(5, 2),
}

var corpusApps = map[string]GUID{"cli": number(2, 1), "portal": number(2, 2), "batch": number(2, 3)}

var corpusGroups = map[string]GUID{"ops": number(3, 1), "dev": number(3, 2), "auditors": number(3, 3)}

// corpusCallers are the callers: persons, service principals, managed
// identities of resources, and first-party services.
var corpusCallers = map[string]Caller{
	"alice":           person("home", 1),
	"bob":             person("home", 2),
	"partner-user":    person("partner", 3),
	"pipeline":        service("home", 10),
	"devops":          service("home", 11),
	"csi":             identityOf("home", 12, "prod", "microsoft.compute/virtualmachinescalesets"),
	"webapp":          identityOf("home", 13, "prod", "microsoft.web/sites"),
	"vm":              identityOf("home", 14, "prod", "microsoft.compute/virtualmachines"),
	"factory":         identityOf("home", 15, "data", "microsoft.datafactory/factories"),
	"partner-factory": identityOf("partner", 16, "partner", "microsoft.datafactory/factories"),
	"storage":         identityOf("home", 17, "prod", "microsoft.storage/storageaccounts"),
	"sql":             identityOf("home", 18, "prod", "microsoft.sql/servers"),
	"eventhubs":       identityOf("home", 19, "prod", "microsoft.eventhub/namespaces"),
	"eventgrid":       identityOf("home", 20, "prod", "microsoft.eventgrid/topics"),
	"function":        identityOf("home", 21, "prod", "microsoft.web/sites"),
	"backup":          service("home", 30),
	"disk":            service("home", 31),
	"appservice":      service("home", 32),
	"arm":             service("home", 33),
	"rights":          service("home", 34),
}

func person(tenant string, n byte) Caller {
	return Caller{Token: TokenValid, Tenant: corpusTenants[tenant], Object: number(4, n), App: corpusApps["cli"], User: true}
}

func service(tenant string, n byte) Caller {
	return Caller{Token: TokenValid, Tenant: corpusTenants[tenant], Object: number(4, n), App: number(6, n)}
}

func identityOf(tenant string, n byte, subscription, typ string) Caller {
	c := service(tenant, n)
	c.Subscription = corpusSubscriptions[subscription]
	c.IdentityResource = "/subscriptions/" + c.Subscription.String() + "/resourcegroups/rg/providers/" + typ + "/one"
	return c
}

// corpusTrusted are entries of the registry of trusted services, with the
// operations of the documented scenarios.
var corpusTrusted = []TrustedService{
	{"Backup", []GUID{number(6, 30)}, nil, []Operation{KeyGet, KeyList, KeyBackup, KeyRestore, SecretGet, SecretList, SecretBackup, SecretRestore}},
	{"DiskEncryption", []GUID{number(6, 31)}, nil, []Operation{SecretSet, SecretGet, KeyWrap, KeyUnwrap}},
	{"AppService", []GUID{number(6, 32)}, nil, []Operation{SecretGet, CertificateGet}},
	{"ResourceManager", []GUID{number(6, 33)}, nil, []Operation{SecretGet}},
	{"InformationProtection", []GUID{number(6, 34)}, nil, []Operation{KeyGet, KeyDecrypt, KeySign}},
	{"Storage", nil, []string{"microsoft.storage/storageaccounts"}, []Operation{KeyGet, KeyWrap, KeyUnwrap}},
	{"SQL", nil, []string{"microsoft.sql/servers"}, []Operation{KeyGet, KeyWrap, KeyUnwrap}},
	{"EventHubs", nil, []string{"microsoft.eventhub/namespaces"}, []Operation{KeyGet, KeyWrap, KeyUnwrap}},
	{"EventGrid", nil, []string{"microsoft.eventgrid/topics"}, []Operation{SecretGet}},
	{"DataFactory", nil, []string{"microsoft.datafactory/factories"}, []Operation{SecretGet, SecretList}},
}

// corpusRoles are the built-in roles, by their data actions below
// Microsoft.KeyVault/vaults/; control-plane roles have none.
var corpusRoles = map[string]*Role{
	"administrator":             dataRole("Key Vault Administrator", "*"),
	"reader":                    dataRole("Key Vault Reader", "*/read", "secrets/readMetadata/action"),
	"secrets-officer":           dataRole("Key Vault Secrets Officer", "secrets/*"),
	"secrets-user":              dataRole("Key Vault Secrets User", "secrets/getSecret/action", "secrets/readMetadata/action"),
	"crypto-officer":            dataRole("Key Vault Crypto Officer", "keys/*", "keyrotationpolicies/*"),
	"crypto-user":               dataRole("Key Vault Crypto User", "keys/read", "keys/update/action", "keys/backup/action", "keys/encrypt/action", "keys/decrypt/action", "keys/wrap/action", "keys/unwrap/action", "keys/sign/action", "keys/verify/action"),
	"encryption-user":           dataRole("Key Vault Crypto Service Encryption User", "keys/read", "keys/wrap/action", "keys/unwrap/action"),
	"release-user":              dataRole("Key Vault Crypto Service Release User", "keys/release/action"),
	"certificates-officer":      dataRole("Key Vault Certificates Officer", "certificatecas/*", "certificates/*", "certificatecontacts/write"),
	"certificate-user":          dataRole("Key Vault Certificate User", "certificates/read", "secrets/getSecret/action", "secrets/readMetadata/action", "keys/read"),
	"contributor":               dataRole("Key Vault Contributor"),
	"data-access-administrator": dataRole("Key Vault Data Access Administrator"),
	"purge-operator":            dataRole("Key Vault Purge Operator"),
	"owner":                     {Name: "Owner", Actions: []string{"*"}},
}

func dataRole(name string, actions ...string) *Role {
	r := &Role{Name: name}
	for _, a := range actions {
		r.DataActions = append(r.DataActions, vaults+a)
	}
	return r
}

var (
	corpusSubnets   = []string{"app", "aks", "pe", "logic"}
	corpusEndpoints = []string{"kv-pe", "kv-pe-westus", "old-pe"}
	corpusWords     = map[string]string{ // ARM enum, by kind
		"secrets":      "all get list set delete recover backup restore purge",
		"keys":         "all get list update create import delete recover backup restore decrypt encrypt unwrapKey wrapKey verify sign purge release rotate getrotationpolicy setrotationpolicy",
		"certificates": "all get list update create import delete recover backup restore managecontacts manageissuers getissuers listissuers setissuers deleteissuers purge",
	}
	corpusStates = []string{"Pending", "Approved", "Rejected", "Disconnected"}
	corpusTokens = []string{"Absent", "Malformed", "UnknownKey", "Expired", "NotYetValid", "WrongAudience", "Valid"}
	corpusModes  = []string{"", "Transition", "Enforced"}
)
