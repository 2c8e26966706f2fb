package commands

import (
	"context"

	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "setttymode",
	Summary: "Set the TTY mode of this session.",
	Help: "In the interactive mode long output stops at the end of each page and waits for a key. " +
		"In the non-interactive mode it does not stop. The mode lasts until you log out.",
	Source: "public (function), invented (dialogue)",
	Run: func(ctx context.Context, env *shell.Env) error {
		modes := []string{"Interactive", "Non-interactive"}
		now := 0
		if !env.Paging() {
			now = 1
		}
		env.Printf("Current TTY mode: %s\n", modes[now])
		mode, err := env.Choose(ctx, "Choose the TTY mode:", now, modes...)
		if err != nil {
			return err
		}
		env.SetPaging(mode == 0)
		if mode != now {
			env.Printf("The TTY mode is now: %s\n", modes[mode])
		}
		return nil
	},
})
