package keyvault

import (
	"encoding/base64"
	"net/http"
	"strings"

	"postern/internal/vault"
)

// backup answers with a backup blob (spec: BackupSecretResult and those of
// the other kinds, which are the same).
func backup(b, blob []byte, err error) ([]byte, int, error) {
	if err != nil {
		return b, 0, err
	}
	return appendBytes(append(b, `{"value":`...), blob, "}"), http.StatusOK, nil
}

// blob reads the body of a restore (spec: SecretRestoreParameters and those
// of the other kinds).
func (x *exchange) blob() ([]byte, error) {
	data, err := x.readBody()
	if err != nil {
		return nil, err
	}
	text, err := readRestore(data)
	if err != nil {
		return nil, err
	}
	blob, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, vault.BackupMalformed
	}
	return blob, nil
}
