package appliance_test

import (
	"testing"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/refusal"
)

func TestUnknownSourceOfNTPQueriesIsRefused(t *testing.T) {
	a := newAppliance(t, newWorld(t))
	commit := func(source string) error {
		d := a.Config.NewDraft()
		ntp.NTP.Set(d, ntp.Settings{Source: source})
		_, err := a.Config.Commit(t.Context(), d, config.CommitInfo{User: "admin"})
		return err
	}
	err := commit("Data 9")
	const want = notCommitted +
		"NTP queries are to leave by the IP interface Data 9, which does not exist."
	if text, _ := refusal.Text(err); text != want {
		t.Errorf("got %v", err)
	}
	if err := commit("Data 1"); err != nil {
		t.Error(err)
	}
}
