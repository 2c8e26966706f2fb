package peers_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// The mailbox is bounded by number and by bytes. The oldest messages are dropped, and the first
// time is reported.
func TestMailboxIsBounded(t *testing.T) {
	warnings := 0
	b := peers.NewMailbox(func() { warnings++ })
	for range 5010 {
		if err := b.Receive(strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	stored, received, dropped := b.Contents()
	if len(stored) != 5000 || received != 5010 || dropped != 10 || stored[0].ID != 11 || warnings != 1 {
		t.Errorf("%d stored from %d, %d received, %d dropped, %d warnings", len(stored), stored[0].ID, received, dropped, warnings)
	}
	big := bytes.Repeat([]byte("0123456789abcde\n"), 10<<20/16) // 10 MiB
	for range 3 {
		if err := b.Receive(bytes.NewReader(big)); err != nil {
			t.Fatal(err)
		}
	}
	if stored, _, _ = b.Contents(); len(stored) != 5000 || b.Bytes() > 32<<20 {
		t.Errorf("%d stored with %d bytes", len(stored), b.Bytes())
	}
	if err := b.Receive(bytes.NewReader(big)); err != nil {
		t.Fatal(err)
	}
	if stored, _, _ = b.Contents(); len(stored) != 3 || b.Bytes() > 32<<20 || warnings != 1 {
		t.Errorf("%d stored with %d bytes, %d warnings", len(stored), b.Bytes(), warnings)
	}
	for _, m := range stored {
		if m.Cut || m.Size != 10<<20 || !bytes.Equal(m.Data(), big) {
			t.Errorf("message %d has changed", m.ID)
		}
	}
	// A message that is larger than the mailbox is accepted, and its beginning is stored.
	if err := b.Receive(io.MultiReader(bytes.NewReader(big), bytes.NewReader(big), bytes.NewReader(big), bytes.NewReader(big))); err != nil {
		t.Fatal(err)
	}
	if stored, _, _ = b.Contents(); len(stored) != 1 || !stored[0].Cut || stored[0].Size != 40<<20 || !bytes.HasPrefix(stored[0].Data(), big) {
		t.Errorf("%d stored, cut %v, size %d", len(stored), stored[0].Cut, stored[0].Size)
	}
	b.Clear()
	if stored, received, dropped = b.Contents(); len(stored)+received+dropped != 0 || b.Bytes() != 0 {
		t.Errorf("after Clear: %d, %d, %d, %d bytes", len(stored), received, dropped, b.Bytes())
	}
	if err := b.Receive(iotest.TimeoutReader(bytes.NewReader(big))); err != iotest.ErrTimeout || b.Bytes() != 0 {
		t.Errorf("a message that ends early: %v, %d bytes", err, b.Bytes())
	}
	if err := b.Receive(iotest.OneByteReader(strings.NewReader("Subject: a\r\n\r\nb\r\n"))); err != nil {
		t.Fatal(err)
	}
	if stored, _, _ = b.Contents(); stored[0].ID != 5016 || stored[0].Subject() != "a" {
		t.Errorf("a message after Clear: %+v", stored)
	}
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

func TestDecode(t *testing.T) {
	b := peers.NewMailbox(func() {})
	for _, c := range []struct {
		name, text string
		want       peers.DecodedMessage
	}{
		{"plain", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nX-A: 1\nX-A: 2\n\nhello\n", peers.DecodedMessage{
			Header: []peers.HeaderField{{Name: "Subject", Value: "Grüße"}, {Name: "X-A", Value: "1"}, {Name: "X-A", Value: "2"}},
			Parts:  []peers.MessagePart{{Type: "text/plain", Size: 7, SHA256: sum("hello\r\n"), Text: "hello\r\n"}},
		}},
		{"attachment", `Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

caf=E9
--b
Content-Type: application/pdf; name=other.pdf
Content-Disposition: attachment; filename=a.pdf
Content-Transfer-Encoding: base64

AAEC
--b--
`, peers.DecodedMessage{
			Header: []peers.HeaderField{{Name: "Content-Type", Value: `multipart/mixed; boundary="b"`}},
			Parts: []peers.MessagePart{
				{Type: "text/plain", Charset: "iso-8859-1", Size: 4, SHA256: sum("caf\xe9"), Text: "café"},
				{Type: "application/pdf", Name: "a.pdf", Size: 3, SHA256: sum("\x00\x01\x02")},
			},
		}},
		{"no end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello", peers.DecodedMessage{
			Header:  []peers.HeaderField{{Name: "Content-Type", Value: "multipart/mixed; boundary=b"}},
			Parts:   []peers.MessagePart{{Type: "text/plain", Size: 5, SHA256: sum("hello"), Text: "hello"}},
			Problem: "a part ends too early",
		}},
		{"charset", "Content-Type: text/plain; charset=klingon\n\n\xe9\n", peers.DecodedMessage{
			Header:  []peers.HeaderField{{Name: "Content-Type", Value: "text/plain; charset=klingon"}},
			Parts:   []peers.MessagePart{{Type: "text/plain", Charset: "klingon", Size: 3, SHA256: sum("\xe9\r\n"), Text: "\uFFFD\r\n"}},
			Problem: `the charset "klingon" is unknown`,
		}},
		{"encoding", "Content-Transfer-Encoding: rot13\n\nuryyb\n", peers.DecodedMessage{
			Header:  []peers.HeaderField{{Name: "Content-Transfer-Encoding", Value: "rot13"}},
			Parts:   []peers.MessagePart{{Type: "text/plain", Size: 7, SHA256: sum("uryyb\r\n"), Text: "uryyb\r\n"}},
			Problem: `the encoding "rot13" is unknown`,
		}},
		{"no header", "hello world\n", peers.DecodedMessage{
			Header:  []peers.HeaderField{},
			Parts:   []peers.MessagePart{{Type: "text/plain", Size: 13, SHA256: sum("hello world\r\n"), Text: "hello world\r\n"}},
			Problem: "malformed MIME header line: hello world",
		}},
	} {
		if err := b.Receive(strings.NewReader(strings.ReplaceAll(c.text, "\n", "\r\n"))); err != nil {
			t.Fatal(err)
		}
		stored, _, _ := b.Contents()
		if diff := cmp.Diff(c.want, stored[len(stored)-1].Decode()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("Subject: a\r\n\r\nb\r\n")
	f.Add("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n")
	f.Add("Content-Type: multipart/a; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/a; boundary=c\r\n\r\n--c\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		b := peers.NewMailbox(func() {})
		if err := b.Receive(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		stored, _, _ := b.Contents()
		d := stored[0].Decode()
		if len(d.Parts) > 200 || string(stored[0].Data()) != text {
			t.Errorf("%d parts, %q", len(d.Parts), stored[0].Data())
		}
	})
}
