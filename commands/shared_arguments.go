package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that commands with an inline form share.

// argumentsOrQuestions calls parse if the command was given arguments, or came as an SSH
// command line, which cannot answer questions. Otherwise it calls ask.
func argumentsOrQuestions(ctx context.Context, env *shell.Env,
	parse func(*shell.Env) error, ask func(context.Context, *shell.Env) error) error {
	if len(env.Args) > 0 || env.Inline {
		return parse(env)
	}
	return ask(ctx, env)
}

// invalidArgument turns the refusal of an answer into the refusal of an argument with that
// value, which has the same text and cause. It returns other errors unchanged.
func invalidArgument(value string, err error) error {
	if text, ok := refusal.Text(err); ok {
		return &shell.InvalidArgumentError{
			Text: text, Value: printable(value), Cause: refusal.Cause(err),
		}
	}
	return err
}
