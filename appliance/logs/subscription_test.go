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

// A server stands for a pusher and keeps what it is given.
type server struct {
	mu      sync.Mutex
	got     []string
	closed  bool
	trouble func(syslog.Event)
	ends    func() error // what Close does; nil: nothing
	waiting int          // when it is closed
	unkept  int          // of them
}

func (s *server) Push(at time.Time, level, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, at.Format(time.Stamp)+" "+level+": "+text)
}

func (s *server) Stats() syslog.Stats {
	return syslog.Stats{Sent: len(s.got), Waiting: s.waiting, MemoryOnly: s.unkept}
}

func (s *server) Close(context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.ends != nil {
		return s.ends()
	}
	return nil
}

func TestLinesArePushed(t *testing.T) {
	pushed := mailLogs()
	pushed.Method = logs.Syslog
	pushed.Push = logs.SyslogPush{Host: "10.44.167.30", Port: 514, Protocol: "tcp", Facility: "mail"}
	system := logs.NewSubscription("system_logs", logs.System.Spec())
	var servers []*server
	d := newDesk(t, 0, func(o *logs.Options) {
		o.NewPusher = func(s logs.Subscription, trouble func(syslog.Event)) (logs.Pusher, error) {
			if s.Name != "mail_logs" || s.Push.Host != "10.44.167.30" {
				t.Errorf("a push of %+v", s)
			}
			servers = append(servers, &server{trouble: trouble})
			return servers[len(servers)-1], nil
		}
	}, pushed, system)
	d.mail(logs.Information, "before the network is there")
	d.StartPushing()
	d.mail(logs.Information, "one")
	d.mail(logs.Debug, "not taken")
	d.Write(logs.Entry{Type: logs.System, Level: logs.Information, Text: "of another log"})
	d.want(servers[0].got, []string{"Jun 25 08:50:03 Info: one"})

	// Its own trouble goes to its file, to other mail logs, and to whom it concerns.
	const text = "Log Error: Subscription mail_logs: Network error while sending log data to syslog server"
	servers[0].trouble(syslog.Event{Kind: syslog.ConnectionBroken, Text: text})
	d.want(len(servers[0].got), 1)
	if got := d.read("mail_logs/mail.current"); !strings.HasSuffix(got, "Thu Jun 25 08:50:03 2015 Critical: "+text+"\n") {
		t.Errorf("the log:\n%s", got)
	}
	d.want(d.trouble, []logs.Problem{{Subscription: "mail_logs", Kind: logs.PushFailed, Text: text}})
	if stats, ok := d.PushStats("mail_logs"); !ok || stats.Sent != 1 {
		t.Errorf("figures: %+v, %v", stats, ok)
	}

	// A change of the push is another push; any other change is not.
	pushed.MaxFiles = 3
	d.Configure([]logs.Subscription{pushed, system})
	d.want(len(servers), 1)
	pushed.Push.Facility = "local0"
	d.Configure([]logs.Subscription{pushed, system})
	d.mail(logs.Information, "two")
	d.want(servers[0].closed, true)
	d.want(servers[1].got, []string{"Jun 25 08:50:03 Info: two"})
	pushed.Method = logs.Manual
	d.Configure([]logs.Subscription{pushed, system})
	d.want(servers[1].closed, true)
	if _, ok := d.PushStats("mail_logs"); ok {
		t.Error("a push that has ended has figures")
	}
}

// pushedTo is a mail log that is pushed to a server.
func pushedTo(host, name string) logs.Subscription {
	s := logs.NewSubscription(name, logs.Mail.Spec())
	s.Method, s.Push = logs.Syslog, logs.SyslogPush{Host: host, Port: 514, Protocol: "tcp", Facility: "mail"}
	return s
}

