package box_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/pkg/sftp"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/events"
)

// nextTransfer returns the next event of a transfer after a cursor.
func nextTransfer(t *testing.T, b *box.Box, cursor uint64) events.Event {
	t.Helper()
	for e, err := range b.Events(t.Context(), cursor) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Fields.Kind() == "transfer.done" {
			return e
		}
	}
	t.Fatal("there is no event")
	return events.Event{}
}

// TestTransferEventsHaveTheHash: the hash in the event of a transfer is that of the bytes that were
// transferred, even if it is read when the file has changed, or when the appliance has been restarted.
func TestTransferEventsHaveTheHash(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	conn := sshTo(t, b)
	c, err := sftp.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	const name = "/configuration/x.txt"
	put := func(text string) events.Event {
		cursor := b.Cursor()
		f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return nextTransfer(t, b, cursor)
	}
	get := func() events.Event {
		cursor := b.Cursor()
		f, err := c.Open(name)
		if err == nil {
			_, err = io.Copy(io.Discard, f)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return nextTransfer(t, b, cursor)
	}
	first, second := strings.Repeat("first", 50_000), strings.Repeat("second", 50_000)
	all := []events.Event{put(first), get(), put(second), get()}
	if err := c.Remove(name); err != nil {
		t.Fatal(err)
	}
	all = append(all, put(first))
	conn.Close()
	b.Appliance().Power(1, 0)
	awaitAfter(t, b, all[4].Seq, "appliance.up")
	for i, text := range []string{first, first, second, second, first} {
		done, ok := all[i].Fields.(box.TransferDone)
		want := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		if !ok || done.SHA256.String() != want || done.Size != int64(len(text)) {
			t.Errorf("event %d is %+v, want the hash %s of %d bytes", i, all[i].Fields, want, len(text))
		}
		encoded, err := json.Marshal(all[i])
		if err != nil || !strings.Contains(string(encoded), `"sha256":"`+want+`"`) {
			t.Errorf("event %d is encoded as %s, %v", i, encoded, err)
		}
	}
}
