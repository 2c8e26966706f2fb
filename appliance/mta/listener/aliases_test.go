package listener

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/config"
)

func mustParse(t testing.TB, text string) AliasTable {
	t.Helper()
	table, err := ParseAliases(text)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

const sampleTable = `admin@example.com: administrator@example.com
abuse: security@example.net
@old.example: all@new.example, archive@new.example
@.legacy.example: postmaster@legacy.example

[ one.example, .two.example ]
joe, fred: joseph@example.com
partygoers: Wilma@example.com, fred@one.example, barney@example.com, WILMA@example.com
staff: joe, partygoers, ann@example.com
copy: copy@one.example, archive@example.com
nobody: /dev/null
half: /dev/null, ann@example.com
special@three.example: ann@example.com
`

// TestExpansion: the first alias that matches counts, aliases lead to others, and an alias is not
// applied to its own targets.
func TestExpansion(t *testing.T) {
	table := mustParse(t, "# a comment\n\n"+sampleTable)
	if got := table.Text(); got != sampleTable {
		t.Errorf("the text is\n%s\nwant\n%s", got, sampleTable)
	}
	x, err := table.index()
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"Admin@Example.com":       "administrator@example.com",
		"admin@sub.example.com":   "-",
		"abuse@anywhere.example":  "security@example.net",
		"u@old.example":           "all@new.example archive@new.example",
		"u@sub.old.example":       "-",
		"u@legacy.example":        "postmaster@legacy.example",
		"u@a.b.legacy.example":    "postmaster@legacy.example",
		"JOE@one.example":         "joseph@example.com",
		"fred@mx.two.example":     "joseph@example.com",
		"fred@two.example":        "-",
		"joe@three.example":       "-",
		"partygoers@one.example":  "Wilma@example.com joseph@example.com barney@example.com",
		"staff@x.two.example":     "joseph@example.com Wilma@example.com barney@example.com ann@example.com",
		"copy@one.example":        "copy@one.example archive@example.com",
		"copy@x.two.example":      "copy@one.example archive@example.com",
		"nobody@one.example":      "",
		"half@one.example":        "ann@example.com",
		"special@three.example":   "ann@example.com",
		"without-a-domain":        "-",
		"abuse":                   "security@example.net",
		"\"a b\"@quoted.example":  "-",
		"joseph@example.com":      "-",
		"special@x.three.example": "-",
	} {
		to, changed := x.expand(address)
		got := strings.Join(to, " ")
		if !changed && got == address {
			got = "-"
		}
		if got != want {
			t.Errorf("%s stands for %q, want %q", address, got, want)
		}
	}
}

