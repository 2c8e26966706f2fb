package control_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A snapshot is saved, listed, read, given to another simulator, restored and removed over the API.
func TestSnapshots(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	if list, err := c.Snapshots(ctx); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	if _, err := c.AddFault(ctx, topology.Rule{Action: "drop", Path: "google"}); err != nil {
		t.Fatal(err)
	}
	x, err := c.SaveSnapshot(ctx, "broken")
	if err != nil || x.Name != "broken" || x.Model != "C100V" {
		t.Fatalf("%+v, %v", x, err)
	}
	if list, err := c.Snapshots(ctx); err != nil || len(list) != 1 || list[0] != x {
		t.Errorf("%+v, %v", list, err)
	}
	if err := c.ClearFaults(ctx); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		for { // the wait may begin after the first reset
			_, err := b.WaitFor(context.Background(), box.WaitRequest{For: "alert"})
			waiting <- err
			return
		}
	}()
	<-started
	for ended := false; !ended; {
		if _, err := c.Restore(ctx, "broken", false); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-waiting:
			if ended = true; err != box.ErrReset {
				t.Error(err)
			}
		default:
		}
	}
	if list, err := c.Faults(ctx); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	var file bytes.Buffer
	if err := c.SnapshotFile(ctx, "broken", &file); err != nil {
		t.Fatal(err)
	}
	other := startBox(t, nil)
	socket, _ = serve(t, other)
	c2 := dialControl(t, "unix", socket)
	if y, err := c2.PutSnapshot(ctx, "theirs", bytes.NewReader(file.Bytes())); err != nil || y.Files != x.Files {
		t.Errorf("%+v, want %+v, %v", y, x, err)
	}
	if _, err := c2.Restore(ctx, "theirs", false); err != nil || len(other.Faults().List()) != 1 {
		t.Error(other.Faults().List(), err)
	}
	if _, err := c2.PutSnapshot(ctx, "bad", bytes.NewReader(file.Bytes()[:5000])); !refusedWith(err, 400) {
		t.Error(err)
	}
	if _, err := c2.SaveSnapshot(ctx, "7"); !refusedWith(err, 400) {
		t.Error(err)
	}
	if err := c.RemoveSnapshot(ctx, "broken"); err != nil {
		t.Error(err)
	}
	_, restoreErr := c.Restore(ctx, "broken", false)
	for _, err := range []error{c.RemoveSnapshot(ctx, "broken"), c.SnapshotFile(ctx, "broken", io.Discard), restoreErr} {
		if !refusedWith(err, 404) {
			t.Error(err)
		}
	}
	if status, text := sendRequest(t, socketClient(t, socket), "PUT", "http://esasim/v1/snapshots/x", "{}"); status != 415 || !strings.Contains(text, "application/x-tar") {
		t.Error(status, text)
	}
}
