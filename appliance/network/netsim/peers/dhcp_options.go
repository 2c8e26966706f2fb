package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

func addrNumber(a netip.Addr) uint32 {
	x := a.As4()
	return binary.BigEndian.Uint32(x[:])
}

func numberedAddr(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

// parseRange reads a range of IPv4 addresses such as "10.0.202.100-10.0.202.120".
func parseRange(s string) (first, last netip.Addr, err error) {
	low, high, _ := strings.Cut(s, "-")
	first, err1 := netip.ParseAddr(strings.TrimSpace(low))
	last, err2 := netip.ParseAddr(strings.TrimSpace(high))
	if err1 != nil || err2 != nil || !first.Is4() || !last.Is4() || last.Less(first) {
		return first, last, fmt.Errorf(
			"%q, expected two IPv4 addresses such as 10.0.202.100-10.0.202.120", s)
	}
	if addrNumber(last)-addrNumber(first) >= maxRange {
		return first, last, fmt.Errorf("%q, expected at most %d addresses", s, maxRange)
	}
	return first, last, nil
}

// parseAddrs reads IPv4 addresses that are separated by commas.
func parseAddrs(s string) (list []netip.Addr, err error) {
	if s == "" {
		return nil, nil
	}
	for word := range strings.SplitSeq(s, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(word))
		if err != nil || !a.Is4() {
			return nil, fmt.Errorf("%q, expected IPv4 addresses separated by commas", s)
		}
		list = append(list, a)
	}
	return list, nil
}

func checkRange(s string) error {
	_, _, err := parseRange(s)
	return err
}

func checkAddrs(s string) error {
	_, err := parseAddrs(s)
	return err
}

func checkRouter(s string) error {
	if a, err := netip.ParseAddr(s); s != "none" && (err != nil || !a.Is4()) {
		return fmt.Errorf("%q, expected an IPv4 address or none", s)
	}
	return nil
}

func checkLease(s string) error {
	if s == infinite || checkSeconds(s) == nil {
		return nil
	}
	return fmt.Errorf("%q, expected a time such as 1h, at least 1s, or infinite", s)
}

func checkSeconds(s string) error {
	if d, err := time.ParseDuration(s); err != nil || d < time.Second || d > 1<<31*time.Second {
		return fmt.Errorf("%q, expected a time such as 30m, at least 1s", s)
	}
	return nil
}

// parseDelay returns a delay that checkDelay has accepted.
func parseDelay(s string) time.Duration {
	d, _ := time.ParseDuration(s) // "" is none
	return d
}

func checkRefuse(s string) error {
	if s != "yes" && s != "no" {
		return errors.New("expected yes or no")
	}
	return nil
}
