package logs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/product"
)

// A fakePusher is a Pusher that keeps the lines it is given.
type fakePusher struct {
	mu         sync.Mutex
	lines      []string
	closed     bool
	onEvent    func(syslog.Event)
	onClose    func() error // called by Close; may be nil
	waiting    int          // Stats.Waiting
	memoryOnly int          // Stats.MemoryOnly
}

func (s *fakePusher) Push(at time.Time, level, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, at.Format(time.Stamp)+" "+level+": "+text)
}

func (s *fakePusher) Stats() syslog.Stats {
	return syslog.Stats{Sent: len(s.lines), Waiting: s.waiting, MemoryOnly: s.memoryOnly}
}

func (s *fakePusher) Close(context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.onClose != nil {
		return s.onClose()
	}
	return nil
}

func TestLinesArePushed(t *testing.T) {
	pushed := mailLogs()
	pushed.Method = logs.Syslog
	pushed.Push = logs.SyslogPush{
		Host: "10.44.167.30", Port: 514, Protocol: "tcp", Facility: "mail",
	}
	system := logs.NewSubscription("system_logs", logs.System.Spec())
	var pushers []*fakePusher
	h := newHarness(t, 0, func(o *logs.Options) {
		o.NewPusher = func(s logs.Subscription, onEvent func(syslog.Event)) (logs.Pusher, error) {
			if s.Name != "mail_logs" || s.Push.Host != "10.44.167.30" {
				t.Errorf("NewPusher of %+v", s)
			}
			pushers = append(pushers, &fakePusher{onEvent: onEvent})
			return pushers[len(pushers)-1], nil
		}
	}, pushed, system)
	h.logMail(logs.Information, "before the network is there")
	h.StartPushing()
	h.logMail(logs.Information, "one")
	h.logMail(logs.Debug, "not taken")
	h.Write(logs.Entry{Type: logs.System, Level: logs.Information, Text: "of another log"})
	h.want(pushers[0].lines, []string{"Jun 25 08:50:03 Info: one"})

	// An error of its own is written to its file and reported, but not pushed.
	const text = "Log Error: Subscription mail_logs: Network error while sending log data to syslog server"
	pushers[0].onEvent(syslog.Event{Kind: syslog.ConnectionBroken, Text: text})
	h.want(len(pushers[0].lines), 1)
	if got := h.read("mail_logs/mail_logs.current"); !strings.HasSuffix(got, "Thu Jun 25 08:50:03 2015 Critical: "+text+"\n") {
		t.Errorf("the log:\n%s", got)
	}
	h.want(h.problems,
		[]logs.Problem{{Subscription: "mail_logs", Kind: logs.PushFailed, Text: text}})
	if stats, ok := h.PushStats("mail_logs"); !ok || stats.Sent != 1 {
		t.Errorf("stats: %+v, %v", stats, ok)
	}

	// A change of the push replaces the pusher; any other change does not.
	pushed.MaxFiles = 3
	h.Configure([]logs.Subscription{pushed, system})
	h.want(len(pushers), 1)
	pushed.Push.Facility = "local0"
	h.Configure([]logs.Subscription{pushed, system})
	h.logMail(logs.Information, "two")
	h.want(pushers[0].closed, true)
	h.want(pushers[1].lines, []string{"Jun 25 08:50:03 Info: two"})
	pushed.Method = logs.Manual
	h.Configure([]logs.Subscription{pushed, system})
	h.want(pushers[1].closed, true)
	if _, ok := h.PushStats("mail_logs"); ok {
		t.Error("a push that has ended has stats")
	}
}

// pushedLogs returns a mail log that is pushed to a server.
func pushedLogs(host, name string) logs.Subscription {
	s := logs.NewSubscription(name, logs.Mail.Spec())
	s.Method, s.Push = logs.Syslog, logs.SyslogPush{
		Host: host, Port: 514, Protocol: "tcp", Facility: "mail",
	}
	return s
}

