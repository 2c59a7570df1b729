package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts run the commands as a person does: postern is this binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postern": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		os.Exit(Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
	}, "waitfor": awaitFile, "spoil": spoil, "hangup": hangUp, "fetch": fetch})
}

// fetch URL asks as any program does that heeds HTTPS_PROXY, and prints the
// status and how the vault sees the connection.
func fetch() {
	answer, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
	answer.Body.Close()
	fmt.Println(answer.StatusCode, answer.Header.Get("x-ms-keyvault-network-info"))
	os.Exit(0)
}

// waitfor FILE [TEXT] ends when a file is there, and holds a text.
func awaitFile() {
	for range 4000 {
		text, err := os.ReadFile(os.Args[1])
		if err == nil && (len(os.Args) < 3 || strings.Contains(string(text), os.Args[2])) {
			os.Exit(0)
		}
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "waitfor: no", os.Args[1:])
	os.Exit(1)
}

// hangUp FILE sends SIGHUP to the server that wrote the file.
func hangUp() {
	text, err := os.ReadFile(os.Args[1])
	var info struct{ PID int }
	if err == nil {
		err = json.Unmarshal(text, &info)
	}
	if err == nil {
		err = syscall.Kill(info.PID, syscall.SIGHUP)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hangup:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// spoil FILE changes a byte in the middle of a file.
func spoil() {
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		text[len(text)/2] ^= 1
		err = os.WriteFile(os.Args[1], text, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "spoil:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != ""})
}
