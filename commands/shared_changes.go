package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that the commands that show or commit changes share.

// printChanges prints changes as a tree, one line for each element.
func printChanges(w io.Writer, changes []config.Difference) error {
	var b strings.Builder
	for _, l := range config.ChangeLines(changes, "->") {
		fmt.Fprintf(&b, "%s%s:", strings.Repeat("  ", l.Depth), l.Name)
		if l.Change != "" {
			b.WriteString(" " + l.Change)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// commitDraft commits d on behalf of this session. If keep is true, the configuration is kept for
// rollbackconfig.
func commitDraft(
	ctx context.Context, env *shell.Env, d *config.Draft, comment string, keep bool) error {
	session := 0
	if env.Login != nil {
		session = env.Login.ID()
	}
	err := env.Appliance.Commit(ctx, d, session, config.CommitInfo{
		User: env.Account.Name, Comment: comment, KeepForRollback: keep,
	})
	return commitRefusal(err)
}

// commitRefusal returns the error of a commit with the CLI's advice, if there is any.
func commitRefusal(err error) error {
	var conflict *config.ConflictError
	switch {
	case errors.As(err, &conflict):
		return refusal.Newf("The changes cannot be committed: "+
			"another session has meanwhile changed %s.\n"+
			"Use clearchanges, and make your changes again.", strings.Join(conflict.Sections, ", "))
	case errors.Is(err, config.ErrNoChanges):
		return refusal.New("There is no data to commit.")
	}
	return err
}
