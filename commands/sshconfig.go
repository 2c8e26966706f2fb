package commands

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "sshconfig",
	Summary: "Manage SSH keys of users and the settings of the SSH server.",
	Help: "A key lets its owner log in without a passphrase.\n\n" +
		"SSHD lists the algorithms that the SSH server offers. Versions before 14 offer SHA-1 and " +
		"ciphers in CBC mode by default; later versions do if SETUP lists them. Changes apply to " +
		"connections that are opened after the commit.",
	Source: "public (operations, settings shown), invented (questions)",
	Mode:   shell.ClusterMode,
	Commit: true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return env.Menu(ctx, func() shell.Menu {
			return shell.Menu{Items: []shell.Item{
				{Key: "SSHD", Text: "Edit SSH server settings.", Run: func(ctx context.Context) error {
					return editSSHServer(ctx, env)
				}},
				{Key: "USERKEY", Text: "Edit SSH User Key settings", Run: func(ctx context.Context) error {
					return editUserKeys(ctx, env)
				}},
			}}
		})
	},
})

// An sshSetting is one of the settings that are lists of algorithms.
type sshSetting struct {
	kind shell.AlgorithmKind
	name string
}

// sshSettings returns the lists in the order of SETUP.
func sshSettings() []sshSetting {
	return []sshSetting{
		{shell.PublicKeyAlgorithms, "Public Key Authentication Algorithms"},
		{shell.CipherAlgorithms, "Cipher Algorithms"},
		{shell.MACMethods, "MAC Methods"},
		{shell.KEXAlgorithms, "KEX Algorithms"},
	}
}

// editSSHServer is the menu of the SSH server's settings.
func editSSHServer(ctx context.Context, env *shell.Env) error {
	return env.Menu(ctx, func() shell.Menu {
		settings := shell.Settings.Get(env.Draft)
		mayEdit := env.Account.Role == users.Administrator
		changed := false
		for _, s := range sshSettings() {
			changed = changed || len(*settings.Of(s.kind)) > 0
		}
		return shell.Menu{
			Header: func() { printSSHServer(env, settings) },
			Items: []shell.Item{
				{Key: "SETUP", Text: "Setup SSH server configuration settings", Absent: !mayEdit,
					Run: func(ctx context.Context) error { return setUpSSHServer(ctx, env) }},
				{Key: "DEFAULT", Text: "Return to the default settings of this version.",
					Absent: !mayEdit, Hidden: !changed, Run: func(context.Context) error {
						return editSection(env, shell.Settings, func(a *shell.Algorithms) error {
							*a = shell.Algorithms{}
							return nil
						})
					}},
			},
		}
	})
}

// printSSHServer prints the algorithms that the SSH server offers with the given settings.
func printSSHServer(env *shell.Env, settings shell.Algorithms) {
	offered := settings.Offered(env.Appliance.Product.Version)
	env.Printf("\nssh server config settings:\n")
	for _, s := range sshSettings() {
		if s.kind == shell.KEXAlgorithms {
			env.Printf("Minimum Server Key Size:\n        %d\n", shell.MinServerKeySize)
		}
		env.Printf("%s:\n", s.name)
		for _, name := range *offered.Of(s.kind) {
			env.Printf("        %s\n", name)
		}
	}
}

// setUpSSHServer asks for the lists of algorithms. A list that is entered as it is by default
// stays the default, also of a later version.
func setUpSSHServer(ctx context.Context, env *shell.Env) error {
	version := env.Appliance.Product.Version
	defaults := shell.DefaultAlgorithms(version)
	return editSection(env, shell.Settings, func(a *shell.Algorithms) error {
		offered := a.Offered(version)
		for _, s := range sshSettings() {
			question := "Enter the " + s.name + " do you want to use"
			present := strings.Join(*offered.Of(s.kind), ",")
			var names []string
			_, err := env.Ask(ctx, question, present, func(answer string) error {
				names = splitAlgorithms(answer)
				if len(names) == 0 {
					return refusal.New("The value must be a list of names that are separated by commas.")
				}
				return shell.CheckAlgorithms(s.kind, names)
			})
			if err != nil {
				return err
			}
			if slices.Equal(names, *defaults.Of(s.kind)) {
				names = nil
			}
			*a.Of(s.kind) = names
		}
		return nil
	})
}

