package contract

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// documents are the files of an api-version below specs/keyvault/data-plane.
var documents = map[string][]string{
	"2026-04-01": {"Secrets/stable/2026-04-01/secrets.json", "Keys/stable/2026-04-01/keys.json", "Certificates/stable/2026-04-01/certificates.json"},
	"2025-07-01": {"Secrets/stable/2025-07-01/secrets.json", "Keys/stable/2025-07-01/keys.json", "Certificates/stable/2025-07-01/certificates.json"},
	"7.6":        {"Secrets/stable/7.6/secrets.json", "Keys/stable/7.6/keys.json", "Certificates/stable/7.6/certificates.json"},
	"7.4":        {"Microsoft.KeyVault/stable/7.4/secrets.json", "Microsoft.KeyVault/stable/7.4/keys.json", "Microsoft.KeyVault/stable/7.4/certificates.json"},
}

// versions are the api-versions, the newest first.
var versions = []string{"2026-04-01", "2025-07-01", "7.6", "7.4"}

// specification is the documents of one api-version.
type specification struct {
	operations map[string]*operation // by key
}

// operation is one operation of a document.
type operation struct {
	id, method, pattern string
	// answers are the schemas by status; nil where there is no body. The
	// refusals' is at 0.
	answers  map[int]*openapi3.Schema
	examples []example
}

// example is a file of examples/: a request and its answers.
type example struct {
	name       string
	Parameters map[string]any `json:"parameters"`
	Responses  map[int]struct {
		Body any `json:"body"`
	} `json:"responses"`
	// body names the parameter that is the body.
	body string
}

var braces = regexp.MustCompile(`\{[^}]*\}`)

// key names an operation by method and path, whatever its parameters are
// called: "GET /secrets/{}/{}".
func key(method, path string) string {
	return strings.ToUpper(method) + " " + braces.ReplaceAllString(path, "{}")
}

