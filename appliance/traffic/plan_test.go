package traffic

import (
	"fmt"
	"io"
	"math"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

var noon = time.Date(2015, 6, 25, 12, 0, 0, 0, time.UTC)

func testFlow() topology.Flow {
	return topology.Flow{
		Name: "test", From: []string{"a", "b"}, To: []string{"@example.com", "joe@example.com"}, Rate: 600,
		Recipients: topology.Span{Min: 1, Max: 3}, TLS: 0.5, Size: 5000,
		Kinds: map[string]int{"text": 1, "html": 1, "attachment": 1, "large": 1, "newsletter": 1},
	}
}

func planOf(f topology.Flow, seed int) *plan {
	return newPlan(f, seed, func(host string) string { return host + ".example.net" })
}

// describe returns everything of a message.
func describe(t *testing.T, m planned) string {
	t.Helper()
	text, err := io.ReadAll(m.message.Text.Open())
	if err != nil || int64(len(text)) != m.message.Text.Size() {
		t.Errorf("message %s has %d bytes, but says %d; %v", m.key, len(text), m.message.Text.Size(), err)
	}
	return fmt.Sprint(m.key, m.host, m.tls, m.message.From, m.message.To, string(text))
}

// A message depends on the flow, the seed and its key, and on nothing that was made before.
func TestMessagesRepeat(t *testing.T) {
	first, again, other := planOf(testFlow(), 1), planOf(testFlow(), 1), planOf(testFlow(), 2)
	again.message("40", "40", noon)
	seen := map[string]bool{}
	for i := range 40 {
		key := fmt.Sprint(i)
		m := describe(t, first.message(key, key, noon))
		if m != describe(t, again.message(key, key, noon)) {
			t.Errorf("message %d is another one the second time", i)
		}
		if m == describe(t, other.message(key, key, noon)) || seen[m] {
			t.Errorf("message %d is the same as another one", i)
		}
		seen[m] = true
	}
}

// Every kind of message can be parsed, has distinct recipients and is sent from a host of the flow.
func TestMessagesAreValid(t *testing.T) {
	f := testFlow()
	hosts, tls, kinds := map[string]int{}, 0, map[string]int{}
	for kind := range f.Kinds {
		f.Kinds = map[string]int{kind: 1}
		p := planOf(f, 3)
		for i := range 20 {
			m := p.message(fmt.Sprint(i), fmt.Sprint(i), noon)
			hosts[m.host]++
			if m.tls {
				tls++
			}
			parsed, err := mail.ReadMessage(m.message.Text.Open())
			if err != nil {
				t.Fatalf("%s %d: %v", kind, i, err)
			}
			if date, err := parsed.Header.Date(); err != nil || !date.Equal(noon) {
				t.Errorf("%s %d: Date %v, %v", kind, i, date, err)
			}
			kinds[strings.SplitN(parsed.Header.Get("Content-Type"), ";", 2)[0]]++
			if kind == "large" && m.message.Text.Size() < 5000 {
				t.Errorf("a large message of %d bytes", m.message.Text.Size())
			}
			seen := map[string]bool{}
			for _, to := range m.message.To {
				if _, err := mail.ParseAddress(to); err != nil || seen[to] {
					t.Errorf("%s %d: recipient %s of %q: %v", kind, i, to, m.message.To, err)
				}
				seen[to] = true
			}
		}
	}
	if hosts["a"] < 20 || hosts["b"] < 20 || tls < 20 || tls > 80 {
		t.Errorf("sent by %v, %d over TLS", hosts, tls)
	}
	if kinds["text/plain"] != 40 || kinds["text/html"] != 40 || kinds["multipart/mixed"] != 20 {
		t.Errorf("types %v", kinds)
	}
}

// Shares and weights come out as they are given.
func TestShares(t *testing.T) {
	f := testFlow()
	f.To, f.Recipients = []string{"good@example.com"}, topology.Span{}
	f.Kinds = map[string]int{"text": 9, "html": 1}
	f.Bad, f.BadTo, f.Down, f.DownTo = 0.1, []string{"bad@example.com"}, 0.2, []string{"down@example.com"}
	p := planOf(f, 5)
	to, html := map[string]int{}, 0
	const n = 4000
	for i := range n {
		m := p.message(fmt.Sprint(i), "", noon)
		to[m.message.To[0]]++
		if strings.Contains(describe(t, m), "text/html") {
			html++
		}
	}
	for what, c := range map[string]struct {
		got  int
		want float64
	}{"bad": {to["bad@example.com"], 0.1}, "down": {to["down@example.com"], 0.2}, "html": {html, 0.1}} {
		if share := float64(c.got) / n; math.Abs(share-c.want) > 0.03 {
			t.Errorf("the share of %s is %v, want %v", what, share, c.want)
		}
	}
}

func TestPoisson(t *testing.T) {
	for _, mean := range []float64{0, 0.2, 10, 1300} {
		r := entropy.Seeded(1).Stream("poisson")
		sum := 0
		const n = 500
		for range n {
			sum += poisson(mean, r.Float64)
		}
		if got := float64(sum) / n; math.Abs(got-mean) > 5*math.Sqrt(mean/n)+1e-9 {
			t.Errorf("the mean of numbers with the mean %v is %v", mean, got)
		}
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	l := h.latency()
	for what, c := range map[string]struct{ got, want time.Duration }{
		"least": {time.Duration(l.Least), time.Millisecond}, "median": {time.Duration(l.Median), 500 * time.Millisecond},
		"p95": {time.Duration(l.P95), 950 * time.Millisecond}, "p99": {time.Duration(l.P99), 990 * time.Millisecond},
		"most": {time.Duration(l.Most), time.Second},
	} {
		if ratio := float64(c.got) / float64(c.want); ratio < 0.94 || ratio > 1.06 {
			t.Errorf("%s is %v, want %v", what, c.got, c.want)
		}
	}
	if empty := (&histogram{}).latency(); empty != (Latency{}) {
		t.Errorf("nothing has the latency %+v", empty)
	}
}
