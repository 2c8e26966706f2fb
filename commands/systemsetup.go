package commands

import (
	"context"
	"slices"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "systemsetup",
	Summary: "Set the system up in one dialogue.",
	Help: foldHelp("Asks for a new passphrase, the network, the listeners, alerts and the time. "+
		"The answers take effect at the end, without commit. Until then nothing is changed, so that "+
		"Ctrl-C leaves everything as it was.") + "\n\n" +
		foldHelp("All listeners and SMTP routes are replaced. Other settings stay unless the dialogue "+
			"asks for them."),
	Source: "public (parts, settings of listeners), mail.md 3.10 (warning, end), invented (texts)",
	Roles:  []users.Role{users.Administrator},
	Mode:   shell.MachineMode,
	Run: func(ctx context.Context, env *shell.Env) error {
		if env.Draft.Pending() {
			return refusal.New("There are uncommitted changes. Use commit or clearchanges first.")
		}
		env.Printf("WARNING: The system setup wizard deletes all existing listeners and their " +
			"settings,\nsuch as the Host Access Table. Mail operations may be interrupted.\n")
		sure, err := env.Confirm(ctx, "Are you sure you wish to continue?", true)
		if err != nil || !sure {
			return err
		}
		in := *env
		in.Draft = env.Appliance.Config.NewDraft()
		return (&setupWizard{&in}).run(ctx)
	},
})

// endOfPart is the line between the parts of the dialogue.
const endOfPart = "*****"

// A setupWizard is the dialogue of systemsetup. The draft of its environment is its own, so that
// the answers are forgotten if the dialogue does not reach its end.
type setupWizard struct{ env *shell.Env }

func (w *setupWizard) run(ctx context.Context) error {
	word := passphraseWord(w.env)
	w.env.Printf("\nBefore you begin, please reset the administrator %s to a new value.\n", word)
	setPassphrase, err := askOwnPassphrase(ctx, w.env, word)
	if err == nil {
		err = editSection(w.env, users.Section, setPassphrase)
	}
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{
		w.askHostname, w.askInterfaces, w.askGateway, w.askDNS, w.askListeners, w.askAlerts, w.askTime,
	} {
		w.env.Printf("\n%s\n\n", endOfPart)
		if err := part(ctx); err != nil {
			return err
		}
	}
	return w.finish(ctx)
}

// finish makes all answers take effect.
func (w *setupWizard) finish(ctx context.Context) error {
	w.env.Printf("\n%s\n\n", endOfPart)
	d := ipDialogue{w.env}
	d.warnIfNoSSH()
	if w.env.LocalAddr.IsValid() && !slices.ContainsFunc(d.list(), d.loggedInOver) {
		w.env.PrintWrapped("You are logged in through an address that the appliance will not have any " +
			"more: your session will end when the changes are committed.")
	}
	sure, err := w.env.Confirm(ctx, "Would you like to commit these changes at this time?", true)
	if err != nil {
		return err
	}
	if !sure {
		w.env.Printf("Nothing was changed.\n")
		return nil
	}
	if err := commitDraft(ctx, w.env, w.env.Draft, "System setup", true); err != nil {
		return err
	}
	logNewPassphrase(w.env)
	w.env.Printf("Congratulations! System setup is complete.\n")
	return nil
}

// model returns what the dialogue calls the appliance.
func (w *setupWizard) model() string { return w.env.Appliance.Product.Model }
