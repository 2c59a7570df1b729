package laws

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/config"
)

// TestConfigurationIsDocumented: the tables are made from the struct.
func TestConfigurationIsDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Configuration

A setting comes from, in rising order: its default, the file given with
` + "`--config`" + ` (YAML; a key that is not known is an error), the environment, a
flag of ` + "`postern serve`" + `. SIGHUP reads file and environment again and applies
what is marked; what is not waits for a restart, and the log names it.

| key | flag | environment | default | SIGHUP | meaning |
| --- | --- | --- | --- | --- | --- |
`)
	c := config.Default()
	for _, s := range c.Settings() {
		reload := ""
		if s.Reload {
			reload = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", code(s.Key), code(flagName(s.Flag)), code(s.Env), code(s.Value()), reload, s.Doc)
		if s.Doc == "" {
			t.Errorf("the setting %s says nothing of itself", s.Key)
		}
	}
	b.WriteString(`
Further environment variables: ` + "`POSTERN_CONFIG`" + ` is the file of ` + "`--config`" + `,
` + "`POSTERN_DATA`" + ` the folder of ` + "`--data`" + `, ` + "`POSTERN_UNSEAL_KEY`" + ` the unseal key (base64) in place
of the file ` + "`unseal.key`" + ` in the data folder, ` + "`NO_COLOR`" + ` switches colour off.
`)
	golden(t, root+"/docs/configuration.md", b.String())
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func flagName(s string) string {
	if s == "" {
		return ""
	}
	return "--" + s
}
