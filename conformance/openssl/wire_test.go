package openssl

import (
	"context"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"postern/internal/keyring"
	"postern/posterntest"
)

// inVault is a key in a vault, used through the SDK.
type inVault struct {
	context.Context
	client *azkeys.Client
	name   string
	bits   int
	// wrapping is whether wrapKey and unwrapKey stand for encrypt and
	// decrypt.
	wrapping bool
}

func (k inVault) Bits() int { return k.bits }

func (k inVault) Encrypt(alg string, plain []byte) ([]byte, error) {
	in := azkeys.KeyOperationParameters{Algorithm: to(azkeys.EncryptionAlgorithm(alg)), Value: plain}
	if k.wrapping {
		got, err := k.client.WrapKey(k, k.name, "", in, nil)
		return got.Result, err
	}
	got, err := k.client.Encrypt(k, k.name, "", in, nil)
	return got.Result, err
}

func (k inVault) Decrypt(alg string, sealed []byte) ([]byte, error) {
	in := azkeys.KeyOperationParameters{Algorithm: to(azkeys.EncryptionAlgorithm(alg)), Value: sealed}
	if k.wrapping {
		got, err := k.client.UnwrapKey(k, k.name, "", in, nil)
		return got.Result, err
	}
	got, err := k.client.Decrypt(k, k.name, "", in, nil)
	return got.Result, err
}

func (k inVault) Sign(alg string, digest []byte) ([]byte, error) {
	got, err := k.client.Sign(k, k.name, "", azkeys.SignParameters{Algorithm: to(azkeys.SignatureAlgorithm(alg)), Value: digest}, nil)
	return got.Result, err
}

func (k inVault) Verify(alg string, digest, signature []byte) (bool, error) {
	got, err := k.client.Verify(k, k.name, "", azkeys.VerifyParameters{Algorithm: to(azkeys.SignatureAlgorithm(alg)), Digest: digest, Signature: signature}, nil)
	return got.Value != nil && *got.Value, err
}

func to[T any](v T) *T { return &v }

// TestVault takes keys that openssl made, and that were imported into a
// vault, through every algorithm: the vault's part over HTTP, by the SDK.
func TestVault(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("openssl")
	options := azcore.ClientOptions{Transport: p.Client(), Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: p.LoginURL}}
	credential, err := azidentity.NewClientSecretCredential(p.TenantID, p.ClientID, p.ClientSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	client, err := azkeys.NewClient(kv.URL, credential, &azkeys.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: p.Client()}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range keys {
		t.Run(c.name, func(t *testing.T) {
			made, _ := pem.Decode(openssl(t, nil, append([]string{"genpkey"}, c.options...)...))
			theirs, err := parse(made.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.ReplaceAll(c.name, " ", "-")
			if _, err := client.ImportKey(t.Context(), name, azkeys.ImportKeyParameters{Key: imported(theirs.PrivateJWK())}, nil); err != nil {
				t.Fatal(err)
			}
			for _, wrapping := range []bool{false, true} {
				exercise(t, theirs, inVault{t.Context(), client, name, theirs.Bits(), wrapping}, made.Bytes)
			}
		})
	}
}

// imported is a key as the SDK sends it.
func imported(j keyring.JWK) *azkeys.JSONWebKey {
	k := &azkeys.JSONWebKey{Kty: to(azkeys.KeyType(j.Type)), N: j.N, E: j.E, D: j.D, P: j.P, Q: j.Q, DP: j.DP, DQ: j.DQ, QI: j.QI, X: j.X, Y: j.Y}
	if j.Curve != "" {
		k.Crv = to(azkeys.CurveName(j.Curve))
	}
	return k
}
