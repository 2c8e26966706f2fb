package main

import (
	"strings"
	"testing"
)

func TestUplinkFlagsAreChecked(t *testing.T) {
	home := t.TempDir()
	for _, c := range []struct {
		want string
		args []string
	}{
		{"--ssh: Data 1 is connected to unix:x, where the clients of this door are unknown",
			[]string{"--uplink", "Data 1=unix:x", "--ssh", "127.0.0.1:0"}},
		{"no interface is called \"Data 9\"", []string{"--uplink", "Data 9=unix:x"}},
		{"expected tap:NAME, packet:INTERFACE", []string{"--uplink", "Data 1=wlan0"}},
		{"expected INTERFACE=TARGET", []string{"--uplink", "unix:x"}},
		{"no such file or directory", []string{"--ports", "auto", "--uplink", "Data 1=unix:" + home + "/no/cable"}},
	} {
		if got := runFailing(t, home, append([]string{"serve", "--ephemeral"}, c.args...)...); !strings.Contains(got, c.want) {
			t.Errorf("esasim %q says %q, want %q", c.args, got, c.want)
		}
	}
}