// splitAlgorithms splits an answer at commas and blanks.
func splitAlgorithms(answer string) []string {
	return strings.FieldsFunc(answer, func(r rune) bool { return r == ',' || r == ' ' })
}

// editUserKeys is the menu of a user's keys, which begins with the administrator's own.
func editUserKeys(ctx context.Context, env *shell.Env) error {
	name := env.Account.Name
	switchUser := func(ctx context.Context) error {
		_, err := env.Ask(ctx, "Enter the name of the user.", "", func(answer string) error {
			accounts := users.Section.Get(env.Draft)
			if accounts.Find(answer) == nil {
				return refusal.Newf("The user %s does not exist.", visible(answer))
			}
			name = answer
			return nil
		})
		return err
	}
	return env.Menu(ctx, func() shell.Menu {
		accounts := users.Section.Get(env.Draft)
		var keys []string
		if a := accounts.Find(name); a != nil {
			keys = a.Keys
		}
		add := func(ctx context.Context) error { return newUserKey(ctx, env, name) }
		remove := func(ctx context.Context) error { return deleteUserKey(ctx, env, name, keys) }
		onlyOwnKeys := env.Account.Role != users.Administrator || len(accounts.List) == 1
		return shell.Menu{
			Header: func() { printUserKeys(env, name, keys) },
			Items: []shell.Item{
				{Key: "NEW", Text: "Add a new key.", Run: add},
				{Key: "DELETE", Text: "Remove a key.", Hidden: len(keys) == 0, Run: remove},
				{Key: "USER", Text: "Switch to the keys of another user.",
					Hidden: onlyOwnKeys, Run: switchUser},
			},
		}
	})
}

func printUserKeys(env *shell.Env, name string, keys []string) {
	env.Printf("\nCurrently installed keys for %s:\n", name)
	for i, line := range keys {
		k, err := users.ParseKey(line)
		if err != nil { // cannot happen: a commit checks the keys
			k.Fingerprint = visible(line)
		}
		env.Printf("%d. %s\n", i+1, keyText(k))
	}
	if len(keys) == 0 {
		env.Printf("(none)\n")
	}
}

// keyText describes a key so that people can tell it from others.
func keyText(k users.Key) string {
	text := k.Type + " " + k.Fingerprint
	if k.Comment != "" {
		text += " (" + k.Comment + ")"
	}
	return text
}

func newUserKey(ctx context.Context, env *shell.Env, name string) error {
	var key users.Key
	const question = "Paste the public key, on one line, in the form of OpenSSH's files."
	_, err := env.Ask(ctx, question, "", func(answer string) (err error) {
		key, err = users.ParseKey(answer)
		return err
	})
	if err != nil {
		return err
	}
	err = changeAccount(env, name, func(a *users.Account) error {
		for _, line := range a.Keys {
			if k, err := users.ParseKey(line); err == nil && k.Fingerprint == key.Fingerprint {
				return refusal.Newf("The key is already installed for %s.", name)
			}
		}
		a.Keys = append(a.Keys, key.Line)
		return nil
	})
	if err == nil {
		env.Printf("The key has been added for %s.\n", name)
	}
	return err
}

func deleteUserKey(ctx context.Context, env *shell.Env, name string, keys []string) error {
	var line string
	_, err := env.Ask(ctx, "Enter the number of the key to remove.", "", func(answer string) error {
		n, err := strconv.Atoi(answer)
		if err != nil || n < 1 || n > len(keys) {
			return refusal.Newf("The value must be an integer from 1 to %d.", len(keys))
		}
		line = keys[n-1]
		return nil
	})
	if err != nil {
		return err
	}
	err = changeAccount(env, name, func(a *users.Account) error {
		a.Keys = slices.DeleteFunc(a.Keys, func(k string) bool { return k == line })
		return nil
	})
	if err == nil {
		env.Printf("The key has been removed for %s.\n", name)
	}
	return err
}
