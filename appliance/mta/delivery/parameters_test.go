package delivery

import (
	"io"
	"testing"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// TestMailParameters: the size of a message and the client's BODY=8BITMIME are passed on to a server
// that offers SIZE and 8BITMIME, and to no other (RFC 1870, RFC 6152).
func TestMailParameters(t *testing.T) {
	const body = "Subject: test\r\n\r\ncaf\xc3\xa9\r\n"
	for name, test := range map[string]struct {
		offer    string
		eightBit bool
		want     string
	}{
		"both offered":    {"250-mx\n250-SIZE 1000\n250 8BITMIME", true, " SIZE=24 BODY=8BITMIME"},
		"not declared":    {"250-mx\n250-SIZE 1000\n250 8BITMIME", false, " SIZE=24"},
		"SIZE offered":    {"250-mx\n250 SIZE", true, " SIZE=24"},
		"nothing offered": {"250 mx", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t, nil)
			m := b.serve(first, map[string]string{"EHLO": test.offer})
			mid := b.queue.NextMID()
			in, err := b.queue.Create(mid)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(in, body)
			env := queue.Envelope{
				MID: mid, From: "a@example.net", Stage: queue.Delivery, EightBit: test.eightBit,
				Received:   b.clock.Now(),
				Recipients: []queue.Recipient{{Address: "b@example.com"}},
			}
			if err := in.Commit(t.Context(), env); err != nil {
				t.Fatal(err)
			}
			env, _ = b.queue.Message(mid)
			b.Enqueue(env.MID)
			b.expect("New SMTP DCID 1 ~", "Delivery start ~", "Message done ~", "MID 1 RID [0] Response ~",
				"Message finished MID 1 done")
			want := "MAIL FROM:<a@example.net>" + test.want + "\nRCPT TO:<b@example.com>\n" + body
			if got := m.messages(); len(got) != 1 || got[0] != want {
				t.Errorf("the server got %q, want %q", got, want)
			}
		})
	}
}
