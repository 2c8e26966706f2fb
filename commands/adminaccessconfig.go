package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "adminaccessconfig",
	Summary: "Configure from where administrators may connect, login texts and timeouts.",
	Help: "adminaccessconfig banner | welcome  new <line>... | import <file> | delete\n" +
		"adminaccessconfig ipaccess allowall | restrict | new <address>... | delete <address>...\n" +
		"adminaccessconfig timeouts <CLI minutes> <Web minutes>\n\n" +
		"The banner is shown before the login over SSH, over FTP and on the serial console. The " +
		"welcome message is shown after the login to the CLI. An address may also be a network, " +
		"such as 10.1.0.0/16. Changes apply to connections that are opened after the commit.",
	Source: "public (functions, timeouts), invented (texts, inline forms)",
	Roles:  []users.Role{users.Administrator},
	Commit: true,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		a := &accessDialogue{env}
		if len(env.Args) > 0 {
			return a.inline(env.Args)
		}
		return env.Menu(ctx, func() shell.Menu {
			return shell.Menu{Items: []shell.Item{
				{Key: "BANNER", Text: "Configure the text that is shown before the login.",
					Run: a.text("login banner", func(v *users.AdminAccess) *string { return &v.Banner })},
				{Key: "WELCOME", Text: "Configure the text that is shown after the login.",
					Run: a.text("welcome message", func(v *users.AdminAccess) *string { return &v.Welcome })},
				{Key: "IPACCESS", Text: "Configure from which addresses access is permitted.",
					Run: a.ipAccess},
				{Key: "TIMEOUTS", Text: "Configure after how long inactive sessions end.", Run: a.timeouts},
			}}
		})
	},
})

// An accessDialogue edits the section users.Access of the session's draft.
type accessDialogue struct{ env *shell.Env }

func (a *accessDialogue) get() users.AdminAccess { return users.Access.Get(a.env.Draft) }

func (a *accessDialogue) edit(change func(*users.AdminAccess) error) error {
	return editSection(a.env, users.Access, change)
}

// text returns the menu of the banner or of the welcome message. name is what the menu calls
// it, and field returns where a value of the section holds it.
func (a *accessDialogue) text(
	name string, field func(*users.AdminAccess) *string) func(context.Context) error {
	set := func(text string) error {
		return a.edit(func(v *users.AdminAccess) error {
			*field(v) = text
			return nil
		})
	}
	enter := func(ctx context.Context) error {
		text, err := a.enterText(ctx)
		if err != nil {
			return err
		}
		return set(text)
	}
	importFile := func(ctx context.Context) error {
		const question = "Enter the name of the file in the directory configuration:"
		_, err := a.env.Ask(ctx, question, "", func(name string) error {
			text, err := a.readText(name)
			if err != nil {
				return err
			}
			return set(text)
		})
		return err
	}
	remove := func(context.Context) error { return set("") }
	return func(ctx context.Context) error {
		return a.env.Menu(ctx, func() shell.Menu {
			v := a.get()
			text := *field(&v)
			return shell.Menu{
				Header: func() {
					if text == "" {
						a.env.Printf("\nThere is no %s.\n", name)
					} else {
						a.env.Printf("\nThe %s is:\n\n%s\n", name, text)
					}
				},
				Items: []shell.Item{
					{Key: "NEW", Text: "Enter a text.", Hidden: text != "", Run: enter},
					{Key: "EDIT", Text: "Enter another text.", Hidden: text == "", Run: enter},
					{Key: "IMPORT", Text: "Read the text from a file.", Run: importFile},
					{Key: "DELETE", Text: "Remove the text.", Hidden: text == "", Run: remove},
				},
			}
		})
	}
}

