// Command postern runs a Key Vault, and answers who can reach what in it.
package main

import (
	"context"
	"os"

	"postern/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
