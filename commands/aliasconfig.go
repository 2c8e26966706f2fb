package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "aliasconfig",
	Summary: "Configure other recipients for the mail to some addresses.",
	Help: "aliasconfig new <domain> <alias> <address>...\n" +
		"aliasconfig edit <domain> <alias> <address>...\n" +
		"aliasconfig delete <domain> <alias>\n" +
		"aliasconfig print\n" +
		"aliasconfig clear\n" +
		"aliasconfig import <file>\n" +
		"aliasconfig export <file>\n\n" +
		"The domain is example.com, .example.com for all domains below it, several with commas between\n" +
		"them, or global. An alias is user or user@domain; a global one may also be @domain or @.domain.\n" +
		"It stands for mail addresses and other aliases; /dev/null accepts the mail and drops it. The\n" +
		"first alias in the table that matches a recipient counts, and global ones come first.\n\n" +
		"Files are in the directory configuration. A line [ example.com, .example.net ] begins the\n" +
		"aliases of these domains, each a line such as \"joe, fred: joseph@example.com\". Import replaces\n" +
		"the table.",
	Source: "public (operations, form of the table), invented (questions, inline form, refusals)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Commit: true,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return aliasesInline(env)
		}
		return env.Menu(ctx, func() shell.Menu {
			table := listener.Aliases.Get(env.Draft)
			none := table.Count() == 0
			return shell.Menu{
				Header: func() { env.Printf("\nThere are currently %d mappings defined.\n", table.Count()) },
				Items: []shell.Item{
					{Key: "NEW", Text: "Create a new entry.", Run: withEnv(env, newAliases)},
					{Key: "EDIT", Text: "Modify an entry.", Hidden: none, Run: withEnv(env, editAlias)},
					{Key: "DELETE", Text: "Remove an entry.", Hidden: none, Run: withEnv(env, deleteAlias)},
					{Key: "PRINT", Text: "Display the table.", Hidden: none,
						Run: func(context.Context) error { return printAliases(env) }},
					{Key: "IMPORT", Text: "Import aliases from a file.", Run: withEnv(env, importAliases)},
					{Key: "EXPORT", Text: "Export table to a file.", Hidden: none,
						Run: func(ctx context.Context) error { return exportTable(ctx, env, table.Text()) }},
					{Key: "CLEAR", Text: "Clear the table.", Hidden: none, Run: withEnv(env, clearAliases)},
				},
			}
		})
	},
})

func printAliases(env *shell.Env) error {
	table := listener.Aliases.Get(env.Draft)
	if table.Count() == 0 {
		env.Printf("There are no aliases.\n")
		return nil
	}
	env.Printf("%s", table.Text())
	return nil
}

// newAliases asks to which domains new aliases apply, and for aliases.
func newAliases(ctx context.Context, env *shell.Env) error {
	var domains []string
	choices := []string{"Globally", "Add a new domain context"}
	contexts := slices.DeleteFunc(listener.Aliases.Get(env.Draft).Contexts,
		func(c listener.AliasContext) bool { return len(c.Domains) == 0 })
	for _, c := range contexts {
		choices = append(choices, strings.Join(c.Domains, ", "))
	}
	n, err := env.Choose(ctx, "How do you want your aliases to apply?", 0, choices...)
	switch {
	case err != nil:
		return err
	case n == 1:
		if domains, err = askAliasDomains(ctx, env); err != nil {
			return err
		}
	case n > 1:
		domains = contexts[n-2].Domains
	}
	for more := true; more && err == nil; {
		if err = newAlias(ctx, env, domains); err == nil {
			more, err = env.Confirm(ctx, "Do you want to add another alias?", false)
		}
	}
	return err
}

func askAliasDomains(ctx context.Context, env *shell.Env) (domains []string, err error) {
	_, err = env.Ask(ctx, "Enter new domain context.\nSeparate multiple domains with commas.\n"+
		"Partial domains such as .example.com are allowed.", "", func(answer string) (err error) {
		domains, err = parseAliasDomains(answer)
		return err
	})
	return domains, err
}

// parseAliasDomains returns the domains of a list with commas.
func parseAliasDomains(list string) ([]string, error) {
	domains := splitList(list)
	if len(domains) == 0 {
		return nil, refusal.New("Enter at least one domain.")
	}
	for _, d := range domains {
		if err := listener.CheckAliasDomain(d); err != nil {
			return nil, err
		}
	}
	return domains, nil
}

