// Command client reads a secret with the unmodified azidentity, and prints
// "ok NAME" or "FAIL NAME: WHY" per case.
//
//	usage: client VAULT_URL [CLIENT_ID_OF_ANOTHER]
//
// With the second argument it has a managed identity and no secret.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func main() {
	report("DefaultAzureCredential", func() error {
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		return read(credential, err)
	})
	if len(os.Args) < 3 {
		return
	}
	report("ManagedIdentityCredential", func() error {
		credential, err := azidentity.NewManagedIdentityCredential(nil)
		return read(credential, err)
	})
	report("somebody else's client id", func() error {
		credential, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(os.Args[2])})
		if read(credential, err) == nil {
			return errors.New("a token for somebody else's client id")
		}
		return nil
	})
}

func report(name string, run func() error) {
	if err := run(); err != nil {
		fmt.Printf("FAIL %s: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
		return
	}
	fmt.Println("ok", name)
}

func read(credential azcore.TokenCredential, err error) error {
	if err != nil {
		return err
	}
	client, err := azsecrets.NewClient(os.Args[1], credential, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	got, err := client.GetSecret(ctx, "a", "", nil)
	if err == nil && *got.Value != "planted-v" {
		return errors.New("another value")
	}
	return err
}
