package appliance_test

import (
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/product"
)

// daemons starts an appliance of that version with some daemons.
func daemons(t *testing.T, w *netsim.World, v product.Version, list ...daemon.Process) *appliance.Appliance {
	t.Helper()
	f := config.NewFactory()
	with := data1
	with.APIHTTP, with.APIHTTPS, with.NextGUI = 6080, 6443, 4431
	netconfig.Hostname.SetFactory(f, "mail.example.com")
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{with}})
	daemon.MailListeners.SetFactory(f, daemon.MailListenerList{List: []daemon.MailListener{
		{Name: "MailFlow", Interface: "Data 1", Port: 25},
		{Name: "Quarantine", Interface: "Data 1", Port: 7025},
	}})
	app := open(t, appliance.Options{Net: w.Network(), Dir: t.TempDir(), Factory: f, Product: product.Facts{Version: v}})
	for _, p := range list {
		app.Add(app.Daemons.Placeholder(p))
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return app
}

func TestADaemonSaysFarewellAndCloses(t *testing.T) {
	w := minimal(t)
	daemons(t, w, product.Version{Major: 14}, daemon.Hermes, daemon.APIServer)
	for _, c := range []struct{ to, says string }{
		{"192.0.2.25:25", "421 4.3.2 mail.example.com Service not available, closing transmission channel\r\n"},
		{"192.0.2.25:7025", "421 4.3.2 mail.example.com Service not available, closing transmission channel\r\n"},
		{"192.0.2.25:6080", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"192.0.2.25:6443", ""},
	} {
		conn, err := dial(t, w, c.to)
		if err != nil {
			t.Errorf("%s: %v", c.to, err)
			continue
		}
		if err := conn.SetDeadline(clock.System().Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "what a client has to say\r\n"); err != nil {
			t.Errorf("%s: %v", c.to, err)
		}
		// An error would be a reset, which is what a close with data unread is.
		if said, err := io.ReadAll(conn); err != nil || string(said) != c.says {
			t.Errorf("%s says %q, %v", c.to, said, err)
		}
		conn.Close()
	}
}

func TestTheSocketsOfB41HaveItsBacklogs(t *testing.T) {
	w := minimal(t)
	app := daemons(t, w, product.Version{Major: 14},
		daemon.Postgres, daemon.Controller, daemon.APIServer, daemon.Quarantine, daemon.Hermes, daemon.Nginx, daemon.NextGUI)
	sockets, err := app.Net.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	type listener struct {
		At           string
		Backlog      int
		Owner, User  string
		Mapped       bool
		SharedByMore []string
	}
	got := map[netip.AddrPort]listener{}
	for _, s := range sockets {
		got[s.Local] = listener{s.Local.String(), s.MaxQLen, s.Owner, s.User, s.Mapped, s.Workers}
	}
	for _, want := range []listener{
		{"127.0.0.1:5432", 208, "postgres", "pgsql", false, nil},
		{"127.0.0.1:53", 10, "interface", "root", false, nil},
		{"192.0.2.25:6080", 15, "api_serve", "root", false, nil},
		{"127.0.0.1:18081", 20, "java", "root", true, nil},
		{"192.0.2.25:7025", 50, "hermes", "root", false, nil},
		{"0.0.0.0:4431", 128, "nginx", "root", false, []string{"nobody", "nobody"}},
		{"127.0.0.1:9999", 50, "java", "root", false, nil},
	} {
		if diff := cmp.Diff(want, got[netip.MustParseAddrPort(want.At)]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.At, diff)
		}
	}
}

func TestARestartedProcessIsTheNewest(t *testing.T) {
	w := minimal(t)
	app := daemons(t, w, product.Version{Major: 14}, daemon.APIServer, daemon.Hermes)
	socket := func() network.Socket {
		sockets, err := app.Net.Sockets()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sockets {
			if s.Local.Port() == 6080 {
				return s
			}
		}
		t.Fatal("nobody listens on port 6080")
		return network.Socket{}
	}
	old := socket()
	if err := app.Restart(t.Context(), daemon.APIServer); err != nil {
		t.Fatal(err)
	}
	all := app.Daemons.Running()
	if last := all[len(all)-1]; last.Process != daemon.APIServer {
		t.Errorf("the newest process is %s", last)
	}
	if s := socket(); s.PID != all[len(all)-1].PID || s.PID == old.PID || s.Seq == old.Seq {
		t.Errorf("before: process %d, socket %d; after: process %d, socket %d", old.PID, old.Seq, s.PID, s.Seq)
	}
	if err := app.Restart(t.Context(), daemon.Postgres); !errors.Is(err, appliance.ErrNotRunning) {
		t.Errorf("restart of what does not run: %v", err)
	}
}

func TestAnOldVersionHasNotAllProcesses(t *testing.T) {
	app := daemons(t, minimal(t), product.Version{Major: 6, Minor: 5})
	for _, p := range app.Daemons.Running() {
		if p.Process == daemon.Nginx || p.Process == daemon.APIServer {
			t.Errorf("version 6.5 runs %s", p.Process)
		}
	}
}
