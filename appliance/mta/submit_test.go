package mta

import (
	"errors"
	"io"
	"testing"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// TestOwnMessageWaitsForDelivery: a message of the appliance's own is in the queue when Submit
// returns, past the work queue. If there is no room for it, nothing is.
func TestOwnMessageWaitsForDelivery(t *testing.T) {
	m := OwnMessage{
		By: "test", From: "alert@esa.example.com", To: []string{"a@example.com", "b@example.com"},
		Data: []byte("Subject: s\r\n\r\ntext\r\n"),
	}
	s := open(t, t.TempDir(), 0, nil)
	mid, err := s.Submit(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	env, ok := s.Queue.Message(mid)
	if !ok || env.Stage != queue.Delivery || env.From != m.From || env.Internal != m.By ||
		len(env.Recipients) != 2 || env.Recipients[1].RID != 1 || env.Recipients[1].Address != m.To[1] {
		t.Errorf("the queue has %+v", env)
	}
	body, err := s.Queue.Body(mid)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); err != nil || string(text) != string(m.Data) {
		t.Errorf("the body is %q, %v", text, err)
	}

	full := open(t, t.TempDir(), 1, nil)
	if _, err := full.Submit(t.Context(), m); !errors.Is(err, queue.ErrQuota) {
		t.Errorf("a full queue returns %v", err)
	}
	if stats := full.Queue.Stats(); stats.Messages != 0 {
		t.Errorf("a full queue has %d messages", stats.Messages)
	}
}
