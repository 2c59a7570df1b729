package laws

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// root is the top of the repository.
const root = "../.."

// source is one Go file.
type source struct {
	path string // from the top, with slashes
	file *ast.File
	set  *token.FileSet
	text []byte
}

// sources parses the Go files of the main module.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "conformance" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		list = append(list, source{filepath.ToSlash(rel), file, set, text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func isTest(path string) bool { return strings.HasSuffix(path, "_test.go") }

// TestOnePackageComment: a package says in one place what its idea is.
func TestOnePackageComment(t *testing.T) {
	docs := map[string][]string{}
	for _, s := range sources(t) {
		if isTest(s.path) {
			continue
		}
		dir := filepath.Dir(s.path)
		docs[dir] = append(docs[dir], nil...)
		if s.file.Doc != nil {
			docs[dir] = append(docs[dir], s.path)
		}
	}
	for dir, files := range docs {
		if len(files) != 1 {
			t.Errorf("package %s has %d package comments %v, want 1", dir, len(files), files)
		}
	}
}

// TestExportedNamesAreDocumented: every exported name has a comment.
func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if isTest(s.path) {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					t.Errorf("%s: %s has no comment", s.set.Position(d.Pos()), d.Name)
				}
			case *ast.GenDecl:
				checkGenDecl(t, s, d)
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

func checkGenDecl(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
				t.Errorf("%s: type %s has no comment", s.set.Position(spec.Pos()), spec.Name)
			}
		case *ast.ValueSpec:
			if spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
				t.Errorf("%s: %s has no comment", s.set.Position(spec.Pos()), spec.Names[0])
			}
		}
	}
}

// Lengths: a function is read at one sight, a file in one sitting.
const (
	maxFunction = 80
	maxFile     = 500
)

func TestLengths(t *testing.T) {
	for _, s := range sources(t) {
		if lines := bytes.Count(s.text, []byte("\n")); lines > maxFile && !isTest(s.path) {
			t.Errorf("%s has %d lines, more than %d", s.path, lines, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || isTable(f) {
				continue
			}
			if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, more than %d", s.set.Position(f.Pos()), f.Name, n, maxFunction)
			}
		}
	}
}

// isTable reports whether nearly all of a function is literals.
func isTable(f *ast.FuncDecl) bool {
	literal := 0
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if c, ok := n.(*ast.CompositeLit); ok {
			literal += int(c.End() - c.Pos())
			return false
		}
		return true
	})
	return literal*10 >= int(f.Body.End()-f.Body.Pos())*7
}

// TestNamesSaySomething: no package is named after nothing.
func TestNamesSaySomething(t *testing.T) {
	for _, s := range sources(t) {
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc", "models", "types", "pkg"}, name) {
			t.Errorf("%s: package %s: a package is named after its one idea", s.path, name)
		}
	}
}

// floors are the storeys of the house: a package may import only what is on
// a lower floor. The decision is on the ground and imports nothing of ours.
var floors = [][]string{
	{"access", "internal/fault", "internal/ordered", "internal/profile", "internal/region", "internal/names", "internal/laws",
		"internal/seal", "internal/store", "internal/throttle", "internal/eventgrid", "internal/keyring", "internal/mirror"},
	{"internal/roles", "internal/config", "internal/store/storetest", "internal/pki", "internal/trusted", "internal/issuance", "internal/keyring/release"},
	{"internal/store/memory", "internal/store/bolt", "internal/journal", "internal/issuance/acme"},
	{"internal/estate", "internal/vault", "internal/entra"},
	{"internal/iac", "internal/admission", "internal/enrollment", "internal/keysmith", "internal/perimeter", "internal/dns", "internal/connect"},
	{"internal/iac/arm", "internal/keyvault", "internal/arm"},
	{"internal/arm/privatelink", "internal/arm/identity", "internal/upkeep"},
	{"internal/iac/live", "internal/arm/resources", "internal/arm/keyvault", "internal/arm/authorization", "internal/arm/management", "internal/arm/network",
		"internal/arm/privatedns", "internal/arm/nsp", "internal/arm/workload", "internal/posture"},
	{"internal/operator", "internal/identityendpoint", "internal/posture/report", "internal/posture/migrate", "internal/posture/who"},
	{"internal/server", "internal/vantage"},
	{"internal/cli", "posterntest", "internal/attack", "internal/scenario", "internal/truthtable"},
	{"cmd/postern", "bench"},
}

func TestArrowsGoDown(t *testing.T) {
	floor := map[string]int{}
	for i, names := range floors {
		for _, n := range names {
			floor["postern/"+n] = i
		}
	}
	for _, s := range sources(t) {
		if isTest(s.path) {
			continue
		}
		from := "postern/" + filepath.ToSlash(filepath.Dir(s.path))
		here, known := floor[from]
		if !known {
			t.Errorf("package %s has no place in the house: put it on a floor in laws_test.go and in ARCHITECTURE.md", from)
		}
		for _, imp := range s.file.Imports {
			to := strings.Trim(imp.Path.Value, `"`)
			if !strings.HasPrefix(to, "postern/") {
				continue
			}
			if there, ok := floor[to]; !ok || there >= here {
				t.Errorf("%s imports %s, which is not below it", s.path, to)
			}
		}
	}
}

// TestLinkedPackages: a new dependency shows up in a review of the golden
// list.
func TestLinkedPackages(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "postern/cmd/postern").Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	packages := strings.Fields(string(out))
	slices.Sort(packages)
	golden(t, root+"/cmd/postern/packages.txt", strings.Join(packages, "\n")+"\n")
}

// golden compares a file with what it should hold; -update writes it.
func golden(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the code says (%v); look at the difference and run: go test ./internal/laws -update\n%s",
			path, err, difference(string(got), want))
	}
}

// difference lists the lines that only one of two texts has.
func difference(old, now string) string {
	var b strings.Builder
	before, after := strings.Split(old, "\n"), strings.Split(now, "\n")
	for _, line := range before {
		if !slices.Contains(after, line) {
			fmt.Fprintf(&b, "-%s\n", line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			fmt.Fprintf(&b, "+%s\n", line)
		}
	}
	return b.String()
}
