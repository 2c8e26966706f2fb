package alert_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/product"
)

// The subjects are those of A31 and A8. The ends of the texts, which the subjects do not show, are
// those of logs.md 4.6 or invented.
func TestSubject(t *testing.T) {
	for _, c := range []struct {
		class    alert.Class
		severity alert.Severity
		host     string
		text     string
		length   int
		want     string
	}{
		{alert.System, alert.Warning, "cisco.esa",
			"URL category definitions have changed.; Added new category 'Games'", 60,
			"Warning <System> cisco.esa: URL category definitions have changed.; Added new category '..."},
		{alert.System, alert.Warning, "example.com",
			`Your "IronPort Email Encryption" key will expire in under 60 day(s).`, 60,
			`Warning <System> example.com: Your "IronPort Email Encryption" key will expire in under 60...`},
		{alert.System, alert.Warning, "cisco.esa",
			`Your "Sophos Anti-Virus" key will expire in under 60 day(s). Please contact your authorized Cisco sales representative.`, 60,
			`Warning <System> cisco.esa: Your "Sophos Anti-Virus" key will expire in under 60 day(s)....`},
		{alert.System, alert.Critical, "example.com",
			"Log Error: Subscription error_logs: Failed to connect to 10.0.0.1: Connection refused",
			60,
			"Critical <System> example.com: Log Error: Subscription error_logs: Failed to connect to 10...."},
		{alert.System, alert.Critical, "HOST",
			`An application fault occurred: ('query/api.py searchData|4652', "<type 'exceptions.AttributeError'>")`, 60,
			"Critical <System> HOST: An application fault occurred: ('query/api.py searchData|465..."},
		{alert.AntiVirus, alert.Critical, "HOST", "MID 198463616 antivirus timeout error", 60,
			"Critical <Anti-Virus> HOST: MID 198463616 antivirus timeout error"},
		// A8: with a name of five letters (A26), and as it is printed (A29).
		{alert.System, alert.Critical, "mail.example.com",
			strings.Replace(errorText, "Mail_Log", "NNNNN", 1), 60,
			"Critical <System> mail.example.com: Log Error: Subscription NNNNN: Network error while sending l..."},
		{alert.System, alert.Critical, "mail.example.com", errorText, 63,
			"Critical <System> mail.example.com: Log Error: Subscription Mail_Log: Network error while sending l..."},
		{alert.System, alert.Critical, "mail.example.com", errorText, 60,
			"Critical <System> mail.example.com: Log Error: Subscription Mail_Log: Network error while sendin..."},
		{
			alert.System, alert.Information, "HOST",
			strings.Repeat("ü", 60), 60, "Info <System> HOST: " + strings.Repeat("ü", 60),
		},
		{alert.System, alert.Information, "HOST", "one\ntwo", 60, "Info <System> HOST: one two"},
	} {
		if got := alert.Subject(c.class, c.severity, c.host, c.text, c.length); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestMessageOfVersion8(t *testing.T) {
	h := newHarness(t, nil)
	h.Raise(alert.System, alert.Critical, errorText)
	h.clock.Advance(time.Minute)
	h.Raise(alert.System, alert.Critical, errorText)
	h.Raise(alert.System, alert.Critical, errorText)
	h.clock.Advance(4 * time.Minute)
	m := h.parse(h.messages[1])
	for name, want := range map[string]string{
		"From":    "IronPort C100V Alert <alert@mail.example.com>",
		"Subject": "Critical <System> mail.example.com: Log Error: Subscription Mail_Log: Network error while sendin...",
		"Date":    "Tue, 10 Mar 2015 10:05:00 +0200",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if from := h.messages[1].From; from != "alert@mail.example.com" {
		t.Errorf("the envelope is from %s", from)
	}
	const want = `The Critical message is:

Log Error: Subscription Mail_Log: Network error while sending log data to syslog server

Last message occurred 2 times between Tue Mar 10 10:01:00 2015 and Tue Mar 10 10:01:00 2015.

Version: 8.0.1-023
Serial Number: A4BADB4712A9-511AA1E
Timestamp: 10 Mar 2015 10:05:00 +0200

To learn more about alerts, please visit our Knowledge Base. In many cases, you can find further information about this specific alert. Please click the Knowledge Base link after logging into our Support Portal at:
http://www.cisco.com/web/ironport/index.html

If you desire further information, please contact your support provider.

To open a support request for this issue, access the IronPort C100V
and issue the "supportrequest" command. The command sends an email with
diagnostic information directly to Cisco IronPort Customer Support to
facilitate a rapid diagnosis of the problem.


Thank you.
`
	_, text, _ := strings.Cut(string(h.messages[1].Data), "\r\n\r\n")
	if diff := cmp.Diff(want, strings.ReplaceAll(text, "\r\n", "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestMessageOfLaterVersion(t *testing.T) {
	h := newHarness(t, func(s *alert.Settings) { s.From = "esa@example.com" })
	h.close()
	h.version = product.Version{Major: 16, Patch: 1, Build: 17}
	h.open()
	h.Raise(alert.System, alert.Information, "text")
	m := h.messages[0]
	if got := h.parse(m).Header.Get("From"); got != "IronPort C100V Alert <esa@example.com>" || m.From != "esa@example.com" {
		t.Errorf("from %s, envelope %s", got, m.From)
	}
	_, text, _ := strings.Cut(string(m.Data), "\r\n\r\n")
	const want = "The Info message is:\r\n\r\ntext\r\n\r\nVersion: 16.0.1-017\r\nSerial Number: A4BADB4712A9-511AA1E\r\n" +
		"Timestamp: 10 Mar 2015 10:00:00 +0200\r\n\r\nTo learn more about alerts, visit our support community and troubleshooting site.  In many cases"
	if !strings.HasPrefix(text, want) {
		t.Errorf("got %s", text)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for want, change := range map[string]func(*alert.Settings){
		"": func(*alert.Settings) {},
		"The value must be a mail address such as user@example.com.": func(s *alert.Settings) { s.Recipients[0].Address = "joe" },
		"The alert recipient JOE@example.com is listed twice.": func(s *alert.Settings) {
			s.Recipients = append(s.Recipients, alert.Recipient{Address: "JOE@example.com"})
		},
		`There is no alert class "Systems".`:                                                               func(s *alert.Settings) { s.Recipients[0].Classes = []alert.Class{"Systems"} },
		`There is no alert severity "Info".`:                                                               func(s *alert.Settings) { s.Recipients[0].Severities = []alert.Severity{"Info"} },
		"The initial number of seconds before a duplicate alert must be from 0 to 86400.":                  func(s *alert.Settings) { s.InitialInterval = -1 },
		"The maximum number of seconds before a duplicate alert must be from the initial number to 86400.": func(s *alert.Settings) { s.MaximumInterval = 299 },
		"The number of alerts that are stored must be from 1 to 1000.":                                     func(s *alert.Settings) { s.StoredAlerts = 0 },
		"The length of the text in subjects must be from 1 to 500 characters.":                             func(s *alert.Settings) { s.SubjectLength = 0 },
		"There are more than 100 alert recipients.":                                                        func(s *alert.Settings) { s.Recipients = make([]alert.Recipient, 101) },
	} {
		s := alert.DefaultSettings()
		s.Recipients = []alert.Recipient{{Address: "joe@example.com"}}
		change(&s)
		got := ""
		if err := s.Check(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
