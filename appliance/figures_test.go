package appliance_test

import (
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	stream "github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/appliance/mta"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/netconfig"
)

// enqueue puts a message into the mail queue.
func enqueue(t *testing.T, app *appliance.Appliance, stage queue.Stage, recipients ...string) uint64 {
	t.Helper()
	mid := app.MTA.Queue.NextMID()
	in, err := app.MTA.Queue.Create(mid)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("Subject: test\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	env := queue.Envelope{MID: mid, From: "ann@example.net", Stage: stage, Received: app.Now()}
	for i, r := range recipients {
		env.Recipients = append(env.Recipients, queue.Recipient{RID: i, Address: r})
	}
	if err := in.Commit(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	return mid
}

// TestMailFigures: the status line and Figures have what the queue and the events say.
func TestMailFigures(t *testing.T) {
	app, clk := openOffline(t, t.TempDir(), firstStart)
	mid := enqueue(t, app, queue.WorkQueue, "joe@example.com", "tom@EXAMPLE.org")
	enqueue(t, app, queue.Delivery, "sue@example.com")
	clk.Advance(time.Hour + 5*time.Second)
	if _, err := app.MTA.Queue.Update(t.Context(), mid, queue.Deferred(1, app.Now(), queue.LastError{})); err != nil {
		t.Fatal(err)
	}
	icid := app.MTA.Queue.NextICID()
	remote := netip.MustParseAddrPort("192.0.2.9:1025")
	for _, f := range []stream.Fields{
		mailevents.ConnectionOpened{ICID: icid, Remote: remote},
		mailevents.MessageReady{Bytes: 700, Recipients: 2},
		mailevents.Delayed{Domain: "example.org"},
		mailevents.Bounced{Domain: "example.net", Category: mailevents.ExpiredBounce},
	} {
		stream.Publish(app.Events, 0, f)
	}
	f := app.Figures()
	if f.OldestMID != mid || f.OldestAge != time.Hour+5*time.Second || f.Condition != mta.Online {
		t.Errorf("the oldest message is %d since %v, the system is %s", f.OldestMID, f.OldestAge, f.Condition)
	}
	if got := f.Rate(metrics.SoftBounces); got != (metrics.Rate{OneMinute: 60, FiveMinutes: 12, FifteenMinutes: 4}) {
		t.Errorf("the rate is %v", got)
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	app.MTA.SuspendDelivery(t.Context())
	line := statusLine(t, app, func() { clk.Advance(time.Minute) })
	for _, want := range []string{
		" QKFre 8388607 CrtMID 2 CrtICID 1 CrtDCID 0 InjMsg 1 InjRcp 2 GenBncRcp 0 RejRcp 0 DrpMsg 0 SftBncEvnt 1 " +
			"CmpRcp 1 HrdBncRcp 1 DnsHrdBnc 0 5XXHrdBnc 0 FltrHrdBnc 0 ExpHrdBnc 1 OtrHrdBnc 0 DlvRcp 0 DelRcp 0 " +
			"GlbUnsbHt 0 ActvRcp 3 UnatmptRcp 2 AtmptRcp 1 CrtCncIn 1 CrtCncOut 0 ",
		" DstInMem 5 ResCon 0 ", " InjBytes 700",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in\n%s", want, line)
		}
	}
}

// statusLine returns the status line that an action writes.
func statusLine(t *testing.T, app *appliance.Appliance, write func()) string {
	t.Helper()
	write()
	if err := app.Logs.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(app.Files, "data/pub/status/status.current")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "Status: ")
	return line
}

// TestDestinations: destinations have their parts of the queue and of the events.
func TestDestinations(t *testing.T) {
	app, clk := openOffline(t, t.TempDir(), firstStart)
	enqueue(t, app, queue.Delivery, "joe@example.com", "tom@EXAMPLE.org")
	clk.Advance(time.Minute)
	enqueue(t, app, queue.Delivery, "sue@example.com")
	stream.Publish(app.Events, 0, mailevents.HostChanged{Domain: "example.com"})
	stream.Publish(app.Events, 0, mailevents.HostChanged{Domain: "example.net", Up: true})
	type row struct {
		Domain string
		State  metrics.HostState
		Active int
		Oldest time.Duration
	}
	rowOf := func(d appliance.Destination) row { return row{d.Domain, d.State, d.Active(), d.OldestAge} }
	var got []row
	for _, d := range app.Destinations() {
		got = append(got, rowOf(d))
	}
	want := []row{
		{"example.com", metrics.HostDown, 2, time.Minute},
		{"example.net", metrics.HostUp, 0, 0},
		{"example.org", metrics.HostUnknown, 1, time.Minute},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if d, ok := app.Destination("Example.Org"); !ok || rowOf(d) != want[2] {
		t.Errorf("got %+v, %v", d, ok)
	}
	if d, ok := app.Destination("example.edu"); ok || d.State != metrics.HostUnknown {
		t.Errorf("a domain without mail: %+v, %v", d, ok)
	}
}

// TestCondition: the condition names what is suspended.
func TestCondition(t *testing.T) {
	app, _ := openOffline(t, t.TempDir(), firstStart)
	d := app.Config.NewDraft()
	addr := netconfig.IPInterface{
		Name: "Data 1", Port: "Data 1", IPv4: netip.MustParseAddr("192.0.2.1"), Netmask: netconfig.Netmask(24),
	}
	netconfig.Interfaces.Set(d, netconfig.IPInterfaces{List: []netconfig.IPInterface{addr}})
	l := listener.New("IncomingMail", addr.Name, 25, listener.Public, app.Product.Version)
	listener.Section.Set(d, listener.Settings{Listeners: []listener.Listener{l}, Limits: listener.DefaultLimits()})
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		do   func()
		want mta.Condition
	}{
		{func() {}, mta.Online},
		{func() { app.MTA.PauseWorkQueue(mta.PauseInfo{By: "admin"}) }, mta.WorkQueuePaused},
		{func() { app.MTA.SuspendDelivery(t.Context()) }, mta.DeliverySuspended},
		{func() { app.MTA.SuspendListeners(t.Context()) }, mta.Offline},
		{func() { app.MTA.ResumeDelivery() }, mta.ReceivingSuspended},
		{func() { app.MTA.ResumeListeners() }, mta.WorkQueuePaused},
	} {
		step.do()
		if got := app.Figures().Condition; got != step.want {
			t.Errorf("the condition is %q, want %q", got, step.want)
		}
	}
}
