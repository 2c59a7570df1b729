package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/iac"
	"postern/internal/iac/live"
	"postern/internal/posture/migrate"
	"postern/internal/posture/report"
	"postern/internal/profile"
	"postern/internal/server"
)

func newMigrateCommand(w *world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move the configuration of vaults from one way to another",
	}
	cmd.AddCommand(newMigratePoliciesCommand(w))
	return cmd
}

// migration is the command line of migrate access-policies.
type migration struct {
	remote
	world                    *world
	vault, tenant, output    string
	apply, least, acceptLoss bool
	notes                    []string
	// delay is how long a role assignment takes to count, young when the last
	// of those that were read began to be under way.
	delay time.Duration
	young time.Time
}

var migrationForms = []string{"text", "json", "az", "bicep", "terraform"}

func newMigratePoliciesCommand(w *world) *cobra.Command {
	m := &migration{world: w}
	cmd := &cobra.Command{
		Use:   "access-policies --vault V [FILE… | --server URL | --data DIR]",
		Short: "Propose the role assignments that stand in for access policies",
		Long: `Propose, for each principal of the access policies of a vault, the built-in roles
that hold everything it reaches now and as little besides as can be, and name
what it would gain or lose. Role assignments that are there already begin to
count with the change: what they give is named too. Entries for a user together
with an application, and entries of another tenant, have no equivalent.

Nothing is changed without --apply. With it the role assignments are made
first, and enableRbacAuthorization is set when all of them are there. Before
the first write it is checked that the caller may make them all. On a server
that takes its time until assignments count, the same command is given twice.

The exit code is 0 when nobody loses anything, 1 when somebody would, and 2
when something could not be read.`,
		Example: `  postern migrate access-policies --data ./data --vault myvault
  postern migrate access-policies --data ./data --vault myvault --apply
  az keyvault show --name myvault | postern migrate access-policies -o bicep -`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return m.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	m.remote.flags(flags)
	outputFlag(cmd, &m.output, migrationForms...)
	flags.StringVar(&m.vault, "vault", "", "name of the vault; not needed when only one is read")
	flags.StringVar(&m.tenant, "tenant", "", "tenant of the vault's subscription, where the input does not say it")
	flags.BoolVar(&m.least, "least", false, "give nobody more than now; what no role holds alone is lost, and named")
	flags.BoolVar(&m.apply, "apply", false, "make the role assignments, then set enableRbacAuthorization (needs --server or --data)")
	flags.BoolVar(&m.acceptLoss, "accept-loss", false, "apply although somebody loses something")
	return cmd
}

func (m *migration) validate(args []string) error {
	switch {
	case !slices.Contains(migrationForms, m.output):
		return usage(fmt.Errorf("unknown form %q", m.output), "--output "+strings.Join(migrationForms, ", "))
	case len(args) == 0 && !m.isSet():
		return usage(errors.New("no configuration was named"), "name the files to read, - for the standard input, or --server URL")
	case len(args) > 0 && m.isSet():
		return usage(errors.New("files and a server were both named"), "ask them one after the other")
	case m.apply && !m.isSet():
		return usage(errors.New("--apply changes a running server, and none was named"), "--server URL or --data DIR; -o az prints the commands")
	case m.apply && m.output != "text" && m.output != "json":
		return usage(fmt.Errorf("--apply and the form %q do not go together", m.output), "leave one of the two out")
	}
	if _, err := access.ParseGUID(m.tenant); m.tenant != "" && err != nil {
		return usage(fmt.Errorf("--tenant %q is not a GUID", m.tenant), "az account show --query tenantId prints it")
	}
	return nil
}

func (m *migration) run(ctx context.Context, args []string) error {
	if err := m.validate(args); err != nil {
		return err
	}
	var client *live.Client
	if m.isSet() {
		var err error
		if client, err = m.world.connect(ctx, &m.remote); err != nil {
			return err
		}
		defer client.Close()
		defer m.world.progress()("")
	}
	resources, err := m.read(ctx, client, args)
	if err != nil {
		return err
	}
	snapshot, proposal, err := m.propose(resources)
	if err != nil {
		return err
	}
	known := m.known(ctx, client, proposal)
	m.world.progress()("")
	if err := m.print(proposal, known); err != nil {
		return usage(fmt.Errorf("writing the proposal: %w", err), "")
	}
	if m.output != "json" {
		for _, note := range m.notes {
			m.world.note("%s", note)
		}
	}
	switch {
	case m.apply && !proposal.RBAC:
		return m.write(ctx, client, snapshot, proposal, known)
	case proposal.Loses():
		return silent(ExitFindings)
	}
	return nil
}

// read reads the vault, the role assignments and deny assignments that reach
// it, and the roles that are not built in.
func (m *migration) read(ctx context.Context, client *live.Client, args []string) ([]*iac.Resource, error) {
	if client == nil {
		s := &source{world: m.world, progress: m.world.progress()}
		for _, path := range args {
			s.add(path)
		}
		s.progress("")
		if len(s.failures) > 0 {
			return nil, usage(s.failures[0], sourceHint(s.failures[0]))
		}
		return s.resources, nil
	}
	resources, err := client.Vaults(ctx)
	if err != nil {
		return nil, usage(err, "")
	}
	vault, err := m.choose(resources)
	if err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, string) ([]*iac.Resource, error){client.Assignments, client.Denies, client.Roles} {
		list, err := read(ctx, vault.ID)
		if err != nil {
			return nil, usage(err, "")
		}
		resources = append(resources, list...)
	}
	return resources, nil
}

