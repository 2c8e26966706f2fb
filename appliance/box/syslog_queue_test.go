package box_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// commit changes sections of the configuration.
func (s *syslogTest) commit(change func(d *config.Draft) error) {
	s.t.Helper()
	d := s.Appliance().Config.NewDraft()
	if err := change(d); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Appliance().Config.Commit(s.t.Context(), d, config.CommitInfo{User: "admin"}); err != nil {
		s.t.Fatal(err)
	}
}

// The queue on disk survives changes of its log and is deleted with it: a new log of the same
// name sends nothing that was written before it was added.
func TestQueueIsDeletedWithLog(t *testing.T) {
	t.Parallel()
	s := startSyslogTest(t, syslogWorld(t, working, "- {type: syslogd, options: {protocol: tcp}}",
		"protocol: tcp}\n  alerts:", "protocol: tcp, buffer: 1MiB}\n  alerts:"),
		appliancetest.Faults(topology.Rule{Action: "refuse", To: netip.MustParsePrefix("10.44.167.30/32"), Protocol: "tcp", Port: 514}))
	s.eventually("a critical line is logged", func() bool { return len(s.critical()) > 0 })
	s.Appliance().Log(appliance.MailLog, appliance.Information, "before the deletion")
	waiting := func() int {
		stats, _ := s.Appliance().Logs.PushStats("Mail_Log")
		return stats.Waiting
	}
	s.eventually("the record waits", func() bool { return waiting() > 1 })
	before := waiting()

	var log logs.Subscription
	s.commit(func(d *config.Draft) error {
		return logs.Section.Edit(d, func(v *logs.Subscriptions) error {
			log = *v.Find("Mail_Log")
			log.Push.Facility = "local0"
			v.Put(log)
			return nil
		})
	})
	if n := waiting(); n < before {
		t.Errorf("%d records wait after a change, want at least %d", n, before)
	}
	s.commit(func(d *config.Draft) error {
		return logs.Section.Edit(d, func(v *logs.Subscriptions) error {
			v.List = nil
			return nil
		})
	})
	s.Faults().Clear()
	s.commit(func(d *config.Draft) error {
		return logs.Section.Edit(d, func(v *logs.Subscriptions) error {
			v.Put(log)
			return nil
		})
	})
	s.Appliance().Log(appliance.MailLog, appliance.Information, "after the deletion")
	s.eventually("a record came", func() bool { return s.in.Total() > 3 })
	if got := s.in.Records(); !strings.HasSuffix(got[3], "Info: after the deletion") {
		t.Errorf("the server has\n%s", strings.Join(got, "\n"))
	}
}

// The stream is that of the seed, to the byte (A4, A29), if the tag is example.com, the log's
// name Mail_Log, and subjects of alerts are cut after 63 characters. The records have the time
// at which they were queued, a second before the connection (A16).
func TestSeedTextIsReproduced(t *testing.T) {
	t.Parallel()
	const line = "    - {name: Mail_Log, type: mail, server: 10.44.167.30, protocol: tcp}\n"
	now := clock.NewFake(time.Date(2015, 6, 25, 6, 50, 3, 0, time.UTC))
	s := startSyslogTest(t, syslogWorld(t, "  logs:\n"+line, "", "  alerts:\n", "  alert_subject_length: 63\n  alerts:\n"), appliancetest.Clock(now))
	s.commit(func(d *config.Draft) error {
		log := mailsTo("10.44.167.30", "Mail_Log")
		log.Push.Tag = "example.com"
		return logs.Section.Edit(d, func(v *logs.Subscriptions) error {
			v.Put(log)
			return nil
		})
	})
	s.Appliance().Log(appliance.MailLog, appliance.Information, "something to push")
	s.eventually("the alert is logged, and how many messages may be lost", func() bool {
		log, doubts := s.mailLogAndDoubts()
		return len(log) == 7 && doubts == 1
	})
	now.Advance(time.Second)
	s.eventually("the line about it is pushed, and the connection is reset", func() bool {
		c := s.in.Connections()
		return len(c) == 2 && c[1].End == "reset"
	})
	const want = "<22>Jun 25 08:50:03 example.com: Info: Begin Logfile\n" +
		"<22>Jun 25 08:50:03 example.com: Info: Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E\n" +
		"<22>Jun 25 08:50:03 example.com: Info: Time offset from UTC: 7200 seconds\n" +
		"<22>Jun 25 08:50:03 example.com: Info: A System/Critical alert was sent to " +
		"alerts@ironport.com with subject \"Critical <System> mail.example.com: Log Error: " +
		"Subscription Mail_Log: Network error while sending l...\".\n"
	got := s.in.Connections()[1]
	if diff := cmp.Diff(want, string(got.Data)); diff != "" {
		t.Errorf("the stream (-want +got)\n%s", diff)
	}
	wantLog := []string{
		"Info: Begin Logfile", "Info: Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E", "Info: Time offset from UTC: 7200 seconds",
		"Info: System is coming up.", "Info: something to push", "Critical: " + pushError,
		"Info: A System/Critical alert was sent to alerts@ironport.com with subject " +
			"\"Critical <System> mail.example.com: Log Error: Subscription Mail_Log: Network error while sending l...\".",
	}
	log, _ := s.mailLogAndDoubts()
	if diff := cmp.Diff(wantLog, log[:7]); diff != "" {
		t.Errorf("the mail log (-want +got)\n%s", diff)
	}
	if mails := s.mx.Messages(); len(mails) != 1 || mails[0].Subject() != "Critical <System> mail.example.com: Log Error: Subscription Mail_Log: Network error while sending l..." {
		t.Errorf("mails: %+v", mails)
	}
}
