package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// What the commands about pending and committed changes share.

// printChanges prints changes as a tree, an element a line.
func printChanges(w io.Writer, changes []config.Difference) error {
	var b strings.Builder
	for _, d := range changes {
		changeTree(&b, d, 0)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func changeTree(b *strings.Builder, d config.Difference, depth int) {
	name := d.Name
	if d.Key != "" {
		name += " " + visible(d.Key)
	}
	fmt.Fprintf(b, "%s%s:", strings.Repeat("  ", depth), name)
	leaf := len(d.Children) == 0
	switch {
	case d.Kind == config.Removed:
		b.WriteString(" removed\n")
		return // what was in it has gone with it
	case leaf && d.Kind == config.Added && d.Key == "":
		b.WriteString(" " + visible(d.New) + "\n")
	case d.Kind == config.Added:
		b.WriteString(" added\n")
	case leaf && d.Old != d.New:
		b.WriteString(" " + visible(d.Old) + " -> " + visible(d.New) + "\n")
	case leaf && d.New != "": // a passphrase: both are masked
		b.WriteString(" changed\n")
	case leaf:
		b.WriteString(" order changed\n")
	default:
		b.WriteString("\n")
	}
	for _, in := range d.Children {
		changeTree(b, in, depth+1)
	}
}

// commitDraft commits d, notes it in the log, and words what may be in the way.
func commitDraft(ctx context.Context, env *shell.Env, d *config.Draft, comment string, keep bool) error {
	_, err := env.Appliance.Config.Commit(ctx, d, config.CommitInfo{User: env.Account.Name, Comment: comment, KeepForRollback: keep})
	if err != nil {
		return commitRefusal(err)
	}
	session := 0
	if env.Login != nil {
		session = env.Login.ID()
	}
	env.Appliance.Log(appliance.SystemLog, appliance.Information,
		fmt.Sprintf("PID %d: User %s commit changes: %s", session, env.Account.Name, comment))
	return nil
}

// commitRefusal returns the error of a commit with the CLI's advice, if there is any.
func commitRefusal(err error) error {
	var conflict *config.ConflictError
	switch {
	case errors.As(err, &conflict):
		return refusal.Newf("The changes cannot be committed: another session has meanwhile changed %s.\nUse clearchanges, and make your changes again.",
			strings.Join(conflict.Sections, ", "))
	case errors.Is(err, config.ErrNoChanges):
		return refusal.New("There is no data to commit.")
	}
	return err
}