// newAlias asks for one alias of a context.
func newAlias(ctx context.Context, env *shell.Env, domains []string) error {
	return editSection(env, listener.Aliases, func(t *listener.AliasTable) error {
		c := aliasContext(t, domains)
		c.Aliases = append(c.Aliases, listener.Alias{})
		a := &c.Aliases[len(c.Aliases)-1]
		if err := askAlias(ctx, env, t, a, len(domains) == 0); err != nil {
			return err
		}
		tellNewAlias(env, *a)
		return nil
	})
}

func tellNewAlias(env *shell.Env, a listener.Alias) {
	env.PrintWrapped(fmt.Sprintf("Adding alias %s: %s",
		strings.Join(a.Names, ","), strings.Join(a.Targets, ",")))
}

// aliasContext returns the context of a table that has exactly these domains. If there is none, it
// adds one.
func aliasContext(t *listener.AliasTable, domains []string) *listener.AliasContext {
	same := func(c listener.AliasContext) bool {
		return slices.EqualFunc(c.Domains, domains, strings.EqualFold)
	}
	i := slices.IndexFunc(t.Contexts, same)
	switch {
	case i >= 0:
	case len(domains) == 0:
		i = 0
		t.Contexts = slices.Insert(t.Contexts, 0, listener.AliasContext{})
	default:
		i = len(t.Contexts)
		t.Contexts = append(t.Contexts, listener.AliasContext{Domains: domains})
	}
	return &t.Contexts[i]
}

// askAlias asks for the names of an alias of t and for what it stands for. The table with the answers
// is valid.
func askAlias(
	ctx context.Context, env *shell.Env, t *listener.AliasTable, a *listener.Alias, global bool,
) error {
	allowed := "Allowed aliases:\n    - \"user\" - This user in this domain context.\n" +
		"    - \"user@domain\" - This email address."
	if global {
		allowed = "Allowed aliases:\n    - \"user@domain\" - This email address.\n" +
			"    - \"user\" - This user for any domain\n    - \"@domain\" - All users in this domain.\n" +
			"    - \"@.partialdomain\" - All users in this domain, or any of its sub domains."
	}
	_, err := env.Ask(ctx, "Enter the alias(es) to match on.\nSeparate multiple aliases with commas.\n"+
		allowed, strings.Join(a.Names, ", "), func(answer string) error {
		names := splitList(answer)
		if len(names) == 0 {
			return refusal.New("Enter at least one alias.")
		}
		for _, n := range names {
			if err := listener.CheckAliasName(n, global); err != nil {
				return err
			}
		}
		a.Names = names
		return nil
	})
	if err != nil {
		return err
	}
	_, err = env.Ask(ctx, fmt.Sprintf("Enter address(es) for \"%s\".\n"+
		"Separate multiple addresses with commas.", strings.Join(a.Names, ", ")),
		strings.Join(a.Targets, ", "), func(answer string) error {
			old := a.Targets
			a.Targets = splitList(answer)
			err := t.Check()
			if err != nil {
				a.Targets = old
			}
			return err
		})
	return err
}

// An aliasPlace says where in the table an alias is.
type aliasPlace struct{ context, alias int }

// chooseAlias asks for one of the aliases.
func chooseAlias(
	ctx context.Context, env *shell.Env, t *listener.AliasTable, verb string,
) (p aliasPlace, err error) {
	var places []aliasPlace
	var lines []string
	for i, c := range t.Contexts {
		for j, a := range c.Aliases {
			line := a.Text()
			if len(c.Domains) > 0 {
				line = "[ " + strings.Join(c.Domains, ", ") + " ] " + line
			}
			places, lines = append(places, aliasPlace{i, j}), append(lines, line)
		}
	}
	n, err := env.Choose(ctx, "Enter the number of the entry you wish to "+verb+".", -1, lines...)
	if err == nil {
		p = places[n]
	}
	return p, err
}

func editAlias(ctx context.Context, env *shell.Env) error {
	return editSection(env, listener.Aliases, func(t *listener.AliasTable) error {
		p, err := chooseAlias(ctx, env, t, "edit")
		if err != nil {
			return err
		}
		c := &t.Contexts[p.context]
		return askAlias(ctx, env, t, &c.Aliases[p.alias], len(c.Domains) == 0)
	})
}

func deleteAlias(ctx context.Context, env *shell.Env) error {
	return editSection(env, listener.Aliases, func(t *listener.AliasTable) error {
		p, err := chooseAlias(ctx, env, t, "delete")
		if err != nil {
			return err
		}
		return removeAlias(env, t, p)
	})
}

