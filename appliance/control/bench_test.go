package control_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/events"
)

// A marked event is one of these benchmarks.
type marked struct {
	N int `json:"n"`
}

// Kind implements events.Fields.
func (marked) Kind() string { return "fault.marked" }

// BenchmarkWait measures the time from a fact to the answer of a request that waits for it.
func BenchmarkWait(b *testing.B) {
	x := startBoxWith(b, nil)
	socket, _ := serve(b, x)
	client := control.Dial("unix", socket)
	var total, longest time.Duration
	for n := 0; b.Loop(); n++ {
		began, answered := make(chan struct{}), make(chan time.Time)
		go func() {
			close(began)
			if _, err := client.Wait(context.Background(), marked{}.Kind(), "", "", time.Minute); err != nil {
				b.Error(err)
			}
			answered <- time.Now()
		}()
		<-began
		// The request is under way. What happens before it has arrived does not count for it, so
		// the fact is repeated until there is an answer.
		var last time.Time
		for done := false; !done; {
			last = time.Now()
			events.Publish(x.EventStream(), 0, marked{n})
			select {
			case at := <-answered:
				took := at.Sub(last)
				total, longest, done = total+took, max(longest, took), true
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "µs/wait")
	b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
}

// BenchmarkEventsTo100Listeners measures the time from an event until 100 clients have it.
func BenchmarkEventsTo100Listeners(b *testing.B) {
	const listeners = 100
	x := startBoxWith(b, nil)
	socket, _ := serve(b, x)
	ctx, cancel := context.WithCancel(b.Context())
	x.Cursor() // from now on events are kept, so that no listener comes too late
	received := make([]chan int, listeners)
	var listening sync.WaitGroup
	for i := range received {
		received[i] = make(chan int, 1)
		listening.Go(func() {
			q := control.EventQuery{Kind: marked{}.Kind(), Since: "all"}
			for e, err := range control.Dial("unix", socket).Events(ctx, q) {
				var m marked
				if err != nil || json.Unmarshal(e.Fields, &m) != nil {
					return // the benchmark ends
				}
				received[i] <- m.N
			}
		})
	}
	for n := 0; b.Loop(); n++ {
		events.Publish(x.EventStream(), 0, marked{n})
		for _, c := range received {
			if got := <-c; got != n {
				b.Fatalf("a listener has event %v, want %d", got, n)
			}
		}
	}
	cancel()
	listening.Wait()
}
