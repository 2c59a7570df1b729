package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/operator"
)

// directoryVerb is one command below postern directory: what its arguments
// and flags mean is in the fields of operator.Direct that they fill.
type directoryVerb struct {
	noun, use, short, example string
	// args are the fields that the arguments fill, in their order.
	args  []string
	flags []string
}

// directoryNouns are what the directory holds.
var directoryNouns = []struct{ name, short string }{
	{"tenant", "Tenants: issuers of tokens, each with objects of its own"},
	{"user", "Users, who sign in with a password on the page for devices"},
	{"group", "Groups of users, service principals and groups"},
	{"app", "Applications and their service principals in the tenants"},
	{"secret", "Secrets and certificates that applications prove themselves with"},
	{"federate", "Federated credentials: tokens of other issuers in place of a secret"},
	{"admin", "Administrators of the directory: who may change it through Graph"},
}

var directoryVerbs = []directoryVerb{
	{"tenant", "create NAME", "Make a tenant", "postern directory tenant create Contoso --domain contoso.example", []string{"name"}, []string{"domain"}},
	{"tenant", "list", "List the tenants", "postern directory tenant list", nil, nil},
	{"user", "create NAME@DOMAIN", "Make a user", "postern directory user create ann@contoso.example --password-file ./password", []string{"upn"}, []string{"name", "password-file"}},
	{"user", "list", "List the users", "postern directory user list", nil, nil},
	{"user", "password USER", "Change a user's password, and end what was issued before", "postern directory user password ann@contoso.example --password-file ./password", []string{"object"}, []string{"password-file"}},
	{"user", "revoke USER", "End what was issued to a user", "postern directory user revoke ann@contoso.example", []string{"object"}, nil},
	{"user", "delete USER", "Delete a user", "postern directory user delete ann@contoso.example", []string{"object"}, nil},
	{"group", "create NAME", "Make a group", "postern directory group create readers", []string{"name"}, nil},
	{"group", "list", "List the groups", "postern directory group list", nil, nil},
	{"group", "add GROUP MEMBER", "Make a user, service principal or group a member", "postern directory group add readers ann@contoso.example", []string{"object", "member"}, nil},
	{"group", "remove GROUP MEMBER", "End a membership", "postern directory group remove readers ann@contoso.example", []string{"object", "member"}, nil},
	{"group", "members GROUP", "List the members of a group", "postern directory group members readers", []string{"object"}, nil},
	{"group", "delete GROUP", "Delete a group", "postern directory group delete readers", []string{"object"}, nil},
	{"app", "create NAME", "Register an application and make its service principal", "postern directory app create shop --multi-tenant", []string{"name"}, []string{"multi-tenant"}},
	{"app", "install CLIENT-ID", "Make the service principal of a multi-tenant application in a tenant", "postern directory app install 6f0c… --tenant contoso.example", []string{"object"}, nil},
	{"app", "list", "List applications and service principals", "postern directory app list", nil, nil},
	{"app", "revoke APP", "End what was issued to a service principal", "postern directory app revoke 6f0c…", []string{"object"}, nil},
	{"app", "delete APP", "Delete an application and its service principal", "postern directory app delete shop", []string{"object"}, nil},
	{"secret", "create APP", "Make a client secret, written to a file", "postern directory secret create shop --for 2160h --out ./shop.secret", []string{"object"}, []string{"name", "for", "out"}},
	{"secret", "certificate APP FILE", "Have an application prove itself with a certificate (PEM)", "postern directory secret certificate shop ./shop.pem", []string{"object", "certificate"}, []string{"name"}},
	{"secret", "list APP", "List secrets and certificates", "postern directory secret list shop", []string{"object"}, nil},
	{"secret", "remove APP ID", "Take a secret or a certificate away", "postern directory secret remove shop 91d2…", []string{"object", "id"}, nil},
	{"federate", "add APP", "Accept tokens of an issuer about a subject as the application", "postern directory federate add shop --name build --issuer https://issuer.example --subject repo:shop", []string{"object"}, []string{"name", "issuer", "subject", "audience"}},
	{"federate", "list APP", "List the federated credentials of an application", "postern directory federate list shop", []string{"object"}, nil},
	{"federate", "remove APP NAME", "Take a federated credential away", "postern directory federate remove shop build", []string{"object", "id"}, nil},
	{"federate", "issuer ISSUER", "Make an issuer known: nothing is fetched from others", "postern directory federate issuer https://issuer.example --keys-file ./keys.json", []string{"issuer"}, []string{"keys-file", "keys-url"}},
	{"federate", "issuers", "List the issuers that are known", "postern directory federate issuers", nil, nil},
	{"federate", "forget ISSUER", "Forget an issuer", "postern directory federate forget https://issuer.example", []string{"issuer"}, nil},
	{"admin", "add WHO", "Make somebody an administrator of the directory", "postern directory admin add ann@contoso.example", []string{"object"}, nil},
	{"admin", "remove WHO", "End that", "postern directory admin remove ann@contoso.example", []string{"object"}, nil},
	{"admin", "list", "List the administrators of the directory", "postern directory admin list", nil, nil},
}

func newDirectoryCommand(w *world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "directory",
		Short: "Change the directory: tenants, users, groups, applications and what proves them",
		Long: `Change the directory of a running server, as the owner of its data folder.
Objects are named by their id, client id, user name or display name; secrets and
passwords are read from files and written to files, never to the terminal.`,
	}
	for _, noun := range directoryNouns {
		below := &cobra.Command{Use: noun.name, Short: noun.short, Example: "  " + directoryExample(noun.name)}
		for i := range directoryVerbs {
			if directoryVerbs[i].noun == noun.name {
				below.AddCommand(newDirectoryVerb(w, &directoryVerbs[i]))
			}
		}
		cmd.AddCommand(below)
	}
	cmd.AddCommand(newDenyCommand(w))
	return cmd
}

