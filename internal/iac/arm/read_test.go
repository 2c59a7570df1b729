package arm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/iac"
)

func readFile(t *testing.T, name string) *Document {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Read(name, data)
	if err != nil {
		t.Fatalf("Read(%s): %v", name, err)
	}
	return doc
}

func readText(t *testing.T, text string) *Document {
	t.Helper()
	doc, err := Read("t.json", []byte(text))
	if err != nil {
		t.Fatalf("Read(%s): %v", text, err)
	}
	return doc
}

// shown is what a test compares of a resource.
func shown(doc *Document) []string {
	var list []string
	for _, r := range doc.Resources {
		list = append(list, r.Form.String()+" "+r.Type+" "+r.Label())
	}
	return list
}

func TestReadRecognises(t *testing.T) {
	const vault = "Microsoft.KeyVault/vaults"
	id := `"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v"`
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"az show", `{` + id + `,"type":"Microsoft.KeyVault/vaults","name":"v","properties":{}}`, []string{"observed " + vault + " v"}},
		{"type in any case", `{` + id + `,"type":"microsoft.keyvault/VAULTS","name":"v","properties":{}}`, []string{"observed " + vault + " v"}},
		{"az list", `[{` + id + `,"type":"Microsoft.KeyVault/vaults","name":"v"}]`, []string{"observed " + vault + " v"}},
		{"an answer of ARM", `{"value":[{` + id + `,"type":"Microsoft.KeyVault/vaults","name":"v"}]}`, []string{"observed " + vault + " v"}},
		{"Resource Graph", `{"count":1,"data":[{` + id + `,"type":"microsoft.keyvault/vaults","name":"v"}]}`, []string{"observed " + vault + " v"}},
		{"one resource of a template", `{"type":"Microsoft.KeyVault/vaults","apiVersion":"2023-07-01","name":"v"}`, []string{"declared " + vault + " v"}},
		{"the document's example", `{"properties":{"networkAcls":{"bypass":"None"}}}`, []string{"fragment " + vault + " (unnamed)"}},
		{"--query properties", `{"tenantId":"t","vaultUri":"https://v.vault.azure.net/","networkAcls":null}`, []string{"observed " + vault + " v"}},
		{"--query properties.networkAcls", `{"bypass":"None","defaultAction":"Deny","ipRules":[],"virtualNetworkRules":[]}`, []string{"fragment " + vault + " (unnamed)"}},
		{"az account show", `{"environmentName":"AzureCloud","id":"11111111-1111-1111-1111-111111111111","tenantId":"t","name":"n"}`, []string{"observed " + iac.TypeSubscription + " n"}},
		{"az role assignment list", `[{"id":"/x/providers/Microsoft.Authorization/roleAssignments/g","type":"Microsoft.Authorization/roleAssignments","name":"g","principalId":"p"}]`, []string{"observed " + iac.TypeRoleAssignment + " g"}},
		{"nothing of ours", `{"name":"package","version":"1.0.0","resources":{"en":{"hello":"x"}}}`, nil},
		{"null", `null`, nil},
		{"parameters", `{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#","parameters":{}}`, nil},
	} {
		if diff := cmp.Diff(test.want, shown(readText(t, test.text))); diff != "" {
			t.Errorf("%s: Read(%s) (-want +got):\n%s", test.name, test.text, diff)
		}
	}
}

// az redirected into a file by Windows PowerShell is UTF-16.
func TestReadUTF16(t *testing.T) {
	const text = `{"bypass":"None","defaultAction":"Deny"}`
	little, big := []byte{0xff, 0xfe}, []byte{0xfe, 0xff}
	for i := range len(text) {
		little, big = append(little, text[i], 0), append(big, 0, text[i])
	}
	for _, data := range [][]byte{little, big, []byte("\ufeff" + text)} {
		doc, err := Read("t.json", data)
		if err != nil || len(doc.Resources) != 1 || !doc.Resources[0].Property("networkAcls", "bypass").Is("None") {
			t.Errorf("Read(% x…) = %v, %v", data[:4], doc, err)
		}
	}
	if !Mentions(append(little, []byte("n\x00e\x00t\x00w\x00o\x00r\x00k\x00A\x00c\x00l\x00s\x00")...)) {
		t.Error("Mentions of UTF-16 = false, want true")
	}
}

