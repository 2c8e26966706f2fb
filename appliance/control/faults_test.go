package control_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A fault is created, changed, disabled and removed by its name, and each request can be repeated.
func TestNamedFaults(t *testing.T) {
	socket, _ := serve(t, startBox(t, nil))
	c, ctx := dialControl(t, "unix", socket), within(t)
	rule := map[string]any{"action": "delay", "delay": "200ms"}
	for range 2 {
		if f, err := c.PutFault(ctx, "slow link/1", rule); err != nil || f.ID != 1 || f.Rule.Name != "slow link/1" {
			t.Fatalf("%+v, %v", f, err)
		}
	}
	f, err := c.PatchFault(ctx, "slow link/1", map[string]any{"jitter": "5ms", "for": "1h"})
	if err != nil || f.ID != 1 || f.Rule.String() != "delay 200ms jitter 5ms for 1h0m0s" {
		t.Errorf("changed: %+v, %v", f, err)
	}
	if f, err = c.PatchFault(ctx, "1", map[string]any{"jitter": nil}); err != nil || f.Rule.Jitter != 0 {
		t.Errorf("a key removed: %+v, %v", f, err)
	}
	for _, on := range []bool{false, false, true} {
		want := map[bool]netsim.FaultState{false: netsim.FaultDisabled, true: netsim.FaultActing}[on]
		if f, err = c.EnableFault(ctx, "slow link/1", on); err != nil || f.State != want {
			t.Errorf("enabled %t: %+v, %v", on, f, err)
		}
	}
	if f, err = c.Fault(ctx, "slow link/1"); err != nil || f.ID != 1 {
		t.Errorf("%+v, %v", f, err)
	}
	if err := c.DeleteFault(ctx, "slow link/1"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteFault(ctx, "slow link/1"); err == nil || err.Error() != `there is no fault called "slow link/1"` {
		t.Errorf("removed twice: %v", err)
	}
}

// All faults are replaced at once, or none.
func TestSetFaults(t *testing.T) {
	socket, _ := serve(t, startBox(t, nil))
	c, ctx := dialControl(t, "unix", socket), within(t)
	var specs []control.FaultSpec
	text := `[{"name": "a", "action": "drop", "port": 25, "protocol": "tcp"}, {"action": "loss", "loss": 0.5, "enabled": false}]`
	if err := json.Unmarshal([]byte(text), &specs); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		list, err := c.SetFaults(ctx, specs)
		if err != nil || len(list) != 2 || list[0].ID != 1 || list[1].ID != 2 || list[1].State != netsim.FaultDisabled {
			t.Errorf("%+v, %v", list, err)
		}
	}
	bad := append(specs, control.FaultSpec{FaultSpec: netsim.FaultSpec{Rule: topology.Rule{Action: "rate"}}})
	if _, err := c.SetFaults(ctx, bad); err == nil || !strings.HasPrefix(err.Error(), "[2].rate: no rate") {
		t.Errorf("a mistake: %v", err)
	}
	if list, err := c.Faults(ctx); err != nil || len(list) != 2 {
		t.Errorf("after the mistake: %+v, %v", list, err)
	}
	if list, err := c.SetFaults(ctx, nil); err != nil || len(list) != 0 {
		t.Errorf("none: %+v, %v", list, err)
	}
}

// The details of a problem name the field that is wrong, and its value.
func TestProblemsNameFieldAndValue(t *testing.T) {
	socket, _ := serve(t, startBox(t, nil))
	client := socketClient(t, socket)
	sendRequest(t, client, "PUT", "http://esasim/v1/faults/slow", `{"action": "delay", "delay": "1s"}`)
	for _, c := range []struct{ method, path, body, field, value string }{
		{"POST", "/v1/faults", `{"action": "burn"}`, "action", `"burn"`},
		{"POST", "/v1/faults", `{"action": "drop", "enabled": 1}`, "enabled", `1`},
		{"POST", "/v1/faults", `{"action": "drop", "port": "x", "protocol": "tcp"}`, "port", `"x"`},
		{"POST", "/v1/faults", `{"action": "drop", "to": "10.0.0.300"}`, "to", `"10.0.0.300"`},
		{"PUT", "/v1/faults", `[{"action": "drop"}, {"action": "delay", "delay": "2h"}]`, "[1].delay", `"2h"`},
		{"PATCH", "/v1/faults/slow", `{"delay": "2h"}`, "delay", `"2h"`},
		{"PUT", "/v1/faults/1x", `{"name": "y", "action": "drop"}`, "name", `"y"`},
		{"PUT", "/v1/clock", `{"time": "tomorrow"}`, "time", `"tomorrow"`},
		{"DELETE", "/v1/guard/bob", ``, "addr", `"bob"`},
		{"PUT", "/v1/peers/server/echo", `{"running": "no"}`, "running", `"no"`},
	} {
		status, text := sendRequest(t, client, c.method, "http://esasim"+c.path, c.body)
		var p control.Problem
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		if status != 400 || p.Field != c.field || string(p.Value) != c.value || p.Error != p.Detail || p.Title != "Bad Request" {
			t.Errorf("%s %s %s: %s\nwant field %s and value %s", c.method, c.path, c.body, text, c.field, c.value)
		}
	}
}

// A request of a method that a path does not have is answered with the methods that it has.
func TestMethodNotAllowed(t *testing.T) {
	socket, _ := serve(t, startBox(t, nil))
	client := socketClient(t, socket)
	for path, want := range map[string]string{
		"/v1/clock":       "GET, PUT",
		"/v1/peers/a/b/c": "GET, PUT",
		"/v1/guard/x":     "DELETE",
	} {
		res, err := client.Post("http://esasim"+path, "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 405 || res.Header.Get("Allow") != want {
			t.Errorf("POST %s: %s, Allow %q, want %q", path, res.Status, res.Header.Get("Allow"), want)
		}
	}
}

// Presets can be switched on and off, and have an effect.
func TestPresets(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	active := func() (names []string) {
		list, err := c.Presets(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if p.Active {
				names = append(names, p.Name)
			}
		}
		return names
	}
	for range 2 {
		if err := c.SetPreset(ctx, "mail-down", true); err != nil {
			t.Fatal(err)
		}
	}
	if got := active(); len(got) != 1 || got[0] != "mail-down" {
		t.Errorf("active presets: %q", got)
	}
	if err := dial(t, b, "10.0.201.25:25"); err == nil {
		t.Error("the mail server can be reached")
	}
	for range 2 {
		if err := c.SetPreset(ctx, "mail-down", false); err != nil {
			t.Fatal(err)
		}
	}
	if got := active(); len(got) != 0 {
		t.Errorf("active presets: %q", got)
	}
	if err := dial(t, b, "10.0.201.25:25"); err != nil {
		t.Error("the mail server cannot be reached: ", err)
	}
	var refused *control.RequestError
	if err := c.SetPreset(ctx, "burn", true); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("an unknown preset: %v", err)
	}
}
