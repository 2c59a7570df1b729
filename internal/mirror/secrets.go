package mirror

import (
	"context"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// secrets copies secrets by their values.
type secrets struct{ pair }

func (s *secrets) list(ctx context.Context, from bool) ([]item, error) {
	return roll(ctx, s.of(from).secrets.NewListSecretPropertiesPager(nil), func(page azsecrets.ListSecretPropertiesResponse) (list []entry) {
		for _, p := range page.Value {
			list = append(list, entry{p.ID.Name(), p.Attributes.Updated, p.Attributes.Enabled, p.Managed})
		}
		return list
	})
}

func (s *secrets) settle(ctx context.Context, from item, to *item) (Action, string, error) {
	if !from.enabled {
		return s.disabled(ctx, from, to)
	}
	wanted, err := s.from.secrets.GetSecret(ctx, from.name, "", nil)
	if err != nil {
		return Failed, "", err
	}
	if to == nil {
		return s.create(ctx, from.name, &wanted.Secret)
	}
	if !to.enabled {
		// What is disabled cannot be read, so it is written anew.
		return Update, "", s.set(ctx, from.name, &wanted.Secret)
	}
	is, err := s.to.secrets.GetSecret(ctx, from.name, "", nil)
	if err != nil {
		return Failed, "", err
	}
	return s.compare(ctx, from.name, &wanted.Secret, &is.Secret)
}

// compare brings the difference between two secrets over.
func (s *secrets) compare(ctx context.Context, name string, wanted, is *azsecrets.Secret) (Action, string, error) {
	w, i := wanted.Attributes, is.Attributes
	switch {
	case deref(wanted.Value) != deref(is.Value), cleared(w.Expires, i.Expires), cleared(w.NotBefore, i.NotBefore):
		return Update, "", s.set(ctx, name, wanted)
	case equalTimes(w.Expires, i.Expires) && equalTimes(w.NotBefore, i.NotBefore) && deref(w.Enabled) == deref(i.Enabled) &&
		deref(wanted.ContentType) == deref(is.ContentType) && equalTags(wanted.Tags, is.Tags):
		return Same, "", nil
	case s.DryRun:
		return Amend, "", nil
	}
	contentType := deref(wanted.ContentType)
	_, err := s.to.secrets.UpdateSecretProperties(ctx, name, is.ID.Version(), azsecrets.UpdateSecretPropertiesParameters{ContentType: &contentType,
		Tags: tagsOf(wanted.Tags), SecretAttributes: &azsecrets.SecretAttributes{Enabled: w.Enabled, Expires: w.Expires, NotBefore: w.NotBefore}}, nil)
	return Amend, "", err
}

// create writes a secret that the second vault does not have, or has among
// the deleted.
func (s *secrets) create(ctx context.Context, name string, wanted *azsecrets.Secret) (Action, string, error) {
	if s.DryRun {
		_, err := s.to.secrets.GetDeletedSecret(ctx, name, nil)
		if err == nil {
			return Recover, "it is among the deleted secrets of the second vault", nil
		}
		return Create, "", nil
	}
	err := s.set(ctx, name, wanted)
	if !answered(err, http.StatusConflict) {
		return Create, "", err
	}
	if _, err := s.to.secrets.RecoverDeletedSecret(ctx, name, nil); err != nil {
		return Failed, "", err
	}
	var is azsecrets.GetSecretResponse
	err = until(ctx, func() (err error) { is, err = s.to.secrets.GetSecret(ctx, name, "", nil); return err })
	if err != nil && !answered(err, http.StatusForbidden) {
		return Failed, "", err
	}
	if err != nil { // disabled
		return Recover, "", s.set(ctx, name, wanted)
	}
	_, _, err = s.compare(ctx, name, wanted, &is.Secret)
	return Recover, "", err
}

func (s *secrets) set(ctx context.Context, name string, wanted *azsecrets.Secret) error {
	if s.DryRun {
		return nil
	}
	a := wanted.Attributes
	_, err := s.to.secrets.SetSecret(ctx, name, azsecrets.SetSecretParameters{Value: wanted.Value, ContentType: wanted.ContentType, Tags: wanted.Tags,
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: a.Enabled, Expires: a.Expires, NotBefore: a.NotBefore}}, nil)
	return err
}

// disabled settles a secret whose value cannot be read: its copy, if there
// is one, is disabled too.
func (s *secrets) disabled(ctx context.Context, from item, to *item) (Action, string, error) {
	const reason = "it is disabled, so its value cannot be read"
	switch {
	case to == nil:
		return Left, reason, nil
	case !to.enabled:
		return Same, "", nil
	case s.DryRun:
		return Amend, reason, nil
	}
	off := false
	_, err := s.to.secrets.UpdateSecretProperties(ctx, from.name, "", azsecrets.UpdateSecretPropertiesParameters{
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: &off}}, nil)
	return Amend, reason, err
}

func (s *secrets) remove(ctx context.Context, name string) error {
	_, err := s.to.secrets.DeleteSecret(ctx, name, nil)
	return err
}
