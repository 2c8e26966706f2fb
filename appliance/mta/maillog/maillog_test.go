package maillog

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/product"
)

// written returns what a Writer of the given version writes about the events, as "type level text".
func written(t *testing.T, version string, settings logs.Settings, list ...events.Fields) []string {
	t.Helper()
	v, err := product.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	w := New(Options{
		Version:  v,
		Settings: func() logs.Settings { return settings },
		Zone:     func() *time.Location { return time.UTC },
		Write: func(e logs.Entry) {
			if e.Type == logs.Delivery {
				return // TestDeliveryLog is about these
			}
			out = append(out, string(e.Type)+" "+e.Level.String()+" "+e.Text)
		},
	})
	s := events.NewStream(clock.System())
	defer s.Subscribe(w.Handle)()
	for _, f := range list {
		events.Publish(s, 0, f)
	}
	return out
}

var (
	client   = netip.MustParseAddrPort("192.0.2.9:40000")
	server   = netip.MustParseAddrPort("192.0.2.25:25")
	ourAddr  = netip.MustParseAddr("192.0.2.1")
	noSuch   = mailevents.Failure{Status: "5.1.0", Phrase: "Unknown address error", Reply: mailevents.Reply{Code: 550, Lines: []string{"5.1.1 no such user"}}}
	all      = logs.Settings{MessageID: true, Subject: true, Response: true}
	received = []mailevents.HeaderField{{Name: "from", Value: "a@b"}, {Name: "to", Value: "c,\r\n\td"}}
)

// accepted are the events of a message from its client's connection to the queue (mail.md 1.3).
var accepted = []events.Fields{
	mailevents.ConnectionOpened{ICID: 5, Interface: "Management", Local: ourAddr, Remote: client, Host: "mail.example.net", Verified: true},
	mailevents.ConnectionJudged{ICID: 5, Action: mailevents.Accept, Group: "UNKNOWNLIST", Entry: "sbrs[-1.0:10.0]", Score: "5.6", Country: "United States"},
	mailevents.ClientTLS{ICID: 5, OK: true, Protocol: "TLSv1.2", Cipher: "ECDHE-RSA-AES256-GCM-SHA384"},
	mailevents.MessageStarted{MID: 6, ICID: 5, From: "a@example.net"},
	mailevents.RecipientAccepted{MID: 6, ICID: 5, RID: 0, To: "b@example.com"},
	mailevents.MessageRead{MID: 6, MessageID: "<Lands'End.6c@mail.example.net>", Subject: "sample"},
	mailevents.MessageReady{MID: 6, Bytes: 494, From: "a@example.net"},
	mailevents.PolicyMatched{MID: 6, Policy: "DEFAULT"},
	mailevents.ConnectionClosed{ICID: 5},
	mailevents.MessageQueued{MID: 6},
	mailevents.DeliveryConnectionOpened{DCID: 8, Local: ourAddr, Remote: server},
	mailevents.ServerTLS{DCID: 8, Domain: "example.com", OK: true, Protocol: "TLSv1", Cipher: "AES128-SHA"},
	mailevents.DeliveryStarted{DCID: 8, MID: 6, RIDs: []int{0, 1}},
	mailevents.Delivered{DCID: 8, MID: 6, RIDs: []int{0, 1}, Response: mailevents.Reply{Code: 250, Lines: []string{"2.0.0 Ok: queued as X"}}},
	mailevents.MessageFinished{MID: 6},
	mailevents.DeliveryConnectionClosed{DCID: 8},
}

