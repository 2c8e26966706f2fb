package capture

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/esasim/esasim/appliance/refusal"
)

// Bounds and factory value of the size limit, in MB of 1,048,576 bytes.
const (
	MinSizeMB     = 1
	MaxSizeMB     = 200
	DefaultSizeMB = 200
)

// Settings say what a capture records and when it ends (B12, B13). The command line and the
// page share one set. The zero value is not valid.
type Settings struct {
	// SizeMB limits the size of the file. It is 0, for no limit, only in the status of a
	// capture of the menu tcpdump.
	SizeMB int `json:"size_mb"`
	// KeepNewest removes the oldest data at the size limit; otherwise the capture ends
	// there.
	KeepNewest bool `json:"keep_newest"`
	// Duration ends the capture; 0 means no limit.
	Duration time.Duration `json:"duration"`
	// Interfaces are names such as "Data 1"; an empty list means every Ethernet interface.
	Interfaces []string `json:"interfaces,omitempty"`
	Filter     Filter   `json:"filter"`
}

// FactorySettings returns the settings of a new appliance: all packets, until the file has 200 MB.
func FactorySettings() Settings { return Settings{SizeMB: DefaultSizeMB} }

// A FilterKind says which fields of a Filter are used.
type FilterKind string

// Kinds of filters.
const (
	NoFilter   FilterKind = ""
	Predefined FilterKind = "predefined" // by Ports, Clients and Servers
	Custom     FilterKind = "custom"     // by Expression
)

// A Filter limits what is recorded (B13).
type Filter struct {
	Kind FilterKind `json:"kind,omitempty"`
	// Ports are ports of either end. An empty list means no limit, here and below.
	Ports []Port `json:"ports,omitempty"`
	// Clients and Servers are the two ends of a conversation: recorded packets go from one
	// of the clients to one of the servers, or back.
	Clients []netip.Addr `json:"clients,omitempty"`
	Servers []netip.Addr `json:"servers,omitempty"`
	// Expression is in the language of tcpdump (B27).
	Expression string `json:"expression,omitempty"`
}

// Expr returns the filter in the language of tcpdump, or "" if it selects every packet.
func (f Filter) Expr() string {
	switch f.Kind {
	case Custom:
		return strings.TrimSpace(f.Expression)
	case Predefined:
		var all []string
		all = append(all, anyOf(f.Ports, Port.expr)...)
		all = append(all, anyOf(f.Clients, hostExpr)...)
		all = append(all, anyOf(f.Servers, hostExpr)...)
		return strings.Join(all, " and ")
	}
	return ""
}

func hostExpr(a netip.Addr) string { return "host " + a.String() }

// anyOf returns "(a or b)", where a and b are the expressions of the values, or nothing if there
// are no values.
func anyOf[T any](values []T, expr func(T) string) []string {
	if len(values) == 0 {
		return nil
	}
	terms := make([]string, len(values))
	for i, v := range values {
		terms[i] = expr(v)
	}
	return []string{"(" + strings.Join(terms, " or ") + ")"}
}

// differentFamilies reports whether there are clients and servers, but no client and server
// whose addresses are both IPv4 or both IPv6: no packet could match.
func (f Filter) differentFamilies() bool {
	four, six := netip.Addr.Is4, netip.Addr.Is6
	both := func(is func(netip.Addr) bool) bool {
		return slices.ContainsFunc(f.Clients, is) && slices.ContainsFunc(f.Servers, is)
	}
	return len(f.Clients) > 0 && len(f.Servers) > 0 && !both(four) && !both(six)
}

// SizeText returns the size limit as the appliance shows it. A capture that runs indefinitely
// always keeps the newest data.
func (s Settings) SizeText() string {
	switch {
	case s.SizeMB == 0:
		return "None"
	case s.KeepNewest && s.Duration > 0:
		return fmt.Sprintf("%d MB (keep the newest data)", s.SizeMB)
	}
	return fmt.Sprintf("%d MB", s.SizeMB)
}

// Names of the three durations, on the command line and on the page.
const (
	UntilSizeText    = "Run Capture Until File Size Limit Reached"
	UntilTimeText    = "Run Capture Until Time Elapsed Reaches" // the time follows
	IndefinitelyText = "Run Capture Indefinitely"
)

// DurationText returns the duration as the appliance shows it. The package documentation says when
// a capture runs indefinitely.
func (s Settings) DurationText() string {
	switch {
	case s.Duration > 0:
		return UntilTimeText + " " + FormatDuration(s.Duration)
	case s.KeepNewest || s.SizeMB == 0:
		return IndefinitelyText
	}
	return UntilSizeText
}

