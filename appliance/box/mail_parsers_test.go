package box_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/product"
)

// A logForm is a form of a line that public parsers of the product's logs accept, in our own words.
// The parsers are those of Elastic's integration, Cribl's pack, Splunk's manuals and add-ons,
// Sekoia's intake format, and the correlators and counters of mail.md section 9. Version by version
// they know these forms (mail.md 1.9, logs.md 3.4 and 7).
type logForm struct {
	log   string
	since string // the first version that writes it; "": all before until
	until string // the first version that does not; "": all since then
	form  string // a regular expression for what follows the level
}

// Parts of the forms.
const (
	host       = `[\w.-]+`
	ip         = `[\d.]+`
	rids       = `\[\d+(?:, \d+)*\]`
	reply      = `\('\d{3}', \[(?:'[^']*'|"[^"]*")(?:, (?:'[^']*'|"[^"]*"))*\]\)`
	statusLine = `Status: CPULd \d+ DskIO \d+ RAMUtil \d+ QKUsd \d+ QKFre \d+ CrtMID \d+ CrtICID \d+ CrtDCID \d+ InjMsg \d+ InjRcp \d+ GenBncRcp \d+ RejRcp \d+ DrpMsg \d+ SftBncEvnt \d+ CmpRcp \d+ HrdBncRcp \d+ DnsHrdBnc \d+ 5XXHrdBnc \d+ FltrHrdBnc \d+ ExpHrdBnc \d+ OtrHrdBnc \d+ DlvRcp \d+ DelRcp \d+ GlbUnsbHt \d+ ActvRcp \d+ UnatmptRcp \d+ AtmptRcp \d+ CrtCncIn \d+ CrtCncOut \d+(?: \w+ \d+[%KMG]?)+`
	cause      = `[45]\.\d+\.\d+ - [\w ()]+ ` + reply
)

var logForms = []logForm{
	{log: "mail_logs", form: `Begin Logfile`},
	{log: "mail_logs", form: `Version: \d{1,2}\.\d{1,2}\.\S{1,6} SN: \S{20}`},
	{log: "mail_logs", form: `Time offset from UTC: -?\d+ seconds`},
	{log: "mail_logs", form: `System is coming up\.`},
	{log: "mail_logs", form: statusLine},
	{log: "mail_logs", form: `New SMTP ICID \d+ interface [\w ]+ \(` + ip + `\) address ` + ip + ` reverse dns host (?:unknown verified no|` + host + ` verified (?:yes|no))`},
	{log: "mail_logs", until: "11.0.0-000", form: `ICID \d+ (?:ACCEPT|RELAY|REJECT) SG \w+ match \S+ SBRS (?:None|rfc1918|-?\d+\.\d)`},
	{log: "mail_logs", since: "11.0.0-000", form: `ICID \d+ (?:ACCEPT|RELAY|REJECT) SG \w+ match \S+ SBRS (?:None|rfc1918|-?\d+\.\d)(?: country [A-Z][\w ]+)?`},
	{log: "mail_logs", form: `ICID \d+ TLS success protocol TLSv1(?:\.\d)? cipher [A-Z0-9_-]+`},
	{log: "mail_logs", form: `Start MID \d+ ICID \d+`},
	{log: "mail_logs", form: `MID \d+ ICID \d+ From: <\S*>`},
	{log: "mail_logs", form: `MID \d+ ICID \d+ RID \d+ To: <\S+>`},
	{log: "mail_logs", form: `MID \d+ ICID \d+ To: <\S+> Rejected by RAT`},
	{log: "mail_logs", form: `MID \d+ Message-ID '<[^']+>'`},
	{log: "mail_logs", until: "14.0.0-000", form: `MID \d+ Subject (?:'[^']*'|"[^"]*'[^"]*")`},
	{log: "mail_logs", since: "14.0.0-000", form: `MID \d+ Subject "[^"]*"`},
	{log: "mail_logs", form: `MID \d+ ready \d+ bytes from <\S*>`},
	{log: "mail_logs", form: `MID \d+ matched all recipients for per-recipient policy \w+ in the (?:inbound|outbound) table`},
	{log: "mail_logs", form: `MID \d+ queued for delivery`},
	{log: "mail_logs", form: `ICID \d+ (?:close|lost)`},
	{log: "mail_logs", form: `Message aborted MID \d+ Receiving aborted(?: by sender)?`},
	{log: "mail_logs", form: `Message finished MID \d+ (?:done|aborted)`},
	{log: "mail_logs", until: "7.6.0-000", form: `New SMTP DCID \d+ interface ` + ip + ` address ` + ip},
	{log: "mail_logs", since: "7.6.0-000", form: `New SMTP DCID \d+ interface ` + ip + ` address ` + ip + ` port \d+`},
	{log: "mail_logs", until: "9.0.0-000", form: `DCID \d+ TLS success protocol TLSv1(?:\.\d)? cipher [A-Z0-9_-]+ `},
	{log: "mail_logs", since: "9.0.0-000", until: "11.0.0-000", form: `DCID \d+ TLS success protocol TLSv1(?:\.\d)? cipher [A-Z0-9_-]+`},
	{log: "mail_logs", since: "11.0.0-000", form: `DCID \d+ TLS success protocol TLSv1(?:\.\d)? cipher [A-Z0-9_-]+ for ` + host},
	{log: "mail_logs", form: `Delivery start DCID \d+ MID \d+ to RID ` + rids},
	{log: "mail_logs", until: "9.0.0-000", form: `Message done DCID \d+ MID \d+ to RID ` + rids + ` `},
	{log: "mail_logs", since: "9.0.0-000", form: `Message done DCID \d+ MID \d+ to RID ` + rids},
	{log: "mail_logs", form: `MID \d+ RID ` + rids + ` Response '[^']+'`},
	{log: "mail_logs", form: `DCID \d+ close`},
	{log: "mail_logs", form: `(?:Bounced|Delayed): DCID \d+ MID \d+ to RID \d+ - ` + cause + ` \[\]`},
	{log: "mail_logs", form: `Message \d+ to RID ` + rids + ` pending till \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}`},
	{log: "mail_logs", form: `MID \d+ was generated for bounce of MID \d+`},
	{log: "mail_logs", form: `Double bounce: MID \d+ to \d+ - [45]\.\d+\.\d+ - [\w ]+ \d{3}-'[^']+'`},
	{log: "mail_logs", until: "7.6.0-000", form: `Connection Error: DCID: \d+ IP: ` + ip + ` details: \[Errno \d+\] [\w ]+ interface: ` + ip + ` reason: [\w ]+`},
	{log: "mail_logs", since: "7.6.0-000", form: `Connection Error: DCID \d+ domain: ` + host + ` IP: ` + ip + ` port: \d+ details: \[Errno \d+\] [\w ]+ interface: ` + ip + ` reason: [\w ]+`},

	{log: "bounces", form: `Begin Logfile`},
	{log: "bounces", form: `Version: \d{1,2}\.\d{1,2}\.\S{1,6} SN: \S{20}`},
	{log: "bounces", form: `Time offset from UTC: -?\d+ seconds`},
	{log: "bounces", until: "10.0.0-000", form: `(?:Bounced|Delayed): \d+:\d+ From:<\S*> To:<\S+> Reason: "[45]\.\d+\.\d+ - [\w ]+" Response: "` + reply + `"`},
	{log: "bounces", since: "10.0.0-000", form: `(?:Bounced|Delayed): DCID \d+ MID \d+ From:<\S*> To:<\S+> RID \d+ - ` + cause},

	{log: "status", form: `Begin Logfile`},
	{log: "status", form: `Version: \d{1,2}\.\d{1,2}\.\S{1,6} SN: \S{20}`},
	{log: "status", form: `Time offset from UTC: -?\d+ seconds`},
	{log: "status", form: statusLine},
}

