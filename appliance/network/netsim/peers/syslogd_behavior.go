package peers

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/pattern"
)

// A syslogBehavior holds the options of a SyslogServer:
//
//	protocol  tcp, udp or tls; by default the server accepts TCP and UDP
//	then      what it does with a TCP connection: reset, close, half-close (and continue
//	          to read) or stop-reading
//	after     when it does so: "4 records", "1000 bytes" or "accept"
//	pause     how much later (1ms by default, so that its TCP acknowledges the data first)
//	times     on how many connections (by default on all)
//	rate      how many records it reads in a second
//	backlog   full: it accepts no connection, and the queue of its listener is full
//	mss       the largest segment that it asks its clients to send
//	names     the names in its certificate, separated by commas (by default its own names
//	          and addresses)
//	ca        unknown: its certificate is signed by an authority that no client knows
type syslogBehavior struct {
	protocol string
	then     string
	records  int
	bytes    int64
	pause    time.Duration
	times    int     // 0 means always
	rate     float64 // records a second; 0 means without limit
	full     bool
	names    []string
	unknown  bool
}

// syslogBehaviorOf reads options that have been checked.
func syslogBehaviorOf(c Config) syslogBehavior {
	o := c.Options
	m := syslogBehavior{
		protocol: o["protocol"], then: o["then"], times: parseCount(o["times"]),
		full: o["backlog"] == "full", unknown: o["ca"] == "unknown", pause: time.Millisecond,
	}
	if d, err := time.ParseDuration(o["pause"]); err == nil {
		m.pause = d
	}
	if r, err := strconv.ParseFloat(o["rate"], 64); err == nil {
		m.rate = r
	}
	if f := afterForm().FindStringSubmatch(o["after"]); f != nil {
		if f[2] == "byte" {
			m.bytes = int64(parseCount(f[1]))
		} else {
			m.records = parseCount(f[1])
		}
	}
	if o["names"] != "" {
		for n := range strings.SplitSeq(o["names"], ",") {
			m.names = append(m.names, strings.TrimSpace(n))
		}
		return m
	}
	for _, a := range c.Addrs {
		m.names = append(m.names, a.String())
	}
	if c.Records != nil {
		for name, addrs := range c.Records.Addrs {
			for _, a := range addrs {
				if slices.Contains(c.Addrs, a) && !slices.Contains(m.names, name) {
					m.names = append(m.names, name)
				}
			}
		}
	}
	slices.Sort(m.names)
	return m
}

// misbehaves reports whether the option then applies to connection number n, counted from 1.
func (m *syslogBehavior) misbehaves(n int) bool {
	return m.then != "" && (m.times == 0 || n <= m.times)
}

func (m *syslogBehavior) reached(records int, bytes int64) bool {
	return m.records > 0 && records >= m.records || m.bytes > 0 && bytes >= m.bytes
}

// chunk returns the number of bytes read at once. A server with a rate reads few at a time.
func (m *syslogBehavior) chunk() int {
	if m.rate > 0 {
		return 256
	}
	return 64 << 10
}

var afterForm = pattern.New(`^(?:accept|([1-9][0-9]{0,8}) (record|byte)s?)$`)

func checkAfter(s string) error {
	if !afterForm().MatchString(s) {
		return fmt.Errorf("%q, expected accept, or a number of records or bytes such as 4 records", s)
	}
	return nil
}

func checkThen(s string) error {
	switch s {
	case "reset", "close", "half-close", "stop-reading":
		return nil
	}
	return fmt.Errorf("%q, expected reset, close, half-close or stop-reading", s)
}

func checkSyslogProtocol(s string) error {
	switch s {
	case "tcp", "udp", "tls":
		return nil
	}
	return fmt.Errorf("%q, expected tcp, udp or tls", s)
}

func checkRate(s string) error {
	if r, err := strconv.ParseFloat(s, 64); err != nil || !(r >= 0.001 && r <= 1e9) {
		return fmt.Errorf("%q, expected a number such as 100 or 0.1", s)
	}
	return nil
}

func checkBacklog(s string) error {
	if s != "full" {
		return errors.New(strconv.Quote(s) + ", expected full")
	}
	return nil
}

func checkSegment(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 216 || n > 8960 {
		return fmt.Errorf("%q, expected a number of bytes from 216 to 8960", s)
	}
	return nil
}

func checkCertificateNames(s string) error {
	for n := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(n) == "" {
			return fmt.Errorf("%q, expected names with commas between them", s)
		}
	}
	return nil
}

func checkAuthority(s string) error {
	if s != "unknown" {
		return errors.New(strconv.Quote(s) + ", expected unknown")
	}
	return nil
}
