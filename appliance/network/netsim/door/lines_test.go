package door

import (
	"bytes"
	"net/netip"
	"testing"
)

// upperCaser returns an editor that puts lines beginning with PORT or 227 in upper case.
func upperCaser() *lineEditor {
	return &lineEditor{words: []string{"PORT ", "227 "}, change: bytes.ToUpper}
}

func TestOnlyCertainLinesAreChanged(t *testing.T) {
	in := "user x\r\nport a,b\r\nsite port c\r\n227 yes\r\n2277 no\r\n\r\nport without end"
	want := "user x\r\nPORT A,B\r\nsite port c\r\n227 YES\r\n2277 no\r\n\r\nport without end"
	for size := 1; size <= len(in); size++ {
		e := upperCaser()
		var got []byte
		for rest := []byte(in); len(rest) > 0; {
			n := min(size, len(rest))
			got = append(got, e.edit(rest[:n])...)
			rest = rest[n:]
		}
		if got = append(got, e.edit(nil)...); string(got) != want {
			t.Fatalf("in pieces of %d:\n%q, want\n%q", size, got, want)
		}
	}
}

func TestOnlyPossibleMatchesAreHeldBack(t *testing.T) {
	e := upperCaser()
	for _, step := range []struct{ in, want string }{
		{"x", "x"},
		{"yz", "yz"},
		{"\n", "\n"},
		{"\xff\xf4\xff\xf2AB", "\xff\xf4\xff\xf2AB"},
		{"OR\r\np", "OR\r\n"}, // may become PORT
		{"o", ""},
		{"llute\r\n", "pollute\r\n"},
	} {
		if got := e.edit([]byte(step.in)); string(got) != step.want {
			t.Errorf("after %q, %q passes, want %q", step.in, got, step.want)
		}
	}
}

func TestLongLineWithoutEndPasses(t *testing.T) {
	e := upperCaser()
	long := append([]byte("port "), bytes.Repeat([]byte("x"), maxHeld)...)
	if got := e.edit(long); !bytes.Equal(got, long) {
		t.Errorf("%d of %d bytes pass", len(got), len(long))
	}
}

func FuzzLineEditorKeepsEveryByte(f *testing.F) {
	f.Add([]byte("PORT 1,2,3,4,5,6\r\n227 x\r\n"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		e := &lineEditor{words: []string{"PORT ", "227 "}, change: func(l []byte) []byte { return l }}
		var got []byte
		for rest := in; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			got = append(got, e.edit(rest[:n])...)
			rest = rest[n:]
		}
		if got = append(got, e.edit(nil)...); !bytes.Equal(got, in) {
			t.Errorf("%q became %q", in, got)
		}
	})
}

func TestAddressesInFTP(t *testing.T) {
	for line, want := range map[string]string{
		"227 Entering Passive Mode (10,0,202,7,195,80).\r\n": "10.0.202.7:50000",
		"227 =10,0,202,7,0,21":                               "10.0.202.7:21",
		"PORT 127,0,0,1,200,10\r\n":                          "127.0.0.1:51210",
		"PORT 127,0,0,1,200\r\n":                             "",
		"PORT 127,0,0,256,200,10\r\n":                        "",
		"227 at 12,3 then (1,2,3,4,5,6)":                     "1.2.3.4:1286",
		"227 ":                                               "",
	} {
		got := ""
		if ap, _, _, ok := parseSix([]byte(line)); ok {
			got = ap.String()
		}
		if got != want {
			t.Errorf("%q names %q, want %q", line, got, want)
		}
	}
	for arg, want := range map[string]netip.AddrPort{
		"|1|132.235.1.2|6275|\r\n": netip.MustParseAddrPort("132.235.1.2:6275"),
		"!2!2001:db8::1!6275!":     netip.MustParseAddrPort("[2001:db8::1]:6275"),
		"|2|132.235.1.2|6275|":     {},
		"|1|132.235.1.2|66275|":    {},
		"|1|132.235.1.2":           {},
		"\r\n":                     {},
	} {
		if got := parseExtendedAddr(arg); got != want {
			t.Errorf("EPRT %q names %v, want %v", arg, got, want)
		}
	}
	for line, want := range map[string]uint16{
		"229 Entering Extended Passive Mode (|||6446|)\r\n": 6446,
		"229 (!!!1!)":        1,
		"229 (||x|6446|)":    0,
		"229 (|||6446":       0,
		"229 (|||66446|)":    0,
		"229 nothing of use": 0,
	} {
		if got, _, _, ok := parseExtendedPort([]byte(line)); ok != (want != 0) || ok && got != want {
			t.Errorf("%q names port %d (%v), want %d", line, got, ok, want)
		}
	}
}
