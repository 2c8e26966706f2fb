package control_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/fixtures"
)

// The tables of the appliance and of hosts are those of package box.
func TestTables(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	for _, host := range []string{"", "server", "10.0.201.25"} {
		want, err := b.Tables(host)
		if err != nil {
			t.Fatal(err)
		}
		sockets, err1 := c.Sockets(ctx, host)
		neighbors, err2 := c.Neighbors(ctx, host)
		routes, err3 := c.Routes(ctx, host)
		interfaces, err4 := c.Interfaces(ctx, host)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(sockets, want.Sockets) || !slices.Equal(routes, want.Routes) ||
			len(neighbors) != len(want.Neighbors) || len(interfaces) != len(want.Interfaces) {
			t.Errorf("host %q: %+v %+v, want %+v", host, sockets, routes, want)
		}
	}
	var refused *control.RequestError
	if _, err := c.Routes(ctx, "nobody"); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("routes of nobody: %v", err)
	}
}

// Uplinks are listed with what has crossed them.
func TestUplinks(t *testing.T) {
	socket, _ := serve(t, startBox(t, nil))
	if list, err := dialControl(t, "unix", socket).Uplinks(within(t)); err != nil || len(list) != 0 {
		t.Errorf("without uplinks: %v, %v", list, err)
	}

	file, data, _ := fixtures.Topology("minimal")
	to := "unix:" + filepath.Join(t.TempDir(), "cable")
	topo, err := box.LoadTopology(file, data, topology.Uplink{
		Interface: "Data 1", To: uplinkTarget(t, to),
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := box.New(box.Options{
		Topology: topo, Dir: t.TempDir(), HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop(context.Background()) })
	socket, _ = serve(t, b)
	list, err := dialControl(t, "unix", socket).Uplinks(within(t))
	if err != nil || len(list) != 1 || list[0].Interface != "Data 1" || list[0].To != to {
		t.Errorf("%+v, %v", list, err)
	}
}

// uplinkTarget parses the outside end of an uplink.
func uplinkTarget(t *testing.T, text string) topology.UplinkTarget {
	t.Helper()
	u, err := topology.ParseUplink("Data 1=" + text)
	if err != nil {
		t.Fatal(err)
	}
	return u.To
}

func TestSessions(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	if list, err := c.Sessions(ctx); err != nil || len(list) != 0 {
		t.Errorf("sessions at the start: %+v, %v", list, err)
	}
	a := b.Appliance()
	admin, _ := a.Users.Lookup("admin")
	login := a.Logins.Open(admin, netip.MustParseAddr("10.0.201.4"), "cli")
	defer login.Close()
	authority := a.Users.Authorize(admin, nil, users.AuthorityOptions{})
	defer authority.Close()
	login.EndBy(authority)
	list, err := c.Sessions(ctx)
	if err != nil || len(list) != 1 || list[0].ID != login.ID() || list[0].Address.String() != "10.0.201.4" {
		t.Errorf("sessions: %+v, %v", list, err)
	}
	if s, err := c.Session(ctx, login.ID()); err != nil || s.User != "admin" || s.Service != "cli" {
		t.Errorf("session: %+v, %v", s, err)
	}
	if err := c.EndSession(ctx, login.ID()); err != nil || authority.Err() == nil {
		t.Errorf("the session goes on: %v", err)
	}
	login.Close()
	var refused *control.RequestError
	if err := c.EndSession(ctx, login.ID()); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("ended again: %v", err)
	}
	_, text := sendRequest(t, socketClient(t, socket), "DELETE", "http://esasim/v1/sessions/x", "")
	expectProblem(t, text, 400, "session", `"x"`)
	accounts, err := c.Users(ctx)
	if err != nil || !slices.Equal(accounts, []box.User{{
		Name: "admin", FullName: "Administrator", Role: users.Administrator,
	}}) {
		t.Errorf("accounts: %+v, %v", accounts, err)
	}
}

// expectProblem compares the details of a problem with those that are expected.
func expectProblem(t *testing.T, text string, status int, field, value string) {
	t.Helper()
	var p control.Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.Status != status || p.Field != field || string(p.Value) != value {
		t.Errorf("%s, %v: want status %d, field %s, value %s", text, err, status, field, value)
	}
}