// removeAlias removes an alias, and its context if no other one is in it.
func removeAlias(env *shell.Env, t *listener.AliasTable, p aliasPlace) error {
	c := &t.Contexts[p.context]
	name := strings.Join(c.Aliases[p.alias].Names, ", ")
	c.Aliases = slices.Delete(c.Aliases, p.alias, p.alias+1)
	if len(c.Aliases) == 0 {
		t.Contexts = slices.Delete(t.Contexts, p.context, p.context+1)
	}
	if err := t.Check(); err != nil {
		return err
	}
	env.PrintWrapped(fmt.Sprintf("Alias %s removed.", name))
	return nil
}

func importAliases(ctx context.Context, env *shell.Env) error {
	return importTable(ctx, env, func(text string) error { return replaceAliases(env, text) })
}

// replaceAliases replaces the table by that of an imported text, if it is valid.
func replaceAliases(env *shell.Env, text string) error {
	return editSection(env, listener.Aliases, func(t *listener.AliasTable) (err error) {
		if *t, err = listener.ParseAliases(text); err == nil {
			env.Printf("%d mappings imported.\n", t.Count())
		}
		return err
	})
}

func clearAliases(ctx context.Context, env *shell.Env) error {
	sure, err := env.Confirm(ctx, "Are you sure you want to clear the alias table?", false)
	if err != nil || !sure {
		return err
	}
	return removeAllAliases(env)
}

func removeAllAliases(env *shell.Env) error {
	return editSection(env, listener.Aliases, func(t *listener.AliasTable) error {
		t.Contexts = nil
		return nil
	})
}

// aliasesInline executes the inline form.
func aliasesInline(env *shell.Env) error {
	verb, args := strings.ToLower(env.Args[0]), env.Args[1:]
	takes, ok := map[string]int{
		"new": 3, "edit": 3, "delete": 2, "print": 0, "clear": 0, "import": 1, "export": 1,
	}[verb]
	if !ok {
		return shell.InvalidArgumentf(printable(env.Args[0]),
			"The operation must be new, edit, delete, print, clear, import or export.")
	}
	if len(args) < takes || takes < 3 && len(args) > takes {
		return shell.InvalidArgumentf(printable(strings.Join(env.Args, " ")),
			"The operation %s takes %d arguments.", verb, takes)
	}
	switch verb {
	case "print":
		return printAliases(env)
	case "clear":
		return removeAllAliases(env)
	case "export":
		text := listener.Aliases.Get(env.Draft).Text()
		return invalidArgument(args[0], writeConfigFile(env, args[0], text))
	case "import":
		text, err := readConfigFile(env, args[0])
		if err == nil {
			err = replaceAliases(env, text)
		}
		return invalidArgument(args[0], err)
	}
	return putAliasInline(env, verb, args)
}

// putAliasInline executes new, edit and delete.
func putAliasInline(env *shell.Env, verb string, args []string) error {
	var domains []string
	if !strings.EqualFold(args[0], "global") {
		var err error
		if domains, err = parseAliasDomains(args[0]); err != nil {
			return invalidArgument(args[0], err)
		}
	}
	return editSection(env, listener.Aliases, func(t *listener.AliasTable) error {
		p, found := findAlias(*t, domains, args[1])
		targets := splitList(strings.Join(args[2:], ","))
		switch {
		case verb == "new" && found:
			return shell.InvalidArgumentf(printable(args[1]), "There is already an alias of that name.")
		case verb == "new":
			a := listener.Alias{Names: splitList(args[1]), Targets: targets}
			c := aliasContext(t, domains)
			c.Aliases = append(c.Aliases, a)
			if err := t.Check(); err != nil {
				return invalidArgument(strings.Join(args[2:], " "), err)
			}
			tellNewAlias(env, a)
		case !found:
			return shell.InvalidArgumentf(printable(args[1]), "The alias does not exist.")
		case verb == "delete":
			return invalidArgument(args[1], removeAlias(env, t, p))
		default:
			t.Contexts[p.context].Aliases[p.alias].Targets = targets
		}
		return invalidArgument(strings.Join(args[2:], " "), t.Check())
	})
}

// findAlias returns the alias that has exactly these names, in a context with exactly these domains.
func findAlias(t listener.AliasTable, domains []string, names string) (p aliasPlace, found bool) {
	for i, c := range t.Contexts {
		if !slices.EqualFunc(c.Domains, domains, strings.EqualFold) {
			continue
		}
		for j, a := range c.Aliases {
			if slices.EqualFunc(a.Names, splitList(names), strings.EqualFold) {
				return aliasPlace{i, j}, true
			}
		}
	}
	return p, false
}
