package mail

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

// Whatever a server sends, a reply has a valid code, and each of its lines is bounded.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"220 mx.example.com ESMTP\r\n", "250-mx\r\n250-SIZE 1000\r\n250 STARTTLS\r\n",
		"550 5.1.1 unknown\r\n", "451-4.2.0 a\r\n451 4.2.0 b\r\n", "250\r\n", "250", "25",
		"\x15\x03\x01\x00\x02\x02\x28", "250-a\r\n251 b\r\n", "999 x\r\n", "-50 x\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		from := bufio.NewReaderSize(bytes.NewReader(sent), maxReplyLine)
		for {
			r, err := readReply(from, func(string) {})
			if err != nil {
				return
			}
			lines := strings.Split(r.Text, "\n")
			if r.Code < 200 || r.Code > 599 || len(lines) > maxReplyLines {
				t.Fatalf("%+v", r)
			}
			for _, l := range lines {
				if len(l) > maxReplyLine {
					t.Fatalf("a line of %d bytes", len(l))
				}
			}
			if strings.Contains(r.String(), "\n") {
				t.Fatalf("not one line: %q", r)
			}
			for name := range extensions(r.Text) {
				if name != strings.ToUpper(name) {
					t.Fatalf("extension %q", name)
				}
			}
		}
	})
}
