package access

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestImports: the decision rests on the standard library alone, and on
// nothing in it that does I/O or reads a clock.
func TestImports(t *testing.T) {
	allowed := []string{"encoding/binary", "encoding/hex", "errors", "net/netip", "slices", "strconv", "strings"}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(allowed, path) {
				t.Errorf("%s imports %q: access is the decision and nothing else. It is read by everybody who audits it, and linked by "+
					"programs that are no server, so it takes the standard library alone and of it only what cannot do I/O, read a clock "+
					"or log. What it needs to know comes in its arguments. If %q is of that kind, add it to this list", name, path, path)
			}
		}
	}
}

// TestOperations holds the table of operations to its own form.
func TestOperations(t *testing.T) {
	if most := len(opset{}) * 64; int(operations) > most {
		t.Fatalf("%d operations, want %d or fewer: a set of operations has no more bits", operations, most)
	}
	names := map[string]Operation{}
	for _, o := range Operations() {
		info := o.Info()
		if first, taken := names[info.Name]; taken || info.Name == "" {
			t.Errorf("operation %d is named %q, which operation %d is too", o, info.Name, first)
		}
		names[info.Name] = o
		if got := OperationNamed(info.Name); got != o || o.String() != info.Name {
			t.Errorf("OperationNamed(%q) = %v, want %d", info.Name, got, o)
		}
		if !strings.HasPrefix(strings.ToLower(info.Name), strings.TrimSuffix(info.Kind.String(), "s")) || info.Kind == KindNone {
			t.Errorf("%s is of kind %q", info.Name, info.Kind)
		}
		words := strings.Fields(corpusWords[info.Kind.String()])
		if !slices.Contains(words, info.Permission) || info.Also != "" && !slices.Contains(words, info.Also) {
			t.Errorf("%s wants %q or %q, of which one is no permission of %s", info.Name, info.Permission, info.Also, info.Kind)
		}
		if !strings.HasPrefix(info.DataAction, vaults) {
			t.Errorf("%s has data action %q, want one below %s", info.Name, info.DataAction, vaults)
		}
	}
	if got, want := len(names), int(operations)-1; got != want {
		t.Errorf("%d operations with a name, want %d", got, want)
	}
}

// serviceData is what the reference file says of roles and data actions.
type serviceData struct {
	Roles, RolesReconstructed []struct {
		RoleName    string
		Permissions []struct{ DataActions, NotDataActions []string }
	}
	DataActions               []string
	AccessPolicyToDataActions map[string]map[string][]string
}

func readServiceData(t *testing.T) (d serviceData, ok bool) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(sharedDir(), "data", "builtin-roles-keyvault.json"))
	if err != nil {
		t.Log("left out: the reference file of roles and data actions is not at hand (POSTERN_SHARED)")
		return d, false
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d, true
}

// TestOperationsAreTheService: every data action is one of the service's,
// and is what the service's own mapping makes of the permission.
func TestOperationsAreTheService(t *testing.T) {
	d, ok := readServiceData(t)
	if !ok {
		return
	}
	// Where the mapping of permissions and the data action of the operation
	// part: the REST reference decides.
	apart := map[Operation]string{SecretGetDeleted: "get", CertificateIssuersList: "manageissuers", CertificateIssuerGet: "manageissuers", CertificateIssuerDelete: "manageissuers"}
	for _, o := range Operations() {
		info := o.Info()
		if !slices.Contains(d.DataActions, info.DataAction) {
			t.Errorf("%s has data action %q, which is none of the service's %d", o, info.DataAction, len(d.DataActions))
		}
		for _, word := range []string{info.Permission, info.Also} {
			mapped := d.AccessPolicyToDataActions[info.Kind.String()][word]
			if word != "" && apart[o] != word && !slices.Contains(mapped, info.DataAction) {
				t.Errorf("%s: permission %q maps to %q, want %q among them", o, word, mapped, info.DataAction)
			}
		}
	}
}

// TestEveryDataActionIsUsed: no data action of the service's secrets, keys
// and certificates is without an operation.
func TestEveryDataActionIsUsed(t *testing.T) {
	d, ok := readServiceData(t)
	if !ok {
		return
	}
	for _, action := range d.DataActions {
		used := slices.ContainsFunc(Operations(), func(o Operation) bool { return o.Info().DataAction == action })
		if !used && !strings.HasPrefix(action, vaults+"storageaccounts/") {
			t.Errorf("no operation has data action %q", action)
		}
	}
}

// TestCorpusRolesAreTheService: the roles of the corpus are the built-in ones.
func TestCorpusRolesAreTheService(t *testing.T) {
	d, ok := readServiceData(t)
	if !ok {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(corpusRoles)) {
		role, found := corpusRoles[name], false
		for _, r := range append(d.Roles, d.RolesReconstructed...) {
			if r.RoleName != role.Name {
				continue
			}
			found = true
			if got, want := sorted(role.DataActions), sorted(r.Permissions[0].DataActions); len(r.Permissions) != 1 || !slices.Equal(got, want) {
				t.Errorf("data actions of %s = %q, want %q", role.Name, got, want)
			}
		}
		if !found {
			t.Errorf("role %q is none of the service's", role.Name)
		}
	}
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