// The mail log says how many messages waited for a server that no log is pushed to any more.
// Messages that another pusher finds on disk are not lost.
func TestDiscardedMessagesAreLogged(t *testing.T) {
	buffered := pushedLogs("10.44.167.30", "pushed")
	buffered.Push.Buffer = logs.MinBuffer
	elsewhere, unbuffered := buffered, buffered
	elsewhere.Push.Host, unbuffered.Push.Buffer = "10.44.167.31", 0
	for name, c := range map[string]struct {
		next       []logs.Subscription
		memoryOnly int
		lost       int
	}{
		"deleted":                  {nil, 0, 437},
		"no buffer":                {[]logs.Subscription{unbuffered}, 0, 437},
		"another server":           {[]logs.Subscription{elsewhere}, 0, 0},
		"another, and a full disk": {[]logs.Subscription{elsewhere}, 37, 37},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, 0, func(o *logs.Options) {
				o.NewPusher = func(logs.Subscription, func(syslog.Event)) (logs.Pusher, error) {
					return &fakePusher{waiting: 437, memoryOnly: c.memoryOnly}, nil
				}
			}, mailLogs(), buffered)
			h.StartPushing()
			h.logMail(logs.Information, "before")
			if err := h.Configure(append(c.next, mailLogs())); err != nil {
				t.Fatal(err)
			}
			h.flush()
			line := fmt.Sprintf("Warning: Log Error: Subscription pushed: "+
				"%d messages that waited for the syslog server were discarded\n", c.lost)
			if got := h.read("mail_logs/mail_logs.current"); strings.HasSuffix(got, line) != (c.lost > 0) {
				t.Errorf("the mail log:\n%s", got)
			}
		})
	}
}

// Lines that are written while one pusher closes are given to the next one, before all others.
func TestLinesDuringChangeOfPushArePushed(t *testing.T) {
	var pushers []*fakePusher
	var h *harness
	h = newHarness(t, 0, func(o *logs.Options) {
		o.NewPusher = func(logs.Subscription, func(syslog.Event)) (logs.Pusher, error) {
			pushers = append(pushers, &fakePusher{onClose: func() error {
				h.logMail(logs.Information, "meanwhile")
				return nil
			}})
			return pushers[len(pushers)-1], nil
		}
	}, pushedLogs("10.44.167.30", "mail_logs"))
	h.StartPushing()
	h.logMail(logs.Information, "before")
	if err := h.Configure([]logs.Subscription{pushedLogs("10.44.167.31", "mail_logs")}); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "after")
	h.want(pushers[0].lines, []string{"Jun 25 08:50:03 Info: before"})
	h.want(pushers[1].lines, []string{
		"Jun 25 08:50:03 Info: meanwhile", "Jun 25 08:50:03 Info: after",
	})
}

// If too many lines are written while one pusher closes, the next one gets a line that says how
// many are missing.
func TestTooManyLinesDuringChangeOfPush(t *testing.T) {
	var pushers []*fakePusher
	var h *harness
	h = newHarness(t, 0, func(o *logs.Options) {
		o.Buffer = 1000
		o.NewPusher = func(logs.Subscription, func(syslog.Event)) (logs.Pusher, error) {
			pushers = append(pushers, &fakePusher{onClose: func() error {
				for range 3 {
					h.logMail(logs.Information, "%0400d", 0)
				}
				return nil
			}})
			return pushers[len(pushers)-1], nil
		}
	}, pushedLogs("10.44.167.30", "mail_logs"))
	h.StartPushing()
	if err := h.Configure([]logs.Subscription{pushedLogs("10.44.167.31", "mail_logs")}); err != nil {
		t.Fatal(err)
	}
	const stamp = "Jun 25 08:50:03 "
	line := stamp + "Info: " + strings.Repeat("0", 400)
	h.want(pushers[1].lines, []string{line, line, stamp +
		"Warning: 1 messages were dropped: the buffer was full."})
}

