package keyvault

import (
	"net/http"

	"postern/access"
	"postern/internal/keyring"
	"postern/internal/keysmith"
	"postern/internal/vault"
)

const (
	// bodyKey leaves room for tags at their limits, every character escaped,
	// and for a release policy.
	bodyKey = 256 << 10
	// bodyUse is far more than any algorithm of a vault takes.
	bodyUse = 32 << 10
	// bodyRelease leaves room for an attestation with its evidence.
	bodyRelease = 128 << 10
	// bodyRotation is a rotation policy.
	bodyRotation = 16 << 10
)

// keyRoutes are the rows of Keys in the specification, 23 operations; what
// only a managed HSM has is in hardwareRoutes.
var keyRoutes = []Route{
	{Method: "GET", Pattern: "/keys", Operation: access.KeyList, serve: listKeys},
	{Method: "PUT", Pattern: "/keys/{name}", Operation: access.KeyImport, Body: bodyKey, serve: importKey},
	{Method: "DELETE", Pattern: "/keys/{name}", Operation: access.KeyDelete, serve: deleteKey},
	{Method: "POST", Pattern: "/keys/restore", Operation: access.KeyRestore, Body: bodyRestore, serve: restoreKey},
	{Method: "GET", Pattern: "/keys/{name}/versions", Operation: access.KeyListVersions, serve: listKeyVersions},
	{Method: "POST", Pattern: "/keys/{name}/create", Operation: access.KeyCreate, Body: bodyKey, serve: createKey},
	{Method: "POST", Pattern: "/keys/{name}/backup", Operation: access.KeyBackup, serve: backUpKey},
	{Method: "POST", Pattern: "/keys/{name}/rotate", Operation: access.KeyRotate, Since: api73, serve: rotateKey},
	{Method: "GET", Pattern: "/keys/{name}/rotationpolicy", Operation: access.KeyRotationPolicyGet, Since: api73, serve: getRotationPolicy},
	{Method: "PUT", Pattern: "/keys/{name}/rotationpolicy", Operation: access.KeyRotationPolicySet, Since: api73, Body: bodyRotation, serve: setRotationPolicy},
	{Method: "GET", Pattern: "/keys/{name}/{version}", Operation: access.KeyGet, serve: getKey},
	{Method: "PATCH", Pattern: "/keys/{name}/{version}", Operation: access.KeyUpdate, Body: bodyKey, serve: updateKey},
	{Method: "POST", Pattern: "/keys/{name}/{version}/encrypt", Operation: access.KeyEncrypt, Body: bodyUse, serve: encrypt},
	{Method: "POST", Pattern: "/keys/{name}/{version}/decrypt", Operation: access.KeyDecrypt, Body: bodyUse, serve: decrypt},
	{Method: "POST", Pattern: "/keys/{name}/{version}/wrapkey", Operation: access.KeyWrap, Body: bodyUse, serve: wrapKey},
	{Method: "POST", Pattern: "/keys/{name}/{version}/unwrapkey", Operation: access.KeyUnwrap, Body: bodyUse, serve: unwrapKey},
	{Method: "POST", Pattern: "/keys/{name}/{version}/sign", Operation: access.KeySign, Body: bodyUse, serve: sign},
	{Method: "POST", Pattern: "/keys/{name}/{version}/verify", Operation: access.KeyVerify, Body: bodyUse, serve: verify},
	{Method: "POST", Pattern: "/keys/{name}/{version}/release", Operation: access.KeyRelease, Since: api73, Body: bodyRelease, serve: releaseKey},
	{Method: "GET", Pattern: "/deletedkeys", Operation: access.KeyListDeleted, serve: listDeletedKeys},
	{Method: "GET", Pattern: "/deletedkeys/{name}", Operation: access.KeyGetDeleted, serve: getDeletedKey},
	{Method: "DELETE", Pattern: "/deletedkeys/{name}", Operation: access.KeyPurge, serve: purgeKey},
	{Method: "POST", Pattern: "/deletedkeys/{name}/recover", Operation: access.KeyRecover, serve: recoverKey},
}

// keys is the vault's keys for this request.
func (x *exchange) keys() *vault.Keys {
	return &vault.Keys{Terms: x.terms, Space: x.grant, Key: x.grant.Key(), Now: x.now, NewVersion: x.newVersion}
}

// keyBackups is keys with the key of backup blobs.
func (x *exchange) keyBackups() *vault.Keys {
	k := x.keys()
	k.Backup = x.grant.BackupKey()
	return k
}

// deletedKeyID is the URL of a deleted key.
func (x *exchange) deletedKeyID(name string) string { return x.base + "/deletedkeys/" + name }

// key appends one key with the identifier of its version.
func (x *exchange) key(b []byte, o *vault.Object, k *vault.KeyContent) ([]byte, int, error) {
	return x.bundle(b, keyBundle{object: o, content: k, id: x.objectID(o.Name, o.Version.ID)})
}

// deletedKey appends a deleted key.
func (x *exchange) deletedKey(b []byte, o *vault.Object, k *vault.KeyContent) ([]byte, int, error) {
	return x.bundle(b, keyBundle{object: o, content: k, id: x.objectID(o.Name, o.Version.ID), recoveryID: x.deletedKeyID(o.Name)})
}

// bundle appends one key with its public part.
func (x *exchange) bundle(b []byte, k keyBundle) ([]byte, int, error) {
	public, err := keyring.OpenPublic(k.content.Public)
	if err != nil {
		return b, 0, err
	}
	k.public = public.JWK()
	return x.appendKey(b, k), http.StatusOK, nil
}

