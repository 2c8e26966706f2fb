package box_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
)

// traffic returns the captured traffic with the syslog server, one word for each frame: ">S" is
// the appliance's SYN, ">P." its data, "<R." the server's reset.
func (s *syslogTest) traffic() string {
	s.t.Helper()
	var words []string
	for _, p := range s.Packets(s.Captures()[0]) {
		tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok || tcp.SrcPort != 514 && tcp.DstPort != 514 {
			continue
		}
		f := strings.Fields(describe(p.Packet, map[string]bool{"10.229.24.230": true})) // > tcp S 0
		words = append(words, f[0]+f[2])
	}
	return strings.Join(words, " ")
}

// Each cause of A9 to A11 has its own signature in the capture, the mail log and the alert. A
// slow server is no error (A13).
func TestCausesInCaptureLogAndAlert(t *testing.T) {
	t.Parallel()
	const (
		works    = "- {type: syslogd, options: {protocol: tcp}}"
		rule     = "\ndoors:\n"
		to       = "to: 10.44.167.30/32, protocol: tcp, port: 514"
		failed   = "Log Error: Subscription Mail_Log: Failed to connect to 10.44.167.30: "
		opened   = `>S <S\. >\. `
		anything = `.*`
	)
	for _, c := range []struct {
		name         string
		server, rule string
		capture      string // a pattern for the whole traffic
		reported     string // "" if nothing is reported
	}{
		{"a firewall drops", works, "{name: firewall, action: drop, " + to + "}", `>S( >S)*`, failed + "Operation timed out"},
		{
			"an IPS resets in mid-stream", works, "{name: IPS, action: reset, " + to + ", after_records: 4}",
			opened + anything + `>P\. ` + anything + `<R\.?( .*)?`, pushError,
		},
		{"too busy: refuses", works, "{name: busy, action: refuse, " + to + "}", `>S <R\.( >S <R\.)*`, failed + "Connection refused"},
		{
			"too busy: accepts and closes", "- {type: syslogd, options: {protocol: tcp, after: accept, then: close, pause: 0s}}", "",
			opened + anything + `<(F\.|R)` + anything, pushError, // RST if data was not read
		},
		{"too busy: the queue is full", "- {type: syslogd, options: {protocol: tcp, backlog: full}}", "", `>S( >S)*`, failed + "Operation timed out"},
		{"slow", "- {type: syslogd, options: {protocol: tcp, rate: 1}}", "", opened + `>P\. <\. >P\.( <\.)?`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			replace := []string{"  logs:\n" + pushedLog, "", working, c.server}
			if c.rule != "" {
				replace = append(replace, rule, "\nrules: ["+c.rule+"]\n"+rule)
			}
			s := startSyslogTest(t, syslogWorld(t, replace...), connectTimeoutFor(c.reported))
			admin := s.Login()
			admin.Type("packetcapture")
			admin.Expect("[]> ")
			admin.Type("start")
			admin.Expect("Success - Packet Capture has started")
			s.commit(func(d *config.Draft) error {
				return logs.Section.Edit(d, func(v *logs.Subscriptions) error {
					v.Put(mailsTo("10.44.167.30", "Mail_Log"))
					return nil
				})
			})
			s.Appliance().Log(appliance.MailLog, appliance.Information, "something to push")
			if c.reported == "" {
				s.eventually("the records are sent", func() bool {
					stats, _ := s.Appliance().Logs.PushStats("Mail_Log")
					return stats.Sent == 1
				})
			} else {
				s.eventually("an alert is mailed", func() bool { return len(s.mx.Messages()) > 0 })
			}
			admin.Type("stop")
			admin.Expect("Success - Packet Capture has stopped")

			if got := s.traffic(); !regexp.MustCompile("^" + c.capture + "$").MatchString(got) {
				t.Errorf("the capture has\n%s\nwant\n%s", got, c.capture)
			}
			if c.reported == "" {
				if got := s.critical(); len(got) > 0 {
					t.Errorf("the mail log has %q", got)
				}
				return
			}
			if got := s.critical(); !slices.Contains(got, c.reported) || len(slices.Compact(got)) != 1 {
				t.Errorf("the mail log has %q", got)
			}
			if got := string(s.mx.Messages()[0].Data()); !strings.Contains(got, "\r\n"+c.reported+"\r\n") {
				t.Errorf("the mail is\n%s", got)
			}
		})
	}
}
