package access

// Kind is the kind of object an operation works on.
type Kind uint8

// The kinds of object of a vault; KindNone is the zero value.
const (
	KindNone Kind = iota
	KindSecret
	KindKey
	KindCertificate
)

// String is the kind as it stands in paths and permission lists.
func (k Kind) String() string { return named(int(k), "", "secrets", "keys", "certificates") }

// Operation is one operation of the data plane. The zero value is no
// operation: no rule allows it.
type Operation uint8

// OperationInfo is what is known of an operation before any request.
type OperationInfo struct {
	// Name is the audit name: "SecretGet".
	Name string
	Kind Kind
	// Permission is the word of an access policy that allows it, Also a
	// second word that does.
	Permission, Also string
	// DataAction is the RBAC data action, in full.
	DataAction string
	// Named is true where the resource of the decision is the object; where
	// it is false (lists, restore) the resource is the vault.
	Named bool
}

// The data-plane operations. Their order is that of the table below.
const (
	NoOperation Operation = iota
	SecretGet
	SecretSet
	SecretUpdate
	SecretList
	SecretListVersions
	SecretDelete
	SecretBackup
	SecretRestore
	SecretRecover
	SecretPurge
	SecretGetDeleted
	SecretListDeleted
	KeyGet
	KeyCreate
	KeyImport
	KeyUpdate
	KeyList
	KeyListVersions
	KeyDelete
	KeyBackup
	KeyRestore
	KeyRecover
	KeyPurge
	KeyGetDeleted
	KeyListDeleted
	KeyEncrypt
	KeyDecrypt
	KeyWrap
	KeyUnwrap
	KeySign
	KeyVerify
	KeyRelease
	KeyRotate
	KeyRotationPolicyGet
	KeyRotationPolicySet
	CertificateGet
	CertificateCreate
	CertificateImport
	CertificateUpdate
	CertificateList
	CertificateListVersions
	CertificateDelete
	CertificateBackup
	CertificateRestore
	CertificateRecover
	CertificatePurge
	CertificateGetDeleted
	CertificateListDeleted
	CertificatePolicyGet
	CertificatePolicyUpdate
	CertificatePendingGet
	CertificatePendingUpdate
	CertificatePendingDelete
	CertificatePendingMerge
	CertificateContactsGet
	CertificateContactsSet
	CertificateContactsDelete
	CertificateIssuersList
	CertificateIssuerGet
	CertificateIssuerSet
	CertificateIssuerUpdate
	CertificateIssuerDelete
	operations
)

const vaults = "Microsoft.KeyVault/vaults/"

