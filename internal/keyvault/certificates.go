package keyvault

import "postern/access"

// certificateRoutes are the rows of Certificates in the specification, 27
// operations. The fixed words come first: a certificate named contacts or
// issuers is reached by its versions alone.
var certificateRoutes = []Route{
	{Method: "GET", Pattern: "/certificates/contacts", Operation: access.CertificateContactsGet, serve: getContacts},
	{Method: "PUT", Pattern: "/certificates/contacts", Operation: access.CertificateContactsSet, Body: bodyUpdate, serve: setContacts},
	{Method: "DELETE", Pattern: "/certificates/contacts", Operation: access.CertificateContactsDelete, serve: deleteContacts},
	{Method: "GET", Pattern: "/certificates/issuers", Operation: access.CertificateIssuersList, serve: listIssuers},
	{Method: "GET", Pattern: "/certificates/issuers/{name}", Operation: access.CertificateIssuerGet, serve: getIssuer},
	{Method: "PUT", Pattern: "/certificates/issuers/{name}", Operation: access.CertificateIssuerSet, Body: bodyUpdate, serve: setIssuer},
	{Method: "PATCH", Pattern: "/certificates/issuers/{name}", Operation: access.CertificateIssuerUpdate, Body: bodyUpdate, serve: updateIssuer},
	{Method: "DELETE", Pattern: "/certificates/issuers/{name}", Operation: access.CertificateIssuerDelete, serve: deleteIssuer},
	{Method: "GET", Pattern: "/certificates", Operation: access.CertificateList, serve: listCertificates},
	{Method: "POST", Pattern: "/certificates/restore", Operation: access.CertificateRestore, Body: bodyRestore, serve: restoreCertificate},
	{Method: "GET", Pattern: "/certificates/{name}/pending", Operation: access.CertificatePendingGet, serve: getPending},
	{Method: "PATCH", Pattern: "/certificates/{name}/pending", Operation: access.CertificatePendingUpdate, Body: bodyUpdate, serve: updatePending},
	{Method: "DELETE", Pattern: "/certificates/{name}/pending", Operation: access.CertificatePendingDelete, serve: deletePending},
	{Method: "POST", Pattern: "/certificates/{name}/pending/merge", Operation: access.CertificatePendingMerge, Body: bodyImport, serve: mergeCertificate},
	{Method: "GET", Pattern: "/certificates/{name}/policy", Operation: access.CertificatePolicyGet, serve: getPolicy},
	{Method: "PATCH", Pattern: "/certificates/{name}/policy", Operation: access.CertificatePolicyUpdate, Body: bodyUpdate, serve: updatePolicy},
	{Method: "GET", Pattern: "/certificates/{name}/versions", Operation: access.CertificateListVersions, serve: listCertificateVersions},
	{Method: "POST", Pattern: "/certificates/{name}/create", Operation: access.CertificateCreate, Body: bodyUpdate, serve: createCertificate},
	{Method: "POST", Pattern: "/certificates/{name}/import", Operation: access.CertificateImport, Body: bodyImport, serve: importCertificate},
	{Method: "POST", Pattern: "/certificates/{name}/backup", Operation: access.CertificateBackup, serve: backUpCertificate},
	{Method: "DELETE", Pattern: "/certificates/{name}", Operation: access.CertificateDelete, serve: deleteCertificate},
	{Method: "GET", Pattern: "/certificates/{name}/{version}", Operation: access.CertificateGet, serve: getCertificate},
	{Method: "PATCH", Pattern: "/certificates/{name}/{version}", Operation: access.CertificateUpdate, Body: bodyUpdate, serve: updateCertificate},
	{Method: "GET", Pattern: "/deletedcertificates", Operation: access.CertificateListDeleted, serve: listDeletedCertificates},
	{Method: "GET", Pattern: "/deletedcertificates/{name}", Operation: access.CertificateGetDeleted, serve: getDeletedCertificate},
	{Method: "DELETE", Pattern: "/deletedcertificates/{name}", Operation: access.CertificatePurge, serve: purgeCertificate},
	{Method: "POST", Pattern: "/deletedcertificates/{name}/recover", Operation: access.CertificateRecover, serve: recoverCertificate},
}

// bodyImport leaves room for a file with a long chain, in base64 and with
// every character escaped.
const bodyImport = 1 << 20
