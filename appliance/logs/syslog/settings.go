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

// A Protocol is how records are transported.
type Protocol string

// The protocols.
const (
	UDP Protocol = "udp" // one record a datagram (RFC 5426, but records of RFC 3164)
	TCP Protocol = "tcp" // one LF after each record (RFC 6587, non-transparent framing)
	TLS Protocol = "tls" // as TCP, in TLS
)

// Port is the default port, of UDP and of TCP (A12).
const Port = 514

// Settings are what an administrator configures.
type Settings struct {
	Subscription string // name, for events
	Tag          string // "": the subscription's name (A25)
	Server       string // host name or IP address
	Port         uint16 // 0: Port
	Protocol     Protocol
	Facility     string // one of Facilities
	// MaxMessage bounds a record in bytes, without its line end. A longer text is split into
	// several records. 0 means the limit of the protocol, at most 65535.
	MaxMessage int
	// Buffer bounds the records that wait on disk, in bytes. 0 means that there is no buffer on
	// disk: records wait in memory, see Options.MemoryLimit, and records that are in flight when a
	// connection breaks are lost (A14).
	Buffer int64
	// Verify means that the certificate of a TLS server is checked: it must be issued by one of
	// Options.Roots, for Server.
	Verify bool
}

// Options configure a Pusher.
type Options struct {
	Net network.Transport
	// Lookup returns the addresses of a server that is given by name, best first.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Clock  clock.Clock // of back-off and of certificates' validity; nil means the machine's
	// Dir is the directory of the buffer on disk, which only this Pusher may use. It is created
	// when it is needed.
	Dir string
	// Reserve is called before the buffer on disk grows by n bytes, and with a negative n after
	// it has shrunk. An error is treated like a full disk. Nil means that there is always room.
	Reserve func(n int64) error
	// Header returns the texts of the records at the beginning of a connection (A6). Nil means
	// none.
	Header func() []string
	// Roots returns the trusted certificate authorities. It is called for each connection.
	Roots func() (*x509.CertPool, error)
	// Rand is the source of randomness of TLS; nil means the machine's.
	Rand io.Reader
	// OnEvent is called with what an administrator should know, in order. It is called in a
	// goroutine of the Pusher with no lock held. It must not block and may call Push.
	OnEvent func(Event)

	Owner, User string // of the socket
	Logger      *slog.Logger

	MemoryLimit    int64         // bytes that wait in memory; 0 means 4 MiB
	ConnectTimeout time.Duration // for each address, TLS included; 0 means 75 s, as BSD has
	// Backoff are the delay before the first new attempt to connect and the greatest delay. Each
	// delay is twice the one before. Zeros mean 1 s and 60 s.
	Backoff [2]time.Duration
	// RefusalTimeout is how long a server may take to refuse a session of TLS 1.3, see doc.go. 0
	// means 2 s.
	RefusalTimeout time.Duration
	// InDoubtLimit is how many bytes a server may have acknowledged and not written, see doc.go.
	// 0 means 16 MiB.
	InDoubtLimit int64
}

const (
	defaultMemory       = 4 << 20
	defaultConnect      = 75 * time.Second
	defaultInDoubtLimit = 16 << 20
	defaultRefusal      = 2 * time.Second
	maxMessage          = 65535
	minMessage          = 256
	maxDatagram         = 65487 // UDP's payload in an IPv6 packet with room to spare
)

// facilities are in the order of their codes, which are FreeBSD's (logs.md 2.2). An unused code
// is "".
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
	"authpriv", "ftp", "ntp", "security", "console", "", "local0", "local1", "local2",
	"local3", "local4", "local5", "local6", "local7",
}

// Facilities returns the names of syslog's facilities in the order of their codes.
func Facilities() []string {
	return slices.DeleteFunc(slices.Clone(facilities), func(s string) bool { return s == "" })
}

// severity is that of all records: informational, as in every public sample.
const severity = 6

// priority returns the PRI of a facility's records, such as "<22>"; ok reports whether the
// facility exists.
func priority(facility string) (pri string, ok bool) {
	code := slices.Index(facilities, facility)
	return "<" + strconv.Itoa(8*code+severity) + ">", code >= 0 && facility != ""
}

// setDefaults fills in defaults and checks the settings.
func (s *Settings) setDefaults() error {
	if s.Tag == "" {
		s.Tag = s.Subscription
	}
	if s.Port == 0 {
		s.Port = Port
	}
	limit := maxMessage
	if s.Protocol == UDP {
		limit = maxDatagram
	}
	if s.MaxMessage == 0 || s.MaxMessage > limit {
		s.MaxMessage = limit
	}
	_, known := priority(s.Facility)
	switch {
	case s.Subscription == "":
		return errors.New("the name of the subscription is missing")
	case s.Server == "":
		return errors.New("the server is missing")
	case s.Protocol != UDP && s.Protocol != TCP && s.Protocol != TLS:
		return fmt.Errorf("unknown protocol %q", s.Protocol)
	case !known:
		return fmt.Errorf("unknown facility %q", s.Facility)
	case s.MaxMessage < minMessage:
		return fmt.Errorf("the maximum message size %d is too small, expected at least %d",
			s.MaxMessage, minMessage)
	case s.Buffer < 0:
		return fmt.Errorf("the buffer size %d is negative", s.Buffer)
	}
	return nil
}

func (o *Options) setDefaults(s Settings) error {
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
	if o.RefusalTimeout == 0 {
		o.RefusalTimeout = defaultRefusal
	}
	if o.InDoubtLimit == 0 {
		o.InDoubtLimit = defaultInDoubtLimit
	}
	if o.Backoff[0] == 0 {
		o.Backoff[0] = time.Second
	}
	if o.Backoff[1] == 0 {
		o.Backoff[1] = time.Minute
	}
	if s.Buffer > 0 && o.Dir == "" {
		return errors.New("the directory for the buffer on disk is missing")
	}
	return nil
}
