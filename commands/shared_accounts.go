package commands

import (
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that the commands that change accounts share.

// changeAccount changes one account in the draft.
func changeAccount(env *shell.Env, name string, change func(*users.Account) error) error {
	return editAccounts(env, func(v *users.Accounts) error {
		a := v.Find(name)
		if a == nil {
			return refusal.Newf("The account %s does not exist any more.", name)
		}
		return change(a)
	})
}

// editAccounts changes the accounts in the draft, if the result is valid.
func editAccounts(env *shell.Env, change func(*users.Accounts) error) error {
	err := users.Section.Edit(env.Draft, func(v *users.Accounts) error {
		if err := change(v); err != nil {
			return err
		}
		return v.Check()
	})
	return commitRefusal(err)
}
