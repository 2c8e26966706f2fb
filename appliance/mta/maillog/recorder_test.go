package maillog

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// debugLog returns the subscription of a debug log.
func debugLog(name string, t logs.Type, host string, sessions int) logs.Subscription {
	s := logs.NewSubscription(name, t.Spec())
	s.DebugHost, s.DebugSessions = host, sessions
	return s
}

// recorder returns a Recorder whose lines are appended to out, as "log: text".
func recorder(list *[]logs.Subscription, out *[]string) *Recorder {
	return NewRecorder(RecorderOptions{
		Subscriptions: func() []logs.Subscription { return *list },
		Write:         func(e logs.Entry) { *out = append(*out, e.Only+": "+e.Text) },
	})
}

// TestDomainDebug: the conversations with the servers of a domain are recorded, as many as the log's
// settings say, and again when these are changed (mail.md 2.3).
func TestDomainDebug(t *testing.T) {
	list := []logs.Subscription{
		debugLog("one", logs.DomainDebug, "Example.com", 1), debugLog("two", logs.DomainDebug, "example.com", 2),
		debugLog("other", logs.InjectionDebug, "example.com", 2), debugLog("unset", logs.DomainDebug, "", 1),
	}
	var got []string
	r := recorder(&list, &got)
	if r.RecordDelivery(1, "example.net") {
		t.Error("another domain is recorded")
	}
	say := func(dcid uint64, sent bool, line string) {
		r.Handle(events.Event{Fields: mailevents.DeliveryLine{DCID: dcid, Sent: sent, Line: line}})
	}
	say(1, true, "EHLO x")
	if !r.RecordDelivery(102503993, "example.com") || !r.RecordDelivery(8, "example.com") || r.RecordDelivery(9, "example.com") {
		t.Error("not exactly two connections are recorded")
	}
	say(102503993, true, "MAIL FROM:<a@example.net>")
	say(102503993, false, "250 OK")
	r.Handle(events.Event{Fields: mailevents.Wrap(mailevents.DeliveryConnectionClosed{DCID: 102503993})})
	say(102503993, true, "QUIT")
	r.Handle(events.Event{Fields: mailevents.Wrap(mailevents.DeliveryLine{DCID: 8, Sent: true, Line: "it's"})})
	want := []string{
		"one: 102503993 Sent: 'MAIL FROM:<a@example.net>'", "two: 102503993 Sent: 'MAIL FROM:<a@example.net>'",
		"one: 102503993 Rcvd: '250 OK'", "two: 102503993 Rcvd: '250 OK'", `two: 8 Sent: "it's"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	r.NotDelivered(8) // there was no connection: another one may be recorded
	if !r.RecordDelivery(10, "example.com") || r.RecordDelivery(11, "example.com") {
		t.Error("a connection that failed counts")
	}
	list[0].DebugSessions = 2
	if !r.RecordDelivery(12, "example.com") {
		t.Error("after a change of the settings nothing is recorded")
	}
}

// TestInjectionDebug: a client is chosen by its address or its name.
func TestInjectionDebug(t *testing.T) {
	for wanted, matches := range map[string]bool{
		"192.0.2.9": true, "192.0.2.8": false, "192.0.2.0/28": true, "192.0.2.1-9": true, "192.0.2.1-8": false,
		"mail.Example.net": true, ".example.net": true, "example.com": false,
	} {
		var got []string
		list := []logs.Subscription{debugLog("log", logs.InjectionDebug, wanted, 1)}
		r := recorder(&list, &got)
		if ok := r.RecordInjection(6216, netip.MustParseAddr("192.0.2.9"), "mail.example.net"); ok != matches {
			t.Errorf("%s: the client is recorded: %v", wanted, ok)
		}
		r.Handle(events.Event{Fields: mailevents.InjectionData{
			ICID: 6216, Remote: client.Addr(), Sent: true, Data: []byte("220 mail.example.com ESMTP\r\n"),
		}})
		r.Handle(events.Event{Fields: mailevents.InjectionData{ICID: 6216, Remote: client.Addr(), Data: []byte("HELO x\r\n")}})
		r.Handle(events.Event{Fields: mailevents.ConnectionClosed{ICID: 6216}})
		want := []string{
			`log: 6216 Sent to '192.0.2.9': '220 mail.example.com ESMTP\015\012'`,
			`log: 6216 Rcvd from '192.0.2.9': 'HELO x\015\012'`,
		}
		if matches != slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", wanted, got, want)
		}
		if err := logs.CheckDebugClient(wanted); err != nil {
			t.Errorf("%s: %v", wanted, err)
		}
	}
	if logs.CheckDebugClient("192.0.2.9-1") == nil || logs.CheckDebugClient("a b") == nil || logs.CheckDebugDomain("") == nil {
		t.Error("an impossible host is accepted")
	}
}
