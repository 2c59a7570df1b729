package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/google/go-cmp/cmp"

	"postern/internal/mirror"
	"postern/posterntest"
)

// site is a server with one vault.
type site struct {
	*posterntest.Postern
	clock   *posterntest.Clock
	side    mirror.Side
	secrets *azsecrets.Client
}

// newSite starts a server whose clock is an hour behind, so that what is
// written is not of this very second.
func newSite(t *testing.T, vault string) *site {
	t.Helper()
	clock := &posterntest.Clock{}
	clock.Move(-time.Hour)
	p := posterntest.Start(t, posterntest.WithClock(clock.Now))
	v := p.CreateVault(vault)
	options := azcore.ClientOptions{Transport: p.Client(), Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: p.LoginURL}}
	credential, err := azidentity.NewClientSecretCredential(p.TenantID, p.ClientID, p.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	client, err := azsecrets.NewClient(v.URL, credential, &azsecrets.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	return &site{p, clock, mirror.Side{URL: v.URL, Credential: credential, Client: p.Client()}, client}
}

func (s *site) send(t *testing.T, method, path string, body any) {
	t.Helper()
	if status, answer := s.Do(method, s.side.URL+path+"?api-version=2026-04-01", body); status/100 != 2 {
		t.Fatalf("%s %s = %d %s", method, path, status, answer)
	}
}

// value reads a secret, with what else is copied of it.
func (s *site) value(t *testing.T, name string) string {
	t.Helper()
	got, err := s.secrets.GetSecret(t.Context(), name, "", nil)
	if failed := new(azcore.ResponseError); errors.As(err, &failed) {
		return failed.ErrorCode
	}
	if err != nil {
		t.Fatal(err)
	}
	text := *got.Value
	if got.ContentType != nil {
		text += " " + *got.ContentType
	}
	if got.Attributes.Expires != nil {
		text += " until " + got.Attributes.Expires.UTC().Format(time.DateOnly)
	}
	for _, tag := range slices.Sorted(maps.Keys(got.Tags)) {
		text += " " + tag + "=" + *got.Tags[tag]
	}
	return text
}

func steps(r *mirror.Report) (list []string) {
	for _, s := range r.Steps {
		list = append(list, fmt.Sprintf("%s %s/%s", s.Action, s.Kind, s.Name))
	}
	return list
}

func TestSecrets(t *testing.T) {
	from, to := newSite(t, "first"), newSite(t, "second")
	for _, tt := range []struct{ name, body string }{
		{"plain", `{"value":"1"}`},
		{"dressed", `{"value":"2","contentType":"text/plain","tags":{"a":"b"},"attributes":{"exp":2524608000}}`},
		{"changed", `{"value":"new"}`},
		{"Retagged", `{"value":"3","tags":{"now":"this"}}`},
		{"undated", `{"value":"4"}`},
		{"deleted", `{"value":"5"}`},
		{"off", `{"value":"6","attributes":{"enabled":false}}`},
		{"switched", `{"value":"7","attributes":{"enabled":false}}`},
		{"empty", `{"value":""}`},
	} {
		from.send(t, "PUT", "/secrets/"+tt.name, []byte(tt.body))
	}
	for _, tt := range []struct{ name, body string }{
		{"changed", `{"value":"old"}`},
		{"retagged", `{"value":"3","contentType":"x","tags":{"then":"that"}}`},
		{"undated", `{"value":"4","attributes":{"exp":2524608000}}`},
		{"deleted", `{"value":"before"}`},
		{"switched", `{"value":"7"}`},
		{"extra", `{"value":"8"}`},
	} {
		to.send(t, "PUT", "/secrets/"+tt.name, []byte(tt.body))
	}
	to.send(t, "DELETE", "/secrets/deleted", nil)
	options := mirror.Options{From: from.side, To: to.side, Kinds: []mirror.Kind{mirror.Secrets}}
	planned := []string{"update secrets/changed", "recover secrets/deleted", "create secrets/dressed", "create secrets/empty", "left secrets/off",
		"create secrets/plain", "amend secrets/Retagged", "amend secrets/switched", "update secrets/undated"}

	dry := options
	dry.DryRun = true
	if got := run(t, dry); cmp.Diff(planned, steps(got)) != "" {
		t.Errorf("the plan (-want +got):\n%s", cmp.Diff(planned, steps(got)))
	}
	if got := to.value(t, "changed"); got != "old" {
		t.Errorf("after a dry run changed = %q, want it as it was", got)
	}
	if got := run(t, options); cmp.Diff(planned, steps(got)) != "" {
		t.Errorf("the steps (-want +got):\n%s", cmp.Diff(planned, steps(got)))
	}
	for _, tt := range []struct{ name, want string }{
		{"plain", "1"}, {"dressed", "2 text/plain until 2050-01-01 a=b"}, {"changed", "new"}, {"retagged", "3 now=this"}, {"undated", "4"},
		{"deleted", "5"}, {"off", "SecretNotFound"}, {"switched", "Forbidden"}, {"empty", ""}, {"extra", "8"},
	} {
		if got := to.value(t, tt.name); got != tt.want {
			t.Errorf("%s = %q, want %q", tt.name, got, tt.want)
		}
	}
	options.Delete = true
	again := run(t, options)
	if again.Count(mirror.Same) != 8 || again.Count(mirror.Left) != 1 || again.Count(mirror.Delete) != 1 || len(again.Steps) != 10 {
		t.Errorf("the second run: %v, want all the same, one left, one deleted", steps(again))
	}
	if got := to.value(t, "extra"); got != "SecretNotFound" {
		t.Errorf("extra = %q, want it deleted", got)
	}
}

// TestResume: a run that is broken off is taken up where it was, and what is
// known to be equal is not read again.
func TestResume(t *testing.T) {
	from, to := newSite(t, "first"), newSite(t, "second")
	const n = 60 // more than two pages
	for i := range n {
		from.send(t, "PUT", fmt.Sprintf("/secrets/s%02d", i), []byte(fmt.Sprintf(`{"value":"v%d"}`, i)))
	}
	file := filepath.Join(t.TempDir(), "state")
	ctx, cancel := context.WithCancel(t.Context())
	options := mirror.Options{From: from.side, To: to.side, State: file, Progress: func(k mirror.Kind, done, _ int) {
		if k == mirror.Secrets && done == 20 {
			cancel()
		}
	}}
	options.Kinds = []mirror.Kind{mirror.Secrets}
	if _, err := mirror.Run(ctx, options); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run = %v, want it broken off", err)
	}
	options.Progress = nil
	if got := run(t, options); got.Count(mirror.Create)+got.Count(mirror.Same) != n || got.Count(mirror.Same) < 20 {
		t.Errorf("the run after it: %d created, %d the same, want %d, at least 20 the same", got.Count(mirror.Create), got.Count(mirror.Same), n)
	}
	run(t, options) // the values are compared, and remembered
	read := func() int { return strings.Count(journal(t, from), `"SecretGet"`) }
	before := read()
	if got := run(t, options); got.Count(mirror.Same) != n {
		t.Errorf("the last run: %v, want all the same", steps(got))
	}
	if after := read(); after != before {
		t.Errorf("%d values were read again, want none", after-before)
	}
	from.clock.Move(time.Minute) // dates are in seconds
	from.send(t, "PUT", "/secrets/s07", []byte(`{"value":"changed"}`))
	if got := run(t, options); got.Count(mirror.Update) != 1 || got.Count(mirror.Same) != n-1 {
		t.Errorf("after one change: %v, want one update", steps(got))
	}
	if data, err := os.ReadFile(file); err != nil || strings.Contains(string(data), "v7") {
		t.Errorf("the state holds values: %v", err)
	}
	options.To.URL = "https://another.vault.azure.net"
	if _, err := mirror.Run(t.Context(), options); err == nil || !strings.Contains(err.Error(), "hint") {
		t.Errorf("with the state of other vaults Run = %v, want it refused", err)
	}
}

