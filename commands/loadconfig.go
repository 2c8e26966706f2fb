package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "loadconfig",
	Summary: "Load a configuration, or a part of one, from a file.",
	Help: "loadconfig [file]\n\n" +
		"The file must be in the directory configuration. It may contain a part of the settings only.",
	Source: "public (results, partial files, failed parsing), invented (other refusals)",
	Roles:  []users.Role{users.Administrator}, // because a file may contain accounts
	Mode:   shell.MachineMode,
	Commit: true,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		var from io.ReadCloser
		var err error
		switch {
		case len(env.Args) > 1:
			return shell.InvalidArgumentf(env.Args[1], "Only the name of a file is expected.")
		case len(env.Args) == 1:
			from, err = openConfigFile(env, env.Args[0])
		default:
			from, err = askConfigSource(ctx, env)
		}
		if err != nil {
			return err
		}
		defer from.Close()
		changed, err := config.ReadXML(from, env.Draft)
		if err != nil {
			return loadRefusal(err)
		}
		if !changed {
			env.Printf("No changes detected from current configuration.\n")
			return nil
		}
		env.Printf("Values have been loaded.\nBe sure to run \"commit\" to make these settings active.\n")
		return nil
	},
})

// askConfigSource asks for a file or for the text itself.
func askConfigSource(ctx context.Context, env *shell.Env) (io.ReadCloser, error) {
	var from io.ReadCloser
	way, err := env.Ask(ctx, "1. Paste via CLI\n2. Load from file", "1", func(s string) error {
		if s != "1" && s != "2" {
			return refusal.New("The value must be 1 or 2.")
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case way == "1":
		return readPastedConfig(ctx, env)
	}
	_, err = env.Ask(ctx, "Enter the name of the file to import:", "", func(name string) (err error) {
		from, err = openConfigFile(env, name)
		return err
	})
	return from, err
}

// maxPaste bounds the size of a pasted configuration. ReadXML has limits of its own.
const maxPaste = 8 << 20

// readPastedConfig reads lines until Ctrl-D is pressed on an empty line.
func readPastedConfig(ctx context.Context, env *shell.Env) (io.ReadCloser, error) {
	env.Printf("Paste the configuration file now.\nPress CTRL-D on a blank line when done.\n\n")
	var text strings.Builder
	for {
		line, err := env.Prompt(ctx, "")
		switch {
		case errors.Is(err, io.EOF):
			return io.NopCloser(strings.NewReader(text.String())), nil
		case err != nil:
			return nil, err
		case text.Len()+len(line) > maxPaste:
			return nil, refusal.New("The configuration is too large to be pasted.")
		}
		text.WriteString(line + "\n")
	}
}

// loadRefusal returns the error of config.ReadXML in the CLI's words, if it is the file's fault.
func loadRefusal(err error) error {
	var syntax *config.XMLError
	if errors.As(err, &syntax) {
		where := ""
		if syntax.Line > 0 {
			where = fmt.Sprintf("Line %d: ", syntax.Line)
		}
		return refusal.New("Parsing failed.  Aborting.\n" + where + syntax.Text)
	}
	if text, ok := refusal.Text(err); ok {
		return refusal.Because(err, "The values cannot be loaded.\n%s", text)
	}
	return err
}