// A commit waits for the slowest of the pushers that it ends, not for one after the other.
func TestPushersCloseConcurrently(t *testing.T) {
	var ending atomic.Int32
	together := make(chan struct{})
	first := true
	h := newHarness(t, 0, func(o *logs.Options) {
		o.NewPusher = func(logs.Subscription, func(syslog.Event)) (logs.Pusher, error) {
			if !first {
				return &fakePusher{}, nil
			}
			return &fakePusher{onClose: func() error {
				if ending.Add(1) == 3 {
					close(together)
				}
				select {
				case <-together:
					return nil
				case <-time.After(10 * time.Second):
					return errors.New("the pushers are not closed at the same time")
				}
			}}, nil
		}
	}, pushedLogs("10.44.167.30", "changed"), pushedLogs("10.44.167.30", "changed_too"),
		pushedLogs("10.44.167.30", "removed"))
	h.StartPushing()
	first = false
	if err := h.Configure([]logs.Subscription{pushedLogs("10.44.167.31", "changed"), pushedLogs("10.44.167.31", "changed_too")}); err != nil {
		t.Error(err)
	}
}

// Two logs that are pushed to a server that closes every connection do not push each other's errors
// forever. A line about something else allows them again, and so does a minute.
func TestTwoLogsDoNotPushEachOthersErrorsForever(t *testing.T) {
	pushers := map[string]*fakePusher{}
	var list []logs.Subscription
	for _, name := range []string{"mail_logs", "error_logs"} {
		list = append(list, pushedLogs("10.44.167.30", name))
	}
	var shown *clock.Offset
	h := newHarness(t, 0, func(o *logs.Options) {
		shown = clock.NewOffset(o.Clock)
		o.Clock = shown
		o.NewPusher = func(s logs.Subscription, onEvent func(syslog.Event)) (logs.Pusher, error) {
			pushers[s.Name] = &fakePusher{onEvent: onEvent}
			return pushers[s.Name], nil
		}
	}, list...)
	h.StartPushing()
	fails := func(name string) {
		pushers[name].onEvent(syslog.Event{
			Kind: syslog.ConnectionBroken,
			Text: "Log Error: Subscription " + name + ": Network error",
		})
	}
	got := func(name string) (texts []string) {
		for _, line := range pushers[name].lines {
			_, text, _ := strings.Cut(line, "Subscription ")
			texts = append(texts, text)
		}
		pushers[name].lines = nil
		return texts
	}
	fails("mail_logs")
	h.want(got("error_logs"), []string{"mail_logs: Network error"})
	fails("error_logs")
	h.want(got("mail_logs"), []string(nil))

	h.logMail(logs.Information, "Subscription none: something else")
	fails("error_logs")
	h.want(got("mail_logs"), []string{"none: something else", "error_logs: Network error"})

	fails("mail_logs")
	shown.SetShift(-24 * time.Hour) // must not make the minute longer
	h.clock.Advance(2 * time.Minute)
	fails("error_logs")
	h.want(got("mail_logs"), []string{"error_logs: Network error"})
}

// The configuration decodes the list once, and each caller gets a copy.
func TestSectionReturnsACopyOfTheList(t *testing.T) {
	s := config.NewStore()
	for range 3 { // the first Get decodes, the others clone
		v := logs.Section.Get(s.Committed())
		if len(v.List) < 20 || v.List[0].Name == "changed" {
			t.Fatalf("got %d subscriptions, the first %s", len(v.List), v.List[0].Name)
		}
		v.List[0].Name = "changed"
	}
}

