package keyvault

import (
	"encoding/base64"
	"strconv"

	"postern/internal/keyring"
	"postern/internal/keysmith"
	"postern/internal/vault"
)

// appendBytes writes bytes in base64url, and what follows them.
func appendBytes(b, value []byte, then string) []byte {
	b = base64.RawURLEncoding.AppendEncode(append(b, '"'), value)
	return append(append(b, '"'), then...)
}

// keyBundle is what of a key goes into an answer (spec: KeyBundle, KeyItem,
// DeletedKeyBundle, DeletedKeyItem).
type keyBundle struct {
	object  *vault.Object
	content *vault.KeyContent
	// id and recoveryID are URLs; recoveryID "" is a live key.
	id, recoveryID string
	// item is a key in a list: without the key itself, which is public.
	item   bool
	public keyring.JWK
}

// appendKey writes the properties in the service's order. The release policy
// of a deleted key is not shown (recorded answers).
func (x *exchange) appendKey(b []byte, k keyBundle) []byte {
	o, v := k.object, &k.object.Version
	b = append(b, '{')
	if k.recoveryID != "" {
		b = appendJSON(append(b, `"recoveryId":`...), k.recoveryID)
		b = strconv.AppendInt(append(b, `,"deletedDate":`...), o.Deleted, 10)
		b = strconv.AppendInt(append(b, `,"scheduledPurgeDate":`...), o.Purge, 10)
		b = append(b, ',')
	}
	if k.item {
		b = appendJSON(append(b, `"kid":`...), k.id)
	} else {
		b = append(appendPublicKey(append(b, `"key":`...), k.id, k.content.Type, k.content.Operations, &k.public), '}')
	}
	b = x.appendKeyAttributes(append(b, `,"attributes":`...), v, k.content)
	b = appendTags(b, v.Tags)
	if v.Managed {
		b = append(b, `,"managed":true`...)
	}
	if p := k.content.Release; p != nil && !k.item && k.recoveryID == "" && x.api >= api73 {
		b = appendJSON(append(b, `,"release_policy":{"contentType":`...), p.ContentType)
		b = appendBytes(append(b, `,"data":`...), p.Data, `,"immutable":`)
		b = append(strconv.AppendBool(b, p.Immutable), '}')
	}
	return append(b, '}')
}

// appendPublicKey writes JsonWebKey without its private part, and without
// the brace at its end (recorded answers).
func appendPublicKey(b []byte, id, kty string, operations []string, j *keyring.JWK) []byte {
	b = appendJSON(append(b, `{"kid":`...), id)
	b = appendJSON(append(b, `,"kty":`...), kty)
	b = append(b, `,"key_ops":[`...)
	for i, op := range operations {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, op)
	}
	if j.Type == keyring.RSA {
		return appendBytes(appendBytes(append(b, `],"n":`...), j.N, `,"e":`), j.E, "")
	}
	b = appendJSON(append(b, `],"crv":`...), j.Curve)
	return appendBytes(appendBytes(append(b, `,"x":`...), j.X, `,"y":`), j.Y, "")
}

// appendKeyAttributes writes KeyAttributes: those of every object, then
// exportable, which came with 7.3, and hsmPlatform, which came with 7.5. The
// service says key_size of symmetric keys alone.
func (x *exchange) appendKeyAttributes(b []byte, v *vault.Version, k *vault.KeyContent) []byte {
	b = x.appendAttributes(b, v)
	b = b[:len(b)-1] // the brace
	if x.api >= api73 {
		b = strconv.AppendBool(append(b, `,"exportable":`...), k.Exportable)
	}
	if x.api >= api75 {
		b = appendJSON(append(b, `,"hsmPlatform":`...), platform(k))
	}
	return append(b, '}')
}

// platform is hsmPlatform of a key.
func platform(k *vault.KeyContent) string {
	if k.Platform == "" {
		return keysmith.PlatformSoftware
	}
	return k.Platform
}

// appendResult writes KeyOperationResult.
func appendResult(b []byte, id string, value []byte) []byte {
	b = appendJSON(append(b, `{"kid":`...), id)
	return appendBytes(append(b, `,"value":`...), value, "}")
}
