package syslog

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// A Protocol is how records travel.
type Protocol string

// The protocols.
const (
	UDP Protocol = "udp" // one record a datagram (RFC 5426 without its form of records)
	TCP Protocol = "tcp" // one LF after each record (RFC 6587, non-transparent framing)
	TLS Protocol = "tls" // the same stream in TLS
)

// Port is the usual one, of UDP and of TCP (A12).
const Port = 514

// Settings are what an administrator sets of a push.
type Settings struct {
	Subscription string // its name, for messages
	Tag          string // "": the subscription's name (A25)
	Server       string // host name or address
	Port         uint16 // 0: Port
	Protocol     Protocol
	Facility     string // one of Facilities
	// MaxMessage bounds a record in bytes, without its line end. A longer one is split;
	// each part has its own beginning. 0 is what the protocol can carry, at most 65535.
	MaxMessage int
	// Buffer bounds in bytes what waits on disk while the server is away. 0 is no
	// buffer on disk: what waits is in memory, see Options.Memory, and what was on its
	// way when a connection broke is lost (A14).
	Buffer int64
	// Verify has the certificate of a TLS server checked: Options.Roots must vouch for
	// it, and it must be for Server.
	Verify bool
}

// Options are what a Pusher works with.
type Options struct {
	Net network.Transport
	// Lookup finds the addresses of a server that is given by name, best first.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Clock  clock.Clock // of back-off and of certificates' validity; nil means the machine's
	// Dir is the directory of the buffer on disk, this Pusher's alone. It is made when
	// it is needed.
	Dir string
	// Room is asked before the buffer on disk grows by n bytes, and told with a negative
	// n what became free. Its error is what a full disk's would be. Nil: there is room.
	Reserve func(n int64) error
	// Header gives the texts of the records at the head of a connection (A6); nil: none.
	Header func() []string
	// Roots are the trusted certificate authorities, asked for at each connection.
	Roots func() (*x509.CertPool, error)
	// Chance is TLS's; nil means the machine's.
	Rand io.Reader
	// Trouble is told of what an administrator should know, in order. It is called on
	// a goroutine of the Pusher's with no lock held, must not block, and may call Push.
	OnEvent func(Event)

	Owner, User string // of the socket
	Logger      *slog.Logger

	MemoryLimit    int64            // bytes that wait in memory; 0 means 4 MiB
	ConnectTimeout time.Duration    // for each address, TLS included; 0 means 75 s, as BSD's
	Backoff        [2]time.Duration // before the first and, doubled each time, at most before any reconnect; zeros mean 1 s and 60 s
	InDoubtLimit   int64            // bytes that a server may have taken and not written, see doc.go; 0 means 16 MiB
}

const (
	defaultMemory  = 4 << 20
	defaultConnect = 75 * time.Second
	defaultDoubt   = 16 << 20
	mostMessage    = 65535
	leastMessage   = 256
	mostDatagram   = 65487 // UDP's payload in an IPv6 packet with room to spare
)

// facilities in the order of their codes, which are FreeBSD's (logs.md 2.2).
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
	"security", "console", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// Facilities lists the names of syslog's facilities in the order of their codes.
func Facilities() []string {
	return slices.DeleteFunc(slices.Clone(facilities), func(s string) bool { return s == "" })
}

// severity is informational for all levels, as in every public sample.
const severity = 6

// priority is the PRI of a facility's records: "<22>".
func priority(facility string) (string, bool) {
	code := slices.Index(facilities, facility)
	return "<" + strconv.Itoa(8*code+severity) + ">", code >= 0 && facility != ""
}

// complete fills in defaults and says what is wrong.
func (s *Settings) complete() error {
	if s.Tag == "" {
		s.Tag = s.Subscription
	}
	if s.Port == 0 {
		s.Port = Port
	}
	most := mostMessage
	if s.Protocol == UDP {
		most = mostDatagram
	}
	if s.MaxMessage == 0 || s.MaxMessage > most {
		s.MaxMessage = most
	}
	_, known := priority(s.Facility)
	switch {
	case s.Subscription == "":
		return errors.New("no name of the subscription")
	case s.Server == "":
		return errors.New("no server")
	case s.Protocol != UDP && s.Protocol != TCP && s.Protocol != TLS:
		return fmt.Errorf("%q is no protocol", s.Protocol)
	case !known:
		return fmt.Errorf("%q is no facility", s.Facility)
	case s.MaxMessage < leastMessage:
		return fmt.Errorf("a message of %d bytes is too small, expected %d at least", s.MaxMessage, leastMessage)
	case s.Buffer < 0:
		return fmt.Errorf("a buffer of %d bytes", s.Buffer)
	}
	return nil
}

func (o *Options) complete(s Settings) error {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	if o.Reserve == nil {
		o.Reserve = func(int64) error { return nil }
	}
	if o.Lookup == nil {
		o.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no resolver", Name: host, IsNotFound: true}
		}
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = defaultMemory
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = defaultConnect
	}
	if o.InDoubtLimit == 0 {
		o.InDoubtLimit = defaultDoubt
	}
	if o.Backoff[0] == 0 {
		o.Backoff[0] = time.Second
	}
	if o.Backoff[1] == 0 {
		o.Backoff[1] = time.Minute
	}
	if s.Buffer > 0 && o.Dir == "" {
		return errors.New("no directory for the buffer on disk")
	}
	return nil
}
