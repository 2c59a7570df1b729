package keyvault

import (
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"postern/internal/fault"
	"postern/internal/keyring"
	"postern/internal/keyring/release"
	"postern/internal/keysmith"
	"postern/internal/vault"
)

// releaseKey is release of the specification: the private key, wrapped for
// an environment that an authority has attested. The authority must be one
// of the configuration, and the key's own policy must name it and be content
// with what it says.
func releaseKey(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	p, err := readKeyRelease(data)
	if err != nil {
		return b, 0, err
	}
	o, k, err := x.keys().Use(x.request.Context(), x.target.name, x.target.version, vault.UseRelease)
	if err != nil {
		return b, 0, err
	}
	x.record.ID = x.objectID(o.Name, o.Version.ID)
	if !k.Exportable || k.Release == nil {
		return b, 0, &fault.Error{Status: http.StatusForbidden, Code: codeForbidden, Inner: innerKeyOperation, Message: textNotExportable}
	}
	if err := x.spend(keysmith.Cost(k.Type)); err != nil {
		return b, 0, err
	}
	claims, err := x.attested(*p.target, k.Release)
	if err != nil {
		return b, 0, err
	}
	asked := release.Request{APIVersion: x.query.apiVersion, Enc: release.DefaultEncryption, KID: x.objectID(o.Name, x.target.version)}
	if p.enc != nil && *p.enc != "" {
		asked.Enc = *p.enc
	}
	if p.nonce != nil {
		asked.Nonce = *p.nonce
	}
	payload, err := x.released(&o, &k, asked, claims)
	if err != nil {
		return b, 0, err
	}
	if b, err = x.notarize(append(b, `{"value":"`...), payload); err != nil {
		return b, 0, err
	}
	return append(b, `"}`...), http.StatusOK, nil
}

// attested is what an attestation says, if the policy allows release to
// whom it speaks of. All refusals are one answer; the log has why.
func (x *exchange) attested(token string, kept *vault.ReleasePolicy) (map[string]any, error) {
	policy, err := release.ParsePolicy(kept.Data)
	if err != nil {
		return nil, err // it was read when it was written
	}
	if x.Attested == nil {
		return nil, unattested
	}
	issuer, claims, err := x.Attested(token)
	if err == nil && !policy.Allows(issuer, claims) {
		err = errors.New("the release policy does not allow it")
	}
	if err != nil {
		x.Log.Info("key not released", "vault", x.vault.Resource.Name, "key", x.target.name, "reason", err, "request", x.headers.requestID())
		return nil, unattested
	}
	return claims, nil
}

// released is the payload of the answer: the request, and the key with its
// private part wrapped for the environment (recorded answers).
func (x *exchange) released(o *vault.Object, k *vault.KeyContent, asked release.Request, claims map[string]any) ([]byte, error) {
	target, kid, err := release.Target(claims)
	if err != nil {
		return nil, badParameter(textNoTarget)
	}
	key, err := keyring.Open(k.Material)
	if err != nil {
		return nil, err
	}
	wrapped, err := release.Wrap(key, target, asked.Enc)
	switch {
	case errors.Is(err, release.ErrEncryption):
		return nil, badParameter(textUnknownEnc)
	case err != nil:
		return nil, err
	}
	sealed, err := release.KeyHSM(wrapped, kid, asked.Enc)
	if err != nil {
		return nil, err
	}
	public := key.JWK()
	bundle := appendPublicKey([]byte(`{"key":`), x.objectID(o.Name, o.Version.ID), keysmith.Family(k.Type), k.Operations, &public)
	bundle = appendJSON(append(bundle, `,"key_hsm":`...), sealed)
	bundle = x.appendKeyAttributes(append(bundle, `},"attributes":`...), &o.Version, k)
	bundle = appendBytes(append(bundle, `,"release_policy":{"data":`...), k.Release.Data, `,"immutable":`)
	bundle = append(strconv.AppendBool(bundle, k.Release.Immutable), "}}"...)
	return release.Payload(asked, json.RawMessage(bundle))
}

// notarize appends the JWS of a payload (RFC 7515 §7.1), signed with the
// server's certificate; the header is the service's (recorded answers).
func (x *exchange) notarize(b, payload []byte) ([]byte, error) {
	if x.Notary == nil {
		return b, errors.New("keyvault: nothing to sign a released key with")
	}
	signer, chain, err := x.Notary()
	if err != nil {
		return b, err
	}
	old, print := sha1.Sum(chain[0]), sha256.Sum256(chain[0])
	encode := base64.RawURLEncoding.EncodeToString
	header, err := json.Marshal(struct {
		Alg   string   `json:"alg"`
		KID   string   `json:"kid"`
		Old   string   `json:"x5t"`
		Type  string   `json:"typ"`
		Print string   `json:"x5t#S256"`
		Chain [][]byte `json:"x5c"`
	}{"RS256", strings.ToUpper(fmt.Sprintf("%x", old)), encode(old[:]), "JWT", encode(print[:]), chain})
	if err != nil {
		return b, err
	}
	from := len(b)
	b = base64.RawURLEncoding.AppendEncode(b, header)
	b = base64.RawURLEncoding.AppendEncode(append(b, '.'), payload)
	digest := sha256.Sum256(b[from:])
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return b, err
	}
	return base64.RawURLEncoding.AppendEncode(append(b, '.'), signature), nil
}
