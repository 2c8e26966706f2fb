package commands_test

import (
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/network"
)

// Only connections that carry mail are counted: not those of ssh, the page, the pushes of logs,
// resolvers and feeds.
func TestStatusCountsMailConnections(t *testing.T) {
	owned := func(owner, local, remote, state string) network.Socket {
		s := socket("tcp4", local, remote, state)
		s.Owner = owner
		return s
	}
	net := tableNet{sockets: []network.Socket{
		owned("hermes", "10.0.202.7:25", "0.0.0.0:0", "LISTEN"),
		owned("ginetd", "10.0.202.7:22", "0.0.0.0:0", "LISTEN"),
		owned("hermes", "10.0.202.7:25", "10.0.201.4:40000", "ESTABLISHED"),
		owned("hermes", "10.0.202.7:25", "10.0.201.5:40000", "ESTABLISHED"),
		owned("hermes", "10.0.202.7:25", "10.0.201.6:40000", "TIME_WAIT"),
		owned("ginetd", "10.0.202.7:22", "10.0.201.4:40001", "ESTABLISHED"),
		owned("hermes", "10.0.202.7:10300", "10.0.201.9:25", "ESTABLISHED"),
		owned("hermes", "10.0.202.7:10301", "10.0.201.9:25", "SYN_SENT"),
		owned("hermes", "10.0.202.7:10256", "10.0.201.5:443", "ESTABLISHED"),
		owned("syslogd", "10.0.202.7:10302", "10.0.201.7:514", "ESTABLISHED"),
		owned("telnet", "10.0.202.7:10303", "10.0.201.9:25", "ESTABLISHED"),
	}}
	got, err := runOnNet(t, net, nil, "status", "detail")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"    Current Inbound Conn.           2\n", "    Current Outbound Conn.          1\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
