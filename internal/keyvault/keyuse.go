package keyvault

import (
	"net/http"
	"strconv"

	"postern/internal/journal"
	"postern/internal/keyring"
	"postern/internal/keysmith"
	"postern/internal/throttle"
	"postern/internal/vault"
)

// algorithms are the rows of keyring's table by their names.
var algorithms = func() map[string]keyring.Algorithm {
	m := map[string]keyring.Algorithm{}
	for _, a := range keyring.Algorithms() {
		m[a.Name] = a
	}
	return m
}()

// usage is one use of a key: which key it is, and what is asked of it.
type usage struct {
	*keyOperation
	content vault.KeyContent
	// id is the URL of the version.
	id string
}

// use reads the body, then the key, if it may be used for this; one read of
// the store where the version is the latest one.
func (x *exchange) use(as vault.KeyUse) (*usage, error) {
	data, err := x.readBody()
	if err != nil {
		return nil, err
	}
	op, err := readKeyOperation(data, as == vault.UseVerify)
	if err != nil {
		return nil, err
	}
	if a, known := algorithms[*op.algorithm]; known {
		x.record.Properties = append(x.record.Properties, journal.Property{Name: "algorithm", Value: a.Name})
	}
	o, k, err := x.keys().Use(x.request.Context(), x.target.name, x.target.version, as)
	if err != nil {
		return nil, err
	}
	u := &usage{op, k, x.objectID(o.Name, o.Version.ID)}
	x.record.ID = u.id
	return u, x.spend(cost(&k))
}

// cost is what a use of a key takes of the budgets (documentation:
// service-limits).
func cost(k *vault.KeyContent) throttle.Cost {
	c := throttle.Plain
	if keysmith.Family(k.Type) == keyring.RSA {
		switch {
		case k.Size > 3072:
			c = throttle.RSA4096
		case k.Size > 2048:
			c = throttle.RSA3072
		}
	}
	if keysmith.InHardware(k.Type) {
		c *= throttle.HSM
	}
	return c
}

// private opens the key pair.
func (x *exchange) private(u *usage) (*keyring.Key, error) { return x.ring.Open(u.content.Material) }

// public opens the public part alone, which is cheap.
func (x *exchange) public(u *usage) (*keyring.Key, error) {
	return keyring.OpenPublic(u.content.Material)
}

// operate does one operation whose result is bytes.
func (x *exchange) operate(b []byte, as vault.KeyUse, open func(*exchange, *usage) (*keyring.Key, error),
	do func(k *keyring.Key, alg string, value []byte) ([]byte, error)) ([]byte, int, error) {
	u, err := x.use(as)
	if err != nil {
		return b, 0, err
	}
	k, err := open(x, u)
	if err != nil {
		return b, 0, err
	}
	result, err := do(k, *u.algorithm, u.value)
	if err != nil {
		return b, 0, u.refusal(err, "value", u.value)
	}
	return appendResult(b, u.id, result), http.StatusOK, nil
}

// encrypt is encrypt of the specification.
func encrypt(x *exchange, b []byte) ([]byte, int, error) {
	return x.operate(b, vault.UseEncrypt, (*exchange).public, (*keyring.Key).Encrypt)
}

// decrypt is decrypt of the specification.
func decrypt(x *exchange, b []byte) ([]byte, int, error) {
	return x.operate(b, vault.UseDecrypt, (*exchange).private, (*keyring.Key).Decrypt)
}

// wrapKey is wrapKey of the specification.
func wrapKey(x *exchange, b []byte) ([]byte, int, error) {
	return x.operate(b, vault.UseWrap, (*exchange).public, (*keyring.Key).Wrap)
}

// unwrapKey is unwrapKey of the specification.
func unwrapKey(x *exchange, b []byte) ([]byte, int, error) {
	return x.operate(b, vault.UseUnwrap, (*exchange).private, (*keyring.Key).Unwrap)
}

// sign is sign of the specification: of a digest that the client has made.
func sign(x *exchange, b []byte) ([]byte, int, error) {
	return x.operate(b, vault.UseSign, (*exchange).private, (*keyring.Key).Sign)
}

// verify is verify of the specification.
func verify(x *exchange, b []byte) ([]byte, int, error) {
	u, err := x.use(vault.UseVerify)
	if err != nil {
		return b, 0, err
	}
	k, err := x.public(u)
	if err != nil {
		return b, 0, err
	}
	valid, err := k.Verify(*u.algorithm, u.digest, u.value)
	if err != nil {
		return b, 0, u.refusal(err, "digest", u.digest)
	}
	return append(strconv.AppendBool(append(b, `{"value":`...), valid), '}'), http.StatusOK, nil
}
