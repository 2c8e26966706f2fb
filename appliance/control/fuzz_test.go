package control

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/fixtures"
)

// Every request is answered: with a success, or with an error in JSON that says what was wrong
// with the request.
func FuzzRequests(f *testing.F) {
	for _, seed := range [][3]string{
		{"GET", "/v1/health", ""},
		{"GET", "/v1/faults", ""},
		{"POST", "/v1/faults", `{"action": "drop", "to": "10.0.201.25", "protocol": "tcp", "port": 25}`},
		{"POST", "/v1/faults", `{"action": "delay", "delay": "200ms", "jitter": "1h", "path": "google"}`},
		{"POST", "/v1/faults", `{"action": "unplug", "cable": "Data 1", "for": "1ns"}`},
		{"DELETE", "/v1/faults/1", ""},
		{"GET", "/v1/peers/mail/mx", ""},
		{"PUT", "/v1/peers/mail/mx", `{"running": false}`},
		{"PUT", "/v1/clock", `{"time": "2015-06-25T08:50:03Z"}`},
		{"PUT", "/v1/clock", `{"advance": "-2h"}`},
		{"DELETE", "/v1/guard/10.0.201.4", ""},
		{"PATCH", "/v2/%zz", `[]`},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	b := startFuzzBox(f)
	handler := New(b).mux()
	f.Fuzz(func(t *testing.T, method, path, body string) {
		b.Faults().Clear() // so that they do not add up
		r, err := http.NewRequest(method, "http://esasim/"+strings.TrimPrefix(path, "/"),
			strings.NewReader(body))
		if err != nil {
			t.Skip("not a request that a client could send")
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json") // a stream of events would not end
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		switch answer := w.Result(); {
		case answer.StatusCode < 400:
		case answer.StatusCode >= 500 && answer.StatusCode != http.StatusServiceUnavailable:
			t.Errorf("%s %q with %q: status %d\n%s", method, path, body, answer.StatusCode, w.Body)
		default:
			var failure struct{ Error string }
			if err := json.Unmarshal(w.Body.Bytes(), &failure); err != nil || failure.Error == "" {
				t.Errorf("%s %q with %q: status %d says no reason (%v)\n%s",
					method, path, body, answer.StatusCode, err, w.Body)
			}
		}
	})
}

// startFuzzBox runs an appliance of topology lab, without doors, until the fuzzing ends.
func startFuzzBox(f *testing.F) *box.Box {
	f.Helper()
	file, data, _ := fixtures.Topology("lab")
	topo, err := box.LoadTopology(file, data)
	if err != nil {
		f.Fatal(err)
	}
	b, err := box.New(box.Options{
		Topology: topo, Dir: f.TempDir(), NoDoors: true, Entropy: entropy.Seeded(1),
		HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	})
	if err != nil {
		f.Fatal(err)
	}
	if err := b.Start(f.Context()); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			f.Error(err)
		}
	})
	return b
}
