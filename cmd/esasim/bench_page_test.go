package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBenchIsOnADoorOfItsOwn: --bench prints an address with a token that opens the page.
func TestBenchIsOnADoorOfItsOwn(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("this-is-my-own-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, shortHome(t), "--bench", "127.0.0.1:0", "--bench-token", token)
	if !strings.HasSuffix(p.ready.Bench, "/?token=this-is-my-own-token") || !strings.Contains(p.out, p.ready.Bench) {
		t.Fatalf("the address is %q, and the program prints\n%s", p.ready.Bench, p.out)
	}
	r, err := http.Get(p.ready.Bench)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	// The client keeps no cookies, so that the redirect leads to the page without the cookie.
	if r.StatusCode != http.StatusUnauthorized || r.Request.URL.RawQuery != "" {
		t.Errorf("%s: %d", r.Request.URL, r.StatusCode)
	}
}

// TestWrongFlagsOfTheBench: mistakes say what was expected.
func TestWrongFlagsOfTheBench(t *testing.T) {
	for args, want := range map[string]string{
		"--bench 0.0.0.0:0":   "expected a loopback address, such as 127.0.0.1:8090",
		"--bench-token token": "--bench-token needs --bench",
	} {
		c := command(t, t.TempDir(), append([]string{"--ephemeral", "--ports", "auto"}, strings.Fields(args)...)...)
		out, err := c.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}
