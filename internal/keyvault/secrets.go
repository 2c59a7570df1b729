package keyvault

import (
	"net/http"

	"postern/internal/vault"
)

// secrets is the vault's secrets for this request.
func (x *exchange) secrets() *vault.Secrets {
	x.objects = vault.Secrets{Terms: x.terms, Space: x.grant, Key: x.grant.Key(), Now: x.now, NewVersion: x.newVersion}
	return &x.objects
}

// backups is secrets with the key of backup blobs.
func (x *exchange) backups() *vault.Secrets {
	s := x.secrets()
	s.Backup = x.grant.BackupKey()
	return s
}

// deletedID is the URL of a deleted object.
func (x *exchange) deletedID(name string) string { return x.base + "/deletedsecrets/" + name }

// secret appends one secret with the identifier of its version.
func (x *exchange) secret(b []byte, o *vault.Object, value bool) []byte {
	return x.appendBundle(b, bundle{object: o, id: x.objectID(o.Name, o.Version.ID), value: value, previous: x.api >= api2025, key: true})
}

// deletedSecret appends a deleted secret.
func (x *exchange) deletedSecret(b []byte, o *vault.Object) []byte {
	return x.appendBundle(b, bundle{object: o, id: x.objectID(o.Name, o.Version.ID), recoveryID: x.deletedID(o.Name),
		previous: x.api >= api2025, key: true})
}

// getSecret is GetSecret of the specification.
func getSecret(x *exchange, b []byte) ([]byte, int, error) {
	o, err := x.secrets().Get(x.request.Context(), x.target.name, x.target.version)
	if err != nil {
		return b, 0, err
	}
	id := x.objectID(o.Name, o.Version.ID)
	x.record.ID = id
	if x.query.outContentType != "" && x.api >= api2025 {
		if err := x.convert(&o.Version); err != nil {
			return b, 0, err
		}
	}
	return x.appendBundle(b, bundle{object: &o, id: id, value: true, previous: x.api >= api2025, key: true}), http.StatusOK, nil
}

// setSecret is SetSecret of the specification.
func setSecret(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	in, err := readSecretSet(data)
	if err != nil {
		return b, 0, err
	}
	s := x.secrets()
	s.NewVersion = x.naming()
	o, err := s.Set(x.request.Context(), x.target.name, in)
	if err != nil {
		x.record.ID = "" // there is no such version
		return b, 0, err
	}
	return x.secret(b, &o, true), http.StatusOK, nil
}

// updateSecret is UpdateSecret of the specification; it answers without the
// value.
func updateSecret(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	patch, err := readSecretUpdate(data)
	if err != nil {
		return b, 0, err
	}
	o, err := x.secrets().Update(x.request.Context(), x.target.name, x.target.version, patch)
	if err != nil {
		return b, 0, err
	}
	return x.secret(b, &o, false), http.StatusOK, nil
}

// deleteSecret is DeleteSecret of the specification.
func deleteSecret(x *exchange, b []byte) ([]byte, int, error) {
	o, err := x.secrets().Delete(x.request.Context(), x.target.name)
	if err != nil {
		return b, 0, err
	}
	return x.deletedSecret(b, &o), http.StatusOK, nil
}

// getDeletedSecret is GetDeletedSecret of the specification.
func getDeletedSecret(x *exchange, b []byte) ([]byte, int, error) {
	o, err := x.secrets().GetDeleted(x.request.Context(), x.target.name)
	if err != nil {
		return b, 0, err
	}
	return x.deletedSecret(b, &o), http.StatusOK, nil
}

// recoverSecret is RecoverDeletedSecret of the specification.
func recoverSecret(x *exchange, b []byte) ([]byte, int, error) {
	o, err := x.secrets().Recover(x.request.Context(), x.target.name)
	if err != nil {
		return b, 0, err
	}
	return x.secret(b, &o, false), http.StatusOK, nil
}

// purgeSecret is PurgeDeletedSecret of the specification.
func purgeSecret(x *exchange, b []byte) ([]byte, int, error) {
	x.grant.Expect(http.StatusNoContent)
	return b, http.StatusNoContent, x.secrets().Purge(x.request.Context(), x.target.name)
}

// backUpSecret is BackupSecret of the specification.
func backUpSecret(x *exchange, b []byte) ([]byte, int, error) {
	blob, err := x.backups().BackUp(x.request.Context(), x.target.name)
	return backup(b, blob, err)
}

// restoreSecret is RestoreSecret of the specification.
func restoreSecret(x *exchange, b []byte) ([]byte, int, error) {
	blob, err := x.blob()
	if err != nil {
		return b, 0, err
	}
	o, err := x.backups().Restore(x.request.Context(), blob)
	if err != nil {
		x.target.name = o.Name
		return b, 0, err
	}
	return x.secret(b, &o, false), http.StatusOK, nil
}

// listSecrets is GetSecrets of the specification.
func listSecrets(x *exchange, b []byte) ([]byte, int, error) {
	return x.page(b, func(after string, limit int) (vault.Page, error) {
		return x.secrets().List(x.request.Context(), after, limit)
	}, func(o *vault.Object) bundle { return bundle{object: o, id: x.objectID(o.Name, "")} })
}

// listDeletedSecrets is GetDeletedSecrets of the specification.
func listDeletedSecrets(x *exchange, b []byte) ([]byte, int, error) {
	return x.page(b, func(after string, limit int) (vault.Page, error) {
		return x.secrets().ListDeleted(x.request.Context(), after, limit)
	}, func(o *vault.Object) bundle {
		return bundle{object: o, id: x.objectID(o.Name, ""), recoveryID: x.deletedID(o.Name)}
	})
}

// listSecretVersions is GetSecretVersions of the specification.
func listSecretVersions(x *exchange, b []byte) ([]byte, int, error) {
	return x.page(b, func(after string, limit int) (vault.Page, error) {
		return x.secrets().Versions(x.request.Context(), x.target.name, after, limit)
	}, func(o *vault.Object) bundle { return bundle{object: o, id: x.objectID(o.Name, o.Version.ID)} })
}

// page appends one page of a list of secrets.
func (x *exchange) page(b []byte, list func(after string, limit int) (vault.Page, error),
	item func(*vault.Object) bundle) ([]byte, int, error) {
	var p vault.Page
	return x.list(b, func(after string, limit int) (n int, next string, err error) {
		p, err = list(after, limit)
		return len(p.Objects), p.Next, err
	}, func(b []byte, i int) []byte { return x.appendBundle(b, item(&p.Objects[i])) })
}

// list appends one page of a list of anything: {"value":[…],"nextLink":…}.
// read fetches the page and says how many items it has and where the next
// one begins; item appends one of them.
func (x *exchange) list(b []byte, read func(after string, limit int) (n int, next string, err error),
	item func(b []byte, i int) []byte) ([]byte, int, error) {
	limit, err := x.query.pageSize()
	if err != nil {
		return b, 0, err
	}
	after, err := x.cursor()
	if err != nil {
		return b, 0, err
	}
	n, next, err := read(after, limit)
	if err != nil {
		return b, 0, err
	}
	b = append(b, `{"value":[`...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = item(b, i)
	}
	b = x.appendNextLink(append(b, `],"nextLink":`...), next, limit)
	return append(b, '}'), http.StatusOK, nil
}
