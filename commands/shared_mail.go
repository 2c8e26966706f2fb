package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"

	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that the commands that configure mail share.

// countOf returns the line above a menu that says how many entries there are. The appliance writes
// "1 routes", too.
func countOf(n int, noun string) string {
	if n == 0 {
		return fmt.Sprintf("There are no %s configured.", noun)
	}
	return fmt.Sprintf("There are currently %d %s configured.", n, noun)
}

// onlyNo asks a question that can only be answered with no, because the program does not simulate
// the other answer. why says so.
func onlyNo(question, why string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		for {
			yes, err := d.Confirm(ctx, question, false)
			if err != nil || !yes {
				return err
			}
			d.PrintWrapped(why)
		}
	}
}

// onlyFirst asks a question of which the program simulates only the first choice. why says so.
func onlyFirst(question, why string, choices ...string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		for {
			n, err := d.Choose(ctx, question, 0, choices...)
			if err != nil || n == 0 {
				return err
			}
			d.PrintWrapped(why)
		}
	}
}

// maxImport bounds the size of a table that is imported.
const maxImport = 8 << 20

// exportTable asks for the name of a file of the directory configuration and writes text into it.
func exportTable(ctx context.Context, env *shell.Env, text string) error {
	_, err := env.Ask(ctx, "Enter a name for the exported file:", "", func(name string) error {
		return writeConfigFile(env, name, text)
	})
	return err
}

// writeConfigFile replaces a file of the directory configuration and says so.
func writeConfigFile(env *shell.Env, name, text string) error {
	base := strings.TrimPrefix(name, "/configuration/")
	full := path.Join(files.Configuration, base)
	if base == "" || path.Dir(full) != files.Configuration {
		return refusal.Newf("%s is no name for a file in the directory configuration.", visible(name))
	}
	if fi, err := env.Appliance.Files.Stat(full); err == nil && fi.IsDir() {
		return refusal.Newf("%s is a directory.", visible(name))
	}
	err := env.Appliance.Files.WriteFile(full, []byte(text))
	if errors.Is(err, syscall.ENOSPC) {
		return refusal.Because(err, "The file cannot be saved: there is no disk space left.")
	}
	if err != nil {
		return err
	}
	env.Printf("File written on machine \"%s\" to the location\n\"/configuration/%s\".\n",
		env.Appliance.Hostname(), base)
	return nil
}

// importTable asks for the name of a file of the directory configuration until parse accepts its
// content.
func importTable(ctx context.Context, env *shell.Env, parse func(text string) error) error {
	_, err := env.Ask(ctx, "Enter the name of the file to import:", "", func(name string) error {
		text, err := readConfigFile(env, name)
		if err != nil {
			return err
		}
		return parse(text)
	})
	return err
}

// readConfigFile returns the content of a file of the directory configuration.
func readConfigFile(env *shell.Env, name string) (string, error) {
	f, err := openConfigFile(env, name)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxImport+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if len(b) > maxImport {
		return "", refusal.Newf("The file %s is too large: at most %d bytes are imported.",
			visible(name), maxImport)
	}
	return string(b), nil
}

// eachTableLine calls f with each line of an imported table, except for empty lines and comments,
// which begin with #. A refusal of f names the line.
func eachTableLine(text string, f func(line string) error) error {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := f(line); err != nil {
			return refusal.Because(err, "Line %d: %v", n, err)
		}
	}
	return nil
}

// bounceProfileField asks for one of the bounce profiles that have a name.
func bounceProfileField(env *shell.Env, name *string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		var names []string
		for _, p := range delivery.Profiles.Get(env.Draft).List {
			names = append(names, p.Name)
		}
		if len(names) == 0 {
			d.PrintWrapped("There is only the profile Default: create others with bounceconfig.")
			return nil
		}
		return d.Form(ctx, shell.OneOf(name, "Please choose a bounce profile to apply:", names...))
	}
}
