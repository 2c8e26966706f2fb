package shell_test

import (
	"testing"

	"github.com/esasim/esasim/shell"
)

// Each typed line is quoted, so quoting must be cheap.
func TestQuoteForLog(t *testing.T) {
	for text, want := range map[string]string{
		"":                  `''`,
		"version":           `'version'`,
		`it's \ n`:          `'it\'s \\ n'`,
		"\nmail.test> \xff": "'\nmail.test> \xff'",
	} {
		if got := shell.QuoteForLog(text); got != want {
			t.Errorf("%q is quoted as %q, want %q", text, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { shell.QuoteForLog("netstat") }); n > 2 {
		t.Errorf("QuoteForLog allocates %v times", n)
	}
}
