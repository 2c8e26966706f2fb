package peers

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// syslogManners are what the options of a SyslogServer say.
//
// protocol is tcp, udp or tls; without it the server takes TCP and UDP. then is what it does
// with a TCP connection after so much of it ("4 records", "1000 bytes", "accept"):
// reset, close, half-close (and go on reading), stop-reading. It does so pause later (1ms
// unless given, so that its TCP acknowledges first), on every connection or as many
// times as given. rate is how many records it reads a second. With backlog: full it accepts nobody,
// and the queue of those who wait is full. mss is the largest segment that it wants to be
// sent. names are those in its certificate, with
// commas, its own names and addresses unless given; with ca: unknown nobody vouches
// for it.
type syslogManners struct {
	protocol string
	then     string
	records  int
	bytes    int64
	pause    time.Duration
	times    int     // 0: always
	rate     float64 // records a second; 0: as fast as it can
	full     bool
	names    []string
	unknown  bool
}

// syslogMannersOf reads options that have been checked.
func syslogMannersOf(c Config) syslogManners {
	o := c.Options
	m := syslogManners{
		protocol: o["protocol"], then: o["then"], times: count(o["times"]),
		full: o["backlog"] == "full", unknown: o["ca"] == "unknown", pause: time.Millisecond,
	}
	if d, err := time.ParseDuration(o["pause"]); err == nil {
		m.pause = d
	}
	if r, err := strconv.ParseFloat(o["rate"], 64); err == nil {
		m.rate = r
	}
	if f := afterForm.FindStringSubmatch(o["after"]); f != nil {
		if f[2] == "byte" {
			m.bytes = int64(count(f[1]))
		} else {
			m.records = count(f[1])
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

// misbehaves reports whether connection number n, from 1, gets what then says.
func (m *syslogManners) misbehaves(n int) bool {
	return m.then != "" && (m.times == 0 || n <= m.times)
}

func (m *syslogManners) reached(records int, bytes int64) bool {
	return m.records > 0 && records >= m.records || m.bytes > 0 && bytes >= m.bytes
}

// chunk is how much is read at once: who reads slowly reads little.
func (m *syslogManners) chunk() int {
	if m.rate > 0 {
		return 256
	}
	return 64 << 10
}

var afterForm = regexp.MustCompile(`^(?:accept|([1-9][0-9]{0,8}) (record|byte)s?)$`)

func checkAfter(s string) error {
	if !afterForm.MatchString(s) {
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
