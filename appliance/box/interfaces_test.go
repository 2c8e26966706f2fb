package box_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/netconfig"
)

// dialSSH logs in through the SSH door.
func dialSSH(t *testing.T, b *box.Box) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", b.DoorAddrs()["ssh"].String(), &clientConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// sessions returns the appliance's addresses of established connections to its SSH daemon.
func sessions(t *testing.T, b *box.Box) (local []string) {
	t.Helper()
	sockets, err := b.Appliance().Net.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sockets {
		if s.Owner == daemon.Ginetd.Name() && s.State == "ESTABLISHED" {
			local = append(local, s.Local.String())
		}
	}
	slices.Sort(local)
	return local
}

// The door leads to the address and port on which the service listens, also if they change and
// if there is an address on the same Ethernet interface on which the service is off. Established
// connections to an address that is removed are cut.
func TestDoorFollowsIPInterfaces(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	dialSSH(t, b)
	if got := sessions(t, b); !slices.Equal(got, []string{"10.0.202.7:22"}) {
		t.Fatalf("sessions at %q", got)
	}
	d := b.Appliance().Config.NewDraft()
	err := netconfig.Interfaces.Edit(d, func(v *netconfig.IPInterfaces) error {
		quiet := v.List[0]
		quiet.Name, quiet.IPv4, quiet.SSH, quiet.FTP = "Quiet", netip.MustParseAddr("10.0.202.8"), 0, 0
		v.List[0].IPv4, v.List[0].SSH = netip.MustParseAddr("10.0.202.9"), 2022
		v.List = slices.Insert(v.List, 0, quiet)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Appliance().Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	if got := sessions(t, b); len(got) != 0 {
		t.Errorf("sessions after the address was removed: %q", got)
	}
	client := dialSSH(t, b)
	if got := sessions(t, b); !slices.Equal(got, []string{"10.0.202.9:2022"}) {
		t.Errorf("sessions at %q", got)
	}
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.CombinedOutput("netstat 3 -n -f inet"); err != nil || !strings.Contains(string(out), "10.0.202.9") || strings.Contains(string(out), "10.0.202.7 ") {
		t.Errorf("netstat: %v\n%s", err, out)
	}
}
