package control_test

import (
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/traffic"
)

func TestMailIsSentAndLoadsRun(t *testing.T) {
	socket, _ := serve(t, startBox(t, nil))
	c := dialControl(t, "unix", socket)
	ctx := within(t)
	a, err := c.SendMail(ctx, traffic.Request{
		To: []string{"joe@example.com"}, Subject: "large", Attachments: []traffic.Attachment{{Name: "a.bin", Data: make([]byte, 3<<20)}},
	})
	if err != nil || !a.Complete || a.Size < 3<<20 || len(a.Replies) != 7 || a.Replies[5].Code != 250 {
		t.Errorf("send: %+v, %v", a, err)
	}
	s, err := c.StartLoad(ctx, map[string]any{"flow": map[string]any{"rate": "100/s"}, "for": "100ms", "seed": 3})
	if err != nil || s.Total != 10 || s.Load.Flow.From[0] != "workstation" || s.Load.Flow.To[0] != "@example.com" {
		t.Fatalf("load: %+v, %v", s, err)
	}
	for s.Running && ctx.Err() == nil {
		if s, err = c.WaitLoad(ctx, s.ID, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if s.Summary.Accepted != 10 || s.Stopped {
		t.Errorf("at its end the load is %+v", s)
	}
	endless, err := c.StartLoad(ctx, map[string]any{"flow": map[string]any{"rate": "1/h"}, "for": "5h"})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.StopLoad(ctx, endless.ID); err != nil || s.Running || !s.Stopped {
		t.Errorf("after the stop the load is %+v, %v", s, err)
	}
	if list, err := c.Loads(ctx); err != nil || len(list) != 2 || list[0].ID != endless.ID || list[1].ID != s.ID {
		t.Errorf("loads %+v, %v", list, err)
	}
	if flows, err := c.Traffic(ctx); err != nil || len(flows) != 0 {
		t.Errorf("flows of topology lab: %+v, %v", flows, err)
	}
}

func TestMailRequests(t *testing.T) {
	socket, _ := serve(t, startBox(t, nil))
	client := socketClient(t, socket)
	load := func(flow, rest string) string { return `{"flow": {` + flow + `}, ` + rest + `}` }
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/v1/mail/send", `{"to": ["joe@example.com"]}`, 200, `"accepted": true`},
		{"POST", "/v1/mail/send", `{"to": []}`, 400, "no recipients"},
		{"POST", "/v1/mail/send", `{"to": ["a@example.com"], "host": "x"}`, 400, `no host is called \"x\", expected one of workstation`},
		{"POST", "/v1/mail/send", `{"to": ["a@example.com"], "hosts": 1}`, 400, "unknown field"},
		{"POST", "/v1/mail/send", `{"to": [null, "a@example.com"]}`, 400, "to[0]: expected a value, found null"},
		{"POST", "/v1/mail/send", `{"to": ["a@example.com"], "subject": null}`, 400, "subject: expected a value"},
		{"POST", "/v1/mail/send", `{"to": ["a@example.com"], "headers": {"X": null}}`, 400, "headers.X: expected a value"},
		{"POST", "/v1/mail/send", `{"to": ["a@example.com"], "attachments": [{"name": null}]}`, 400,
			"attachments[0].name: expected a value"},
		{"POST", "/v1/mail/send", `{"to": ["a@example.com"], "attachments": null}`, 200, `"accepted": true`},
		{"POST", "/v1/mail/send", `null`, 400, "expected a JSON object or list, found null"},
		{"POST", "/v1/faults", `[]`, 400, `"expected a JSON object, found a value of the type array"`},
		{"PUT", "/v1/faults", `{}`, 400, `"expected a list of JSON objects, found a value of the type object"`},
		{"PUT", "/v1/faults", `[1]`, 400, `"expected a list of JSON objects, found a value of the type number"`},
		{"POST", "/v1/mail/send", `"x"`, 400, `"expected a JSON object, found a value of the type string"`},
		{"PUT", "/v1/faults", `null`, 400, "expected a JSON object or list, found null"},
		{"GET", "/v1/interfaces?host=", "", 400, "host: expected the name or address"},
		{"POST", "/v1/mail/load", load(`"rate": null`, `"for": "1h"`), 400, "rate: nothing, expected"},
		{"POST", "/v1/mail/load", load(`"rate": "1/s", "from": [null]`, `"for": "1h"`), 400, "from[0]: nothing, expected"},
		{"POST", "/v1/faults", `{"action": "drop", "protocol": null}`, 400, "protocol: nothing, expected"},
		{"POST", "/v1/faults", `null`, 400, "nothing, expected a mapping"},
		{"PUT", "/v1/faults", `[null]`, 400, "nothing, expected a mapping"},
		{"GET", "/v1/mail/load", "", 200, "[]"},
		{"GET", "/v1/loads/x", "", 404, `there is no load \"x\"`},
		{"DELETE", "/v1/mail//messages", "", 404, "there is no DELETE /v1/mail//messages: expected a name"},
		{"GET", "/v1/loads/../mail/load", "", 404, "expected a name between two slashes"},
		{"GET", "/v1/logs/mail_logs?match=no%20such%20line", "", 200, `"lines": []`},
		{"GET", "/v1/loads/7", "", 404, "there is no load 7"},
		{"DELETE", "/v1/loads/7", "", 404, "there is no load 7"},
		{"POST", "/v1/mail/load", load(`"rate": "1/s"`, `"for": "soon"`), 400, `\"soon\", expected a time such as 350us, 30s or 2h`},
		{"POST", "/v1/mail/load", load(`"rate": "1/s"`, `"for": "0s"`), 400, "for: 0s, expected a time such as 1m"},
		{"POST", "/v1/mail/load", load(`"rate": "1000/s"`, `"for": "24h"`), 400, "86400000 messages in all, expected at most 1000000"},
		{"POST", "/v1/mail/load", load(`"rate": "1/s"`, `"for": "1h", "connections": 500`), 400, "connections: 500, expected 1 to 200"},
		{"POST", "/v1/mail/load", load(`"rate": "fast"`, `"for": "1h"`), 400, `rate: \"fast\", expected messages in a time`},
		{"POST", "/v1/mail/load", load(`"rate": "1/s", "from": ["x"]`, `"for": "1h"`), 400, `no host is called \"x\"`},
		{"POST", "/v1/mail/load", load(`"rate": "1/s", "down": "10%"`, `"for": "1h"`), 400, "the mail servers of every domain run"},
		{"POST", "/v1/mail/load", load(`"rate": "1/h"`, `"for": "1h"`), 201, `"id": 1`},
		{"GET", "/v1/loads/1?timeout=2h", "", 400, "expected a time such as 1s"},
		{"GET", "/v1/loads/1?timeout=0s", "", 200, `"id": 1`},
		{"GET", "/v1/loads/1?timeout=1m", "", 200, `"running": false`}, // it had one message
		{"POST", "/v1/mail/load", load(`"rate": "2/h"`, `"for": "1h"`), 201, `"running": true`},
		{"POST", "/v1/mail/load", load(`"rate": "2/h"`, `"for": "1h"`), 201, `"running": true`},
		{"POST", "/v1/mail/load", load(`"rate": "2/h"`, `"for": "1h"`), 201, `"running": true`},
		{"POST", "/v1/mail/load", load(`"rate": "2/h"`, `"for": "1h"`), 201, `"running": true`},
		{"POST", "/v1/mail/load", load(`"rate": "2/h"`, `"for": "1h"`), 409, "4 loads run already"},
		{"DELETE", "/v1/loads/2", "", 200, `"stopped": true`},
	} {
		status, text := sendRequest(t, client, c.method, "http://esasim"+c.path, c.body)
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s %s %.60s: %d %s, want %d %s", c.method, c.path, c.body, status, text, c.status, c.want)
		}
	}
}
