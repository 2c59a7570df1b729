package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"postern/posterntest"
)

// Who asked of a running server names those whom the server lets in, and
// what it tells of a writer comes true when the writes are made.
func TestWhoOfAServer(t *testing.T) {
	p := posterntest.Start(t)
	reader, writer := p.CreatePrincipal("reader"), p.CreatePrincipal("writer")
	vault := p.CreateVault("watched", map[string]any{"enableRbacAuthorization": true})
	assign(t, p, vault.ID, "4633458b-17de-408a-b874-0445c86b69e6", reader.ObjectID, 1)
	assign(t, p, vault.ID, "f25e0fa2-a7c8-4377-a976-54943a77a395", writer.ObjectID, 2)

	said, code := whoJSON(t, p, "--expect", "postern-admin", "--expect", "reader")
	if code != ExitFindings {
		t.Errorf("who --expect = exit %d, want %d", code, ExitFindings)
	}
	if f := said.of("reader"); f == nil || !f.Now || f.Paths[0].Origins[0] != "any address" {
		t.Errorf("who: the reader is %+v, want now, from any address", f)
	}
	f := said.of("writer")
	if f == nil || f.Now {
		t.Fatalf("who: the writer is %+v, want by writing alone", f)
	}
	if len(said.Unexpected) == 0 || said.Unexpected[0].Name != "writer" {
		t.Errorf("who: not expected are %+v, want the writer first", said.Unexpected)
	}
	if !slices.ContainsFunc(f.Paths, func(p jsonWhoPath) bool {
		return len(p.Steps) == 2 && p.Steps[0].Write == "use-policies" && p.Steps[1].Write == "add-policy" && p.Origins[0] == "any address"
	}) {
		t.Fatalf("who: the writer's paths are %+v, want one by the model and a policy", f.Paths)
	}

	url := vault.URL + "/secrets/db?api-version=7.4"
	if status, _ := ask(t, p, writer, url); status != http.StatusForbidden {
		t.Fatalf("the writer before = %d, want %d", status, http.StatusForbidden)
	}
	token := p.TokenFor(writer.ClientID, writer.Secret, p.ManagementURL)
	change := map[string]any{"properties": map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{map[string]any{
		"tenantId": p.TenantID, "objectId": writer.ObjectID, "permissions": map[string]any{"secrets": []string{"get"}}}}}}
	if status, text := p.DoAs(token, http.MethodPatch, p.ManagementURL+vault.ID+"?api-version=2023-07-01", change); status != http.StatusOK {
		t.Fatalf("the writer's write = %d: %s", status, text)
	}
	if status, _ := ask(t, p, writer, url); status != http.StatusNotFound {
		t.Errorf("the writer after = %d, want %d: the secret is not there, and not refused", status, http.StatusNotFound)
	}
	said, _ = whoJSON(t, p)
	if f := said.of("writer"); f == nil || !f.Now {
		t.Errorf("who afterwards: the writer is %+v, want now", f)
	}
}

// assign gives a role, by the id of its definition.
func assign(t *testing.T, p *posterntest.Postern, scope, role, object string, n int) {
	t.Helper()
	status, answer := p.Do(http.MethodPut, fmt.Sprintf("%s%s/providers/Microsoft.Authorization/roleAssignments/00000000-0000-0000-0000-%012d?api-version=2022-04-01",
		p.ManagementURL, scope, n), map[string]any{"properties": map[string]any{"principalId": object, "principalType": "ServicePrincipal",
		"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + role}})
	if status/100 != 2 {
		t.Fatalf("assigning a role = %d %s", status, answer)
	}
}

// of finds what is said of a principal by its name.
func (j *jsonWho) of(name string) *jsonWhoFinding {
	for i := range j.Findings {
		for _, p := range j.Findings[i].Principals {
			if p.Name == name {
				return &j.Findings[i]
			}
		}
	}
	return nil
}

func whoJSON(t *testing.T, p *posterntest.Postern, more ...string) (jsonWho, int) {
	t.Helper()
	var out, errs bytes.Buffer
	args := append([]string{"who", "--data", p.Data, "--vault", "watched", "--object", "db", "-o", "json"}, more...)
	code := Run(context.Background(), args, []string{}, strings.NewReader(""), &out, &errs)
	var said jsonWho
	if err := json.Unmarshal(out.Bytes(), &said); err != nil {
		t.Fatalf("who: %v\n%s%s", err, out.String(), errs.String())
	}
	return said, code
}