func directoryExample(noun string) string {
	for _, v := range directoryVerbs {
		if v.noun == noun {
			return v.example
		}
	}
	return ""
}

// directoryCall is one command that is being run.
type directoryCall struct {
	world                              *world
	in                                 operator.Direct
	data, output, password, keys, file string
	out                                string
	life                               time.Duration
}

func newDirectoryVerb(w *world, v *directoryVerb) *cobra.Command {
	c := &directoryCall{world: w}
	verb, _, _ := strings.Cut(v.use, " ")
	c.in.Action = v.noun + " " + verb
	cmd := &cobra.Command{
		Use: v.use, Short: v.short, Example: "  " + v.example, Args: cobra.ExactArgs(len(v.args)),
		RunE: func(cmd *cobra.Command, args []string) error {
			for i, name := range v.args {
				*c.field(name) = args[i]
			}
			return c.run(cmd)
		},
	}
	dataFlag(cmd, w, &c.data)
	outputFlag(cmd, &c.output, "text", "json")
	if v.noun != "tenant" && !strings.HasPrefix(v.use, "issuer") && !strings.HasPrefix(v.use, "forget") {
		cmd.Flags().StringVar(&c.in.Tenant, "tenant", "", "tenant, id or domain (default the administrator's)")
	}
	for _, name := range v.flags {
		c.flag(cmd, name)
	}
	return cmd
}

// field is where an argument goes.
func (c *directoryCall) field(name string) *string {
	return map[string]*string{"name": &c.in.Name, "object": &c.in.Object, "member": &c.in.Member, "id": &c.in.ID, "upn": &c.in.UPN,
		"certificate": &c.file, "issuer": &c.in.Issuer}[name]
}

// flag adds one flag.
func (c *directoryCall) flag(cmd *cobra.Command, name string) {
	f := cmd.Flags()
	switch name {
	case "multi-tenant":
		f.BoolVar(&c.in.MultiTenant, name, false, "let other tenants have a service principal of it")
	case "for":
		f.DurationVar(&c.life, name, 0, "how long it lasts (default two years)")
	case "out":
		f.StringVar(&c.out, name, "", "file for the secret, which only its owner can read")
	case "password-file":
		f.StringVar(&c.password, name, "", "file with the password, - for standard input")
	case "keys-file":
		f.StringVar(&c.keys, name, "", "file with the issuer's JWK set")
	case "keys-url":
		f.StringVar(&c.in.KeysURL, name, "", "where the issuer's JWK set is (default by discovery)")
	case "name":
		f.StringVar(&c.in.Name, name, "", "what it is called")
	case "domain":
		f.StringVar(&c.in.Domain, name, "", "DNS name that may stand for the tenant's id")
	case "issuer":
		f.StringVar(&c.in.Issuer, name, "", "issuer of the tokens, exactly as in their claim iss")
	case "subject":
		f.StringVar(&c.in.Subject, name, "", "whom the tokens are about, exactly as in their claim sub")
	case "audience":
		f.StringVar(&c.in.Audience, name, "", "whom the tokens are for (default api://AzureADTokenExchange)")
	}
}

// maxDirectoryFile bounds the files that are read.
const maxDirectoryFile = 48 << 10

// read reads a file that a flag or an argument names; "-" is standard input.
func (c *directoryCall) read(path string) (string, error) {
	in := c.world.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", usage(err, "")
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxDirectoryFile+1))
	if err == nil && len(text) > maxDirectoryFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxDirectoryFile)
	}
	if err != nil {
		return "", usage(err, "")
	}
	return string(text), nil
}

// files reads what comes from files.
func (c *directoryCall) files() error {
	for _, f := range []struct {
		path string
		to   func(string)
	}{
		{c.password, func(s string) { c.in.Password = strings.TrimRight(s, "\r\n") }},
		{c.keys, func(s string) { c.in.Keys = []byte(s) }},
		{c.file, func(s string) { c.in.Certificate = s }},
	} {
		if f.path == "" {
			continue
		}
		text, err := c.read(f.path)
		if err != nil {
			return err
		}
		f.to(text)
	}
	return nil
}

func (c *directoryCall) run(cmd *cobra.Command) error {
	switch {
	case c.output != "text" && c.output != "json":
		return usage(fmt.Errorf("unknown form %q", c.output), "--output text or json")
	case c.in.Action == "secret create" && c.out == "":
		return usage(errors.New("--out is missing"), "the secret is told once, and never on the terminal: --out FILE")
	case c.in.Action == "user password" && c.password == "":
		return usage(errors.New("--password-file is missing"), "--password-file - reads standard input")
	}
	if err := c.files(); err != nil {
		return err
	}
	c.in.Seconds = int64(c.life / time.Second)
	got, err := operatorClient(c.data, "directory "+c.in.Action).Direct(cmd.Context(), c.in)
	if err != nil {
		return operatorFailure(err, c.data)
	}
	if got.Secret != "" {
		if err := writePrivate(c.out, []byte(got.Secret)); err != nil {
			return failure(err, "take the secret away again with: postern directory secret remove")
		}
	}
	if c.output == "json" {
		return printJSON(c.world, got.Entries)
	}
	if len(got.Entries) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(c.world.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tNAME\tID\tCLIENT ID\tDETAIL")
	for _, e := range got.Entries {
		fmt.Fprintln(t, strings.TrimRight(strings.Join([]string{e.Kind, e.Name, e.ID, e.ClientID, e.Detail}, "\t"), "\t"))
	}
	return t.Flush()
}