// Rows returns the settings as command line and page show them: names and values.
func (s Settings) Rows() [4][2]string {
	return [...][2]string{
		{"Capture File Size Limit", s.SizeText()},
		{"Capture Duration", s.DurationText()},
		{"Interfaces Selected", s.InterfacesText()},
		{"Filters Selected", s.FilterText()},
	}
}

// InterfacesText returns the interfaces as the appliance shows them.
func (s Settings) InterfacesText() string {
	if len(s.Interfaces) == 0 {
		return "All"
	}
	return strings.Join(s.Interfaces, ", ")
}

// FilterText returns the filter as the appliance shows it.
func (s Settings) FilterText() string {
	if e := s.Filter.Expr(); e != "" {
		return e
	}
	return "No Filters"
}

// oneLine replaces line ends and tabs by blanks, which mean the same in the language of
// filters. A filter that was pasted as several lines is then shown as one, and the positions
// of faults do not change.
func oneLine(filter string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, filter)
}

// clone returns a copy that shares no lists with s, whose filter is one line, and whose addresses
// of the form ::ffff:1.2.3.4 are IPv4 addresses: no packet carries that form.
func (s Settings) clone() Settings {
	s.Filter.Expression = oneLine(s.Filter.Expression)
	s.Interfaces = slices.Clone(s.Interfaces)
	s.Filter.Ports = slices.Clone(s.Filter.Ports)
	s.Filter.Clients = unmapped(s.Filter.Clients)
	s.Filter.Servers = unmapped(s.Filter.Servers)
	return s
}

// unmapped returns a copy of list in which IPv4-mapped IPv6 addresses are IPv4 addresses.
func unmapped(list []netip.Addr) []netip.Addr {
	list = slices.Clone(list)
	for i, a := range list {
		list[i] = a.Unmap()
	}
	return list
}

// check returns a refusal if a setting is not valid. It does not compile the filter's
// expression and does not look for the interfaces.
func (s Settings) check() error {
	switch {
	case s.SizeMB < MinSizeMB || s.SizeMB > MaxSizeMB:
		return refusal.Newf("The size limit must be a number from %d to %d.", MinSizeMB, MaxSizeMB)
	case s.Duration < 0 || s.Duration > maxDuration || s.Duration%time.Second != 0:
		return errDuration
	case slices.ContainsFunc(s.Filter.Ports, func(p Port) bool { return !p.valid() }):
		return refusal.New("A port must be " + portForms + ".")
	case s.Filter.Kind == Predefined && s.Filter.differentFamilies():
		return refusal.New("The filter selects no packet: the clients have IPv4 addresses " +
			"and the servers IPv6 addresses, or vice versa.")
	}
	switch s.Filter.Kind {
	case NoFilter, Predefined, Custom:
		return nil
	}
	return refusal.Newf("The kind of filter %q does not exist.", s.Filter.Kind)
}

// ParseAddrs parses a list such as "10.1.1.1, 2001:db8::1". An empty list is no error. The error
// is a refusal. An address such as ::ffff:10.1.1.1 is returned as the IPv4 address that it means.
func ParseAddrs(list string) ([]netip.Addr, error) {
	return parseList(list, "an address must be IPv4 or IPv6", func(s string) (netip.Addr, error) {
		a, err := netip.ParseAddr(s)
		if a.Zone() != "" {
			err = strconv.ErrSyntax
		}
		return a.Unmap(), err
	})
}

// parseList parses a list with commas between its items. A comma after the last item is allowed; a
// list of commas alone is refused.
func parseList[T any](list, want string, parse func(string) (T, error)) ([]T, error) {
	var out []T
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		v, err := parse(item)
		if err != nil {
			return nil, refusal.Newf("%q is not valid: %s.", item, want)
		}
		out = append(out, v)
	}
	if list = strings.TrimSpace(list); out == nil && list != "" {
		return nil, refusal.Newf("%q is not valid: %s.", list, want)
	}
	return out, nil
}

const maxDuration = 365 * 24 * time.Hour

var errDuration = refusal.New(
	"The duration must be given as in 120s, 5m 30s or 4h, and be a year at most.")

// ParseDuration parses the forms "120s", "5m 30s", "4h" and "90", which means seconds. The error
// is a refusal.
func ParseDuration(s string) (time.Duration, error) {
	s = strings.ToLower(strings.Join(strings.Fields(s), ""))
	if _, err := strconv.ParseUint(s, 10, 32); err == nil {
		s += "s"
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > maxDuration || d%time.Second != 0 {
		return 0, errDuration
	}
	return d, nil
}

// FormatDuration formats a duration in the first three forms of ParseDuration.
func FormatDuration(d time.Duration) string {
	var parts []string
	for _, u := range []struct {
		unit time.Duration
		sign string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / u.unit; n > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.sign))
			d -= n * u.unit
		}
	}
	if parts == nil {
		return "0s"
	}
	return strings.Join(parts, " ")
}
