package listener

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/product"
)

// TestHostTableText: every table is read again from its text form, with each parameter that there
// is.
func TestHostTableText(t *testing.T) {
	all := everyParameter()
	for i, v := 0, reflect.ValueOf(all); i < v.NumField(); i++ {
		if v.Field(i).IsNil() {
			t.Errorf("the test sets no %s", v.Type().Field(i).Name)
		}
	}
	if n := reflect.TypeFor[Parameters]().NumField(); n != len(parameters()) {
		t.Errorf("the text form has %d parameters of %d", len(parameters()), n)
	}
	rich := publicHosts(product.Version{Major: 14})
	rich.Default, rich.Last = all, "TCPREFUSE"
	rich.Policies[0].Parameters = all
	rich.Groups[0].Entries = []Entry{{Host: "192.0.2.1-10", Comment: "old (really)"}, {Host: "2001:db8::/32"}}
	rich.Groups = append(rich.Groups, SenderGroup{Policy: "BLOCKED", Entries: []Entry{{Host: "2001:db8::"}}},
		SenderGroup{Policy: "REJECT", Comment: "spam", Entries: []Entry{{Host: ".spam.example"}}})
	for _, want := range []HostTable{
		publicHosts(product.Version{Major: 13}), privateHosts(), {Last: "ACCEPT"}, rich,
	} {
		got, ignored, err := ParseHosts(want.FileText())
		if err != nil || len(ignored) > 0 {
			t.Errorf("%v, %v ignored in\n%s", err, ignored, want.Text())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", diff, want.Text())
		}
	}
}

// publicExample is the table that the CLI references print, with the rule for other hosts.
const publicExample = `# exported
$ACCEPTED
    ACCEPT
$THROTTLED
    ACCEPT {
        spam_check = "on"
        max_msgs_per_session = 10
        max_concurrency = 10
        max_rcpts_per_msg = 25
        max_rcpts_per_hour = 1
        dhap_limit = 0
        virus_check = "on"
        max_message_size = 1048576
        use_sb = "on"
        tls = "off"
    }
$BLOCKED
    REJECT {}
WHITELIST:
        $ACCEPTED (My trusted senders have no anti-spam scanning or rate limiting)
BLACKLIST:
        192.0.2.7 (a spammer)
        $BLOCKED (Spammers are rejected)
spamdomain.example
    REJECT (reject the domain "spamdomain.example")
.spamdomain.example
    REJECT (reject all subdomains of ".spamdomain.example")
ALL
    $ACCEPTED
`

