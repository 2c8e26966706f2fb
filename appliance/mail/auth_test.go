package mail_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// answerLines runs a server that sends one of the answers for each line that it receives, after the
// first one, and keeps what it received.
func answerLines(t *testing.T, h *vnet.Host, answers ...string) (received func() string) {
	t.Helper()
	l, err := h.Listen(t.Context(), network.ListenConfig{Addr: at})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		for i, answer := range answers {
			if i > 0 {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				got.WriteString(line)
			}
			io.WriteString(c, answer+"\r\n") //nolint:errcheck // the client reports it
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return func() string { <-done; return strings.ReplaceAll(got.String(), "\r\n", "|") }
}

func TestAuth(t *testing.T) {
	for offered, c := range map[string]struct {
		answers []string
		want    string
	}{
		"PLAIN LOGIN": {[]string{"235 ok"}, "AUTH PLAIN AGpvZQBzZWNyZXQ=|"},
		"login":       {[]string{"334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok"}, "AUTH LOGIN|am9l|c2VjcmV0|"},
	} {
		h := newHost(t)
		received := answerLines(t, h, append([]string{"220 mx", "250-mx\r\n250 AUTH " + offered}, c.answers...)...)
		r, err := hello(t, newClient(h, nil)).Auth(t.Context(), "joe", "secret")
		if got := strings.TrimPrefix(received(), "EHLO esa.example.com|"); err != nil || r.Code != 235 || got != c.want {
			t.Errorf("%s: %v, %v, sent %q, want %q", offered, r, err, got, c.want)
		}
	}
}

func TestAuthIsRefused(t *testing.T) {
	for offered, want := range map[string]string{
		"250 AUTH PLAIN":    "smtp: AUTH: 535 wrong",
		"250 AUTH LOGIN":    "smtp: AUTH: 535 wrong",
		"250 AUTH CRAM-MD5": fmt.Sprintf(`smtp: AUTH: %v, but "CRAM-MD5"`, mail.ErrNoAuth),
		"250 HELP":          fmt.Sprintf(`smtp: AUTH: %v, but ""`, mail.ErrNoAuth),
	} {
		h := newHost(t)
		answerLines(t, h, "220 mx", "250-mx\r\n"+offered, "535 wrong")
		_, err := hello(t, newClient(h, nil)).Auth(t.Context(), "joe", "secret")
		var e *mail.Error
		if !errors.As(err, &e) || e.Step != mail.Auth || err.Error() != want {
			t.Errorf("%s: %v, want %s", offered, err, want)
		}
	}
}
