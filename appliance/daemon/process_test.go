package daemon_test

import (
	"io"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/product"
)

// api is an IP interface with the services of newer versions.
func api() netconfig.IPInterface {
	i := data1
	i.APIHTTP, i.APIHTTPS, i.NextGUI = 6080, 6443, 4431
	return i
}

func TestPlaceholderDeclinesAndCloses(t *testing.T) {
	f := newFixture(t, product.Version{Major: 14}, api())
	f.start(daemon.APIServer)
	const http = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.25:6080", http},
		{"192.0.2.25:6443", ""},
	} {
		conn, err := f.dial(c.addr)
		if err != nil {
			t.Errorf("%s: %v", c.addr, err)
			continue
		}
		if err := conn.SetDeadline(clock.System().Now().Add(testTimeout)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "the client's first line\r\n"); err != nil {
			t.Errorf("%s: %v", c.addr, err)
		}
		// A reset would be an error here: that is how a close with unread data looks.
		if got, err := io.ReadAll(conn); err != nil || string(got) != c.want {
			t.Errorf("%s says %q, %v", c.addr, got, err)
		}
		conn.Close()
	}
}

// The sockets of B41 have its backlogs and owners.
func TestSocketsOfPlaceholders(t *testing.T) {
	f := newFixture(t, product.Version{Major: 14}, api())
	f.start(daemon.Postgres, daemon.Controller, daemon.APIServer, daemon.Quarantine, daemon.Nginx,
		daemon.NextGUI)
	type listener struct {
		Addr        string
		Backlog     int
		Owner, User string
		Mapped      bool
		Workers     []string
	}
	got := map[netip.AddrPort]listener{}
	for _, s := range f.sockets() {
		got[s.Local] = listener{s.Local.String(), s.MaxQLen, s.Owner, s.User, s.Mapped, s.Workers}
	}
	for _, want := range []listener{
		{"127.0.0.1:5432", 208, "postgres", "pgsql", false, nil},
		{"127.0.0.1:53", 10, "interface", "root", false, nil},
		{"192.0.2.25:6080", 15, "api_serve", "root", false, nil},
		{"127.0.0.1:18081", 20, "java", "root", true, nil},
		{"0.0.0.0:4431", 128, "nginx", "root", false, []string{"nobody", "nobody"}},
		{"127.0.0.1:9999", 50, "java", "root", false, nil},
	} {
		if diff := cmp.Diff(want, got[netip.MustParseAddrPort(want.Addr)]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Addr, diff)
		}
	}
}

func TestRestartedProcessHasTheHighestNumber(t *testing.T) {
	f := newFixture(t, product.Version{Major: 14}, api())
	d := f.start(daemon.APIServer, daemon.NextGUI)[0]
	socket := func() network.Socket {
		for _, s := range f.sockets() {
			if s.Local.Port() == 6080 {
				return s
			}
		}
		t.Fatal("no process listens on port 6080")
		return network.Socket{}
	}
	old := socket()
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Renumber(daemon.APIServer)
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := f.Running()
	last := all[len(all)-1]
	if last.Process != daemon.APIServer {
		t.Errorf("the newest process is %s", last)
	}
	if s := socket(); s.PID != last.PID || s.PID == old.PID || s.Seq == old.Seq {
		t.Errorf("before: process %d, socket %d; after: process %d, socket %d",
			old.PID, old.Seq, s.PID, s.Seq)
	}
}

func TestOldVersionHasFewerProcesses(t *testing.T) {
	f := newFixture(t, product.Version{Major: 6, Minor: 5}, data1)
	for _, p := range f.Running() {
		if p.Process == daemon.Nginx || p.Process == daemon.APIServer {
			t.Errorf("version 6.5 runs %s", p)
		}
	}
}
