package box_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A box that is switched off refuses clients, and goes on behind the same doors with its faults and
// its configuration when it is switched on.
func TestPowerOffAndOn(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.PowerOff(t.Context()); err == nil {
		t.Error("a box that was not started is switched off")
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	if b.Power() != box.PowerIsOn {
		t.Errorf("after the start: %s", b.Power())
	}
	if _, err := b.Faults().Add(topology.Rule{Action: "drop", Path: "google"}); err != nil {
		t.Fatal(err)
	}
	runIn(t, b, box.Command{Line: "sethostname; commit -y", Answers: []string{"kept.example.com"}})
	door := b.DoorAddrs()["ssh"].String()
	for range 2 {
		for range 2 {
			if err := b.PowerOff(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if c, err := net.Dial("tcp", door); err == nil {
			c.Close()
			t.Error("a client is accepted")
		}
		if l, err := net.Listen("tcp", door); err == nil && runtime.GOOS == "linux" {
			l.Close()
			t.Error("another program can take the address of the door")
		}
		if _, err := b.Health(); b.Power() != box.PowerIsOff || !errors.Is(err, box.ErrOff) {
			t.Errorf("%s, %v", b.Power(), err)
		}
		if _, err := b.Run(t.Context(), box.Command{Line: "date"}); !errors.Is(err, box.ErrOff) {
			t.Errorf("a command: %v", err)
		}
		if err := b.Reboot(t.Context()); !errors.Is(err, box.ErrOff) {
			t.Errorf("a reboot: %v", err)
		}
		for range 2 {
			if err := b.PowerOn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.Health(); err != nil || b.DoorAddrs()["ssh"].String() != door {
			t.Errorf("%v, %v", err, b.DoorAddrs())
		}
		sshTo(t, b).Close()
	}
	if len(b.Faults().List()) != 1 || b.Appliance().Hostname() != "kept.example.com" {
		t.Error("the fault or the host name is lost")
	}
	if err := b.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.Power() != box.PowerIsOn || b.Appliance().Hostname() != "example.com" {
		t.Errorf("after a reset: %s, %s", b.Power(), b.Appliance().Hostname())
	}
	before := b.Appliance()
	if err := b.Reboot(t.Context()); err != nil || b.Appliance() == before {
		t.Errorf("after a reboot it is the same appliance: %v", err)
	}
	if err := b.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-b.Done()
	if err := b.PowerOn(t.Context()); err == nil || b.Power() != box.PowerIsGone {
		t.Errorf("a stopped box is switched on: %v, %s", err, b.Power())
	}
}

// A console outlasts that the box is switched off, and that it is disconnected.
func TestConsoleOffAndOn(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	b, out, ended := console(t, ctx)
	b.ConnectConsole(false)
	b.ConnectConsole(false)
	if b.ConsoleConnected() {
		t.Error("the console is connected")
	}
	if err := b.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := out.count("login: "); n != 1 {
		t.Errorf("a disconnected console asks for a login: %d", n)
	}
	b.ConnectConsole(true)
	b.ConnectConsole(true)
	out.until(t, "login: ", 2)
	if err := b.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	out.until(t, "login: ", 3)
	why := errors.New("why")
	cancel(why)
	checkEnd(t, ended, why)
}

// A console of a box that is switched off ends with the box.
func TestConsoleEndsWhileOff(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	in, keys := io.Pipe()
	defer keys.Close()
	ended := make(chan error, 1)
	go func() { ended <- b.Console(t.Context(), in, &screen{fresh: make(chan struct{}, 1)}, nil) }()
	if err := b.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Console does not return")
	}
}