func TestDefaultSubscriptions(t *testing.T) {
	names := func(v product.Version) (out []string) {
		for _, s := range logs.DefaultSubscriptions(v) {
			out = append(out, s.Name)
		}
		return out
	}
	if diff := cmp.Diff(strings.Fields("antispam antivirus asarchive authentication avarchive bounces cli_logs config_history encryption error_logs "+"euq_logs euqgui_logs ftpd_logs gui_logs mail_logs reportd_logs reportqueryd_logs scanning slbld_logs sntpd_logs status system_logs "+"trackerd_logs updater_logs"), names(seedFacts.Version)); diff != "" {
		t.Errorf("8.0.1 (-want +got)\n%s", diff)
	}
	newer := names(product.Version{Major: 14})
	if !slices.Contains(newer, "amp") || !slices.Contains(newer, "audit_logs") {
		t.Errorf("14.0: %q", newer)
	}
	for _, s := range logs.DefaultSubscriptions(product.Version{Major: 14}) {
		want := logs.Information
		if s.Name == "error_logs" {
			want = logs.Critical
		}
		if s.Level != want || s.Method != logs.Manual || s.MaxSize != 10485760 || s.MaxFiles != 10 {
			t.Errorf("%+v", s)
		}
	}
}

func TestStatusLine(t *testing.T) {
	const guide = "CPULd 0 DskIO 0 RAMUtil 1 QKUsd 0 QKFre 8388608 CrtMID 0 CrtICID 0 CrtDCID 1 InjMsg 0 InjRcp 0 GenBncRcp 0 RejRcp 0 " +
		"DrpMsg 0 SftBncEvnt 0 CmpRcp 0 HrdBncRcp 0 DnsHrdBnc 0 5XXHrdBnc 0 FltrHrdBnc 0 ExpHrdBnc 0 OtrHrdBnc 0 DlvRcp 0 DelRcp 0 " +
		"GlbUnsbHt 0 ActvRcp 0 UnatmptRcp 0 AtmptRcp 0 CrtCncIn 0 CrtCncOut 0 DnsReq 0 NetReq 0 CchHit 0 CchMis 0 CchEct 0 CchExp 0 " +
		"CPUTTm 91 CPUETm 32182 MaxIO 487 RAMUsd 125195690 MMLen 0 DstInMem 3 ResCon 0 WorkQ 0 QuarMsgs 0 QuarQKUsd 0 LogUsd 5 " +
		"SophLd 99 BMLd 0 CASELd 0 TotalLd 47 LogAvail 148G EuQ 0 EuqRls 0 CmrkLd 0 McafLd 0 SwIn 338 SwOut 681 SwPgIn 2123 " +
		"SwPgOut 7156 SwapUsage 0% RptLd 0 QtnLd 0 EncrQ 0 InjBytes 0"
	figures := map[string]string{
		"RAMUtil": "1", "QKFre": "8388608", "CrtDCID": "1",
		"CPUTTm": "91", "CPUETm": "32182", "MaxIO": "487", "RAMUsd": "125195690",
		"DstInMem": "3", "LogUsd": "5", "SophLd": "99",
		"TotalLd": "47", "LogAvail": logs.FormatDiskSpace(148 << 30), "SwIn": "338",
		"SwOut": "681", "SwPgIn": "2123", "SwPgOut": "7156",
	}
	if got := logs.StatusLine(product.Version{Major: 14}, figures); got != guide {
		t.Errorf("got\n%s\nwant\n%s", got, guide)
	}
	for _, v := range []product.Version{seedFacts.Version, {Major: 16}} {
		if got := logs.StatusLine(v, figures); got != strings.Replace(guide, "SwapUsage 0% ", "", 1) {
			t.Errorf("%v: got\n%s", v, got)
		}
	}
	for bytes, want := range map[int64]string{
		-1: "0G", 0: "0G", 166 << 10: "0G", 1<<29 - 1: "0G", 1 << 29: "1G", 1<<30 - 1: "1G", 3 << 40: "3072G",
	} {
		if got := logs.FormatDiskSpace(bytes); got != want {
			t.Errorf("%d bytes are %s, want %s", bytes, got, want)
		}
	}
}
