package topology

import (
	"errors"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bytes is a number of bytes, written like "512MiB" or as a plain number.
type Bytes int64

// Sizes.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// A BitRate is a number of bits per second, written like "64k", "1.5M" or as a plain number.
type BitRate int64

// A parseFunc sets v from the text of a scalar. If it cannot, it returns what it expected.
type parseFunc func(text string, v reflect.Value) (expected string)

// scalarParser returns the parseFunc of a type that is written as one word; nil for types
// that are not, and for Go's basic types.
func scalarParser(t reflect.Type) parseFunc {
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return parseWith(parseAddr, "an IP address such as 10.0.202.7 or 2001:db8::7")
	case reflect.TypeFor[netip.AddrPort]():
		return parseWith(netip.ParseAddrPort,
			"an IP address and a port such as 10.0.202.7:25 or [2001:db8::7]:25")
	case reflect.TypeFor[netip.Prefix]():
		return parseWith(parsePrefix, "an IP address or a network such as 10.0.202.0/24")
	case reflect.TypeFor[time.Duration]():
		return parseWith(parseDuration, "a time such as 350us or 2ms")
	case reflect.TypeFor[MAC]():
		return parseWith(parseMAC, "an Ethernet address such as 00:50:56:01:02:03")
	case reflect.TypeFor[Bytes]():
		return parseWith(ParseBytes, "a size such as 512MiB or 1GiB")
	case reflect.TypeFor[MailRate]():
		return parseWith(ParseMailRate, expectedRate)
	case reflect.TypeFor[TimeOfDay]():
		return parseWith(parseTimeOfDay, "a time of day such as 07:30")
	case reflect.TypeFor[UplinkTarget]():
		return parseWith(ParseUplinkTarget, expectedTarget)
	case reflect.TypeFor[Span]():
		return parseWith(ParseSpan, expectedSpan)
	case reflect.TypeFor[BitRate]():
		return parseWith(parseBitRate, "bits per second such as 64k, 1.5M or 1G")
	}
	return nil
}

// parseWith returns a parseFunc for a type that parse parses.
func parseWith[T any](parse func(string) (T, error), expected string) parseFunc {
	return func(text string, v reflect.Value) string {
		x, err := parse(text)
		if err != nil {
			return expected
		}
		v.Set(reflect.ValueOf(x))
		return ""
	}
}

// parseAddr accepts addresses without zones, and no IPv4 addresses in IPv6 form.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err == nil && (a.Zone() != "" || a.Is4In6()) {
		err = errors.New("not a plain address")
	}
	return a, err
}

// parsePrefix accepts a network, or an address, which is the network of that address alone.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := parseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return a.Prefix(a.BitLen())
	}
	return netip.ParsePrefix(s)
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	return d, err
}

func parseMAC(s string) (MAC, error) {
	h, err := net.ParseMAC(s)
	if err != nil || len(h) != 6 {
		return MAC{}, errors.New("not an Ethernet address")
	}
	return MAC(h), nil
}

// ParseBytes reads a number of bytes such as 512MiB.
func ParseBytes(s string) (Bytes, error) {
	unit := Bytes(1)
	for _, u := range []struct {
		suffix string
		size   Bytes
	}{{"KiB", KiB}, {"MiB", MiB}, {"GiB", GiB}} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || Bytes(n) > (1<<62)/unit {
		return 0, errors.New("not a size")
	}
	return Bytes(n) * unit, nil
}

func parseBitRate(s string) (BitRate, error) {
	unit := 1.0
	if n := len(s) - 1; n > 0 && strings.Contains("kMG", s[n:]) {
		unit = map[byte]float64{'k': 1e3, 'M': 1e6, 'G': 1e9}[s[n]]
		s = s[:n]
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || x < 0 || x*unit > 1e15 || x != x {
		return 0, errors.New("not a rate")
	}
	return BitRate(x * unit), nil
}

func parseString(text string, v reflect.Value) string {
	v.SetString(text)
	return ""
}

func parseBool(text string, v reflect.Value) string {
	if !slices.Contains([]string{"true", "false"}, text) {
		return "true or false"
	}
	v.SetBool(text == "true")
	return ""
}

func parseInt(text string, v reflect.Value) string {
	if v.Kind() == reflect.Uint16 {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return "a whole number from 0 to 65535"
		}
		v.SetUint(n)
		return ""
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return "a whole number"
	}
	v.SetInt(n)
	return ""
}

// parseFloat accepts a number or a percentage.
func parseFloat(text string, v reflect.Value) string {
	number, percent := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f != f {
		return "a number such as 0.05, or 5%"
	}
	if percent {
		f /= 100
	}
	v.SetFloat(f)
	return ""
}