// journal is the text of a server's audit log.
func journal(t *testing.T, s *site) string {
	t.Helper()
	var text strings.Builder
	err := filepath.WalkDir(filepath.Join(s.Data, "journal"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		text.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestFailures(t *testing.T) {
	from, to := newSite(t, "first"), newSite(t, "second")
	from.send(t, "PUT", "/secrets/a", []byte(`{"value":"1"}`))
	options := mirror.Options{From: from.side, To: to.side, Kinds: []mirror.Kind{mirror.Secrets}}
	same := options
	same.To = from.side
	if _, err := mirror.Run(t.Context(), same); err == nil {
		t.Error("Run with one vault for both = nil, want an error")
	}
	// Tokens of the one server are nothing to the other.
	foreign := options
	foreign.To.Credential = from.side.Credential
	if _, err := mirror.Run(t.Context(), foreign); err == nil || !strings.Contains(err.Error(), "listing the secrets of "+to.side.URL) {
		t.Errorf("Run with a foreign credential = %v", err)
	}
	to.Do("PATCH", to.ManagementURL+to.VaultID("second")+"?api-version=2026-02-01", map[string]any{"properties": map[string]any{"enableRbacAuthorization": false,
		"accessPolicies": []any{map[string]any{"tenantId": to.TenantID, "objectId": to.ObjectID, "permissions": map[string]any{"secrets": []string{"list", "get"}}}}}})
	got := run(t, options)
	if len(got.Steps) != 1 || got.Steps[0].Action != mirror.Failed || !strings.Contains(got.Steps[0].Reason, "does not have secrets set permission") {
		t.Errorf("without the right to set: %+v", got.Steps)
	}
}

func run(t *testing.T, o mirror.Options) *mirror.Report {
	t.Helper()
	r, err := mirror.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
