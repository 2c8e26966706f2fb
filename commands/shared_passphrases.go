package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that the commands that set passphrases share.

// passphraseWord returns the version's word for a passphrase: "password" before version 9.
func passphraseWord(env *shell.Env) string {
	if env.Appliance.Product.Version.Before(product.Version{Major: 9}) {
		return "password"
	}
	return "passphrase"
}

// changePassphrase is the conversation in which users change their own passphrase. The change
// takes effect at once.
func changePassphrase(ctx context.Context, env *shell.Env, word string) error {
	name := env.Account.Name
	setHash, err := askOwnPassphrase(ctx, env, word)
	if err != nil {
		return err
	}
	change := config.CommitInfo{User: name, Comment: "Changed the " + word + " of " + name}
	err = users.Section.CommitNow(ctx, env.Appliance.Config, env.Draft, change, setHash)
	if err != nil {
		return commitRefusal(err)
	}
	logNewPassphrase(env)
	env.Printf("%s changed.\n", capital(word))
	return nil
}

// askOwnPassphrase asks for the present and the new passphrase of the user, and returns a function
// that changes the account.
func askOwnPassphrase(
	ctx context.Context, env *shell.Env, word string) (change func(*users.Accounts) error, err error) {
	name := env.Account.Name
	env.Printf("\n") // the questions stand in a block
	old, err := env.Secret(ctx, "Old "+word+": ")
	if err != nil {
		return nil, err
	}
	if _, err := env.Appliance.Users.Verify(name, old); err != nil {
		return nil, refusal.Newf("The old %s is not correct.", word)
	}
	hash, err := askNewHash(ctx, env, name, word,
		"New "+word+": ", "Retype new "+word+": ", env.Secret)
	if err != nil {
		return nil, err
	}
	return func(v *users.Accounts) error {
		a := v.Find(name)
		if a == nil {
			return refusal.Newf("The account %s does not exist any more.", name)
		}
		a.Hash = hash
		return nil
	}, nil
}

// logNewPassphrase logs that the user has a new passphrase.
func logNewPassphrase(env *shell.Env) {
	env.Appliance.Log(appliance.AuthenticationLog, appliance.Information,
		"Passphrase has been changed for user "+env.Account.Name)
}

// askNewHash asks for a passphrase, twice, until the rules allow it and both answers agree. It
// returns the passphrase's hash.
func askNewHash(
	ctx context.Context, env *shell.Env, name, word, question, retypeQuestion string,
	secret func(context.Context, string) (string, error)) (string, error) {
	for {
		first, err := secret(ctx, question)
		if err != nil {
			return "", err
		}
		if err := users.CheckPassphrase(name, first); err != nil {
			text, ok := refusal.Text(err)
			if !ok {
				return "", err
			}
			env.PrintWrapped(strings.ReplaceAll(text, "passphrase", word))
			continue
		}
		second, err := secret(ctx, retypeQuestion)
		if err != nil {
			return "", err
		}
		if first == second {
			return users.HashPassphrase(first)
		}
		env.PrintWrapped(fmt.Sprintf("The %ss do not match.", word))
	}
}