// operationTable follows reference tables of the REST surface: audit name,
// access-policy permission and RBAC data action of every operation.
var operationTable = [operations]OperationInfo{
	NoOperation:        {},
	SecretGet:          {"SecretGet", KindSecret, "get", "", vaults + "secrets/getSecret/action", true},
	SecretSet:          {"SecretSet", KindSecret, "set", "", vaults + "secrets/setSecret/action", true},
	SecretUpdate:       {"SecretUpdate", KindSecret, "set", "", vaults + "secrets/update/action", true},
	SecretList:         {"SecretList", KindSecret, "list", "", vaults + "secrets/readMetadata/action", false},
	SecretListVersions: {"SecretListVersions", KindSecret, "list", "", vaults + "secrets/readMetadata/action", true},
	SecretDelete:       {"SecretDelete", KindSecret, "delete", "", vaults + "secrets/delete", true},
	SecretBackup:       {"SecretBackup", KindSecret, "backup", "", vaults + "secrets/backup/action", true},
	SecretRestore:      {"SecretRestore", KindSecret, "restore", "", vaults + "secrets/restore/action", false},
	SecretRecover:      {"SecretRecover", KindSecret, "recover", "", vaults + "secrets/recover/action", true},
	SecretPurge:        {"SecretPurge", KindSecret, "purge", "", vaults + "secrets/purge/action", true},
	SecretGetDeleted:   {"SecretGetDeleted", KindSecret, "get", "", vaults + "secrets/readMetadata/action", true},
	SecretListDeleted:  {"SecretListDeleted", KindSecret, "list", "", vaults + "secrets/readMetadata/action", false},

	KeyGet:               {"KeyGet", KindKey, "get", "", vaults + "keys/read", true},
	KeyCreate:            {"KeyCreate", KindKey, "create", "", vaults + "keys/create/action", true},
	KeyImport:            {"KeyImport", KindKey, "import", "", vaults + "keys/import/action", true},
	KeyUpdate:            {"KeyUpdate", KindKey, "update", "", vaults + "keys/update/action", true},
	KeyList:              {"KeyList", KindKey, "list", "", vaults + "keys/read", false},
	KeyListVersions:      {"KeyListVersions", KindKey, "list", "", vaults + "keys/read", true},
	KeyDelete:            {"KeyDelete", KindKey, "delete", "", vaults + "keys/delete", true},
	KeyBackup:            {"KeyBackup", KindKey, "backup", "", vaults + "keys/backup/action", true},
	KeyRestore:           {"KeyRestore", KindKey, "restore", "", vaults + "keys/restore/action", false},
	KeyRecover:           {"KeyRecover", KindKey, "recover", "", vaults + "keys/recover/action", true},
	KeyPurge:             {"KeyPurge", KindKey, "purge", "", vaults + "keys/purge/action", true},
	KeyGetDeleted:        {"KeyGetDeleted", KindKey, "get", "", vaults + "keys/read", true},
	KeyListDeleted:       {"KeyListDeleted", KindKey, "list", "", vaults + "keys/read", false},
	KeyEncrypt:           {"KeyEncrypt", KindKey, "encrypt", "", vaults + "keys/encrypt/action", true},
	KeyDecrypt:           {"KeyDecrypt", KindKey, "decrypt", "", vaults + "keys/decrypt/action", true},
	KeyWrap:              {"KeyWrap", KindKey, "wrapKey", "", vaults + "keys/wrap/action", true},
	KeyUnwrap:            {"KeyUnwrap", KindKey, "unwrapKey", "", vaults + "keys/unwrap/action", true},
	KeySign:              {"KeySign", KindKey, "sign", "", vaults + "keys/sign/action", true},
	KeyVerify:            {"KeyVerify", KindKey, "verify", "", vaults + "keys/verify/action", true},
	KeyRelease:           {"KeyRelease", KindKey, "release", "", vaults + "keys/release/action", true},
	KeyRotate:            {"KeyRotate", KindKey, "rotate", "", vaults + "keys/rotate/action", true},
	KeyRotationPolicyGet: {"KeyRotationPolicyGet", KindKey, "getrotationpolicy", "", vaults + "keyrotationpolicies/read", true},
	KeyRotationPolicySet: {"KeyRotationPolicySet", KindKey, "setrotationpolicy", "", vaults + "keyrotationpolicies/write", true},

	CertificateGet:            {"CertificateGet", KindCertificate, "get", "", vaults + "certificates/read", true},
	CertificateCreate:         {"CertificateCreate", KindCertificate, "create", "", vaults + "certificates/create/action", true},
	CertificateImport:         {"CertificateImport", KindCertificate, "import", "", vaults + "certificates/import/action", true},
	CertificateUpdate:         {"CertificateUpdate", KindCertificate, "update", "", vaults + "certificates/update/action", true},
	CertificateList:           {"CertificateList", KindCertificate, "list", "", vaults + "certificates/read", false},
	CertificateListVersions:   {"CertificateListVersions", KindCertificate, "list", "", vaults + "certificates/read", true},
	CertificateDelete:         {"CertificateDelete", KindCertificate, "delete", "", vaults + "certificates/delete", true},
	CertificateBackup:         {"CertificateBackup", KindCertificate, "backup", "", vaults + "certificates/backup/action", true},
	CertificateRestore:        {"CertificateRestore", KindCertificate, "restore", "", vaults + "certificates/restore/action", false},
	CertificateRecover:        {"CertificateRecover", KindCertificate, "recover", "", vaults + "certificates/recover/action", true},
	CertificatePurge:          {"CertificatePurge", KindCertificate, "purge", "", vaults + "certificates/purge/action", true},
	CertificateGetDeleted:     {"CertificateGetDeleted", KindCertificate, "get", "", vaults + "certificates/read", true},
	CertificateListDeleted:    {"CertificateListDeleted", KindCertificate, "list", "", vaults + "certificates/read", false},
	CertificatePolicyGet:      {"CertificatePolicyGet", KindCertificate, "get", "", vaults + "certificates/read", true},
	CertificatePolicyUpdate:   {"CertificatePolicyUpdate", KindCertificate, "update", "", vaults + "certificates/update/action", true},
	CertificatePendingGet:     {"CertificatePendingGet", KindCertificate, "get", "", vaults + "certificates/read", true},
	CertificatePendingUpdate:  {"CertificatePendingUpdate", KindCertificate, "update", "", vaults + "certificates/update/action", true},
	CertificatePendingDelete:  {"CertificatePendingDelete", KindCertificate, "update", "", vaults + "certificates/update/action", true},
	CertificatePendingMerge:   {"CertificatePendingMerge", KindCertificate, "create", "", vaults + "certificates/create/action", true},
	CertificateContactsGet:    {"CertificateContactsGet", KindCertificate, "managecontacts", "", vaults + "certificatecontacts/write", false},
	CertificateContactsSet:    {"CertificateContactsSet", KindCertificate, "managecontacts", "", vaults + "certificatecontacts/write", false},
	CertificateContactsDelete: {"CertificateContactsDelete", KindCertificate, "managecontacts", "", vaults + "certificatecontacts/write", false},
	CertificateIssuersList:    {"CertificateIssuersList", KindCertificate, "listissuers", "manageissuers", vaults + "certificatecas/read", false},
	CertificateIssuerGet:      {"CertificateIssuerGet", KindCertificate, "getissuers", "manageissuers", vaults + "certificatecas/read", false},
	CertificateIssuerSet:      {"CertificateIssuerSet", KindCertificate, "setissuers", "manageissuers", vaults + "certificatecas/write", false},
	CertificateIssuerUpdate:   {"CertificateIssuerUpdate", KindCertificate, "setissuers", "manageissuers", vaults + "certificatecas/write", false},
	CertificateIssuerDelete:   {"CertificateIssuerDelete", KindCertificate, "deleteissuers", "manageissuers", vaults + "certificatecas/delete", false},
}

// Info is the table row of the operation; the zero row for one that does
// not exist.
func (o Operation) Info() OperationInfo {
	if o >= operations {
		return OperationInfo{}
	}
	return operationTable[o]
}

// String is the audit name of the operation.
func (o Operation) String() string { return o.Info().Name }

// Operations lists every operation in table order.
func Operations() []Operation {
	all := make([]Operation, 0, operations-1)
	for o := NoOperation + 1; o < operations; o++ {
		all = append(all, o)
	}
	return all
}

// OperationNamed finds an operation by its audit name ("SecretGet");
// NoOperation when there is none.
func OperationNamed(name string) Operation {
	for o := NoOperation + 1; o < operations; o++ {
		if operationTable[o].Name == name {
			return o
		}
	}
	return NoOperation
}
