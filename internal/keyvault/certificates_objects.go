package keyvault

import (
	"errors"
	"net/http"

	"postern/internal/enrollment"
	"postern/internal/issuance"
	"postern/internal/keyring"
	"postern/internal/keysmith"
	"postern/internal/vault"
)

// certificates is the vault's certificates for this request.
func (x *exchange) certificates() *vault.Certificates {
	return &vault.Certificates{Terms: x.terms, Space: x.grant, Key: x.grant.Key(), Now: x.now, NewVersion: x.newVersion}
}

// certificateBackups is certificates with the key of backup blobs.
func (x *exchange) certificateBackups() *vault.Certificates {
	c := x.certificates()
	c.Backup = x.grant.BackupKey()
	return c
}

// certificate appends one certificate with all there is to say.
func (x *exchange) certificate(b []byte, o *vault.Object, content *vault.CertificateContent, deleted bool) ([]byte, int, error) {
	pending := false
	if !deleted {
		_, err := x.certificates().Pending(x.request.Context(), o.Name)
		if err != nil && err != vault.NoPending {
			return b, 0, err
		}
		pending = err == nil
	}
	b, err := x.appendCertificate(b, certificateBundle{object: o, content: content, deleted: deleted, pending: pending})
	return b, http.StatusOK, err
}

// getCertificate is GetCertificate of the specification. A disabled or
// expired one is shown, too: what it is for is public.
func getCertificate(x *exchange, b []byte) ([]byte, int, error) {
	o, content, err := x.certificates().Get(x.request.Context(), x.target.name, x.target.version)
	if err != nil {
		return b, 0, err
	}
	x.record.ID = x.objectID(o.Name, o.Version.ID)
	return x.certificate(b, &o, &content, false)
}

// updateCertificate is UpdateCertificate of the specification.
func updateCertificate(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	body, err := readCertificate(data)
	if err != nil {
		return b, 0, err
	}
	patch := vault.CertificatePatch{Enabled: body.enabled, NotBefore: body.notBefore, Expires: body.expires, Tags: body.tags}
	if body.policy != "" {
		if x.target.version != "" {
			return b, 0, invalidProperty("policy", "is that of the certificate and cannot be changed at one of its versions")
		}
		if patch.Policy, err = x.policyPatch(body.policy); err != nil {
			return b, 0, err
		}
	}
	o, content, err := x.certificates().Update(x.request.Context(), x.target.name, x.target.version, patch)
	if err != nil {
		return b, 0, err
	}
	return x.certificate(b, &o, &content, false)
}

// policyPatch is what a sent policy makes of the one that is kept.
func (x *exchange) policyPatch(sent string) (func(kept string) ([]byte, error), error) {
	patch, err := issuance.ParsePolicy([]byte(sent))
	if err != nil {
		return nil, err
	}
	x.dropUnknown(patch)
	return func(kept string) ([]byte, error) {
		p, err := issuance.ParsePolicy([]byte(kept))
		if err != nil {
			return nil, err
		}
		if p, err = p.Patched(patch, x.now); err != nil {
			return nil, err
		}
		if err := x.checkKeyType(p); err != nil {
			return nil, err
		}
		return p.JSON()
	}, nil
}

// checkKeyType refuses keys in hardware on a standard vault.
func (x *exchange) checkKeyType(p *issuance.Policy) error {
	if keysmith.InHardware(p.KeyType()) && !x.vault.Properties.Premium() {
		return badParameter(textNoHardware)
	}
	return nil
}

// getPolicy is GetCertificatePolicy of the specification.
func getPolicy(x *exchange, b []byte) ([]byte, int, error) {
	o, _, err := x.certificates().Get(x.request.Context(), x.target.name, "")
	if err != nil {
		return b, 0, err
	}
	b, err = x.appendPolicy(b, o.Name, o.Policy)
	return b, http.StatusOK, err
}

// updatePolicy is UpdateCertificatePolicy of the specification.
func updatePolicy(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	sent, err := readPolicy(data)
	if err != nil {
		return b, 0, err
	}
	patch, err := x.policyPatch(sent)
	if err != nil {
		return b, 0, err
	}
	o, _, err := x.certificates().Update(x.request.Context(), x.target.name, "", vault.CertificatePatch{Policy: patch})
	if err != nil {
		return b, 0, err
	}
	b, err = x.appendPolicy(b, o.Name, o.Policy)
	return b, http.StatusOK, err
}

