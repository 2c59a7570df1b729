package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
)

// certificates copies certificates with their keys, where those may leave,
// and their policies.
type certificates struct{ pair }

func (s *certificates) list(ctx context.Context, from bool) ([]item, error) {
	return roll(ctx, s.of(from).certificates.NewListCertificatePropertiesPager(nil), func(page azcertificates.ListCertificatePropertiesResponse) (list []entry) {
		for _, p := range page.Value {
			list = append(list, entry{p.ID.Name(), p.Attributes.Updated, p.Attributes.Enabled, nil})
		}
		return list
	})
}

func (s *certificates) settle(ctx context.Context, from item, to *item) (Action, string, error) {
	wanted, err := s.from.certificates.GetCertificate(ctx, from.name, "", nil)
	if err != nil {
		return Failed, "", err
	}
	if to == nil {
		if _, err := s.to.certificates.GetDeletedCertificate(ctx, from.name, nil); err == nil {
			return s.recover(ctx, from.name, &wanted.Certificate)
		}
		return s.copy(ctx, from.name, &wanted.Certificate, Create)
	}
	is, err := s.to.certificates.GetCertificate(ctx, from.name, "", nil)
	if err != nil {
		return Failed, "", err
	}
	return s.compare(ctx, from.name, &wanted.Certificate, &is.Certificate)
}

func (s *certificates) compare(ctx context.Context, name string, wanted, is *azcertificates.Certificate) (Action, string, error) {
	w, i := wanted.Attributes, is.Attributes
	if !bytes.Equal(wanted.CER, is.CER) {
		return s.copy(ctx, name, wanted, Update)
	}
	amended := false
	if deref(w.Enabled) != deref(i.Enabled) || !equalTags(wanted.Tags, is.Tags) {
		amended = true
		if !s.DryRun {
			_, err := s.to.certificates.UpdateCertificate(ctx, name, is.ID.Version(), azcertificates.UpdateCertificateParameters{Tags: tagsOf(wanted.Tags),
				CertificateAttributes: &azcertificates.CertificateAttributes{Enabled: w.Enabled}}, nil)
			if err != nil {
				return Failed, "", err
			}
		}
	}
	if !samePolicy(wanted.Policy, is.Policy) {
		amended = true
		if !s.DryRun {
			if _, err := s.to.certificates.UpdateCertificatePolicy(ctx, name, *movable(wanted.Policy), nil); err != nil {
				return Failed, "", err
			}
		}
	}
	if amended {
		return Amend, "", nil
	}
	return Same, "", nil
}

// copy imports a certificate with its key, or where the key may not leave
// restores its backup.
func (s *certificates) copy(ctx context.Context, name string, wanted *azcertificates.Certificate, action Action) (Action, string, error) {
	exportable := wanted.Policy != nil && wanted.Policy.KeyProperties != nil && deref(wanted.Policy.KeyProperties.Exportable)
	switch {
	case exportable && !deref(wanted.Attributes.Enabled):
		return Left, "it is disabled, so its key cannot be read", nil
	case s.DryRun:
		return action, "", nil
	case exportable:
		return action, "", s.load(ctx, name, wanted)
	case action == Update:
		return Left, "its key may not leave the vault, and the second vault has another certificate of this name", nil
	}
	backup, err := s.from.certificates.BackupCertificate(ctx, name, nil)
	if err != nil {
		return Failed, "", err
	}
	_, err = s.to.certificates.RestoreCertificate(ctx, azcertificates.RestoreCertificateParameters{CertificateBackup: backup.Value}, nil)
	if answered(err, http.StatusBadRequest) {
		return Left, "its key may not leave the vault, and the second vault does not take the backup (" + brief(err).Error() + ")", nil
	}
	return action, "", err
}

// load imports the certificate from the secret that goes with it.
func (s *certificates) load(ctx context.Context, name string, wanted *azcertificates.Certificate) error {
	secret, err := s.from.secrets.GetSecret(ctx, wanted.SID.Name(), wanted.SID.Version(), nil)
	if err != nil {
		return err
	}
	p := movable(wanted.Policy)
	p.SecretProperties = &azcertificates.SecretProperties{ContentType: secret.ContentType}
	_, err = s.to.certificates.ImportCertificate(ctx, name, azcertificates.ImportCertificateParameters{Base64EncodedCertificate: secret.Value,
		CertificatePolicy: p, Tags: wanted.Tags, PreserveCertOrder: wanted.PreserveCertOrder,
		CertificateAttributes: &azcertificates.CertificateAttributes{Enabled: wanted.Attributes.Enabled}}, nil)
	return err
}

// recover brings back the deleted certificate of the second vault, and
// compares it.
func (s *certificates) recover(ctx context.Context, name string, wanted *azcertificates.Certificate) (Action, string, error) {
	if s.DryRun {
		return Recover, "it is among the deleted certificates of the second vault", nil
	}
	if _, err := s.to.certificates.RecoverDeletedCertificate(ctx, name, nil); err != nil {
		return Failed, "", err
	}
	var is azcertificates.GetCertificateResponse
	if err := until(ctx, func() (err error) { is, err = s.to.certificates.GetCertificate(ctx, name, "", nil); return err }); err != nil {
		return Failed, "", err
	}
	if action, reason, err := s.compare(ctx, name, wanted, &is.Certificate); err != nil || action == Left {
		return action, reason, err
	}
	return Recover, "", nil
}

func (s *certificates) remove(ctx context.Context, name string) error {
	_, err := s.to.certificates.DeleteCertificate(ctx, name, nil)
	return err
}

// movable is a policy without what belongs to one vault.
func movable(p *azcertificates.CertificatePolicy) *azcertificates.CertificatePolicy {
	if p == nil {
		return &azcertificates.CertificatePolicy{}
	}
	made := *p
	made.ID = nil
	if p.Attributes != nil {
		made.Attributes = &azcertificates.CertificateAttributes{Enabled: p.Attributes.Enabled}
	}
	return &made
}

// samePolicy compares what policies say of the next certificate.
func samePolicy(a, b *azcertificates.CertificatePolicy) bool {
	form := func(p *azcertificates.CertificatePolicy) []byte {
		made := movable(p)
		made.Attributes = nil
		data, err := json.Marshal(made)
		if err != nil {
			return nil
		}
		return data
	}
	return bytes.Equal(form(a), form(b))
}