func TestMessageFromClientToServer(t *testing.T) {
	lines := func(country, subject, port, tls, blank string) []string {
		out := []string{
			"New SMTP ICID 5 interface Management (192.0.2.1) address 192.0.2.9 reverse dns host mail.example.net verified yes",
			"ICID 5 ACCEPT SG UNKNOWNLIST match sbrs[-1.0:10.0] SBRS 5.6" + country,
			"ICID 5 TLS success protocol TLSv1.2 cipher ECDHE-RSA-AES256-GCM-SHA384",
			"Start MID 6 ICID 5",
			"MID 6 ICID 5 From: <a@example.net>",
			"MID 6 ICID 5 RID 0 To: <b@example.com>",
			`MID 6 Message-ID "<Lands'End.6c@mail.example.net>"`,
			"MID 6 Subject " + subject,
			"MID 6 ready 494 bytes from <a@example.net>",
			"MID 6 matched all recipients for per-recipient policy DEFAULT in the inbound table",
			"ICID 5 close",
			"MID 6 queued for delivery",
			"New SMTP DCID 8 interface 192.0.2.1 address 192.0.2.25" + port,
			"DCID 8 TLS success protocol TLSv1 cipher AES128-SHA" + tls,
			"Delivery start DCID 8 MID 6 to RID [0, 1]",
			"Message done DCID 8 MID 6 to RID [0, 1]" + blank,
			"MID 6 RID [0, 1] Response '2.0.0 Ok: queued as X'",
			"Message finished MID 6 done",
			"DCID 8 close",
		}
		for i := range out {
			out[i] = "mail Info " + out[i]
		}
		return out
	}
	for version, want := range map[string][]string{
		"7.1.0-001":  lines("", "'sample'", "", " ", " "),
		"7.6.3-019":  lines("", "'sample'", " port 25", " ", " "),
		"8.0.1-023":  lines("", "'sample'", " port 25", " ", " "),
		"9.7.0-125":  lines("", "'sample'", " port 25", "", ""),
		"11.0.0-274": lines(" country United States", "'sample'", " port 25", " for example.com", ""),
		"14.0.0-698": lines(" country United States", `"sample"`, " port 25", " for example.com", ""),
	} {
		if got := written(t, version, all, accepted...); !slices.Equal(got, want) {
			t.Errorf("version %s writes\n%q\nwant\n%q", version, got, want)
		}
	}
}