// deleteCertificate is DeleteCertificate of the specification; key and
// secret go with it.
func deleteCertificate(x *exchange, b []byte) ([]byte, int, error) {
	o, content, err := x.certificates().Delete(x.request.Context(), x.target.name)
	if err != nil {
		return b, 0, err
	}
	return x.certificate(b, &o, &content, true)
}

// getDeletedCertificate is GetDeletedCertificate of the specification.
func getDeletedCertificate(x *exchange, b []byte) ([]byte, int, error) {
	o, content, err := x.certificates().GetDeleted(x.request.Context(), x.target.name)
	if err != nil {
		return b, 0, err
	}
	return x.certificate(b, &o, &content, true)
}

// recoverCertificate is RecoverDeletedCertificate of the specification.
func recoverCertificate(x *exchange, b []byte) ([]byte, int, error) {
	o, content, err := x.certificates().Recover(x.request.Context(), x.target.name)
	if err != nil {
		return b, 0, err
	}
	return x.certificate(b, &o, &content, false)
}

// purgeCertificate is PurgeDeletedCertificate of the specification.
func purgeCertificate(x *exchange, b []byte) ([]byte, int, error) {
	x.grant.Expect(http.StatusNoContent)
	return b, http.StatusNoContent, x.certificates().Purge(x.request.Context(), x.target.name)
}

// backUpCertificate is BackupCertificate of the specification.
func backUpCertificate(x *exchange, b []byte) ([]byte, int, error) {
	blob, err := x.certificateBackups().BackUp(x.request.Context(), x.target.name)
	return backup(b, blob, err)
}

// restoreCertificate is RestoreCertificate of the specification.
func restoreCertificate(x *exchange, b []byte) ([]byte, int, error) {
	blob, err := x.blob()
	if err != nil {
		return b, 0, err
	}
	o, content, err := x.certificateBackups().Restore(x.request.Context(), blob)
	if err != nil {
		x.target.name = o.Name
		return b, 0, err
	}
	return x.certificate(b, &o, &content, false)
}

// importCertificate is ImportCertificate of the specification.
func importCertificate(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	body, err := readCertificate(data)
	if err != nil {
		return b, 0, err
	}
	if body.value == nil {
		return b, 0, invalidProperty("value", "is required")
	}
	certs := x.certificates()
	p, err := certs.Pending(x.request.Context(), x.target.name)
	switch {
	case err == nil && p.Status == vault.StatusInProgress:
		return b, 0, vault.InProgress
	case err != nil && err != vault.NoPending:
		return b, 0, err
	}
	in, err := x.imported(&body)
	if err != nil {
		return b, 0, err
	}
	certs.NewVersion = x.naming()
	o, content, err := certs.Import(x.request.Context(), x.target.name, in)
	if err != nil {
		x.record.ID = "" // there is no such version
		return b, 0, err
	}
	return x.certificate(b, &o, &content, false)
}

// imported is the new version that a body makes.
func (x *exchange) imported(body *certificateBody) (vault.CertificateInput, error) {
	var given *issuance.Policy
	contentType := ""
	if body.policy != "" {
		var err error
		if given, err = issuance.ParsePolicy([]byte(body.policy)); err != nil {
			return vault.CertificateInput{}, err
		}
		x.dropUnknown(given)
		contentType = given.ContentType()
	}
	password := ""
	if body.password != nil {
		password = *body.password
	}
	bundle, err := x.Desk.Open(x.request.Context(), *body.value, password, contentType)
	if invalid := new(issuance.Invalid); errors.As(err, &invalid) {
		return vault.CertificateInput{}, unreadable(*body.value, invalid)
	}
	if err != nil {
		return vault.CertificateInput{}, err
	}
	policy, err := issuance.DefaultPolicy(bundle, given, x.now)
	if err == nil {
		err = x.checkKeyType(policy)
	}
	if err != nil {
		return vault.CertificateInput{}, err
	}
	in, err := enrollment.Imported(bundle, policy, enrollment.Application{Enabled: body.enabled, Tags: body.tags,
		PreserveCertOrder: body.preserve != nil && *body.preserve && x.api >= api76})
	if invalid := new(keyring.Invalid); errors.As(err, &invalid) {
		err = unreadable(*body.value, &issuance.Invalid{Property: "value", Reason: "has a private key whose numbers do not belong together"})
	}
	return in, err
}

// convert brings the value of a secret that holds a certificate into the
// form that GetSecret was asked for with outContentType.
func (x *exchange) convert(v *vault.Version) error {
	value, err := x.Desk.Convert(x.request.Context(), v.Value, v.ContentType, x.query.outContentType)
	if err != nil {
		return err
	}
	v.Value, v.ContentType = value, x.query.outContentType
	return nil
}
