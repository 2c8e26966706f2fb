package commands

import (
	"context"
	"slices"
	"strconv"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "sshconfig",
	Summary: "Manage SSH keys of users; show the settings of the SSH server.",
	Help:    "A key lets its owner log in without a passphrase.",
	Source:  "public (operations, settings shown), invented (questions)",
	Mode:    shell.ClusterMode,
	Commit:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return env.Menu(ctx, func() shell.Menu {
			return shell.Menu{Items: []shell.Item{
				{Key: "SSHD", Text: "Show SSH server settings.", Run: func(context.Context) error {
					printSSHD(env)
					return nil
				}},
				{Key: "USERKEY", Text: "Edit SSH User Key settings.", Run: func(ctx context.Context) error {
					return editUserKeys(ctx, env)
				}},
			}}
		})
	},
})

// printSSHD prints the algorithms that the SSH server offers.
func printSSHD(env *shell.Env) {
	offered := shell.SSHAlgorithms()
	env.Printf("ssh server config settings:\n")
	for _, row := range []struct {
		what  string
		names []string
	}{
		{"Public Key Authentication Algorithms:", offered.PublicKeys},
		{"Cipher Algorithms:", offered.Ciphers},
		{"MAC Methods:", offered.MACs},
		{"KEX Algorithms:", offered.KeyExchanges},
	} {
		env.Printf("%s\n", row.what)
		for _, name := range row.names {
			env.Printf("        %s\n", name)
		}
	}
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
		if err != nil { // impossible: a commit checks the keys
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