func TestPublicHostTable(t *testing.T) {
	table, ignored, err := ParseHosts(publicExample)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ignored, " "); got != "spam_check virus_check use_sb" {
		t.Errorf("%q were ignored", got)
	}
	p, _ := table.policy("THROTTLED")
	if e := table.Effective(p); e.MaxRecipientsPerHour != 1 || e.MaxMessageSize != 1<<20 {
		t.Errorf("THROTTLED has %+v", e)
	}
	for host, want := range map[string]string{
		"spamdomain.example": "REJECT by  for spamdomain.example", "a.spamdomain.example": "REJECT by  for .spamdomain.example",
		"other.example": "ACCEPT by  for ALL",
	} {
		v := table.judge(sender{host: host, verified: true})
		if got := fmt.Sprintf("%s by %s for %s", v.policy.Action, v.group, v.entry); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestHostTablesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "The last rule has the policy \"\", which does not exist.",
		"$A\n    PASS\nALL\n    $A":              "Line 2: The policy A has the unknown action \"PASS\".",
		"$A\n    ACCEPT {\n x = 1\n }":           "Line 3: \"x\" is no parameter of a policy.",
		"$A\n    ACCEPT {\n tls = \"maybe\"\n }": "Line 3: \"\\\"maybe\\\"\" is no value for tls.",
		"$A\n    ACCEPT {\n max_concurrency = many\n }":        "Line 3: \"many\" is no value for max_concurrency.",
		"$A\n    ACCEPT {\n banner = text\n }":                 "Line 3: \"text\" is no value for banner.",
		"$A\n    ACCEPT {":                                     "Line 2: The closing } of the parameters is missing.",
		"$A\n    ACCEPT [":                                     "Line 2: \"[\" is unexpected",
		"$A\n    ACCEPT {\n max_concurrency = 0\n }\nALL\n $A": "The policy A: The limits of connections",
		"$A\n ACCEPT\n$a\n REJECT\nALL\n $A":                   "Every policy needs a name of its own",
		"$REJECT\n ACCEPT\nALL\n $REJECT":                      "Every policy needs a name of its own",
		"G:\n 192.0.2.1":                                       "Line 2: The sender group G has no policy.",
		"G:\n a b\n $A":                                        "Line 2: \"a b\" is no entry for a sender group",
		"G:\n $NONE\nALL\n ACCEPT":                             "The sender group G has the policy \"NONE\", which does not exist.",
		"G:\n ACCEPT\ng:\n ACCEPT\nALL\n ACCEPT":               "Every sender group needs a name of its own",
		"192.0.2.1\n PASS\n":                                   "Line 2: \"PASS\" is no behavior for 192.0.2.1",
		"a b\n ACCEPT":                                         "Line 1: \"a b\" begins no entry",
		"$A\n ACCEPT {\n banner_code = 500\n }\nALL\n $A":      "The code of a banner",
		"$A\n ACCEPT {\n banner = \"a\\nb\"\n }\nALL\n $A":     "1 to 400 characters of ASCII",
	} {
		_, _, err := ParseHosts(text)
		if got := fmt.Sprint(err); !strings.Contains(got, want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestRecipientTableText: every table is read again from its text form; the line ALL REJECT adds
// nothing.
func TestRecipientTableText(t *testing.T) {
	want := RecipientTable{Entries: []RecipientEntry{
		{Address: "example.com"}, {Address: ".example.com", Bypass: true},
		{Address: "joe@example.com", Reject: true, Code: 550, Reply: "Joe (the one) has left"},
		{Address: "hello@", Code: 252, Reply: "Try it", Bypass: true},
	}}
	const text = "example.com ACCEPT\n.example.com ACCEPT (bypasses receiving control)\n" +
		"joe@example.com REJECT 550 Joe (the one) has left\n" +
		"hello@ ACCEPT 252 Try it (bypasses receiving control)\nALL REJECT\n"
	if got := want.Text(); got != text {
		t.Errorf("the text is\n%s\nwant\n%s", got, text)
	}
	for _, read := range []string{text, "# File exported\n\n" + strings.ReplaceAll(text, " ACCEPT", "\taccept")} {
		got, err := ParseRecipients(read)
		if diff := cmp.Diff(want.Entries, got); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	if got, err := ParseRecipients("ALL ACCEPT"); err != nil || len(got) != 1 || got[0].Address != "ALL" {
		t.Errorf("ALL ACCEPT is %+v, %v", got, err)
	}
	for line, want := range map[string]string{
		"example.com":                  "is no entry: expected an address and ACCEPT or REJECT.",
		"a@b c ACCEPT":                 "is no entry",
		"example.com ACCEPT hello":     "\"hello\" is no SMTP code.",
		"example.com ACCEPT 900 hello": "The reply code of example.com must be from 200 to 599.",
		"example.com REJECT 550":       "The reply to example.com must be 1 to 400 characters of ASCII.",
		"a ACCEPT\nA REJECT":           "There are two entries for A.",
	} {
		_, err := ParseRecipients(line)
		if got := fmt.Sprint(err); !strings.Contains(got, want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

// FuzzTables: no text makes the parsers fail otherwise than with a refusal, and a table that they
// accept is read again from its own text.
func FuzzTables(f *testing.F) {
	f.Add(publicExample)
	f.Add("DEFAULT\n {\n tls = \"off\"\n }\nALL\n ACCEPT (x)")
	f.Add("example.com ACCEPT 250 ok (bypasses receiving control)\nALL REJECT")
	f.Fuzz(func(t *testing.T, text string) {
		if table, _, err := ParseHosts(text); err == nil {
			again, _, err := ParseHosts(table.FileText())
			if err != nil || !cmp.Equal(table, again) {
				t.Errorf("%q\nis written as\n%q\nand read as %+v, %v", text, table.Text(), again, err)
			}
		}
		if entries, err := ParseRecipients(text); err == nil {
			again, err := ParseRecipients(RecipientTable{Entries: entries}.Text())
			if err != nil || !cmp.Equal(entries, again) {
				t.Errorf("%q is read as %+v and again as %+v, %v", text, entries, again, err)
			}
		}
	})
}