// choose finds the vault that is meant.
func (m *migration) choose(resources []*iac.Resource) (*iac.Resource, error) {
	var found []*iac.Resource
	for _, r := range resources {
		if r.Type == iac.TypeVault && (m.vault == "" || iac.SameFold(r.Label(), m.vault) || iac.SameFold(r.ID, m.vault)) {
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 0 && m.vault != "":
		return nil, usage(fmt.Errorf("the vault %q was not found", m.vault), "--vault takes a name or an ARM id")
	case len(found) == 0:
		return nil, usage(errors.New("no vault was found"), "az keyvault show prints a vault in a form that is understood")
	case len(found) > 1:
		return nil, usage(fmt.Errorf("%d vaults were found", len(found)), "--vault names one of them")
	}
	return found[0], nil
}

// propose compiles what was read, and asks.
func (m *migration) propose(resources []*iac.Resource) (*estate.Snapshot, *migrate.Proposal, error) {
	vault, err := m.choose(resources)
	if err != nil {
		return nil, nil, err
	}
	if vault.ID == "" {
		return nil, nil, usage(fmt.Errorf("%s: the vault has no id", vault.Body.At), "az keyvault show prints it whole")
	}
	for _, path := range []string{"accessPolicies", "enableRbacAuthorization", "tenantId"} {
		if n := vault.Property(path); n.Kind == iac.Unknown {
			return nil, nil, usage(fmt.Errorf("%s: properties.%s is not known: %s", n.At, path, n.Why), "az keyvault show prints the vault as it is deployed")
		}
	}
	body, unread := vault.Body.JSON()
	for _, u := range unread {
		if strings.HasPrefix(u.Path, "properties.accessPolicies") {
			return nil, nil, usage(fmt.Errorf("%s: %s is not known: %s", u.Node.At, u.Path, u.Node.Why), "az keyvault show prints the vault as it is deployed")
		}
	}
	list := []*estate.Resource{{ID: vault.ID, Type: estate.TypeVault, Name: vault.Label(), Location: vault.Body.Get("location").Text, Body: body}}
	assignments := 0
	home, _ := access.ParseGUID(m.tenant) // validated; the zero value is not known
	for _, r := range resources {
		body, _ := r.Body.JSON() // what is not known grants nothing, and is noted
		switch {
		case r.Type == iac.TypeRoleAssignment && r.ID != "":
			assignments++
			if at, err := time.Parse(time.RFC3339, r.Property("createdOn").Text); err == nil && at.After(m.young) {
				m.young = at
			}
			fallthrough
		case r.ID != "" && strings.HasPrefix(strings.ToLower(r.Type), "microsoft.authorization/"):
			list = append(list, &estate.Resource{ID: r.ID, Type: r.Type, Name: r.ID[strings.LastIndexByte(r.ID, '/')+1:], Body: body, Source: r.Body.At.String()})
		case r.Type == iac.TypeSubscription && home.IsZero() && inSubscription(vault.ID, r):
			home, _ = access.ParseGUID(r.Body.Get("tenantId").Text)
			if strings.HasPrefix(r.ID, "/") && !home.IsZero() {
				list = append(list, &estate.Resource{ID: r.ID, Type: estate.TypeSubscription, Body: body})
			}
		}
	}
	list = underGroups(list, nil)
	snapshot, problems := estate.New(list, estateOptions(profile.Azure().TrustedServices))
	for _, p := range problems {
		m.notes = append(m.notes, fmt.Sprintf("%s: %s", p.Path, p.Message))
	}
	if assignments == 0 {
		m.notes = append(m.notes, "no role assignment was read; those that are there begin to count with the change: az role assignment list --all prints them")
	}
	v, ok := snapshot.Vault(strings.ToLower(vault.Label()))
	if !ok {
		return nil, nil, usage(fmt.Errorf("the vault %q cannot be read", vault.Label()), "")
	}
	return snapshot, migrate.Propose(v, migrate.Options{Home: home, Least: m.least}), nil
}

// inSubscription reports whether an id is below a subscription, as ARM or az
// writes it.
func inSubscription(id string, s *iac.Resource) bool {
	guid := strings.ToLower(s.ID[strings.LastIndexByte(s.ID, '/')+1:])
	return guid != "" && strings.HasPrefix(estate.Key(id), "/subscriptions/"+guid+"/")
}

// known asks the directory for the names and the types of the principals.
func (m *migration) known(ctx context.Context, client *live.Client, p *migrate.Proposal) migrate.Directory {
	known := migrate.Directory{}
	if client == nil {
		return known
	}
	for _, one := range p.Principals {
		found, err := client.Principal(ctx, one.Object.String())
		switch {
		case err == nil && found.Object == one.Object:
			known[one.Object] = migrate.Known{Name: report.Printable(found.Name), Type: "ServicePrincipal"}
		case err != nil && !errors.Is(err, live.ErrNoPrincipal):
			m.notes = append(m.notes, "the directory was not read: "+err.Error())
			return known
		}
	}
	return known
}

func (m *migration) print(p *migrate.Proposal, known migrate.Directory) error {
	switch m.output {
	case "json":
		return p.WriteJSON(m.world.stdout, known, m.notes)
	case "az":
		return p.WriteAZ(m.world.stdout, known)
	case "bicep":
		return p.WriteBicep(m.world.stdout, known)
	case "terraform":
		return p.WriteTerraform(m.world.stdout, known)
	}
	return p.WriteText(m.world.stdout, known)
}

// write applies the proposal: the role assignments first, so that nobody is
// without both.
func (m *migration) write(ctx context.Context, client *live.Client, s *estate.Snapshot, p *migrate.Proposal, known migrate.Directory) error {
	if p.Loses() && !m.acceptLoss {
		return failure(errors.New("nothing was changed: somebody would lose something"), "--accept-loss applies it all the same")
	}
	if err := m.may(ctx, client, s, p, known); err != nil {
		return err
	}
	if m.data != "" {
		info, err := server.ReadInfo(m.data)
		if err != nil {
			return usage(err, "")
		}
		m.delay = info.Propagation.RoleAssignment
	} else {
		m.world.note("role assignments may take some minutes to count; until then nobody holds them")
	}
	id := p.Vault.Rules.ID
	for i, a := range p.Assignments() {
		if err := client.Assign(ctx, id, a.Name, a.Role.Name, a.Principal, known[a.Principal].Type); err != nil {
			return failure(fmt.Errorf("assigning %s to %s: %w", a.Role.RoleName, a.Principal, err),
				fmt.Sprintf("%d role assignments were made, which do not count yet; the vault goes by access policies as before", i))
		}
	}
	if len(p.Assignments()) > 0 {
		m.young = time.Now()
	}
	if counts := m.young.Add(m.delay); m.delay > 0 && counts.After(time.Now()) {
		m.world.progress()("")
		return failure(fmt.Errorf("the role assignments are there and count from %s on; the vault goes by access policies until then", counts.UTC().Format(time.DateTime)),
			"the same command, then, sets enableRbacAuthorization")
	}
	if err := client.UseRoles(ctx, id); err != nil {
		return failure(fmt.Errorf("setting enableRbacAuthorization: %w", err), "the role assignments were made; the vault goes by access policies as before")
	}
	m.world.progress()("")
	m.world.note("%d role assignments were made, and %s goes by role assignments", len(p.Assignments()), p.Name())
	return nil
}

// may checks, before the first write, that the caller may make all of them.
// Where that cannot be told from what was read, the server decides.
func (m *migration) may(ctx context.Context, client *live.Client, s *estate.Snapshot, p *migrate.Proposal, known migrate.Directory) error {
	caller, err := client.Caller(ctx)
	if err != nil {
		return failure(err, "")
	}
	const assign, write = "Microsoft.Authorization/roleAssignments/write", "Microsoft.KeyVault/vaults/write"
	id, missing := p.Vault.Rules.ID, ""
	for _, a := range p.Assignments() {
		if !s.Authority().AuthorizeAssignment(&caller, assign, id, access.Written{Role: a.Role.Name, Principal: a.Principal.String(), Type: known[a.Principal].Type}).Allowed() {
			missing = assign + " for " + a.Role.RoleName
			break
		}
	}
	if missing == "" && !s.Authority().Authorize(&caller, write, id).Allowed() {
		missing = write
	}
	switch {
	case missing == "":
		return nil
	case m.unsure(p, &caller):
		m.world.note("from what was read it cannot be told whether the caller may %s; the server decides", missing)
		return nil
	}
	return failure(fmt.Errorf("nothing was changed: the caller %s lacks %s at %s", caller.Object, missing, p.ID()),
		"Owner, or Role Based Access Control Administrator with Key Vault Contributor, may do it")
}

// unsure reports whether the caller has an assignment that could not be
// read in full: of a role that is not built in, or above subscriptions.
func (m *migration) unsure(p *migrate.Proposal, caller *access.Caller) bool {
	for _, a := range p.Vault.Rules.Assignments {
		mine := a.Principal == caller.Object || slices.Contains(caller.Groups, a.Principal)
		if mine && (a.Role == nil || a.Conditional) {
			return true
		}
	}
	return false
}
