package commands_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/shell/shelltest"
)

// A testSession is an administrator's session on an appliance without a network.
type testSession struct {
	dir       string
	appliance *appliance.Appliance
	env       *shell.Env
}

func newTestSession(t *testing.T, user string, quota int64) *testSession {
	t.Helper()
	dir := t.TempDir()
	app, err := appliance.New(appliance.Options{
		Dir: dir, Quota: quota,
		Product: product.Facts{Model: "C100V", Serial: "421F6D8FB9C75E19C425-C9AEA81B2B70", Version: product.Version{Major: 14}},
		Clock:   clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Stop(context.Background()) })
	return &testSession{dir, app, &shell.Env{Appliance: app, Draft: app.Config.NewDraft(), Account: users.Account{Name: user, Role: users.Administrator}}}
}

// run runs a command with these answers and returns its error.
func (d *testSession) run(t *testing.T, name string, answers ...string) error {
	t.Helper()
	p := shelltest.NewPrompter(answers...)
	d.env.Dialogue = shell.NewDialogue(p)
	err := runCommand(t.Context(), d.env, name)
	if p.Unused() > 0 {
		t.Errorf("%d answers were not asked for:\n%s", p.Unused(), p)
	}
	return err
}

// runCommand runs the command called name.
func runCommand(ctx context.Context, env *shell.Env, name string) error {
	for _, c := range commands.All() {
		if c.Name == name {
			return c.Run(ctx, env)
		}
	}
	return fmt.Errorf("there is no command %s", name)
}

func wantRefusal(t *testing.T, err error, text string) {
	t.Helper()
	if got, ok := refusal.Text(err); !ok || !strings.Contains(got, text) {
		t.Errorf("error %v, want a refusal with %q", err, text)
	}
}

func TestSaveconfigOnFullDisk(t *testing.T) {
	d := newTestSession(t, "admin", 100)
	wantRefusal(t, d.run(t, "saveconfig", "1"), "there is no disk space left")
	if found, err := d.appliance.Files.Area("admin").ReadDir("/configuration"); err != nil || len(found) != 0 {
		t.Errorf("left behind: %v, %v", found, err)
	}
}

func TestCommitReportsFailedSave(t *testing.T) {
	d := newTestSession(t, "admin", 0)
	netconfig.Hostname.Set(d.env.Draft, "esa.example.com")
	// A file stands where the first commit makes a directory.
	if err := os.WriteFile(filepath.Join(d.dir, "config"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, d.run(t, "commit", "", "y"), "could not be saved to disk")
	if got := d.appliance.Hostname(); got != "example.com" || !d.env.Draft.Pending() {
		t.Errorf("the host name is %s", got)
	}
}

func TestCommitRejectsUnprintableComments(t *testing.T) {
	d := newTestSession(t, "admin", 0)
	d.env.Inline = true
	netconfig.Hostname.Set(d.env.Draft, "esa.example.com")
	for _, comment := range []string{"a\x1b[2Jb", "\xff", strings.Repeat("x", 1001)} {
		d.env.Args = []string{comment}
		var invalid *shell.InvalidArgumentError
		if err := d.run(t, "commit"); !errors.As(err, &invalid) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: error %q", comment, err)
		}
	}
}

func TestResetconfigRequiresAdmin(t *testing.T) {
	d := newTestSession(t, "joe", 0)
	wantRefusal(t, d.run(t, "resetconfig"), "Only the user admin")
}

func TestPassphraseOfDeletedAccount(t *testing.T) {
	d := newTestSession(t, "joe", 0)
	add := func(v *users.Accounts) error {
		v.List = append(v.List, users.Account{Name: "joe", Role: users.Guest, Hash: v.List[0].Hash})
		return nil
	}
	if err := users.Section.CommitNow(t.Context(), d.appliance.Config, nil, config.CommitInfo{}, add); err != nil {
		t.Fatal(err)
	}
	err := d.run(t, "passphrase", "wrong horse")
	wantRefusal(t, err, "The old passphrase is not correct.")
	if err := d.run(t, "passphrase", "ironport", "new horse", "new horse"); err != nil {
		t.Error(err)
	}
	if _, err := d.appliance.Users.Verify("joe", "new horse"); err != nil {
		t.Error("the new passphrase is not accepted")
	}
	remove := func(v *users.Accounts) error { v.List = v.List[:1]; return nil }
	if err := users.Section.CommitNow(t.Context(), d.appliance.Config, nil, config.CommitInfo{}, remove); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, d.run(t, "passphrase", "new horse"), "The old passphrase is not correct.")
}

func TestLoadconfigReadsOnlyConfigurationFiles(t *testing.T) {
	d := newTestSession(t, "admin", 0)
	if err := d.appliance.Files.WriteFile("data/pub/secret.xml", []byte("<config/>")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../secret.xml", "/secret.xml", "..", ".", "/configuration/", "/configuration/../secret.xml", "a\x00b", "sub/x.xml"} {
		d.env.Args = []string{name}
		err := d.run(t, "loadconfig")
		if _, ok := refusal.Text(err); !ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Another session changes the accounts while an administrator answers questions.
func TestUserconfigDoesNotOverwriteAnotherSession(t *testing.T) {
	d := newTestSession(t, "admin", 0)
	v := users.Section.Get(d.env.Draft)
	v.List[0].FullName = "Mine"
	users.Section.Set(d.env.Draft, v)
	other := func(v *users.Accounts) error { v.List[0].FullName = "Theirs"; return nil }
	if err := users.Section.CommitNow(t.Context(), d.appliance.Config, nil, config.CommitInfo{}, other); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, d.run(t, "commit", "", ""), "another session has meanwhile changed users")
}

// A netWithoutPorts is a network without the ports that the configuration names.
type netWithoutPorts struct {
	tappedNet
	network.Configurer
}

func (netWithoutPorts) SetAddrs(string, []netip.Prefix) error { return nil }

func (netWithoutPorts) SetRoutes([]network.Route) error { return nil }

func (netWithoutPorts) SetVLANs([]network.VLAN) error { return nil }

func (netWithoutPorts) SetLoopback(bool) error { return nil }

func (netWithoutPorts) AcceptMulticastARP(bool) error { return nil }

func TestCommitReportsRefusalOfNetwork(t *testing.T) {
	app, err := appliance.New(appliance.Options{Dir: t.TempDir(), Net: netWithoutPorts{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Stop(context.Background()) })
	d := &testSession{appliance: app, env: &shell.Env{Appliance: app, Draft: app.Config.NewDraft()}}
	netconfig.Interfaces.Set(d.env.Draft, netconfig.IPInterfaces{List: []netconfig.IPInterface{{Name: "One", Port: "Data 9"}}})
	wantRefusal(t, d.run(t, "commit", ""), "The changes cannot be committed.\nThe IP interface One is on the Ethernet interface Data 9, which does not exist.")
	if !d.env.Draft.Pending() {
		t.Error("the changes are lost")
	}
}
