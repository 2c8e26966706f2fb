package delivery

import (
	"slices"
	"testing"
)

// Of two workers, the one whose recipient is the message's last may be the first to publish.
func TestFinishedIsPublishedAfterAllOutcomes(t *testing.T) {
	var o outcomes
	var published []string
	first, last := o.begin(7), o.begin(7)
	published = append(published, "last recipient")
	o.finish(7, func() { published = append(published, "finished") })
	last()
	other := o.begin(8)
	other()
	published = append(published, "first recipient")
	first()
	want := []string{"last recipient", "first recipient", "finished"}
	if !slices.Equal(published, want) {
		t.Errorf("published %q, want %q", published, want)
	}
	if len(o.open) > 0 {
		t.Errorf("%d messages are kept", len(o.open))
	}
}
