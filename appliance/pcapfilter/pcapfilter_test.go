package pcapfilter_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

func compile(t testing.TB, expr string, opts pcapfilter.Options) *pcapfilter.Filter {
	t.Helper()
	f, err := pcapfilter.Compile(expr, opts)
	if err != nil {
		t.Fatalf("Compile(%q): %v", expr, err)
	}
	return f
}

// smtpFrame is a TCP segment of 60 bytes from 10.1.1.1 to port 25 of 10.1.1.2.
var smtpFrame = join(
	[]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}, be16(0x0800),
	[]byte{0x45, 0}, be16(40), be16(1), be16(0), []byte{64, 6}, be16(0), []byte{10, 1, 1,
		1}, []byte{10, 1, 1, 2},
	be16(30000), be16(25), be32(1), be32(0), []byte{0x50, 0x02}, be16(65535), be32(0),
	make([]byte, 6))

func TestMatch(t *testing.T) {
	tests := []struct {
		expr string
		want bool
	}{
		{"", true},
		{"tcp port 25", true},
		{"port smtp and src host 10.1.1.1", true},
		{"udp port 25", false},
		{"not tcp", false},
		{"tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", true},
		{"host 10.1.1.2 and (port 80 or 25)", true},
		{"host 10.1.1.2 and (port 80 or 443)", false},
		{"arp or ip6", false},
	}
	for _, tt := range tests {
		if got := compile(t, tt.expr, pcapfilter.Options{}).Match(smtpFrame,
			len(smtpFrame)); got != tt.want {
			t.Errorf("%q selects a segment to port 25: %v, want %v", tt.expr, got, tt.want)
		}
	}
}

// A frame that is too short for a byte that the program loads is not selected, whatever the rest
// of the expression says.
func TestShortFrames(t *testing.T) {
	for _, expr := range []string{"tcp port 25", "not tcp port 25", "tcp port 25 or udp"} {
		if compile(t, expr, pcapfilter.Options{}).Match(smtpFrame[:30], len(smtpFrame)) {
			t.Errorf("%q selects a frame that ends before its ports", expr)
		}
	}
	if !compile(t, "ip", pcapfilter.Options{}).Match(smtpFrame[:14], len(smtpFrame)) {
		t.Error(`"ip" does not select a frame that ends after its type`)
	}
}

// "len", "less" and "greater" refer to the length on the wire.
func TestLengthIsTheWireLength(t *testing.T) {
	for _, expr := range []string{"len = 1500", "greater 1000", "not less 1000"} {
		if !compile(t, expr, pcapfilter.Options{}).Match(smtpFrame, 1500) {
			t.Errorf("%q does not select a frame of 1500 bytes of which 60 were captured", expr)
		}
	}
}

// An unfinished expression is refused with what it lacks, at the place where that is missing. The
// message is libpcap's.
func TestUnfinishedExpressions(t *testing.T) {
	for expr, want := range map[string]string{
		"ip host":                  "8: an address",
		"host":                     "5: an address",
		"src":                      "4: an address",
		"ip host and tcp":          "9: an address",
		"(ip host) or tcp":         "9: an address",
		"ip host tcp port 25":      "9: an address",
		"tcp port":                 "9: a port",
		"tcp port or tcp port 25":  "10: a port",
		"dst portrange":            "14: a range of ports",
		"net":                      "4: a network",
		"ip proto":                 "9: a protocol",
		"net 10.0.0.0/":            "14: a number",
		"net 10.0.0.0 mask":        "18: a mask",
		"tcp and":                  "8: a condition",
		"tcp or not":               "11: a condition",
		"not":                      "4: a condition",
		"(":                        "2: a condition",
		"()":                       "2: a condition",
		"(tcp or udp":              "12: a closing parenthesis",
		"tcp or udp)":              "11: the opening parenthesis",
		"tcp[13":                   "7: a closing bracket",
		"tcp[13]":                  "8: a comparison",
		"tcp[13] =":                "10: a value",
		"len >":                    "6: a value",
		"less":                     "5: a number",
		"src and":                  "8: dst",
		"10.1.1.1":                 "1: a word such as host",
		"tcp and 2001:db8::1":      "9: ",
		"ip host 10.1.1.1 or or":   "21: ", // wrong, not unfinished
		"tcp port = 25":            "10: ",
		"host 10.1.1.1 10.1.1.2":   "15: ",
		"and tcp":                  "1: ",
		"tcp port 25 and host @":   "22: ",
		"udp port 53 and ip host ": "25: an address",
	} {
		_, err := pcapfilter.Compile(expr, pcapfilter.Options{})
		var syntax *pcapfilter.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: %v", expr, err)
			continue
		}
		if got := fmt.Sprintf("%d: %s", syntax.Column(), syntax.Missing); got != want {
			t.Errorf("%q: %q, want %q", expr, got, want)
		}
	}
	_, err := pcapfilter.Compile("ip host", pcapfilter.Options{})
	var syntax *pcapfilter.SyntaxError
	if !errors.As(err, &syntax) || syntax.Error() != "syntax error" ||
		syntax.Sentence() != "The filter is not valid at character 8: an address is missing." {
		t.Errorf("ip host: %v, %q", err, syntax.Sentence())
	}
}