func TestReadTemplate(t *testing.T) {
	doc := readFile(t, "template.json")
	want := []string{
		"declared Microsoft.KeyVault/vaults literal",
		"declared Microsoft.KeyVault/vaults/accessPolicies literal/add",
		"declared Microsoft.KeyVault/vaults [concat('kv-', uniqueString(resourceGroup().id))]",
		"declared Microsoft.KeyVault/vaults nested",
	}
	if diff := cmp.Diff(want, shown(doc)); diff != "" {
		t.Fatalf("Read(template.json) (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		resource int
		path     string
		kind     iac.Kind
		text     string
		line     int
	}{
		{0, "networkAcls.defaultAction", iac.String, "Deny", 9},
		{0, "networkAcls.bypass", iac.Unknown, "[parameters('bypass')]", 12},
		{0, "NETWORKACLS.DEFAULTACTION", iac.String, "Deny", 9},
		{0, "networkAcls.bypass.deeper", iac.Unknown, "[parameters('bypass')]", 12},
		{0, "enablePurgeProtection", iac.Bool, "true", 22},
		{0, "publicNetworkAccess", iac.Absent, "", 20},
		{2, "networkAcls.ipRules", iac.Unknown, "copy", 33},
		{3, "networkAcls.bypass", iac.String, "None", 41},
		{3, "networkAcls.defaultAction", iac.String, "Deny", 51},
	} {
		n := doc.Resources[test.resource].Property(strings.Split(test.path, ".")...)
		if n.Kind != test.kind || n.Text != test.text || n.At.Line != test.line {
			t.Errorf("Property(%d, %s) = %v %q line %d, want %v %q line %d", test.resource, test.path, n.Kind, n.Text, n.At.Line, test.kind, test.text, test.line)
		}
	}
	if doc.Resources[2].Conditional == "" {
		t.Error("Conditional = \"\" for a resource under a condition, want why")
	}
}

func TestUnknownIsNeverGuessed(t *testing.T) {
	for _, expression := range []string{
		"[parameters('p')]", "[if(true(), 'None', 'AzureServices')]", "[variables('missing')]", "[variables('circle')]",
		"[toLower('NONE')]", "[variables('v').missing]", "[parameters('p').x]", "[",
	} {
		doc := readText(t, `{"$schema":"deploymentTemplate.json","parameters":{"p":{"defaultValue":"None"}},
			"variables":{"v":{"a":1},"circle":"[variables('circle')]"},
			"resources":[{"type":"Microsoft.KeyVault/vaults","name":"v","properties":{"networkAcls":{"bypass":"`+expression+`"}}}]}`)
		n := doc.Resources[0].Property("networkAcls", "bypass")
		if expression == "[" {
			if n.Kind != iac.String {
				t.Errorf("%q is %v, want a string", expression, n.Kind)
			}
			continue
		}
		if n.Kind != iac.Unknown || n.Why == "" {
			t.Errorf("%q is %v (%s), want Unknown with a reason", expression, n.Kind, n.Why)
		}
	}
}

func TestAbsentInPartsIsUnknown(t *testing.T) {
	for _, test := range []struct {
		text, path string
		want       iac.Kind
	}{
		{`{"bypass":"None","defaultAction":"Deny"}`, "networkAcls.bypass", iac.String},
		{`{"bypass":"None"}`, "networkAcls.defaultAction", iac.Unknown},
		{`{"bypass":"None"}`, "enablePurgeProtection", iac.Unknown},
		{`{"id":"/x","type":"Microsoft.KeyVault/vaults","name":"v"}`, "enablePurgeProtection", iac.Unknown},
		{`{"id":"/x","type":"Microsoft.KeyVault/vaults","name":"v","properties":{}}`, "enablePurgeProtection", iac.Absent},
		{`{"type":"Microsoft.KeyVault/vaults","name":"v"}`, "enablePurgeProtection", iac.Absent},
		{`{"id":"/x","type":"Microsoft.KeyVault/vaults","name":"v","properties":{"a":1,"A":1}}`, "a", iac.Unknown},
	} {
		if n := readText(t, test.text).Resources[0].Property(strings.Split(test.path, ".")...); n.Kind != test.want {
			t.Errorf("Property(%s) of %s = %v, want %v", test.path, test.text, n.Kind, test.want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2)
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "t.json: empty"},
		{"only a comment", "// nothing\n", "t.json: empty"},
		{"cut off", "{\n\"a\":\n", "t.json:2: not JSON: unexpected end of JSON input"},
		{"a word", "{\n \"a\": yes }", "t.json:2: not JSON: invalid character 'y' looking for beginning of value"},
		{"two documents", "{}\n{}", "t.json:2: not JSON: invalid character '{' after top-level value"},
		{"too deep", deep, "t.json:1: nested deeper than 100"},
		{"comment left open", "{} /* x", "t.json:1: not JSON: invalid character '/' after top-level value"},
	} {
		_, err := Read("t.json", []byte(test.text))
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: Read = %v, want %s", test.name, err, test.want)
		}
	}
}

// Variables that double each other would take for ever to write out.
func TestVariablesThatDoubleEnd(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"$schema":"deploymentTemplate.json","variables":{"v0":["x","x"]`)
	for i := 1; i < 40; i++ {
		prev := "\"[variables('v" + string(rune('a'+(i-1)%26)) + strings.Repeat("i", (i-1)/26) + "')]\""
		if i == 1 {
			prev = "\"[variables('v0')]\""
		}
		b.WriteString(`,"v` + string(rune('a'+i%26)) + strings.Repeat("i", i/26) + `":[` + prev + `,` + prev + `]`)
	}
	b.WriteString(`},"resources":[{"type":"Microsoft.KeyVault/vaults","name":"v","properties":{"accessPolicies":"[variables('vni')]"}}]}`)
	doc := readText(t, b.String())
	if _, unread := doc.Resources[0].Body.JSON(); len(unread) == 0 {
		t.Error("a document that doubles its variables was read to the end, want Unknown")
	}
}

// FuzzRead holds that reading never panics, that what was read can be
// written as JSON, and that it is read the same again.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, seed := range []string{`{"a":1,"A":2}`, `[[[`, "\ufeff{}", `{"resources":[1,[],{"type":"[x]"}]}`, `// c`, `{"type":"Microsoft.KeyVault/vaults","name":[],"properties":"[x]"}`, `"\ud800"`, `1e999`, `{"$schema":"deploymentTemplate.json","resources":"[x]"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := Read("f", data)
		if err != nil {
			return
		}
		for _, r := range doc.Resources {
			r.Label()
			r.Property("networkAcls", "bypass")
			body, _ := r.Body.JSON()
			if _, err := Read("again", body); err != nil {
				t.Fatalf("the JSON of a body cannot be read: %v\n%s", err, body)
			}
		}
	})
}
