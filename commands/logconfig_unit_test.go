package commands_test

import (
	"testing"

	"github.com/esasim/esasim/appliance/logs"
)

// A loaded configuration may have another schedule. Editing replaces it by the interval that
// was entered.
func TestEditedUploadIsScheduledByInterval(t *testing.T) {
	d := newTestSession(t, "admin", 0)
	s := logs.NewSubscription("pushed", logs.Mail.Spec())
	s.Method, s.Schedule, s.TimeOfDay = logs.FTPPush, logs.Daily, "12:00"
	s.Remote = logs.UploadTarget{Host: "logs.example.com", User: "esa"}
	commitNow(t, d.appliance, logs.Section, logs.Subscriptions{List: []logs.Subscription{s}})
	if err := d.run(t, "logconfig", append([]string{"edit", "pushed", "", "", "600"}, make([]string, 7)...)...); err != nil {
		t.Fatal(err)
	}
	if got := logs.Section.Get(d.env.Draft).List[0]; got.Schedule != logs.Interval || got.IntervalSeconds != 600 || got.TimeOfDay != "" {
		t.Errorf("the subscription is %+v", got)
	}
}

// The passphrase of a push is kept only if server and user stay the same, so that it is never
// sent to another server.
func TestUploadPassphraseIsBoundToServerAndUser(t *testing.T) {
	for _, c := range []struct {
		host, user string // as entered
		want       string
	}{
		{"", "", "secret"},
		{"other.example.com", "", ""},
		{"", "root", ""},
	} {
		d := newTestSession(t, "admin", 0)
		s := logs.NewSubscription("pushed", logs.Mail.Spec())
		s.Method, s.Schedule, s.IntervalSeconds = logs.FTPPush, logs.Interval, 3600
		s.Remote = logs.UploadTarget{Host: "logs.example.com", User: "esa", Password: "secret"}
		commitNow(t, d.appliance, logs.Section, logs.Subscriptions{List: []logs.Subscription{s}})
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