// String has the format of tcpdump -d.
func TestString(t *testing.T) {
	const want = `(000) ldh      [12]
(001) jeq      #0x800           jt 2	jf 10
(002) ldb      [23]
(003) jeq      #0x6             jt 4	jf 10
(004) ldh      [20]
(005) jset     #0x1fff          jt 10	jf 6
(006) ldxb     4*([14]&0xf)
(007) ldh      [x + 14]
(008) jeq      #0x19            jt 9	jf 10
(009) ret      #262144
(010) ret      #0
`
	got := compile(t, "ip and tcp src port 25", pcapfilter.Options{}).String()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// The program returns the snap length for a frame that it selects.
func TestSnapLength(t *testing.T) {
	program := compile(t, "ip", pcapfilter.Options{SnapLen: 96}).Program()
	if got := program[len(program)-2].K; got != 96 {
		t.Errorf("the program returns %d for a match, want 96", got)
	}
}

// The caller may change the result of Program.
func TestProgramIsACopy(t *testing.T) {
	f := compile(t, "ip", pcapfilter.Options{})
	want := f.String()
	f.Program()[0].K = 99
	if f.String() != want {
		t.Error("changing what Program returned has changed the filter")
	}
}

// The netmask of the interface determines the broadcast addresses.
func TestIPBroadcast(t *testing.T) {
	toBroadcast := append([]byte(nil), smtpFrame...)
	copy(toBroadcast[30:], []byte{10, 1, 1, 255})
	masks := []struct {
		mask net.IPMask
		want bool
	}{
		{net.CIDRMask(24, 32), true},
		{net.CIDRMask(16, 32), false},
		{net.CIDRMask(120, 128), true}, // the same as /24, in 16 bytes
		{nil, false},
	}
	for _, m := range masks {
		f := compile(t, "ip broadcast", pcapfilter.Options{Netmask: m.mask})
		if got := f.Match(toBroadcast, len(toBroadcast)); got != m.want {
			t.Errorf("10.1.1.255 is broadcast with mask %v: %v, want %v", m.mask, got, m.want)
		}
	}
	_, err := pcapfilter.Compile("ip broadcast", pcapfilter.Options{Netmask: net.CIDRMask(32, 32)})
	if err == nil || err.Error() != "netmask not known, so 'ip broadcast' not supported" {
		t.Errorf("with an unknown mask: error %v", err)
	}
}

// Names are resolved by the functions in Options. A filter matches all addresses of a name.
func TestNames(t *testing.T) {
	opts := pcapfilter.Options{
		LookupHost: func(name string) ([]netip.Addr, error) {
			if name != "mail.example.com" {
				return nil, errors.New("no such host")
			}
			return []netip.Addr{netip.MustParseAddr("2001:db8::25"), netip.MustParseAddr("10.1.1.2")}, nil
		},
		LookupEther: func(string) (net.HardwareAddr, error) {
			return net.HardwareAddr{2, 0, 0, 0, 0, 1},
				nil
		},
		LookupNet: func(string) (netip.Addr, error) { return netip.MustParseAddr("0.0.10.1"), nil },
	}
	for _, expr := range []string{
		"host mail.example.com", "ip host mail.example.com", "ether src gw", "net lab",
		"net lab and not net loopback",
	} {
		if !compile(t, expr, opts).Match(smtpFrame, len(smtpFrame)) {
			t.Errorf("%q does not select the frame", expr)
		}
	}
	same := compile(t, "host 2001:db8::25 or 10.1.1.2", pcapfilter.Options{}).String()
	if got := compile(t, "host mail.example.com", opts).String(); got != same {
		t.Errorf("a name with two addresses compiles to\n%swant\n%s", got, same)
	}
	refused := map[string]string{
		"host web.example.com": "unknown host 'web.example.com'",
		"arp host a.b and tcp": "unknown host 'a.b'",
	}
	for expr, message := range refused {
		if _, err := pcapfilter.Compile(expr, opts); err == nil || err.Error() != message {
			t.Errorf("Compile(%q): error %v, want %s", expr, err, message)
		}
	}
}

// A SyntaxError has the position of the fault.
func TestErrorPositions(t *testing.T) {
	tests := []struct{ expr, caret, message string }{
		{"tcp port 25 and",
			"               ^", "syntax error"},
		{"tcp port (25",
			"            ^", "syntax error"},
		{"10.1.1.1",
			"^", "syntax error"},
		{"tcp or 80",
			"       ^", "syntax error in filter expression"},
		{"ip and host x.invalid",
			"            ^", "unknown host 'x.invalid'"},
		{"udp port telnet",
			"         ^", "port 'telnet' is tcp"},
		{"udp and tcp host 10.1.1.1",
			"        ^", "'tcp' modifier applied to host"},
		{"port 65536",
			"     ^", "illegal port number 65536 > 65535"},
		{"net 10.1.1.1/8 or net 10.1.1.1/16",
			"    ^", "non-network bits set in \"10.1.1.1/8\""},
		{"ip[0] = 1 and tcp[0:3] = 1",
			"              ^", "data size must be 1, 2, or 4"},
		{"len = 1 / 0",
			"        ^", "division by zero"},
		{"host 1:2:3",
			"     ^", "bogus ethernet address 1:2:"},
		{"\thost foo",
			"\t     ^", "unknown host 'foo'"},
		{"ip and ip6",
			"^", "expression rejects all packets"},
		{"tcp port x and (",
			"         ^", "unknown port 'x'"}, // the first fault is reported
	}
	for _, tt := range tests {
		_, err := pcapfilter.Compile(tt.expr, pcapfilter.Options{})
		var bad *pcapfilter.SyntaxError
		if !errors.As(err, &bad) {
			t.Errorf("Compile(%q): error %v, want a *SyntaxError", tt.expr, err)
			continue
		}
		want := &pcapfilter.SyntaxError{
			Expr: tt.expr, Offset: len(tt.caret) - 1, Message: tt.message, Missing: bad.Missing,
		}
		if diff := cmp.Diff(want, bad); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if bad.Caret() != tt.caret {
			t.Errorf("Caret is %q, want %q", bad.Caret(), tt.caret)
		}
	}
}

// Excessive expressions are refused, so that compilation ends.
func TestExcessiveExpressionsAreRefused(t *testing.T) {
	for _, expr := range []string{
		strings.Repeat("(", 100000) + "tcp" + strings.Repeat(")", 100000),
		strings.Repeat("not ", 100000) + "tcp",
		"len = " + strings.Repeat("-", 100000) + "1",
		strings.Repeat("ip[", 100000) + "0" + strings.Repeat("]", 100000) + " = 1",
		"port 1" + strings.Repeat(" or 1", 100000),
		"len = 1" + strings.Repeat(" + 1", 100000),
	} {
		if _, err := pcapfilter.Compile(expr, pcapfilter.Options{}); err == nil {
			t.Errorf("%.20s... compiles", expr)
		}
	}
}

// A program ends for an IPv4 authentication header that is followed by itself.
func TestEndlessHeaderChain(t *testing.T) {
	// The next header is an authentication header too. Its offset from the beginning of the
	// packet, computed from the length 3 as (3+2)*4 = 20, is that of the header itself.
	frame := append([]byte(nil), smtpFrame...)
	frame[14+9] = 51
	frame[14+20], frame[14+21] = 51, 3
	f := compile(t, "ip protochain 6", pcapfilter.Options{})
	if !f.Endless(frame, len(frame)) {
		t.Error("the frame does not contain an endless chain")
	}
	if f.Match(frame, len(frame)) {
		t.Error("an endless chain matches")
	}
}

// Match is safe for concurrent use and does not allocate.
func TestMatchIsConcurrentAndDoesNotAllocate(t *testing.T) {
	f := compile(t, "tcp port 25 and tcp[tcpflags] & tcp-syn != 0", pcapfilter.Options{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 1000 {
				if !f.Match(smtpFrame, len(smtpFrame)) {
					t.Error("no match")
					return
				}
			}
		})
	}
	group.Wait()
	if n := testing.AllocsPerRun(100, func() { f.Match(smtpFrame, len(smtpFrame)) }); n != 0 {
		t.Errorf("Match allocates %v times", n)
	}
}
