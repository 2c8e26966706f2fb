package commands_test

import (
	"testing"

	"github.com/esasim/esasim/appliance/logs"
)

// What is answered to the question for an interval counts, whatever schedule a
// configuration file had.
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
		t.Errorf("it is %+v", got)
	}
}

// The passphrase of a push is kept for the server that it belongs to, and sent to no
// other.
func TestUploadPassphraseIsBoundToServerAndUser(t *testing.T) {
	for _, c := range []struct {
		host, user string // as they are typed
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
