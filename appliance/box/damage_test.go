package box_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/fixtures"
)

// startIn starts a box without doors in a directory and stops it after f. It returns what was
// logged.
func startIn(t *testing.T, topo *topology.Topology, dir string, f func(*box.Box)) string {
	t.Helper()
	var log bytes.Buffer
	b, err := box.New(box.Options{
		Topology: topo, Dir: dir, NoDoors: true,
		HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Errorf("New: %v", err)
		return ""
	}
	if err := b.Start(t.Context()); err != nil {
		t.Errorf("Start: %v", err)
	} else if f != nil {
		f(b)
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	return log.String()
}

// useEverything makes the appliance write each kind of file that it has.
func useEverything(t *testing.T, b *box.Box) {
	t.Helper()
	a := b.Appliance()
	d := a.Config.NewDraft()
	accounts := users.Section.Get(d)
	accounts.List = append(accounts.List, users.Account{
		Name: "joe", Hash: accounts.List[0].Hash, Role: users.Operator,
	})
	users.Section.Set(d, accounts)
	subscriptions := logs.Section.Get(d)
	for i := range subscriptions.List {
		if s := &subscriptions.List[i]; s.Method == logs.Syslog {
			s.Push.Buffer = logs.MinBuffer
		}
	}
	logs.Section.Set(d, subscriptions)
	_, err := a.Config.Commit(t.Context(), d, config.CommitInfo{User: "admin"})
	for _, err := range []error{
		err, a.SetTime(a.Clock.Now().Add(time.Hour)), a.Tracking.SetEnabled(false),
		a.Captures.SetSettings(a.Captures.Settings()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	openPage(t, b)
	a.Logins.Open(users.Account{Name: "admin"}, netip.Addr{}, "cli")
	a.Alerts.Raise(alert.System, alert.Warning, "a test")
	if _, err := a.LogKey(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Captures.Start(t.Context(), capture.Owner{Side: capture.GUI}); err != nil {
		t.Fatal(err)
	}
}

// An appliance starts whatever a crash, a full disk or an administrator has done to a file of its
// directory, and everything can be written afterwards.
func TestStartWithDamagedFiles(t *testing.T) {
	topo := topologyWithPush(t)
	whole := t.TempDir()
	startIn(t, topo, whole, func(b *box.Box) { useEverything(t, b) })
	var names []string
	err := filepath.WalkDir(whole, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "joined" {
			name, _ := filepath.Rel(whole, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"state/clock", "state/installed", "state/dns", "state/tracking", "state/packetcapture",
		"state/logins", "state/alerts", "state/scp_key", "gui.pem", "config/00000001.xml",
	} {
		if !strings.Contains(strings.Join(names, "\n"), want) {
			t.Errorf("there is no file %s among %q", want, names)
		}
	}
	if !strings.Contains(strings.Join(names, "\n"), "state/syslog/") {
		t.Errorf("there is no buffer of a push among %q", names)
	}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(whole, name))
		if err != nil {
			t.Fatal(err)
		}
		for damage, now := range map[string][]byte{
			"empty":   {},
			"half":    content[:len(content)/2],
			"garbage": bytes.Repeat([]byte("\x00\xff{<\n"), 100),
		} {
			t.Run(fmt.Sprint(name, " ", damage), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "appliance")
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), now, 0o600); err != nil {
					t.Fatal(err)
				}
				said := startIn(t, topo, dir, func(b *box.Box) {
					if !strings.Contains(name, "config/") {
						useEverythingAgain(t, b)
					}
				})
				if ignored := strings.HasPrefix(name, "state") && !strings.Contains(name, "syslog/") &&
					!strings.Contains(name, "scp_key"); ignored && damage == "garbage" &&
					!strings.Contains(said, name) {
					t.Errorf("the damage is not reported: %q", said)
				}
				startIn(t, topo, dir, nil)
			})
		}
	}
}

// openPage makes a TLS handshake with the page from a simulated host.
func openPage(t *testing.T, b *box.Box) {
	t.Helper()
	page := netconfig.Interfaces.Get(b.Appliance().Config.Committed()).List[0]
	c, err := b.World().Hosts().Dial(t.Context(), network.DialConfig{
		Remote: netip.AddrPortFrom(page.IPv4, page.HTTPS),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = tls.Client(c, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(t.Context())
	if err != nil {
		t.Error(err)
	}
}

// useEverythingAgain checks that what useEverything does still works.
func useEverythingAgain(t *testing.T, b *box.Box) {
	t.Helper()
	d := b.Appliance().Config.NewDraft()
	accounts := users.Section.Get(d)
	accounts.List = accounts.List[:1]
	users.Section.Set(d, accounts)
	if _, err := b.Appliance().Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	useEverything(t, b)
}

// The first start and a later one succeed on a full disk. Afterwards everything works.
func TestStartOnFullDisk(t *testing.T) {
	topo := topologyWithPush(t)
	for _, used := range []bool{false, true} {
		disk := tooltest.SmallDisk(t)
		dir := filepath.Join(disk.Dir, "appliance")
		if used {
			startIn(t, topo, dir, func(b *box.Box) { useEverything(t, b) })
		}
		disk.Fill()
		said := startIn(t, topo, dir, func(b *box.Box) {
			a := b.Appliance()
			if err := a.Tracking.SetEnabled(true); err == nil {
				t.Error("a setting was accepted that cannot be saved")
			}
			if _, err := a.Captures.Start(t.Context(), capture.Owner{Side: capture.GUI}); err == nil {
				t.Error("a capture was started that cannot be written")
			}
			a.Logins.Open(users.Account{Name: "admin"}, netip.Addr{}, "cli").Close()
		})
		if !used && !strings.Contains(said, "history of logins") {
			t.Errorf("used %t: logged %q", used, said)
		}
		disk.Free()
		startIn(t, topo, dir, func(b *box.Box) {
			if used {
				useEverythingAgain(t, b)
			} else {
				useEverything(t, b)
			}
		})
	}
}

// An appliance that has been started once starts although nothing can be changed in its directory.
func TestStartOnReadOnlyDisk(t *testing.T) {
	topo := topologyWithPush(t)
	disk := tooltest.SmallDisk(t)
	dir := filepath.Join(disk.Dir, "appliance")
	startIn(t, topo, dir, func(b *box.Box) { useEverything(t, b) })
	disk.MakeReadOnly()
	startIn(t, topo, dir, nil)
}

// topologyWithPush returns a topology whose appliance pushes a log to a syslog server, through a
// buffer on disk.
func topologyWithPush(t *testing.T) *topology.Topology {
	t.Helper()
	_, data, _ := fixtures.Topology("syslog")
	topo, err := box.LoadTopology("syslog", data)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}
