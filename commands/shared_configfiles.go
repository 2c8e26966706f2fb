package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that showconfig, saveconfig and mailconfig share, and the code of commands
// that read files of the directory configuration.

const passphraseHelp = "y masks passphrases, n does not. " +
	"option is a number from the dialogue's list.\n" +
	"Only administrators see passphrases: for other roles, a file whose passphrases are not masked\n" +
	"contains neither them nor the accounts, and loading it keeps the present ones."

// configFileOptions returns the options of a configuration file that the user may see. Whatever is
// tagged as secret is for administrators only, and so are the accounts of a file that can be loaded.
// A masked file has the accounts for every role, because it cannot be loaded.
func configFileOptions(env *shell.Env, passphrases config.Passphrases) config.XMLOptions {
	o := config.XMLOptions{Header: env.Appliance.FileHeader(), Passphrases: passphrases}
	if passphrases != config.Masked && env.Account.Role != users.Administrator {
		o.Without = []string{users.Section.Name()}
		o.WithoutSecrets = true
		o.Header = append(o.Header,
			"Accounts: left out, because the user role does not permit them",
			"Passphrases: left out, because the user role does not permit them")
	}
	return o
}

// configFile returns the committed configuration as a file, and the file's name without .xml.
func configFile(
	env *shell.Env, passphrases config.Passphrases) (base string, text []byte, err error) {
	var b bytes.Buffer
	err = config.WriteXML(&b, env.Appliance.Config.Committed(), configFileOptions(env, passphrases))
	p, now := env.Appliance.Product, env.Appliance.Now()
	return fmt.Sprintf("%s-%s-%s", p.Model, p.Serial, now.Format("20060102T150405")), b.Bytes(), err
}

// choosePassphrases returns how passphrases are to be written, as the arguments or the
// answers say.
func choosePassphrases(ctx context.Context, env *shell.Env) (config.Passphrases, error) {
	if env.Inline {
		return passphraseArguments(env, env.Args)
	}
	return askPassphrases(ctx, env)
}

// askPassphrases asks how passphrases are to be written. Before version 9 that is a single
// yes-or-no question.
func askPassphrases(ctx context.Context, env *shell.Env) (config.Passphrases, error) {
	if env.Appliance.Product.Version.Before(product.Version{Major: 9}) {
		mask, err := env.Confirm(ctx, "Do you want to mask the passwords? "+
			"Files with masked passwords cannot be loaded using\nloadconfig command.", true)
		if mask || err != nil {
			return config.Masked, err
		}
		return config.Plain, nil
	}
	options := passphraseOptions(env)
	i, err := env.Choose(ctx, "Choose the passphrase option:", 0, options...)
	return config.Passphrases(i), err
}

// passphraseOptions returns the choices, in the order of the constants of config.Passphrases.
// Version 14 and later do not offer plain passphrases.
func passphraseOptions(env *shell.Env) []string {
	options := []string{
		"Mask passphrases (Files with masked passphrases cannot be loaded using loadconfig command)",
		"Encrypt passphrases",
	}
	if env.Appliance.Product.Version.Before(product.Version{Major: 14}) {
		options = append(options, "Plain passphrases")
	}
	return options
}

// passphraseArguments parses the inline form: y (mask) or n, and the number of an option. If
// both are given, the number decides. Without arguments passphrases are masked.
func passphraseArguments(env *shell.Env, args []string) (config.Passphrases, error) {
	how := config.Masked
	if len(args) > 0 {
		switch strings.ToLower(args[0]) {
		case "y", "yes":
			args = args[1:]
		case "n", "no":
			how, args = config.Encrypted, args[1:]
		}
	}
	most := len(passphraseOptions(env))
	if len(args) > 0 {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 || n > most {
			return how, shell.InvalidArgumentf(args[0],
				"The passphrase option must be an integer from 1 to %d.", most)
		}
		how, args = config.Passphrases(n-1), args[1:]
	}
	if len(args) > 0 {
		return how, shell.InvalidArgumentf(args[0],
			"Two arguments are expected at most: y or n, and the passphrase option.")
	}
	return how, nil
}

// openConfigFile opens a file of the directory configuration. The name may have the prefix
// /configuration/, as saveconfig prints it.
func openConfigFile(env *shell.Env, name string) (io.ReadCloser, error) {
	base := strings.TrimPrefix(name, "/configuration/")
	if base == "" {
		return nil, refusal.New("The name of a file is required.")
	}
	missing := refusal.Newf(
		"The file %s does not exist in the directory configuration.", visible(name))
	full := path.Join(files.Configuration, base)
	if path.Dir(full) != files.Configuration {
		return nil, missing
	}
	f, err := env.Appliance.Files.Open(full)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err != nil || fi.IsDir() {
		return nil, errors.Join(missing, f.Close())
	}
	return f, nil
}