// enterText reads lines until a line that is a single full stop.
func (a *accessDialogue) enterText(ctx context.Context) (string, error) {
	a.env.PrintWrapped("Enter the text line by line. End it with a \".\" on a line by itself.\n")
	var lines []string
	size := 0
	for {
		line, err := a.env.Prompt(ctx, "")
		if err != nil {
			return "", err
		}
		if line == "." {
			return checkText(strings.Join(lines, "\n"))
		}
		if size += len(line) + 1; size > maxTextSize {
			return "", refusal.New("The text is too long.")
		}
		lines = append(lines, line)
	}
}

// checkText returns text without its trailing line ends. It refuses a text that cannot be
// shown before or after a login.
func checkText(text string) (string, error) {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return "", refusal.New("A text is required. DELETE removes the current one.")
	}
	return text, users.CheckAccessText(text)
}

func (a *accessDialogue) timeouts(ctx context.Context) error {
	if err := a.edit(func(v *users.AdminAccess) error {
		return a.env.Form(ctx,
			shell.Number(&v.CLITimeout,
				"Enter after how many minutes of inactivity a CLI session ends (5 to 1440).",
				users.MinIdleMinutes, users.MaxIdleMinutes),
			shell.Number(&v.WebTimeout,
				"Enter after how many minutes of inactivity a Web UI session ends (5 to 1440).",
				users.MinIdleMinutes, users.MaxIdleMinutes),
		)
	}); err != nil {
		return err
	}
	a.env.PrintWrapped("The timeouts apply to sessions that begin after the commit.")
	return nil
}

// inline executes the inline form. It prints nothing on success, except for a warning to an
// administrator who would lock himself out.
func (a *accessDialogue) inline(words []string) error {
	m := shell.Menu{Items: []shell.Item{
		{Key: "BANNER"}, {Key: "WELCOME"}, {Key: "IPACCESS"}, {Key: "TIMEOUTS"},
	}}
	item, err := findInline(words[0], m)
	if err != nil {
		return err
	}
	rest := words[1:]
	if err := a.edit(func(v *users.AdminAccess) error {
		switch item.Key {
		case "BANNER":
			return a.inlineText(&v.Banner, words[0], rest)
		case "WELCOME":
			return a.inlineText(&v.Welcome, words[0], rest)
		case "IPACCESS":
			return inlineIPAccess(v, words[0], rest)
		default:
			return inlineTimeouts(v, words[0], rest)
		}
	}); err != nil {
		return err
	}
	if from := a.env.ClientAddr; item.Key == "IPACCESS" && !a.get().Admits(from) {
		a.env.PrintWrapped(fmt.Sprintf("Warning: once this is committed, "+
			"access is no longer permitted from your current address, %v.", from))
	}
	return nil
}

func (a *accessDialogue) inlineText(dst *string, word string, args []string) error {
	const expected = "Expected one of: new <line>..., import <file>, delete."
	if len(args) == 0 {
		return shell.InvalidArgumentf(word, expected)
	}
	var err error
	switch verb, args := strings.ToLower(args[0]), args[1:]; {
	case verb == "new" && len(args) > 0:
		*dst, err = checkText(strings.Join(args, "\n"))
	case verb == "import" && len(args) == 1:
		*dst, err = a.readText(args[0])
	case verb == "delete" && len(args) == 0:
		*dst = ""
	default:
		return shell.InvalidArgumentf(strings.Join(append([]string{verb}, args...), " "), expected)
	}
	return err
}

func inlineTimeouts(v *users.AdminAccess, word string, args []string) error {
	if len(args) != 2 {
		return shell.InvalidArgumentf(word,
			"Two numbers are expected: the minutes of the CLI and of the Web UI.")
	}
	for i, dst := range []*int{&v.CLITimeout, &v.WebTimeout} {
		n, err := strconv.Atoi(args[i])
		if err != nil || n < users.MinIdleMinutes || n > users.MaxIdleMinutes {
			return shell.InvalidArgumentf(args[i],
				"The number of minutes must be an integer from %d to %d.",
				users.MinIdleMinutes, users.MaxIdleMinutes)
		}
		*dst = n
	}
	return nil
}
