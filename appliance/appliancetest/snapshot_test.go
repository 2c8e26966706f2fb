package appliancetest_test

import (
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// A snapshot ends with its test, and one that cannot be saved or restored fails the test.
func TestSnapshotEndsWithItsTest(t *testing.T) {
	box := appliancetest.Start(t)
	t.Run("inner", func(t *testing.T) {
		if info := box.Snapshot(t, "mine"); info.Name != "mine" || info.Files == 0 {
			t.Errorf("saved %+v", info)
		}
		box.Snapshot(t, "removed")
		if err := box.RemoveSnapshot("removed"); err != nil {
			t.Error(err)
		}
		box.Reset(t)
		box.Restore(t, "mine")
		box.Exec("version") // sessions are opened again
	})
	if list := box.Snapshots(); len(list) != 0 {
		t.Errorf("after the test: %+v", list)
	}
	expectFailure(t, "appliancetest: restore: ", func(f *failing) { box.Restore(f, "mine") })
	expectFailure(t, "appliancetest: snapshot: ", func(f *failing) { box.Snapshot(f, "") })
}
