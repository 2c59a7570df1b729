package mirror

import (
	"bytes"
	"context"
	"net/http"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

// keys copies keys as backups.
type keys struct{ pair }

func (s *keys) list(ctx context.Context, from bool) ([]item, error) {
	return roll(ctx, s.of(from).keys.NewListKeyPropertiesPager(nil), func(page azkeys.ListKeyPropertiesResponse) (list []entry) {
		for _, p := range page.Value {
			list = append(list, entry{p.KID.Name(), p.Attributes.Updated, p.Attributes.Enabled, p.Managed})
		}
		return list
	})
}

func (s *keys) settle(ctx context.Context, from item, to *item) (Action, string, error) {
	if to == nil {
		return s.create(ctx, from.name)
	}
	wanted, err := s.from.keys.GetKey(ctx, from.name, "", nil)
	if err != nil {
		return Failed, "", err
	}
	is, err := s.to.keys.GetKey(ctx, from.name, "", nil)
	if err != nil {
		return Failed, "", err
	}
	return s.compare(ctx, from.name, &wanted.KeyBundle, &is.KeyBundle)
}

// compare brings what may be changed of a key over; another key of the same
// name stays as it is.
func (s *keys) compare(ctx context.Context, name string, wanted, is *azkeys.KeyBundle) (Action, string, error) {
	w, i := wanted.Attributes, is.Attributes
	switch {
	case !sameKey(wanted.Key, is.Key):
		return Left, "the second vault has another key of this name, and the private part of this one cannot be read; " +
			"delete and purge that one to have it restored from a backup", nil
	case cleared(w.Expires, i.Expires), cleared(w.NotBefore, i.NotBefore):
		return Left, "a date of the copy cannot be taken away again", nil
	case equalTimes(w.Expires, i.Expires) && equalTimes(w.NotBefore, i.NotBefore) && deref(w.Enabled) == deref(i.Enabled) &&
		equalTags(wanted.Tags, is.Tags) && sameOperations(wanted.Key.KeyOps, is.Key.KeyOps):
		return Same, "", nil
	case s.DryRun:
		return Amend, "", nil
	}
	_, err := s.to.keys.UpdateKey(ctx, name, is.Key.KID.Version(), azkeys.UpdateKeyParameters{KeyOps: wanted.Key.KeyOps, Tags: tagsOf(wanted.Tags),
		KeyAttributes: &azkeys.KeyAttributes{Enabled: w.Enabled, Expires: w.Expires, NotBefore: w.NotBefore}}, nil)
	return Amend, "", err
}

// create restores the backup of a key.
func (s *keys) create(ctx context.Context, name string) (Action, string, error) {
	if _, err := s.to.keys.GetDeletedKey(ctx, name, nil); err == nil {
		return s.recover(ctx, name)
	}
	if s.DryRun {
		return Create, "if the second vault takes the backup: it must be of the same subscription and geography", nil
	}
	backup, err := s.from.keys.BackupKey(ctx, name, nil)
	if err != nil {
		return Failed, "", err
	}
	_, err = s.to.keys.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: backup.Value}, nil)
	if answered(err, http.StatusBadRequest) {
		return Left, "the second vault does not take the backup (" + brief(err).Error() +
			"): it is restored within one subscription and geography alone", nil
	}
	return Create, "", err
}

// recover brings back the deleted key of the second vault, and compares it.
func (s *keys) recover(ctx context.Context, name string) (Action, string, error) {
	if s.DryRun {
		return Recover, "it is among the deleted keys of the second vault", nil
	}
	if _, err := s.to.keys.RecoverDeletedKey(ctx, name, nil); err != nil {
		return Failed, "", err
	}
	var is azkeys.GetKeyResponse
	if err := until(ctx, func() (err error) { is, err = s.to.keys.GetKey(ctx, name, "", nil); return err }); err != nil {
		return Failed, "", err
	}
	wanted, err := s.from.keys.GetKey(ctx, name, "", nil)
	if err != nil {
		return Failed, "", err
	}
	if action, reason, err := s.compare(ctx, name, &wanted.KeyBundle, &is.KeyBundle); err != nil || action == Left {
		return action, reason, err
	}
	return Recover, "", nil
}

func (s *keys) remove(ctx context.Context, name string) error {
	_, err := s.to.keys.DeleteKey(ctx, name, nil)
	return err
}

// sameKey compares the public parts.
func sameKey(a, b *azkeys.JSONWebKey) bool {
	return bytes.Equal(a.N, b.N) && bytes.Equal(a.E, b.E) && bytes.Equal(a.X, b.X) && bytes.Equal(a.Y, b.Y) && deref(a.Crv) == deref(b.Crv)
}

func sameOperations(a, b []*azkeys.KeyOperation) bool {
	list := func(ops []*azkeys.KeyOperation) (l []string) {
		for _, o := range ops {
			l = append(l, string(deref(o)))
		}
		slices.Sort(l)
		return l
	}
	return slices.Equal(list(a), list(b))
}
