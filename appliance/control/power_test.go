package control_test

import (
	"errors"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
)

// While the appliance is off, requests about it are refused with 503, and the others are answered.
func TestPower(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	if p, err := c.SetPower(ctx, false); err != nil || p.State != box.PowerIsOff {
		t.Fatalf("%+v, %v", p, err)
	}
	var refused *control.RequestError
	if _, err := c.Sockets(ctx, ""); !errors.As(err, &refused) || refused.Status != 503 || refused.Text != "the appliance is switched off" {
		t.Errorf("sockets while it is off: %v", err)
	}
	if err := c.Reboot(ctx); !errors.As(err, &refused) || refused.Status != 503 {
		t.Errorf("a reboot while it is off: %v", err)
	}
	if list, err := c.Faults(ctx); err != nil || len(list) != 0 {
		t.Errorf("faults while it is off: %v, %v", list, err)
	}
	if p, err := c.SetPower(ctx, true); err != nil || p.State != box.PowerIsOn {
		t.Errorf("%+v, %v", p, err)
	}
	before := b.Appliance()
	if err := c.Reboot(ctx); err != nil || b.Appliance() == before {
		t.Errorf("reboot: %v", err)
	}
	if _, err := c.SetPower(ctx, false); err != nil {
		t.Error(err)
	}
	if _, err := c.Reset(ctx, false); err != nil {
		t.Error(err)
	}
	if p, err := c.Power(ctx); err != nil || p.State != box.PowerIsOn {
		t.Errorf("after a reset: %+v, %v", p, err)
	}
	_, text := sendRequest(t, socketClient(t, socket), "PUT", "http://esasim/v1/power", `{"state": "changing"}`)
	expectProblem(t, text, 400, "state", `"changing"`)
	if err := c.ConnectConsole(ctx, false); err != nil || b.ConsoleConnected() {
		t.Errorf("the console is connected: %v", err)
	}
	if on, err := c.ConsoleConnected(ctx); err != nil || on {
		t.Errorf("the console is connected: %v", err)
	}
}