// levelAndTime is the beginning of every line of a log.
const levelAndTime = `[A-Z][a-z]{2} [A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d \d{4} (?:Critical|Warning|Info): `

// in reports whether version v writes lines of this form.
func (f logForm) in(t *testing.T, v product.Version) bool {
	t.Helper()
	bound := func(text string) product.Version {
		b, err := product.ParseVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return (f.since == "" || !v.Before(bound(f.since))) && (f.until == "" || v.Before(bound(f.until)))
}

// TestMailDayIsReadByPublicParsers: every line that a mail day leaves in the logs has a form that
// public parsers accept for that version, and the day has lines of every form.
func TestMailDayIsReadByPublicParsers(t *testing.T) {
	for _, version := range []string{
		"7.1.0-033", "7.6.3-019", "8.0.1-023", "9.7.0-125", "11.0.0-274", "14.0.0-698", "15.5.1-055",
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			v, err := product.ParseVersion(version)
			if err != nil {
				t.Fatal(err)
			}
			recorded := recordMailDay(t, version)
			for _, log := range []string{"mail_logs", "bounces", "status"} {
				var forms []*regexp.Regexp
				for _, f := range logForms {
					if f.log == log && f.in(t, v) {
						forms = append(forms, regexp.MustCompile(fmt.Sprintf("^%s%s$", levelAndTime, f.form)))
					}
				}
				for _, problem := range unreadLines(recorded[log], forms) {
					t.Errorf("%s: %s", log, problem)
				}
			}
		})
	}
}

// unreadLines tells which lines match no form, and which forms no line.
func unreadLines(text string, forms []*regexp.Regexp) (problems []string) {
	used := make([]bool, len(forms))
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		known := false
		for i, f := range forms {
			if f.MatchString(line) {
				used[i], known = true, true
			}
		}
		if !known {
			problems = append(problems, "no parser knows the line "+line)
		}
	}
	for i, f := range forms {
		if !used[i] {
			problems = append(problems, "no line has the form "+f.String())
		}
	}
	return problems
}