// What waited for a server that nobody sends to any more is counted in the mail log; what
// another push finds on disk is not lost.
func TestADiscardedQueueIsTold(t *testing.T) {
	buffered := pushedTo("10.44.167.30", "pushed")
	buffered.Push.Buffer = logs.MinBuffer
	elsewhere, unbuffered := buffered, buffered
	elsewhere.Push.Host, unbuffered.Push.Buffer = "10.44.167.31", 0
	for name, c := range map[string]struct {
		next   []logs.Subscription
		unkept int
		lost   int
	}{
		"deleted":                  {nil, 0, 437},
		"no buffer":                {[]logs.Subscription{unbuffered}, 0, 437},
		"another server":           {[]logs.Subscription{elsewhere}, 0, 0},
		"another, and a full disk": {[]logs.Subscription{elsewhere}, 37, 37},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, 0, func(o *logs.Options) {
				o.NewPusher = func(logs.Subscription, func(syslog.Event)) (logs.Pusher, error) {
					return &server{waiting: 437, unkept: c.unkept}, nil
				}
			}, mailLogs(), buffered)
			d.StartPushing()
			d.mail(logs.Information, "before")
			if err := d.Configure(append(c.next, mailLogs())); err != nil {
				t.Fatal(err)
			}
			d.flush()
			told := fmt.Sprintf("Warning: Log Error: Subscription pushed: %d messages that waited for the syslog server were discarded\n", c.lost)
			if got := d.read("mail_logs/mail.current"); strings.HasSuffix(got, told) != (c.lost > 0) {
				t.Errorf("the mail log:\n%s", got)
			}
		})
	}
}

// What is logged while one push ends is the next one's, before all that follows.
func TestLinesOfAChangeArePushed(t *testing.T) {
	var servers []*server
	var d *desk
	d = newDesk(t, 0, func(o *logs.Options) {
		o.NewPusher = func(logs.Subscription, func(syslog.Event)) (logs.Pusher, error) {
			servers = append(servers, &server{ends: func() error {
				d.mail(logs.Information, "meanwhile")
				return nil
			}})
			return servers[len(servers)-1], nil
		}
	}, pushedTo("10.44.167.30", "mail_logs"))
	d.StartPushing()
	d.mail(logs.Information, "before")
	if err := d.Configure([]logs.Subscription{pushedTo("10.44.167.31", "mail_logs")}); err != nil {
		t.Fatal(err)
	}
	d.mail(logs.Information, "after")
	d.want(servers[0].got, []string{"Jun 25 08:50:03 Info: before"})
	d.want(servers[1].got, []string{"Jun 25 08:50:03 Info: meanwhile", "Jun 25 08:50:03 Info: after"})
}

// What a change has no room for is told where it is missing.
func TestTooManyLinesOfAChange(t *testing.T) {
	var servers []*server
	var d *desk
	d = newDesk(t, 0, func(o *logs.Options) {
		o.Buffer = 1000
		o.NewPusher = func(logs.Subscription, func(syslog.Event)) (logs.Pusher, error) {
			servers = append(servers, &server{ends: func() error {
				for range 3 {
					d.mail(logs.Information, "%0400d", 0)
				}
				return nil
			}})
			return servers[len(servers)-1], nil
		}
	}, pushedTo("10.44.167.30", "mail_logs"))
	d.StartPushing()
	if err := d.Configure([]logs.Subscription{pushedTo("10.44.167.31", "mail_logs")}); err != nil {
		t.Fatal(err)
	}
	const stamp = "Jun 25 08:50:03 "
	line := stamp + "Info: " + strings.Repeat("0", 400)
	d.want(servers[1].got, []string{line, line, stamp + "Warning: 1 messages were dropped: the buffer was full."})
}

// A commit waits for the slowest of the pushes that it ends, not for one after the other.
func TestPushesEndTogether(t *testing.T) {
	var ending atomic.Int32
	together := make(chan struct{})
	first := true
	d := newDesk(t, 0, func(o *logs.Options) {
		o.NewPusher = func(logs.Subscription, func(syslog.Event)) (logs.Pusher, error) {
			if !first {
				return &server{}, nil
			}
			return &server{ends: func() error {
				if ending.Add(1) == 3 {
					close(together)
				}
				select {
				case <-together:
					return nil
				case <-time.After(10 * time.Second):
					return errors.New("it ended alone")
				}
			}}, nil
		}
	}, pushedTo("10.44.167.30", "changed"), pushedTo("10.44.167.30", "changed_too"), pushedTo("10.44.167.30", "removed"))
	d.StartPushing()
	first = false
	if err := d.Configure([]logs.Subscription{pushedTo("10.44.167.31", "changed"), pushedTo("10.44.167.31", "changed_too")}); err != nil {
		t.Error(err)
	}
}

