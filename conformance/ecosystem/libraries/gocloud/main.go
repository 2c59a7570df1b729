// Command gocloud encrypts and decrypts with the keeper of gocloud.dev.
//
//	gocloud HOST KEY
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/azurekeyvault" // the scheme azurekeyvault://
)

func main() {
	for _, algorithm := range []string{"RSA-OAEP-256", "RSA-OAEP", "RSA1_5"} {
		if err := run("azurekeyvault://" + os.Args[1] + "/keys/" + os.Args[2] + "?algorithm=" + algorithm); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func run(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	keeper, err := secrets.OpenKeeper(ctx, url)
	if err != nil {
		return err
	}
	defer keeper.Close()
	sealed, err := keeper.Encrypt(ctx, []byte("planted-plain"))
	if err != nil {
		return err
	}
	plain, err := keeper.Decrypt(ctx, sealed)
	if err != nil {
		return err
	}
	if !bytes.Equal(plain, []byte("planted-plain")) {
		return fmt.Errorf("decrypted %q", plain)
	}
	if sealed[10] ^= 1; err == nil {
		if _, err = keeper.Decrypt(ctx, sealed); err == nil {
			return errors.New("a ciphertext with a changed bit was decrypted")
		}
	}
	return nil
}