// TestLinesThatSettingsSwitchOff: Message-ID, subject and response are logged only if asked for.
func TestLinesThatSettingsSwitchOff(t *testing.T) {
	got := written(t, "14.0.0-698", logs.Settings{},
		mailevents.MessageRead{MID: 6, MessageID: "<1@x>", Subject: "s"},
		mailevents.Delivered{DCID: 8, MID: 6, RIDs: []int{0}, Response: mailevents.Reply{Code: 250}})
	if want := []string{"mail Info Message done DCID 8 MID 6 to RID [0]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLines(t *testing.T) {
	at := time.Date(2003, 3, 31, 20, 1, 23, 0, time.UTC)
	for _, test := range []struct {
		version string
		event   events.Fields
		want    []string
	}{
		{"14.0.0-698", mailevents.ConnectionOpened{ICID: 9, Interface: "Data Port", Local: ourAddr, Remote: client},
			[]string{"mail Info New SMTP ICID 9 interface Data Port (192.0.2.1) address 192.0.2.9 reverse dns host unknown verified no"}},
		{"11.0.0-274", mailevents.ConnectionJudged{ICID: 9, Action: mailevents.Accept, Entry: "ALL", Score: "not enabled", Country: "not enabled"},
			[]string{"mail Info ICID 9 ACCEPT SG None match ALL SBRS not enabled country not enabled"}},
		{"8.0.1-023", mailevents.ConnectionJudged{ICID: 9, Action: mailevents.Accept, Group: "UNKNOWNLIST", Entry: "nx.domain", Score: "rfc1918"},
			[]string{"mail Info ICID 9 ACCEPT SG UNKNOWNLIST match nx.domain  SBRS rfc1918"}},
		{"14.0.0-698", mailevents.ConnectionJudged{Action: mailevents.TCPRefuse, Group: "BLACKLIST", Entry: "192.0.2.9", Score: "None"},
			[]string{"mail Info ICID 0 TCPREFUSE SG BLACKLIST match 192.0.2.9 SBRS None"}},
		{"14.0.0-698", mailevents.ClientTLS{ICID: 5}, []string{"mail Info ICID 5 TLS failed"}},
		{"14.0.0-698", mailevents.TLSRequired{ICID: 8},
			[]string{"mail Info ICID 8 TLS was required but remote host did not initiate it"}},
		{"14.0.0-698", mailevents.SenderRejected{ICID: 5, From: "a@nx.example", Reason: "envelope sender domain does not exist"},
			[]string{"mail Info ICID 5 Address: <a@nx.example> sender rejected, envelope sender domain does not exist"}},
		{"14.0.0-698", mailevents.RecipientRejected{MID: 6, ICID: 5, To: "x@other.example", By: "RAT"},
			[]string{"mail Info MID 6 ICID 5 To: <x@other.example> Rejected by RAT"}},
		{"14.0.0-698", mailevents.MessageRefused{ICID: 5, Reason: "size", Tarpit: true},
			[]string{"mail Info ICID 5 Receiving Failed: Message >2X Max Size. Entering Denial-of-Service tarpit mode"}},
		{"14.0.0-698", mailevents.ConnectionDropped{ICID: 5, Remote: client.Addr(), Reason: mailevents.DroppedIdle},
			[]string{"mail Info ICID 5 disconnected address 192.0.2.9, no messages injected within timeout period"}},
		{"14.0.0-698", mailevents.ConnectionLost{ICID: 5, Commands: 2}, []string{"mail Info ICID 5 lost"}},
		{"14.0.0-698", mailevents.ConnectionLost{ICID: 5, Interface: "PublicNet", Local: ourAddr, Remote: client.Addr(), Open: 139 * time.Second, Lookups: 138 * time.Second},
			[]string{"mail Info ICID 5 Connection from 192.0.2.9 on interface PublicNet (192.0.2.1) lost after 139 seconds (DNS query took 138 seconds), before any commands were received"}},
		{"14.0.0-698", mailevents.MessageAborted{MID: 6, Reason: "Receiving aborted by sender"},
			[]string{"mail Info Message aborted MID 6 Receiving aborted by sender"}},
		{"14.0.0-698", mailevents.MessageFinished{MID: 6, Aborted: true}, []string{"mail Info Message finished MID 6 aborted"}},
		{"14.0.0-698", mailevents.PolicyMatched{MID: 6, Policy: "DEFAULT", Outgoing: true},
			[]string{"mail Info MID 6 matched all recipients for per-recipient policy DEFAULT in the outbound table"}},
		{"14.0.0-698", mailevents.MessageStarted{MID: 515, Generated: "bounce", Of: 511}, []string{
			"mail Info Start MID 515 ICID 0",
			"mail Info MID 515 was generated for bounce of MID 511",
			"mail Info MID 515 ICID 0 From: <>",
		}},
		{"14.0.0-698", mailevents.Bounced{DCID: 8, MID: 6, From: "a@example.net", To: "b@example.com", Failure: noSuch}, []string{
			"mail Info Bounced: DCID 8 MID 6 to RID 0 - 5.1.0 - Unknown address error ('550', ['5.1.1 no such user']) []",
			"bounce Info Bounced: DCID 8 MID 6 From:<a@example.net> To:<b@example.com> RID 0 - 5.1.0 - Unknown address error ('550', ['5.1.1 no such user'])",
		}},
		{"8.0.1-023", mailevents.Delayed{DCID: 8, MID: 6, RID: 1, From: "a@example.net", To: "b@example.com", Failure: noSuch, LoggedHeaders: received}, []string{
			`mail Info Delayed: DCID 8 MID 6 to RID 1 - 5.1.0 - Unknown address error ('550', ['5.1.1 no such user']) [('from', 'a@b'), ('to', 'c,\r\n\td')]`,
			`bounce Info Delayed: 6:1 From:<a@example.net> To:<b@example.com> Reason: "5.1.0 - Unknown address error" Response: "('550', ['5.1.1 no such user'])"`,
		}},
		{"14.0.0-698", mailevents.Bounced{MID: 6, Failure: mailevents.Failure{Status: "5.1.2", Phrase: "Bad destination host", Reply: mailevents.Reply{Lines: []string{"DNS Hard Error looking up nx.example (MX):  NXDomain"}}}}, []string{
			"mail Info Bounced: DCID 0 MID 6 to RID 0 - 5.1.2 - Bad destination host ('000', ['DNS Hard Error looking up nx.example (MX):  NXDomain']) []",
			"bounce Info Bounced: DCID 0 MID 6 From:<> To:<> RID 0 - 5.1.2 - Bad destination host ('000', ['DNS Hard Error looking up nx.example (MX):  NXDomain'])",
		}},
		{"14.0.0-698", mailevents.Pending{MID: 4, RIDs: []int{0}, Until: at},
			[]string{"mail Info Message 4 to RID [0] pending till Mon Mar 31 20:01:23 2003"}},
		{"14.0.0-698", mailevents.DeliveryConnectionFailed{DCID: 12, Domain: "example.com", Local: ourAddr, Remote: server, Details: "[Errno 61] Connection refused", Reason: "network error"},
			[]string{"mail Info Connection Error: DCID 12 domain: example.com IP: 192.0.2.25 port: 25 details: [Errno 61] Connection refused interface: 192.0.2.1 reason: network error"}},
		{"7.1.0-001", mailevents.DeliveryConnectionFailed{DCID: 263, Local: ourAddr, Remote: server, Details: "EOF", Reason: "network error"},
			[]string{"mail Info Connection Error: DCID: 263 IP: 192.0.2.25 details: EOF interface: 192.0.2.1 reason: network error"}},
		{"14.0.0-698", mailevents.HarvestSuspected{Remote: client.Addr(), Host: "h.example", Verified: true, Limit: 4, Group: "SUSPECTLIST", Listener: "IncomingMail", From: "a@b", To: "c@d"},
			[]string{"mail Warning LDAP: Dropping connection due to potential Directory Harvest Attack from host=('192.0.2.9', None), dhap_limit=4, sender_group=SUSPECTLIST, listener=IncomingMail, reverse_dns=('192.0.2.9', 'h.example', 1), sender=a@b, rcpt=c@d"}},
	} {
		if got := written(t, test.version, all, test.event); !slices.Equal(got, test.want) {
			t.Errorf("%s: %T writes\n%q\nwant\n%q", test.version, test.event, got, test.want)
		}
	}
}

// TestDoubleBounce: a bounce that cannot be delivered has another line than other messages.
func TestDoubleBounce(t *testing.T) {
	f := mailevents.Failure{Status: "5.1.0", Phrase: "Unknown address error", Reply: mailevents.Reply{Code: 501, Lines: []string{"5.5.4 Invalid Address"}}}
	got := written(t, "14.0.0-698", all, mailevents.Bounced{DCID: 8, MID: 7, Failure: f, Double: true})
	want := "mail Info Double bounce: MID 7 to 0 - 5.1.0 - Unknown address error 501-'5.5.4 Invalid Address'"
	if len(got) == 0 || got[0] != want {
		t.Errorf("got %q, want %q first", got, want)
	}
}

// TestResponse: praise at the beginning of a response is left out (logs.md 3.2).
func TestResponse(t *testing.T) {
	for text, want := range map[string]string{
		"Ok: queued as 9C8B425DA7":         "queued as 9C8B425DA7",
		"2.0.0 Ok: queued as 3jjSKc6HnKz4": "2.0.0 Ok: queued as 3jjSKc6HnKz4",
		"ok:  Message 9 accepted":          "ok:  Message 9 accepted",
		" - done":                          "done",
		"OK":                               "OK",
		"Okay then":                        "Okay then",
		"":                                 "",
	} {
		if got := response(mailevents.Reply{Code: 250, Lines: []string{text}}); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestQuote: text from outside is written as Python's repr writes it, on one line.
func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"plain":        `'plain'`,
		"it's":         `"it's"`,
		`"`:            `'"'`,
		`it's "x"`:     `'it\'s "x"'`,
		"a\r\n\tb":     `'a\r\n\tb'`,
		"\x00\x1b\x7f": `'\x00\x1b\x7f'`,
		"\xff":         `'\xff'`,
		"é":            `'é'`,
		"\u2028":       `'\u2028'`,
		`\`:            `'\\'`,
		"\uFFFD":       "'\uFFFD'",
	} {
		if got := quote(text); got != want {
			t.Errorf("%q becomes %s, want %s", text, got, want)
		}
	}
}

// TestInternalMail: the lines about an alert (A4, logs.md 4.4). Before version 9 those about attempts
// are of a level that the factory's mail log does not have. Other events about it have no lines.
func TestInternalMail(t *testing.T) {
	m := mailevents.InternalMessage{
		MID: 7, About: "System/Critical alert", To: "alerts@ironport.com",
		Subject: "Critical <System> mail.example.com: Log Error: Subscription NNNNN: Network error while sending l...",
	}
	list := []events.Fields{
		mailevents.Wrap(mailevents.MessageStarted{MID: 7}),
		mailevents.InternalAttempted{Message: m},
		mailevents.InternalFailed{Message: m, Domain: "ironport.com", Host: server, Reason: "Connection refused"},
		mailevents.InternalFailed{Message: m, Domain: "ironport.com", Reason: "No such host or domain"},
		mailevents.InternalSent{Message: m},
		mailevents.InternalGivenUp{Message: m, Reason: "Unrecoverable error"},
		mailevents.Wrap(mailevents.MessageFinished{MID: 7}),
	}
	for version, level := range map[string]string{"8.0.1-023": "Debug", "14.0.0-698": "Info"} {
		want := []string{
			"mail " + level + " Internal SMTP system attempting to send a message to alerts@ironport.com with subject '" + m.Subject + "' (attempt #0).",
			"mail Warning Internal SMTP Error: Failed to send message to host 192.0.2.25:25 for recipient alerts@ironport.com: Connection refused.",
			"mail Warning Internal SMTP Error: Failed to find a mail exchanger of ironport.com for recipient alerts@ironport.com: No such host or domain.",
			"mail " + level + " Internal SMTP system successfully sent a message to alerts@ironport.com with subject '" + m.Subject + "'.",
			`mail Info A System/Critical alert was sent to alerts@ironport.com with subject "` + m.Subject + `".`,
			"mail Critical Internal SMTP giving up on message to alerts@ironport.com with subject '" + m.Subject + "': Unrecoverable error.",
			`mail Critical Error while sending alert: Unable to send System/Critical alert to alerts@ironport.com with subject "` + m.Subject + `".`,
		}
		if got := written(t, version, all, list...); !slices.Equal(got, want) {
			t.Errorf("version %s writes %q, want %q", version, got, want)
		}
	}
	m.About = mailevents.AutoSupport
	got := written(t, "14.0.0-698", all, mailevents.InternalSent{Message: m}, mailevents.InternalGivenUp{Message: m, Reason: "x"})
	if len(got) != 3 || got[2] != `mail Critical Error while sending AutoSupport report to alerts@ironport.com with subject "`+m.Subject+`".` {
		t.Errorf("a report is logged as %q", got)
	}
}

// TestDeliveryLog: a delivery and a bounce as records (mail.md 2.2).
func TestDeliveryLog(t *testing.T) {
	received := time.Date(2004, 1, 9, 15, 34, 18, 1e6, time.UTC)
	var got []string
	w := New(Options{
		Version: product.Version{Major: 14}, Settings: func() logs.Settings { return logs.Settings{} },
		Zone: func() *time.Location { return time.UTC },
		Write: func(e logs.Entry) {
			if e.Type == logs.Delivery {
				got = append(got, e.Rest(0))
			}
		},
	})
	c := clock.NewFake(time.Date(2004, 1, 9, 15, 34, 20, 234e6, time.UTC))
	s := events.NewStream(c)
	defer s.Subscribe(w.Handle)()
	events.Publish(s, 0, mailevents.Delivered{
		DCID: 8, MID: 45949, From: "a@example.net", Bytes: 202, Received: received,
		Remote: server.Addr(), Source: client.Addr(), Response: mailevents.Reply{Code: 250, Lines: []string{"sent"}},
		Delivered:     []mailevents.DeliveredRecipient{{RID: 0, To: "b@example.com", Attempts: 1}, {RID: 2, To: "c@example.com", Attempts: 3}},
		LoggedHeaders: []mailevents.HeaderField{{Name: "x", Value: `a "<b>"`}},
	})
	events.Publish(s, 0, mailevents.Bounced{
		MID: 7, RID: 1, From: "a@example.net", To: "b@example.com", Bytes: 5, Received: received, Failure: noSuch, Attempts: 2,
	})
	want := []string{
		`<success del_time="Fri Jan 09 15:34:20.234 2004" inj_time="Fri Jan 09 15:34:18.001 2004" bytes="202" mid="45949" ` +
			`ip="192.0.2.25" from="a@example.net" source_ip="192.0.2.9" code="250" reply="sent"> ` +
			`<rcpt rid="0" to="b@example.com" attempts="1" /> <rcpt rid="2" to="c@example.com" attempts="3" /> ` +
			`<customer_data> <header name="x" value="a &#34;&lt;b&gt;&#34;" /> </customer_data> </success>`,
		`<bounce del_time="Fri Jan 09 15:34:20.234 2004" inj_time="Fri Jan 09 15:34:18.001 2004" bytes="5" mid="7" ` +
			`ip="0.0.0.0" from="a@example.net" source_ip="0.0.0.0" reason="5.1.0 - Unknown address error" code="550" ` +
			`error="[&#39;5.1.1 no such user&#39;]"> <rcpt rid="1" to="b@example.com" attempts="2" /> </bounce>`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestBouncedMessage: the bounce log has as much of a message as its subscription asks for, and in
// old versions the header fields that are logged (mail.md 2.1).
func TestBouncedMessage(t *testing.T) {
	f := mailevents.Bounced{
		MID: 203, From: "a@example.net", To: "b@example.com", Failure: noSuch,
		LoggedHeaders: []mailevents.HeaderField{{Name: "xname", Value: "userID2333"}},
		Message:       []byte("Message-Id:<1u5jak$6b@example.net>\r\n\r\nHi Tom:\xe9"),
	}
	for version, want := range map[string]string{
		"8.0.1-023": `Bounced: 203:0 From:<a@example.net> To:<b@example.com> Reason: "5.1.0 - Unknown address error" ` +
			`Response: "('550', ['5.1.1 no such user'])" Headers: ['xname: userID2333']`,
		"14.0.0-698": `Bounced: DCID 0 MID 203 From:<a@example.net> To:<b@example.com> RID 0 - 5.1.0 - Unknown address error ` +
			`('550', ['5.1.1 no such user'])`,
	} {
		for n, message := range map[int]string{
			0: "", 10: " Message: Message-Id", 100: ` Message: Message-Id:<1u5jak$6b@example.net>\015\012\015\012Hi Tom:\351`,
		} {
			v, _ := product.ParseVersion(version)
			var got string
			w := New(Options{
				Version: v, Settings: func() logs.Settings { return logs.Settings{} }, Zone: func() *time.Location { return time.UTC },
				Write: func(e logs.Entry) {
					if e.Type == logs.Bounce {
						got = e.Text + e.Rest(n)
					}
				},
			})
			w.Handle(events.Event{Fields: f})
			if got != want+message {
				t.Errorf("version %s, %d bytes: %s", version, n, got)
			}
		}
	}
}