// Two logs that are pushed to a server that closes every connection do not tell it of
// each other's errors for ever. What else there is to push ends that, and so does time.
func TestPushErrorsOfTwoLogs(t *testing.T) {
	servers := map[string]*server{}
	var list []logs.Subscription
	for _, name := range []string{"mail_logs", "error_logs"} {
		list = append(list, pushedTo("10.44.167.30", name))
	}
	var shown *clock.Offset
	d := newDesk(t, 0, func(o *logs.Options) {
		shown = clock.NewOffset(o.Clock)
		o.Clock = shown
		o.NewPusher = func(s logs.Subscription, trouble func(syslog.Event)) (logs.Pusher, error) {
			servers[s.Name] = &server{trouble: trouble}
			return servers[s.Name], nil
		}
	}, list...)
	d.StartPushing()
	fails := func(name string) {
		servers[name].trouble(syslog.Event{Kind: syslog.ConnectionBroken, Text: "Log Error: Subscription " + name + ": Network error"})
	}
	got := func(name string) (texts []string) {
		for _, line := range servers[name].got {
			_, text, _ := strings.Cut(line, "Subscription ")
			texts = append(texts, text)
		}
		servers[name].got = nil
		return texts
	}
	fails("mail_logs")
	d.want(got("error_logs"), []string{"mail_logs: Network error"})
	fails("error_logs")
	d.want(got("mail_logs"), []string(nil))

	d.mail(logs.Information, "Subscription none: something else")
	fails("error_logs")
	d.want(got("mail_logs"), []string{"none: something else", "error_logs: Network error"})

	fails("mail_logs")
	shown.SetShift(-24 * time.Hour) // which makes no minute longer
	d.clock.Advance(2 * time.Minute)
	fails("error_logs")
	d.want(got("mail_logs"), []string{"error_logs: Network error"})
}

// The configuration decodes the list once, and everybody gets a list of their own.
func TestAListThatWasAskedForIsTheCallersOwn(t *testing.T) {
	s := config.NewStore()
	for range 3 { // the first decodes, the others clone
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
	if diff := cmp.Diff(strings.Fields("antispam antivirus asarchive authentication avarchive bounces cli_logs config_history encryption error_logs "+
		"euq_logs euqgui_logs ftpd_logs gui_logs mail_logs reportd_logs reportqueryd_logs scanning slbld_logs sntpd_logs status system_logs "+
		"trackerd_logs updater_logs"), names(seed.Version)); diff != "" {
		t.Errorf("8.0.1 (-want +got)\n%s", diff)
	}
	later := names(product.Version{Major: 14})
	if !slices.Contains(later, "amp") || !slices.Contains(later, "audit_logs") {
		t.Errorf("14.0: %q", later)
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
		"RAMUtil": "1", "QKFre": "8388608", "CrtDCID": "1", "CPUTTm": "91", "CPUETm": "32182", "MaxIO": "487", "RAMUsd": "125195690",
		"DstInMem": "3", "LogUsd": "5", "SophLd": "99", "TotalLd": "47", "LogAvail": logs.FormatDiskSpace(148 << 30), "SwIn": "338",
		"SwOut": "681", "SwPgIn": "2123", "SwPgOut": "7156",
	}
	if got := logs.StatusLine(product.Version{Major: 14}, figures); got != guide {
		t.Errorf("got\n%s\nwant\n%s", got, guide)
	}
	if got := logs.StatusLine(seed.Version, figures); got != strings.Replace(guide, "SwapUsage 0% ", "", 1) {
		t.Errorf("8.0.1: got\n%s", got)
	}
}
