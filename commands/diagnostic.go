package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "diagnostic",
	Summary: "Check the hardware, the disk and the network.",
	Help: "diagnostic raid | disk_usage\n" +
		"diagnostic network flush | arpshow | ndpshow | smtpping\n" +
		"diagnostic reporting deletedb | enable | disable\n" +
		"diagnostic tracking deletedb\n" +
		"diagnostic reload\n" +
		"diagnostic services <name> restart | status\n\n" +
		"The inline forms do not ask, except for smtpping and reload: they read the answers from standard input\n" +
		"where there is no terminal.",
	Source: "B24, B43 to B45 (menus); arp(8) and ndp(8) of FreeBSD (tables); invented (other texts)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		d := &diagnosis{env: env, words: env.Args, newer: !env.Appliance.Product.Version.Before(product.Version{Major: 7})}
		return d.menu(ctx, d.top)
	},
})

// A diagnosis is one run of diagnostic.
type diagnosis struct {
	env   *shell.Env
	words []string // inline: those not used up yet
	newer bool     // the menus of AsyncOS 7 and later
}

// top is the first menu (B24, B45).
func (d *diagnosis) top() shell.Menu {
	return shell.Menu{Items: []shell.Item{
		{Key: "RAID", Text: "Disk Verify Utility.", Run: d.last(d.raid)},
		{Key: "DISK_USAGE", Text: "Check Disk Usage.", Run: d.last(d.diskUsage)},
		{Key: "NETWORK", Text: "Network Utilities.", Run: d.to(d.network)},
		{Key: "REPORTING", Text: "Reporting Utilities.", Run: d.to(d.reporting)},
		{Key: "TRACKING", Text: "Tracking Utilities.", Run: d.to(d.tracking)},
		{Key: "RELOAD", Text: "Reset configuration to the initial manufacturer values.",
			Hidden: !d.newer || d.env.Account.Role != users.Administrator, Run: d.last(d.reload)},
		{Key: "SERVICES", Text: "Service Utilities.", Hidden: !d.newer, Run: d.to(d.services)},
	}}
}

// menu shows a menu. Inline, the next word chooses from it, as it would if it were
// typed there.
func (d *diagnosis) menu(ctx context.Context, m func() shell.Menu) error {
	if len(d.env.Args) == 0 {
		return d.env.Menu(ctx, m)
	}
	expected := "Expected one of: " + strings.ToLower(strings.Join(m().Keys(), ", ")) + "."
	if len(d.words) == 0 {
		return shell.InvalidArgumentf(d.env.Args[len(d.env.Args)-1], "One more argument is needed. %s", expected)
	}
	word := d.words[0]
	item, err := m().Find(word)
	if err != nil {
		return shell.InvalidArgumentf(word, "%s", expected)
	}
	d.words = d.words[1:]
	return item.Run(ctx)
}

// to leads to another menu.
func (d *diagnosis) to(m func() shell.Menu) func(context.Context) error {
	return func(ctx context.Context) error { return d.menu(ctx, m) }
}

// last is an operation that takes no more words.
func (d *diagnosis) last(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if len(d.words) > 0 {
			return shell.InvalidArgumentf(d.words[0], "No more arguments are expected.")
		}
		return run(ctx)
	}
}

// inline reports whether the operation was named by arguments, which is also the
// answer to whether the administrator means it.
func (d *diagnosis) inline() bool { return len(d.env.Args) > 0 }

func (d *diagnosis) raid(context.Context) error {
	raid, ok := d.env.Appliance.Product.RAID()
	if !ok {
		d.env.Printf("RAID is not supported on a virtual appliance.\n")
		return nil
	}
	d.env.Printf("RAID Version: %s\nRAID Status: %s\nRAID Type: %s\n", raid.Version, raid.Status, raid.Type)
	d.env.PrintWrapped("The disks need no verification.")
	return nil
}

func (d *diagnosis) reload(ctx context.Context) error {
	d.env.PrintWrapped("This command will remove all user settings and reset the entire device.")
	if d.env.Appliance.Product.Virtual() {
		d.env.PrintWrapped("If this is a Virtual Appliance, all feature keys will be removed, and the license must be reapplied.")
	}
	d.env.PrintWrapped("Accounts, saved configurations, captures, logs and the history of logins are removed, too.")
	for _, question := range []string{"Are you sure you want to continue?", "Nothing of it can be restored. Are you really sure?"} {
		sure, err := d.env.Confirm(ctx, question, false)
		if err != nil || !sure {
			return err
		}
	}
	if !d.env.Appliance.Power(appliance.Reload, 0) {
		return refusal.New("It is not possible to reset this system.")
	}
	d.env.Printf("System rebooting.  Please wait while the settings are removed...\nClosing CLI connection.\n")
	return shell.ErrLogout
}

func (d *diagnosis) reporting() shell.Menu {
	db := d.env.Appliance.Reporting
	m := d.database(db)
	m.Header = func() { d.env.Printf("\nReporting is %s.\n", onOff(db.Enabled())) }
	m.Items = append(m.Items,
		shell.Item{Key: "DISABLE", Text: "Disable reporting.", Hidden: !d.inline() && !db.Enabled(), Run: d.last(d.enable(db, false))},
		shell.Item{Key: "ENABLE", Text: "Enable reporting.", Hidden: !d.inline() && db.Enabled(), Run: d.last(d.enable(db, true))})
	return m
}

func (d *diagnosis) tracking() shell.Menu { return d.database(d.env.Appliance.Tracking) }

func onOff(on bool) string {
	if on {
		return "enabled"
	}
	return "disabled"
}

// database is what can be done with any.
func (d *diagnosis) database(db *appliance.Database) shell.Menu {
	return shell.Menu{Items: []shell.Item{{
		Key: "DELETEDB", Text: "Remove all data and begin anew.", Run: d.last(func(ctx context.Context) error { return d.deleteData(ctx, db) }),
	}}}
}

func (d *diagnosis) deleteData(ctx context.Context, db *appliance.Database) error {
	files, bytes, err := db.Usage()
	if err != nil {
		return err
	}
	if !d.inline() {
		d.env.PrintWrapped(fmt.Sprintf("The database holds %s (%dK). What is removed cannot be restored.", fileCount(files), blocks(bytes)))
		sure, err := d.env.Confirm(ctx, "Are you sure you want to remove all of it?", false)
		if err != nil || !sure {
			return err
		}
	}
	if err := db.Delete(); err != nil {
		return err
	}
	d.env.Printf("The database is empty now: %s removed.\n", fileCount(files))
	return nil
}

func fileCount(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

func (d *diagnosis) enable(db *appliance.Database, on bool) func(context.Context) error {
	return func(ctx context.Context) error {
		if db.Enabled() == on {
			d.env.Printf("Reporting is %s already.\n", onOff(on))
			return nil
		}
		if !d.inline() {
			sure, err := d.env.Confirm(ctx, fmt.Sprintf("Are you sure that reporting is to be %s?", onOff(on)), false)
			if err != nil || !sure {
				return err
			}
		}
		if err := db.Enable(on); err != nil {
			return err
		}
		d.env.Printf("Reporting has been %s.\n", onOff(on))
		return nil
	}
}
