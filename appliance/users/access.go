package users

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// The range and the factory value of the inactivity timeouts, in minutes.
const (
	MinIdleMinutes     = 5
	MaxIdleMinutes     = 1440
	DefaultIdleMinutes = 30
)

// maxAccessText is the largest size of the banner and of the welcome message, in bytes.
const maxAccessText = 8 << 10

// Access is the section of the configuration that says how administrators log in: the texts that
// they see, the addresses from which they may connect, and how long a session may be idle.
var Access = config.Define("admin_access",
	AdminAccess{CLITimeout: DefaultIdleMinutes, WebTimeout: DefaultIdleMinutes},
	AdminAccess.check, config.In(config.Access, 30))

// AdminAccess is the value of Access.
type AdminAccess struct {
	// Banner is shown before the login, and Welcome after it. All lines but the last end in "\n".
	Banner  string `xml:"login_banner"`
	Welcome string `xml:"welcome_message"`
	// Restricted says that clients may connect from Allowed only. It concerns the command line
	// and the transfer of files.
	Restricted bool           `xml:"restrict_by_address"`
	Allowed    []netip.Prefix `xml:"allowed_addresses>network"`
	CLITimeout int            `xml:"cli_inactivity_timeout"` // minutes
	WebTimeout int            `xml:"web_inactivity_timeout"` // minutes
}

func (a AdminAccess) check(*config.Config) error {
	for _, text := range []string{a.Banner, a.Welcome} {
		if err := CheckAccessText(text); err != nil {
			return err
		}
	}
	for _, p := range a.Allowed {
		if !p.IsValid() {
			return refusal.New("An address from which access is permitted is not valid.")
		}
	}
	for _, minutes := range []int{a.CLITimeout, a.WebTimeout} {
		if minutes < MinIdleMinutes || minutes > MaxIdleMinutes {
			return refusal.Newf("The inactivity timeout of %d minutes is not from %d to %d.",
				minutes, MinIdleMinutes, MaxIdleMinutes)
		}
	}
	if a.Restricted && len(a.Allowed) == 0 {
		return refusal.New("Access is restricted to listed addresses, and none is listed.")
	}
	return nil
}

// CheckAccessText returns a refusal if text cannot be a banner or a welcome message.
func CheckAccessText(text string) error {
	forbidden := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
	switch {
	case len(text) > maxAccessText:
		return refusal.Newf("The text must not be longer than %d bytes.", maxAccessText)
	case !utf8.ValidString(text), strings.ContainsFunc(text, forbidden):
		return refusal.New("The text must not hold control characters.")
	}
	return nil
}

// Admits reports whether clients at addr may connect. The serial console, whose address is invalid,
// is always admitted.
func (a AdminAccess) Admits(addr netip.Addr) bool {
	if !a.Restricted || !addr.IsValid() {
		return true
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(a.Allowed, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// CLIIdle returns the inactivity timeout of the command line.
func (a AdminAccess) CLIIdle() time.Duration { return time.Duration(a.CLITimeout) * time.Minute }

// ParseNetwork parses an address, or a network such as 10.1.0.0/16, and clears the host bits. Its
// error is a refusal.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, refusal.Newf(
			"%q is neither an IP address nor a network such as 10.1.0.0/16.", s)
	}
	return p.Masked(), nil
}

// FormatNetwork is the inverse of ParseNetwork.
func FormatNetwork(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
