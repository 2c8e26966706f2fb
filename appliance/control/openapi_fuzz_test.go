package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/esasim/esasim/appliance/control"
)

// visit returns an error if text is not a value of a schema.
func visit(_ *openapi3.T, schema *openapi3.Schema, text []byte) error {
	var x any
	if err := json.Unmarshal(text, &x); err != nil {
		return err
	}
	return schema.VisitJSON(x, openapi3.EnableJSONSchema2020())
}

// FuzzDocument makes requests of the OpenAPI document: of each operation, with values that its
// schema allows or nearly allows. Every answer is one that the document describes.
func FuzzDocument(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	c := theContract(f)
	patterns := control.Patterns()
	b := startBoxFor(f)
	server := control.New(b)
	handler := server.Handler()
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := &generator{rand.New(rand.NewPCG(seed, 1))}
		method, path := documented(patterns[int(seed%uint64(len(patterns)))])
		r, body := g.request(t, c, method, path)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s %s %s: %d %s", method, r.URL, body, w.Code, w.Body)
		}
		if err := c.check(r, body, w.Code, w.Header(), w.Body.Bytes()); err != nil {
			t.Errorf("%s %s %s: %d %s: %v", method, r.URL, body, w.Code, w.Body, err)
		}
		if len(b.Faults().List()) > 50 {
			b.Faults().Clear() // so that they do not add up
		}
		if err := b.PowerOn(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A generator makes requests and values at random.
type generator struct{ *rand.Rand }

// request returns a request for an operation, and its body.
func (g *generator) request(t *testing.T, c *contract, method, path string) (*http.Request, []byte) {
	t.Helper()
	item := c.doc.Paths.Value(path)
	op := item.GetOperation(method)
	if op == nil {
		t.Fatalf("%s %s is not in the document", method, path)
	}
	query := url.Values{}
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		value := fmt.Sprint(g.value(p.Value.Schema.Value, 0))
		switch {
		case p.Value.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", url.PathEscape(value))
		case p.Value.In == "query" && (p.Value.Required || g.IntN(2) == 0):
			query.Set(p.Value.Name, value)
		}
	}
	for _, p := range op.Parameters {
		switch p.Value.Name {
		case "timeout": // a request that waits is to end soon
			query.Set("timeout", "1ms")
		case "follow": // a stream would not end
			query.Del("follow")
		}
	}
	var body []byte
	kind := "application/json"
	if op.RequestBody != nil && op.RequestBody.Value.Content.Get(kind) == nil {
		kind, body = "application/x-tar", []byte(fmt.Sprint(g.any()))
	} else if op.RequestBody != nil {
		content := op.RequestBody.Value.Content.Get("application/json")
		var err error
		x := g.value(content.Schema.Value, 0)
		if g.IntN(4) == 0 && content.Example != nil {
			x = content.Example
		}
		if body, err = json.Marshal(x); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	if path == "/v1/live" { // it ends when the client leaves
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
		t.Cleanup(cancel)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://esasim"+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		t.Skip("not a request that a client could send")
	}
	r.Header.Set("Accept", "application/json") // a stream of events would not end
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	return r, body
}

// value returns a value that a schema allows, or, one time in twenty, any other.
func (g *generator) value(s *openapi3.Schema, depth int) any {
	if g.IntN(20) == 0 || depth > 4 {
		return g.any()
	}
	if len(s.Enum) > 0 {
		return s.Enum[g.IntN(len(s.Enum))]
	}
	if s.Const != nil {
		return s.Const
	}
	kind := "string"
	if s.Type != nil && len(*s.Type) > 0 {
		kind = (*s.Type)[g.IntN(len(*s.Type))]
	}
	switch kind {
	case "object":
		x := map[string]any{}
		for name, p := range s.Properties {
			if slices.Contains(s.Required, name) || g.IntN(6) == 0 {
				x[name] = g.value(p.Value, depth+1)
			}
		}
		return x
	case "array":
		list := []any{}
		for range g.IntN(3) {
			list = append(list, g.value(s.Items.Value, depth+1))
		}
		return list
	case "integer":
		return g.IntN(70_000)
	case "number":
		return g.Float64()
	case "boolean":
		return g.IntN(2) == 0
	case "null":
		return nil
	}
	return g.text()
}

func (g *generator) any() any {
	return []any{nil, -1, 1.5, "", "\x00", true, []any{}, map[string]any{"x": 1}, strings.Repeat("y", 300)}[g.IntN(9)]
}

// text returns a text that means something to some field of some request.
func (g *generator) text() string {
	words := []string{
		"1", "30%", "64k", "412", "200ms", "1h", "-2h", "10.0.201.25", "10.0.201.0/24", "2001:db8::1",
		"tcp", "udp", "icmp", "in", "out", "google", "Data 1", "cluster", "mail/mx", "server/echo",
		"dns-gone", "slow", "a/b", "é", "2015-06-25T08:50:03Z", "admin", "mail_logs", "(", "tcp port 25",
		"log", "0", "99999999999999999999",
	}
	return words[g.IntN(len(words))]
}