// getKey is GetKey of the specification. What it shows is public, so that a
// disabled key is shown as well.
func getKey(x *exchange, b []byte) ([]byte, int, error) {
	o, k, err := x.keys().Get(x.request.Context(), x.target.name, x.target.version)
	if err != nil {
		return b, 0, err
	}
	x.record.ID = x.objectID(o.Name, o.Version.ID)
	return x.key(b, &o, &k)
}

// updateKey is UpdateKey of the specification.
func updateKey(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	d, err := readKeyUpdate(data)
	if err != nil {
		return b, 0, err
	}
	if err := x.checkKeyUpdate(d); err != nil {
		return b, 0, err
	}
	patch := vault.KeyPatch{Operations: d.operations, Release: d.release, Enabled: d.enabled, NotBefore: d.notBefore, Expires: d.expires, Tags: d.tags}
	o, k, err := x.keys().Update(x.request.Context(), x.target.name, x.target.version, patch)
	if err != nil {
		return b, 0, err
	}
	return x.key(b, &o, &k)
}

// checkKeyUpdate looks at what an update says of the release of a key, by
// the rules of the service.
func (x *exchange) checkKeyUpdate(d *keyDescription) error {
	if d.exportable == vault.Unset && d.release == nil {
		return nil
	}
	_, k, err := x.keys().Get(x.request.Context(), x.target.name, x.target.version)
	switch {
	case err != nil:
		return err
	case d.exportable != vault.Unset && (d.exportable == vault.Yes) != k.Exportable:
		return badParameter(textExportableFixed)
	case d.release == nil:
		return nil
	case !k.Exportable:
		return badParameter(textExportableFixed)
	case x.target.version != "":
		return badParameter(textPolicyOfVersion)
	case k.Release.Fixed(d.release):
		return badParameter(textPolicyImmutable)
	}
	return smith(k.Type, keysmith.CheckRelease(d.release))
}

// deleteKey is DeleteKey of the specification.
func deleteKey(x *exchange, b []byte) ([]byte, int, error) {
	o, k, err := x.keys().Delete(x.request.Context(), x.target.name)
	if err != nil {
		return b, 0, err
	}
	return x.deletedKey(b, &o, &k)
}

// getDeletedKey is GetDeletedKey of the specification.
func getDeletedKey(x *exchange, b []byte) ([]byte, int, error) {
	o, k, err := x.keys().GetDeleted(x.request.Context(), x.target.name)
	if err != nil {
		return b, 0, err
	}
	return x.deletedKey(b, &o, &k)
}

// recoverKey is RecoverDeletedKey of the specification.
func recoverKey(x *exchange, b []byte) ([]byte, int, error) {
	o, k, err := x.keys().Recover(x.request.Context(), x.target.name)
	if err != nil {
		return b, 0, err
	}
	return x.key(b, &o, &k)
}

// purgeKey is PurgeDeletedKey of the specification.
func purgeKey(x *exchange, b []byte) ([]byte, int, error) {
	x.grant.Expect(http.StatusNoContent)
	return b, http.StatusNoContent, x.keys().Purge(x.request.Context(), x.target.name)
}

// backUpKey is BackupKey of the specification.
func backUpKey(x *exchange, b []byte) ([]byte, int, error) {
	blob, err := x.keyBackups().BackUp(x.request.Context(), x.target.name)
	return backup(b, blob, err)
}

// restoreKey is RestoreKey of the specification.
func restoreKey(x *exchange, b []byte) ([]byte, int, error) {
	blob, err := x.blob()
	if err != nil {
		return b, 0, err
	}
	o, k, err := x.keyBackups().Restore(x.request.Context(), blob)
	if err != nil {
		x.target.name = o.Name
		return b, 0, err
	}
	return x.key(b, &o, &k)
}

// listKeys is GetKeys of the specification.
func listKeys(x *exchange, b []byte) ([]byte, int, error) {
	return x.keyPage(b, func(after string, limit int) (vault.KeyPage, error) {
		return x.keys().List(x.request.Context(), after, limit)
	}, func(o *vault.Object) keyBundle { return keyBundle{object: o, id: x.objectID(o.Name, ""), item: true} })
}

// listDeletedKeys is GetDeletedKeys of the specification.
func listDeletedKeys(x *exchange, b []byte) ([]byte, int, error) {
	return x.keyPage(b, func(after string, limit int) (vault.KeyPage, error) {
		return x.keys().ListDeleted(x.request.Context(), after, limit)
	}, func(o *vault.Object) keyBundle {
		return keyBundle{object: o, id: x.objectID(o.Name, ""), recoveryID: x.deletedKeyID(o.Name), item: true}
	})
}

// listKeyVersions is GetKeyVersions of the specification.
func listKeyVersions(x *exchange, b []byte) ([]byte, int, error) {
	return x.keyPage(b, func(after string, limit int) (vault.KeyPage, error) {
		return x.keys().Versions(x.request.Context(), x.target.name, after, limit)
	}, func(o *vault.Object) keyBundle {
		return keyBundle{object: o, id: x.objectID(o.Name, o.Version.ID), item: true}
	})
}

// keyPage appends one page of a list of keys.
func (x *exchange) keyPage(b []byte, list func(after string, limit int) (vault.KeyPage, error),
	item func(*vault.Object) keyBundle) ([]byte, int, error) {
	var p vault.KeyPage
	return x.list(b, func(after string, limit int) (n int, next string, err error) {
		p, err = list(after, limit)
		return len(p.Keys), p.Next, err
	}, func(b []byte, i int) []byte {
		k := item(&p.Keys[i].Object)
		k.content = &p.Keys[i].Content
		return x.appendKey(b, k)
	})
}
