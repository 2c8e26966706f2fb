package box_test

import (
	"bufio"
	"crypto/ed25519"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/fixtures"
)

// TestSendersOfLab: clients of the machine's 127.0.0.1 are ordinary senders, those of 127.0.0.2 may
// send to anybody, and those of 127.0.0.3 are rejected for their reputation, which the appliance
// asks the simulated DNS for.
func TestSendersOfLab(t *testing.T) {
	_, data, _ := fixtures.Topology("lab")
	topo, err := box.LoadTopology("lab", data)
	if err != nil {
		t.Fatal(err)
	}
	doors := map[string]netip.AddrPort{}
	for _, d := range topo.Doors.In {
		doors[d.Name] = netip.MustParseAddrPort("127.0.0.1:0")
	}
	b, err := box.New(box.Options{Topology: topo, Dir: t.TempDir(), DoorAddrs: doors, HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(t.Context()) //nolint:errcheck // the test is about senders
	for from, want := range map[string]string{
		"127.0.0.1": "220 example.com ESMTP|250 sender <a@example.net> ok|550 #5.1.0 Address rejected.",
		"127.0.0.2": "220 example.com ESMTP|250 sender <a@example.net> ok|250 recipient <u@outside.example> ok",
		"127.0.0.3": "554-example.com|554 Your access|554-example.com",
	} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.DialContext(t.Context(), "tcp", b.DoorAddrs()["smtp"].String())
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			continue // only Linux has all of 127.0.0.0/8
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		lines := strings.Split(want, "|")
		for i, command := range []string{"MAIL FROM:<a@example.net>\r\n", "RCPT TO:<u@outside.example>\r\n", ""} {
			got, err := in.ReadString('\n')
			if err != nil || !strings.HasPrefix(got, lines[i]) {
				t.Errorf("%s: got %q, %v, want %q", from, got, err, lines[i])
				break
			}
			if _, err := c.Write([]byte(command)); err != nil {
				t.Error(err)
			}
		}
	}
}
