package commands

import (
	"context"
	"fmt"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/capture"
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
		"diagnostic network tcpdump [start | stop | status | clear]\n" +
		"diagnostic network tcpdump [filter <expression> | interface <name>]\n" +
		"diagnostic reporting deletedb | enable | disable\n" +
		"diagnostic tracking deletedb\n" +
		"diagnostic reload\n" +
		"diagnostic services <name> restart | status\n\n" +
		"The inline forms ask no questions, except for smtpping, tcpdump and reload. Without a terminal\n" +
		"these read the answers from standard input. A capture of tcpdump ends when you leave its\n" +
		"menu, so that start stays there.\n\n" +
		foldHelp(capture.Warning),
	Source: "B24, B43 to B45 (menus); arp(8) and ndp(8) of FreeBSD (tables); invented (other texts)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		d := &diagnosticRun{env: env, args: env.Args}
		d.version7 = !env.Appliance.Product.Version.Before(product.Version{Major: 7})
		return d.menu(ctx, d.top)
	},
})

// A diagnosticRun is one run of diagnostic.
type diagnosticRun struct {
	env      *shell.Env
	args     []string // those that no menu has used yet; inline form only
	version7 bool     // show the menus of AsyncOS 7 and later
}

// top is the first menu (B24, B45).
func (d *diagnosticRun) top() shell.Menu {
	return shell.Menu{Items: []shell.Item{
		{Key: "RAID", Text: "Disk Verify Utility.", Run: d.operation(d.raid)},
		{Key: "DISK_USAGE", Text: "Check Disk Usage.", Run: d.operation(d.diskUsage)},
		{Key: "NETWORK", Text: "Network Utilities.", Run: d.submenu(d.network)},
		{Key: "REPORTING", Text: "Reporting Utilities.", Run: d.submenu(d.reporting)},
		{Key: "TRACKING", Text: "Tracking Utilities.", Run: d.submenu(d.tracking)},
		{Key: "RELOAD", Text: "Reset configuration to the initial manufacturer values.",
			Absent: !d.version7 || d.env.Account.Role != users.Administrator, Run: d.operation(d.reload)},
		{Key: "SERVICES", Text: "Service Utilities.", Absent: !d.version7, Run: d.submenu(d.services)},
	}}
}

// menu shows a menu. In the inline form the next argument chooses from it, like an answer.
func (d *diagnosticRun) menu(ctx context.Context, m func() shell.Menu) error {
	if len(d.env.Args) == 0 {
		return d.env.Menu(ctx, m)
	}
	if len(d.args) == 0 {
		return shell.InvalidArgumentf(d.env.Args[len(d.env.Args)-1],
			"One more argument is needed. %s", expectedKeys(m()))
	}
	item, err := findInline(d.args[0], m())
	if err != nil {
		return err
	}
	d.args = d.args[1:]
	return item.Run(ctx)
}

// submenu returns the operation that shows another menu.
func (d *diagnosticRun) submenu(m func() shell.Menu) func(context.Context) error {
	return func(ctx context.Context) error { return d.menu(ctx, m) }
}

// operation returns the operation that calls run. It refuses further arguments.
func (d *diagnosticRun) operation(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if len(d.args) > 0 {
			return shell.InvalidArgumentf(d.args[0], "No more arguments are expected.")
		}
		return run(ctx)
	}
}

// inline reports whether arguments named the operation. If so, the administrator is not asked
// to confirm it.
func (d *diagnosticRun) inline() bool { return len(d.env.Args) > 0 }

func (d *diagnosticRun) raid(context.Context) error {
	raid, ok := d.env.Appliance.Product.RAID()
	if !ok {
		d.env.Printf("RAID is not supported on a virtual appliance.\n")
		return nil
	}
	d.env.Printf("RAID Version: %s\nRAID Status: %s\nRAID Type: %s\n",
		raid.Version, raid.Status, raid.Type)
	d.env.PrintWrapped("The disks do not need verification.")
	return nil
}

func (d *diagnosticRun) reload(ctx context.Context) error {
	d.env.PrintWrapped("This command will remove all user settings and reset the entire device.")
	if d.env.Appliance.Product.Virtual() {
		d.env.PrintWrapped("If this is a Virtual Appliance, all feature keys will be removed, " +
			"and the license must be reapplied.")
	}
	d.env.PrintWrapped("Accounts, saved configurations, captures, logs and the login history " +
		"will also be removed.")
	for _, question := range []string{
		"Are you sure you want to continue?",
		"None of this can be restored. Are you really sure?",
	} {
		sure, err := d.env.Confirm(ctx, question, false)
		if err != nil || !sure {
			return err
		}
	}
	if !d.env.Appliance.Power(appliance.Reload, 0) {
		return refusal.New("It is not possible to reset this system.")
	}
	d.env.Printf("System rebooting.  Please wait while the settings are removed...\n" +
		"Closing CLI connection.\n")
	return shell.ErrLogout
}

func (d *diagnosticRun) reporting() shell.Menu {
	db := d.env.Appliance.Reporting
	m := d.databaseMenu(db)
	m.Header = func() { d.env.Printf("\nReporting is %s.\n", enabledText(db.Enabled())) }
	m.Items = append(m.Items,
		shell.Item{Key: "DISABLE", Text: "Disable reporting.",
			Hidden: !d.inline() && !db.Enabled(), Run: d.operation(d.enable(db, false))},
		shell.Item{Key: "ENABLE", Text: "Enable reporting.",
			Hidden: !d.inline() && db.Enabled(), Run: d.operation(d.enable(db, true))})
	return m
}

func (d *diagnosticRun) tracking() shell.Menu { return d.databaseMenu(d.env.Appliance.Tracking) }

func enabledText(on bool) string {
	if on {
		return "enabled"
	}
	return "disabled"
}

// databaseMenu returns the operations that every database has.
func (d *diagnosticRun) databaseMenu(db *appliance.Database) shell.Menu {
	return shell.Menu{Items: []shell.Item{{
		Key: "DELETEDB", Text: "Remove all data and start with an empty database.",
		Run: d.operation(func(ctx context.Context) error { return d.deleteData(ctx, db) }),
	}}}
}

func (d *diagnosticRun) deleteData(ctx context.Context, db *appliance.Database) error {
	files, bytes, err := db.Usage()
	if err != nil {
		return err
	}
	if !d.inline() {
		d.env.PrintWrapped(fmt.Sprintf("The database holds %s (%dK). Removed data cannot be restored.",
			fileCount(files), blocks1K(bytes)))
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

func (d *diagnosticRun) enable(db *appliance.Database, on bool) func(context.Context) error {
	verb := "disable"
	if on {
		verb = "enable"
	}
	return func(ctx context.Context) error {
		if db.Enabled() == on {
			d.env.Printf("Reporting is already %s.\n", enabledText(on))
			return nil
		}
		if !d.inline() {
			sure, err := d.env.Confirm(ctx, "Are you sure you want to "+verb+" reporting?", false)
			if err != nil || !sure {
				return err
			}
		}
		if err := db.SetEnabled(on); err != nil {
			return err
		}
		d.env.Printf("Reporting has been %s.\n", enabledText(on))
		return nil
	}
}
