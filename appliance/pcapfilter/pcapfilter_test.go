package pcapfilter_test

import (
	"errors"
	"testing"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// A bad filter says what is wrong and where.
func TestErrorsCarryTheirPlace(t *testing.T) {
	tests := []struct {
		expr    string
		offset  int
		message string
	}{
		{"tcp port 25 and", 15, "syntax error"},
		{"tcp port (25", 12, "syntax error"},
		{"10.1.1.1", 0, "syntax error"},
		{"ip and host x.invalid", 12, "unknown host 'x.invalid'"},
		{"udp port telnet", 9, "port 'telnet' is tcp"},
		{"port 65536", 5, "illegal port number 65536 > 65535"},
	}
	for _, tt := range tests {
		_, err := pcapfilter.Compile(tt.expr, pcapfilter.Options{})
		var bad *pcapfilter.SyntaxError
		if !errors.As(err, &bad) {
			t.Errorf("Compile(%q): error %v, want a *SyntaxError", tt.expr, err)
			continue
		}
		if bad.Offset != tt.offset || bad.Message != tt.message || bad.Expr != tt.expr {
			t.Errorf("Compile(%q): %q at %d, want %q at %d", tt.expr, bad.Message, bad.Offset, tt.message, tt.offset)
		}
	}
}