// load reads the documents of an api-version below a folder.
func load(folder, version string) (*specification, error) {
	s := &specification{operations: map[string]*operation{}}
	for _, name := range documents[version] {
		if err := s.add(filepath.Join(folder, filepath.FromSlash(name))); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return s, nil
}

// document is what is read of an OpenAPI 2.0 file.
type document struct {
	Paths       map[string]map[string]json.RawMessage `json:"paths"`
	Definitions map[string]any                        `json:"definitions"`
}

type operationDocument struct {
	ID         string `json:"operationId"`
	Parameters []struct {
		Name, In string
	} `json:"parameters"`
	Responses map[string]struct {
		Schema *struct {
			Ref string `json:"$ref"`
		} `json:"schema"`
	} `json:"responses"`
	Examples map[string]struct {
		Ref string `json:"$ref"`
	} `json:"x-ms-examples"`
}

func (s *specification) add(path string) error {
	var d document
	if err := read(path, &d); err != nil {
		return err
	}
	// Older documents have some of their definitions in each other.
	for _, name := range []string{"common.json", "keys.json", "secrets.json"} {
		var other document
		if err := read(filepath.Join(filepath.Dir(path), name), &other); err != nil {
			continue // there is none
		}
		for name, definition := range other.Definitions {
			if d.Definitions[name] == nil {
				d.Definitions[name] = definition
			}
		}
	}
	schemas, err := schemas(d.Definitions)
	if err != nil {
		return err
	}
	for pattern, methods := range d.Paths {
		for method, text := range methods {
			if method == "parameters" {
				continue
			}
			var o operationDocument
			if err := json.Unmarshal(text, &o); err != nil {
				return fmt.Errorf("%s %s: %w", method, pattern, err)
			}
			made, err := o.read(schemas, filepath.Dir(path))
			if err != nil {
				return fmt.Errorf("%s %s: %w", method, pattern, err)
			}
			made.method, made.pattern = strings.ToUpper(method), pattern
			s.operations[key(method, pattern)] = made
		}
	}
	return nil
}

func (o *operationDocument) read(schemas openapi3.Schemas, folder string) (*operation, error) {
	made := &operation{id: o.ID, answers: map[int]*openapi3.Schema{}}
	for status, response := range o.Responses {
		code := 0
		if status != "default" {
			if _, err := fmt.Sscan(status, &code); err != nil {
				return nil, err
			}
		}
		made.answers[code] = nil
		if response.Schema == nil {
			continue
		}
		found := schemas[filepath.Base(response.Schema.Ref)]
		if found == nil {
			return nil, fmt.Errorf("there is no definition %q", response.Schema.Ref)
		}
		made.answers[code] = found.Value
	}
	for name, reference := range o.Examples {
		e := example{name: name}
		if err := read(filepath.Join(folder, filepath.FromSlash(reference.Ref)), &e); err != nil {
			return nil, err
		}
		for _, p := range o.Parameters {
			if p.In == "body" {
				e.body = p.Name
			}
		}
		made.examples = append(made.examples, e)
	}
	sort.Slice(made.examples, func(i, j int) bool { return made.examples[i].name < made.examples[j].name })
	return made, nil
}

func read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// schemas makes schemas of definitions, stricter than they stand: an object
// may have no other properties than those that are written down.
func schemas(definitions map[string]any) (openapi3.Schemas, error) {
	strict := map[string]any{}
	for name, definition := range definitions {
		strict[name] = tighten(flatten(definition, definitions))
		properties, _ := strict[name].(map[string]any)["properties"].(map[string]any)
		for property, schema := range beyond[name] {
			if old, ok := properties[property].(map[string]any); schema == nil && ok {
				schema = map[string]any{"nullable": true, "allOf": []any{old}}
			}
			properties[property] = schema
		}
	}
	text, err := json.Marshal(map[string]any{"openapi": "3.0.0", "info": map[string]any{"title": "x", "version": "x"},
		"paths": map[string]any{}, "components": map[string]any{"schemas": strict}})
	if err != nil {
		return nil, err
	}
	d, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	return d.Components.Schemas, nil
}

// beyond are properties that the service's recorded answers have and the
// documents have not; nil is one that is null there.
var beyond = map[string]map[string]any{
	"CertificateItem":           {"subject": map[string]any{"type": "string"}},
	"DeletedCertificateItem":    {"subject": map[string]any{"type": "string"}},
	"CertificateBundle":         {"pending": object("id", "string")},
	"X509CertificateProperties": {"basic_constraints": object("ca", "boolean")},
	"KeyRotationPolicy":         {"attributes": nil},
}

// object is the schema of an object with one property.
func object(name, kind string) any {
	return map[string]any{"type": "object", "additionalProperties": false, "properties": map[string]any{name: map[string]any{"type": kind}}}
}

// flatten puts the properties of a definition and of those that it is made
// of (allOf) into one.
func flatten(definition any, definitions map[string]any) any {
	d, ok := definition.(map[string]any)
	if !ok || d["allOf"] == nil {
		return definition
	}
	properties, required := map[string]any{}, []any{}
	take := func(part any) {
		p, _ := flatten(part, definitions).(map[string]any)
		own, _ := p["properties"].(map[string]any)
		for name, property := range own {
			properties[name] = property
		}
		more, _ := p["required"].([]any)
		required = append(required, more...)
	}
	for _, part := range d["allOf"].([]any) {
		reference, _ := part.(map[string]any)["$ref"].(string)
		take(definitions[filepath.Base(reference)])
	}
	delete(d, "allOf")
	take(d)
	d["properties"] = properties
	if len(required) > 0 {
		d["required"] = required
	}
	return d
}

// absent are the properties that the service is known to answer null where
// the documents do not say so: the end of a list, and what a certificate or
// its pending operation does not have.
var absent = map[string]bool{"nextLink": true, "error": true, "status_details": true, "target": true, "contacts": true}

// tighten turns a schema of OpenAPI 2.0 into one of 3.0 and closes it.
func tighten(schema any) any {
	switch s := schema.(type) {
	case []any:
		for i := range s {
			s[i] = tighten(s[i])
		}
	case map[string]any:
		if reference, ok := s["$ref"].(string); ok {
			return map[string]any{"$ref": "#/components/schemas/" + filepath.Base(reference)}
		}
		if s["x-nullable"] == true {
			s["nullable"] = true
		}
		// An answer holds what is read-only, and that is no question here.
		delete(s, "readOnly")
		properties, ok := s["properties"].(map[string]any)
		if ok && s["additionalProperties"] == nil {
			s["additionalProperties"] = false
		}
		for name, property := range properties {
			properties[name] = tighten(property)
			if p := properties[name].(map[string]any); absent[name] && p["$ref"] == nil {
				p["nullable"] = true
			}
		}
		for _, below := range []string{"items", "additionalProperties"} {
			if s[below] != nil {
				s[below] = tighten(s[below])
			}
		}
	}
	return schema
}

var (
	base64URL = openapi3.NewRegexpFormatValidator(`^[A-Za-z0-9_-]*$`)
	base64Std = openapi3.NewRegexpFormatValidator(`^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`)
)

// judge holds one answer to an operation against the documents.
func (s *specification) judge(method, pattern string, status int, header http.Header, body []byte) error {
	o := s.operations[key(method, pattern)]
	if o == nil {
		return nil // not in this api-version: its answer is judged by the others
	}
	schema, known := o.answers[status]
	switch {
	case status >= 400:
		schema = o.answers[0]
	case !known:
		return fmt.Errorf("%s: the status %d is not in the document", o.id, status)
	}
	if schema == nil {
		if len(body) > 0 || header.Get("Content-Type") != "" {
			return fmt.Errorf("%s: a body where the document has none: %q", o.id, body)
		}
		return nil
	}
	if got, want := header.Get("Content-Type"), "application/json; charset=utf-8"; got != want {
		return fmt.Errorf("%s: Content-Type %q, want %q", o.id, got, want)
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("%s: %w: %s", o.id, err, body)
	}
	err := schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.DisableSchemaErrorDetails(), openapi3.VisitAsResponse(),
		openapi3.EnableFormatValidation(), openapi3.WithStringFormatValidator("base64url", base64URL), openapi3.WithStringFormatValidator("byte", base64Std))
	if err != nil {
		return fmt.Errorf("%s %d: %w\n%s", o.id, status, err, body)
	}
	return nil
}
