package commands

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "userconfig",
	Summary: "Manage the accounts of administrators.",
	Help: "An account has a name, a full name, a role and a passphrase. " +
		"The role decides which commands it may use.",
	Source: "public (list, operations), invented (questions)",
	Roles:  []users.Role{users.Administrator},
	Mode:   shell.ClusterMode,
	Commit: true,
	Run: func(ctx context.Context, env *shell.Env) error {
		word := passphraseWord(env)
		return env.Menu(ctx, func() shell.Menu {
			accounts := users.Section.Get(env.Draft)
			onlyOne := len(accounts.List) == 1
			return shell.Menu{
				Header: func() { printAccounts(env, accounts) },
				Items: []shell.Item{
					{Key: "NEW", Text: "Create a new account.", Run: withEnv(env, newAccount)},
					{Key: "EDIT", Text: "Modify an account.", Run: withEnv(env, editAccount)},
					{Key: "DELETE", Text: "Remove an account.",
						Hidden: onlyOne, Run: withEnv(env, deleteAccount)},
					{Key: strings.ToUpper(word), Text: "Change the " + word + " for a user.",
						Run: withEnv(env, setPassphrase)},
					{Key: "STATUS", Text: "Change the account status.", Run: withEnv(env, setAccountStatus)},
				},
			}
		})
	},
})

func printAccounts(env *shell.Env, accounts users.Accounts) {
	env.Printf("\nUsers:\n")
	for i, a := range accounts.List {
		locked := ""
		if a.Locked {
			locked = " (locked)"
		}
		env.PrintWrapped(fmt.Sprintf("%d. %s - \"%s\" (%s)%s",
			i+1, a.Name, a.FullName, a.Role.Groups()[0], locked))
	}
	env.Printf("\nExternal authentication: Disabled\n")
}

func newAccount(ctx context.Context, env *shell.Env) error {
	a := users.Account{Role: users.Guest}
	err := env.Form(ctx,
		shell.Text(&a.Name, "Enter the new user name.", func(name string) error {
			accounts := users.Section.Get(env.Draft)
			if accounts.Find(name) != nil {
				return refusal.Newf("The user name %s is already in use.", name)
			}
			return users.CheckName(name)
		}),
		accountForm(&a),
	)
	if err != nil {
		return err
	}
	if a.Hash, err = askNewPassphrase(ctx, env, a.Name); err != nil {
		return err
	}
	err = editAccounts(env, func(v *users.Accounts) error {
		v.List = append(v.List, a)
		return nil
	})
	if err == nil {
		env.Printf("The account %s has been created.\n", a.Name)
	}
	return err
}

// accountForm asks the questions that NEW and EDIT share.
func accountForm(a *users.Account) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		return d.Form(ctx,
			shell.Text(&a.FullName, "Enter the full name of "+a.Name+".", users.CheckFullName),
			shell.When(func() bool { return a.Name != users.FactoryName },
				shell.OneOf(&a.Role, "Choose the role of "+a.Name+".", users.Roles()...)),
		)
	}
}

func editAccount(ctx context.Context, env *shell.Env) error {
	a, err := chooseAccount(ctx, env, "edit", nil)
	if err != nil {
		return err
	}
	if err := env.Form(ctx, accountForm(&a)); err != nil {
		return err
	}
	return changeAccount(env, a.Name, func(now *users.Account) error {
		now.FullName, now.Role = a.FullName, a.Role
		return nil
	})
}

func deleteAccount(ctx context.Context, env *shell.Env) error {
	a, err := chooseAccount(ctx, env, "delete", func(a users.Account) error {
		switch a.Name {
		case users.FactoryName:
			return refusal.Newf("The account %s cannot be removed.", a.Name)
		case env.Account.Name:
			return refusal.New("You cannot remove the account that you are using.")
		}
		return nil
	})
	if err != nil {
		return err
	}
	sure, err := env.Confirm(ctx, "Are you sure you want to delete "+a.Name+"?", false)
	if err != nil || !sure {
		return err
	}
	err = editAccounts(env, func(v *users.Accounts) error {
		v.List = slices.DeleteFunc(v.List, func(o users.Account) bool { return o.Name == a.Name })
		return nil
	})
	if err == nil {
		env.Printf("The account %s has been deleted.\n", a.Name)
	}
	return err
}

func setPassphrase(ctx context.Context, env *shell.Env) error {
	a, err := chooseAccount(ctx, env, "change", nil)
	if err != nil {
		return err
	}
	hash, err := askNewPassphrase(ctx, env, a.Name)
	if err != nil {
		return err
	}
	err = changeAccount(env, a.Name, func(now *users.Account) error {
		now.Hash = hash
		return nil
	})
	if err == nil {
		env.Printf("%s changed for %s.\n", capital(passphraseWord(env)), a.Name)
	}
	return err
}

func setAccountStatus(ctx context.Context, env *shell.Env) error {
	a, err := chooseAccount(ctx, env, "change the status of", nil)
	if err != nil {
		return err
	}
	question, done := "This account is available. Do you want to lock it?", "locked"
	if a.Locked {
		question, done = "This account is locked. Do you want to make it available?", "unlocked"
	}
	sure, err := env.Confirm(ctx, question, false)
	if err != nil || !sure {
		return err
	}
	err = changeAccount(env, a.Name, func(now *users.Account) error {
		now.Locked = !a.Locked
		return nil
	})
	if err == nil {
		env.Printf("The account %s has been %s.\n", a.Name, done)
	}
	return err
}

// chooseAccount asks for an account by name or by its number in the list. If check is not nil,
// it may refuse the account.
func chooseAccount(
	ctx context.Context, env *shell.Env, verb string, check func(users.Account) error,
) (users.Account, error) {
	var chosen users.Account
	question := fmt.Sprintf("Enter the user name or number to %s.", verb)
	_, err := env.Ask(ctx, question, "", func(answer string) error {
		accounts := users.Section.Get(env.Draft)
		found := accounts.Find(answer)
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(accounts.List) {
			found = &accounts.List[n-1]
		}
		if found == nil {
			return refusal.Newf("The user %s does not exist.", visible(answer))
		}
		chosen = *found
		if check == nil {
			return nil
		}
		return check(chosen)
	})
	return chosen, err
}

// askNewPassphrase asks for the passphrase of an account and returns its hash.
func askNewPassphrase(ctx context.Context, env *shell.Env, name string) (string, error) {
	word := passphraseWord(env)
	return askNewHash(ctx, env, name, word,
		fmt.Sprintf("Enter the new %s for %s.", word, name),
		fmt.Sprintf("Enter the new %s again.", word),
		func(ctx context.Context, question string) (string, error) {
			return env.AskSecret(ctx, question, nil)
		})
}