// TestTablesThatAreRefused: loops, names that lead nowhere, and lines that are none. The message
// names what is wrong.
func TestTablesThatAreRefused(t *testing.T) {
	nested := "[a.example]\n"
	for i := range maxAliasNesting + 1 {
		nested += fmt.Sprintf("n%d: n%d\n", i, i+1)
	}
	for text, want := range map[string]string{
		"[a.example]\nx: y\ny: z\nz: x":                             "The alias x@a.example leads back to itself.",
		"@a.example: x@b.example\n@b.example: y@a.example":          "The alias x@b.example leads back to itself.",
		"[.a.example]\nx: y@b.a.example\n[b.a.example]\ny: x":       "leads back to itself.",
		"[a.example]\nx: nobody":                                    "The alias x leads to nobody, which is neither an address nor an alias.",
		"[a.example, b.example]\nx: y\n[a.example]\ny: u@c.example": "The alias x leads to y, which is neither",
		"root: nobody": "The alias root leads to nobody, which is neither an address nor an alias.",
		nested + fmt.Sprintf("n%d: u@b.example", maxAliasNesting+1): "nested more than 50 times",
		"x":                                    "Line 1: \"x\" is no alias: expected its name, a colon",
		"x:":                                   "Line 1: The alias x needs 1 to 1000 addresses.",
		": a@b.example":                        "Line 1: An alias needs a name.",
		"[a.example\nx: u@b.example":           "Line 1: A domain context must have the form",
		"[]":                                   "Line 1: A domain context must have the form",
		"[a..]":                                "Line 1: \"a..\" is no domain",
		"\nx: a@b@c.example":                   "Line 2: \"a@b@c.example\" is no address",
		"x: <a@b.example>":                     "Line 1: \"<a@b.example>\" is no address",
		"x: a b@c.example":                     "is no address",
		"x: @b.example":                        "is no address",
		"x: a@.b.example":                      "is no address",
		"x@.b.example: a@b.example":            "is no alias: expected user, user@domain, @domain or @.domain.",
		"[a.example]\n@b.example: a@b.example": "Line 2: \"@b.example\" is no alias: expected user or user@domain.",
	} {
		_, err := ParseAliases(text)
		if got := fmt.Sprint(err); !strings.Contains(got, want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	late := AliasTable{Contexts: []AliasContext{{Domains: []string{"a.example"}}, {}}}
	if late.Check() == nil {
		t.Error("global aliases after those of a domain were accepted")
	}
	large := AliasTable{Contexts: []AliasContext{{Aliases: make([]Alias, maxAliases+1)}}}
	if large.Check() == nil {
		t.Error("too many aliases were accepted")
	}
}

// TestAliasesSurviveSavingAndLoading: saveconfig and loadconfig keep the table.
func TestAliasesSurviveSavingAndLoading(t *testing.T) {
	store, err := config.Open(config.Options{Dir: t.TempDir(), Factory: config.NewFactory()})
	if err != nil {
		t.Fatal(err)
	}
	want := mustParse(t, sampleTable)
	d := store.NewDraft()
	Aliases.Set(d, want)
	var b bytes.Buffer
	if err := config.WriteXML(&b, d, config.XMLOptions{Passphrases: config.Plain}); err != nil {
		t.Fatal(err)
	}
	loaded := store.NewDraft()
	if _, err := config.ReadXML(&b, loaded); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Commit(t.Context(), loaded, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, Aliases.Get(store.Committed())); diff != "" {
		t.Error(diff)
	}
}

// FuzzAliases: no text makes the parser fail otherwise than with a refusal, and a table that it
// accepts is read again from its own text, and ends for every address.
func FuzzAliases(f *testing.F) {
	f.Add(sampleTable, "staff@one.example")
	f.Add("x: x@y\n[y]\nx: z@y, /dev/null", "X@Y")
	f.Fuzz(func(t *testing.T, text, address string) {
		table, err := ParseAliases(text)
		if err != nil {
			return
		}
		again, err := ParseAliases(table.Text())
		if err != nil || !cmp.Equal(table, again) {
			t.Fatalf("%+v is written as %q and read as %+v, %v", table, table.Text(), again, err)
		}
		x, err := table.index()
		if err != nil {
			t.Fatal(err)
		}
		x.expand(address)
	})
}

// withAliases commits an alias table.
func (b *fixture) withAliases(text string) {
	b.t.Helper()
	d := b.store.NewDraft()
	Aliases.Set(d, mustParse(b.t, text))
	if _, err := b.store.Commit(b.t.Context(), d, config.CommitInfo{}); err != nil {
		b.t.Fatal(err)
	}
}

// TestAliasesOfRecipients: the table is applied after the recipient access table, to accepted
// recipients. What a recipient stands for are recipients of their own, in other domains, too.
func TestAliasesOfRecipients(t *testing.T) {
	b := newFixture(t, func(s *Settings) { s.Listeners[0].Hosts.Default.MaxRecipients = ptr(3) })
	b.withAliases("@other.example: b@example.com\n[example.com]\nall: Ann@elsewhere.example, b@example.com\nnobody: /dev/null")
	c := b.dial("192.0.2.9")
	c.say("HELO x", "250 esa.example.com")
	c.say("MAIL FROM:<a@example.net>", "250 sender <a@example.net> ok")
	c.say("RCPT TO:<u@other.example>", "550 #5.1.0 Address rejected.")
	c.say("RCPT TO:<All@example.com>", "250 recipient <All@example.com> ok")
	c.say("RCPT TO:<nobody@example.com>", "250 recipient <nobody@example.com> ok")
	c.say("RCPT TO:<c@example.com>", "250 recipient <c@example.com> ok")
	c.say("RCPT TO:<d@example.com>", "452 #4.5.3 Too many recipients") // the limit counts commands
	c.say("DATA", "354 go ahead")
	c.say("Message-ID: <1@x>\r\n\r\n.", "250 ok:  Message 1 accepted")
	c.quit()
	env, _ := b.queue.Message(1)
	var got []string
	for _, r := range env.Recipients {
		got = append(got, fmt.Sprintf("%d %s", r.RID, r.Address))
	}
	want := []string{"0 Ann@elsewhere.example", "1 b@example.com", "2 c@example.com"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	b.expectLog(append(connected(1), "Start MID 1 ICID 1", "MID 1 ICID 1 From: <a@example.net>",
		"MID 1 ICID 1 To: <u@other.example> Rejected by RAT",
		"MID 1 ICID 1 To: <All@example.com> Rewritten by alias table",
		"MID 1 ICID 1 RID 0 To: <Ann@elsewhere.example>",
		"MID 1 ICID 1 RID 1 To: <b@example.com>",
		"MID 1 ICID 1 To: <nobody@example.com> Rewritten by alias table",
		"MID 1 ICID 1 RID 2 To: <c@example.com>",
		"MID 1 Message-ID '<1@x>'", "MID 1 Subject \"\"", "MID 1 ready 128 bytes from <a@example.net>",
		"ICID 1 close")...)
}

// TestMailToNobody: a message whose recipients are all mapped to /dev/null is accepted, dropped and
// counted, and is not in the queue.
func TestMailToNobody(t *testing.T) {
	b := newFixture(t, nil)
	b.withAliases("b@example.com: /dev/null")
	c := b.dial("192.0.2.9")
	c.begin()
	c.say("Message-ID: <1@x>\r\nSubject: s\r\n\r\n.", "250 ok:  Message 1 accepted")
	c.quit()
	b.expectLog(append(connected(1), "Start MID 1 ICID 1", "MID 1 ICID 1 From: <a@example.net>",
		"MID 1 ICID 1 To: <b@example.com> Rewritten by alias table",
		"MID 1 Message-ID '<1@x>'", "MID 1 Subject \"s\"",
		"Message aborted MID 1 Dropped by alias table", "Message finished MID 1 done", "ICID 1 close")...)
	if s := b.queue.Stats(); s.Messages != 0 {
		t.Errorf("the queue has %d messages", s.Messages)
	}
}
