package bench_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestBreakAHost: a fault shows on the host that it hits, with its count, and is repaired.
func TestBreakAHost(t *testing.T) {
	b, c := open(t)
	text := c.get("/")
	has(t, text, `aria-label="Host resolver, 10.0.202.53"`, `aria-label="Interface Data 1, 10.0.202.7"`,
		`aria-label="Gateway of Data 1, 10.0.202.1: its packets"`, `Door ssh`, `data-link="path/google"`)
	text = c.post("/network/break", "at", "host/resolver", "action", "delay", "amount", "20ms", "protocol", "udp")
	has(t, text, "delay 20ms protocol udp cable resolver", "Repair resolver", `, fault: delay"`)
	b.Exec("nslookup google.com")
	has(t, c.get("/"), `aria-label="Host resolver, 10.0.202.53, fault: delay `)
	text = c.post("/network/repair", "at", "host/resolver")
	if n := len(b.Faults().List()); n != 0 || strings.Contains(text, "fault: delay") {
		t.Errorf("%d faults are left:\n%s", n, text)
	}
}

// TestWrongFormsAreRefused: the text says what was expected, and nothing changes.
func TestWrongFormsAreRefused(t *testing.T) {
	b, c := open(t)
	for want, fields := range map[string][]string{
		"needs an amount, such as 500ms":     {"at", "host/google", "action", "delay"},
		"has no amount":                      {"at", "host/google", "action", "drop", "amount", "3s"},
		"&#34;no&#34; is no action":          {"at", "host/google", "action", "no"},
		"there is no place &#34;host/x&#34;": {"at", "host/x", "action", "drop"},
		"expected a time such as":            {"at", "host/google", "action", "drop", "for", "soon"},
		"expected a whole number":            {"at", "host/google", "action", "drop", "protocol", "tcp", "port", "x"},
	} {
		status, text := c.try("/network/break", fields...)
		if status == http.StatusOK || status >= 500 {
			t.Errorf("%v: %d", fields, status)
		}
		has(t, text, want)
	}
	if n := len(b.Faults().List()); n != 0 {
		t.Errorf("%d faults", n)
	}
}
