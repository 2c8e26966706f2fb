package appliancetest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// A failing is a testing.TB of a test that is expected to fail.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Helper() {}

func (f *failing) Fatal(args ...any) {
	f.text = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }

// expectFailure calls test with a testing.TB, which test must let fail with a message that begins
// with want.
func expectFailure(t *testing.T, want string, test func(*failing)) {
	t.Helper()
	f := &failing{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		test(f)
	}()
	<-ended
	if !strings.HasPrefix(f.text, want) {
		t.Errorf("the failure is\n%s\nwant\n%s", f.text, want)
	}
}

// A failed call says in readable lines what it expected and what there was.
func TestMessagesOfFailures(t *testing.T) {
	real := appliancetest.Start(t, appliancetest.Topology("syslog"))
	for _, c := range []struct {
		call func(b *appliancetest.Box, t *failing)
		want string
	}{
		{func(b *appliancetest.Box, _ *failing) { b.Mail("log") },
			`appliancetest: the host "log" has a syslog server and no mail server, expected one of mx`},
		{func(b *appliancetest.Box, _ *failing) { b.Syslog("mx/mx") },
			`appliancetest: "mx/mx" is a mail server and not a syslog server, expected one of log`},
		{func(b *appliancetest.Box, _ *failing) { b.DNS("nobody") },
			`appliancetest: there is no DNS server "nobody", expected one of `},
		{func(b *appliancetest.Box, _ *failing) { b.NTP("log") }, `appliancetest: the host "log" has a syslog server and no NTP server, expected none, since the topology has none`},
		{func(b *appliancetest.Box, t *failing) {
			b.WaitFor(t, "log", "never", appliancetest.Within(time.Millisecond))
		}, "appliancetest: log did not happen within 1ms:\n\tnever"},
		{func(b *appliancetest.Box, _ *failing) { b.Exec("uname") },
			"appliancetest: uname: Process exited with status 1; it printed:\n\tUnknown command or missing feature key: uname"},
		{func(b *appliancetest.Box, _ *failing) {
			b.Login().Expect("two\nlines", appliancetest.Within(time.Millisecond))
		}, "appliancetest: not within 1ms: the session printed nothing\nwant:\n\ttwo\n\tlines"},
		{func(b *appliancetest.Box, t *failing) {
			b.Syslog("log").Wait(t.Context(), func(string) bool { return false }, appliancetest.Within(time.Millisecond))
		}, "appliancetest: none of the "},
	} {
		expectFailure(t, c.want, func(f *failing) { c.call(real.For(f), f) })
	}
}

func TestTopologyFile(t *testing.T) {
	box := appliancetest.Start(t, appliancetest.TopologyFile("../../fixtures/topologies/minimal.yaml"))
	if box.SSHAddr == "" || box.HTTPSAddr == "" {
		t.Errorf("addresses: %q", box.DoorAddrs())
	}
	expectFailure(t, "appliancetest: open no-such.yaml: ", func(f *failing) {
		appliancetest.Start(f, appliancetest.TopologyFile("no-such.yaml"))
	})
}
