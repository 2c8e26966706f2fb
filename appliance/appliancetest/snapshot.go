package appliancetest

import (
	"testing"

	"github.com/esasim/esasim/appliance/box"
)

// Snapshot saves the state of the appliance and its world under a name, in place of an earlier
// snapshot of that name. Sessions go on. The snapshot is removed when the test t ends, and is kept
// over reboots and resets. If it cannot be saved, the test fails.
//
//	box.Snapshot(t, "configured")
//
// Box.Box.Snapshot says what is part of it. It takes a context and returns an error, and the snapshot
// is kept until the box is stopped.
func (b *Box) Snapshot(t testing.TB, name string) box.SnapshotInfo {
	t.Helper()
	info, err := b.Box.Snapshot(t.Context(), name)
	if err != nil {
		t.Fatal("appliancetest: snapshot: ", err)
	}
	t.Cleanup(func() {
		_ = b.RemoveSnapshot(name) // the test may have removed it
	})
	return info
}

// Restore puts the appliance and its world back to the state that a snapshot has saved. The addresses
// of the doors stay the same. Sessions end. If there is no such snapshot, the test fails.
func (b *Box) Restore(t testing.TB, name string) {
	t.Helper()
	b.factory.close()
	if err := b.Box.Restore(t.Context(), name); err != nil {
		t.Fatal("appliancetest: restore: ", err)
	}
}
