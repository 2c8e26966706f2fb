package commands_test

import (
	"testing"

	"github.com/esasim/esasim/appliance/logs"
)

// The passphrase of a push is kept for the server that it belongs to, and sent to no
// other.
func TestAPassphraseStaysWithItsServer(t *testing.T) {
	for _, c := range []struct {
		host, user string // as they are typed
		want       string
	}{
		{"", "", "secret"},
		{"other.example.com", "", ""},
		{"", "root", ""},
	} {
		d := newDesk(t, "admin", 0)
		s := logs.NewSubscription("pushed", logs.Mail.Kind())
		s.Method, s.Schedule, s.Seconds = logs.FTPPush, logs.Interval, 3600
		s.Remote = logs.Remote{Host: "logs.example.com", User: "esa", Password: "secret"}
		commitNow(t, d.box, logs.Section, logs.Subscriptions{List: []logs.Subscription{s}})
		answers := []string{"edit", "pushed", "", "", "", c.host, c.user}
		if err := d.run(t, "logconfig", append(answers, make([]string, 5)...)...); err != nil {
			t.Fatal(err)
		}
		got := logs.Section.Get(d.env.Draft).List[0].Remote
		if got.Password != c.want {
			t.Errorf("host %q, user %q: %+v", c.host, c.user, got)
		}
	}
}
