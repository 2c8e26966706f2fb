package appliance

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/esasim/esasim/appliance/config"
)

// Bounds and factory value of the inactivity timeouts, in minutes.
const (
	MinTimeout     = 5
	MaxTimeout     = 1440
	DefaultTimeout = 30
)

// maxAccessText bounds the texts around a login, in bytes.
const maxAccessText = 8 << 10

// AdminAccess is the value of Access.
type AdminAccess struct {
	Banner  string `xml:"login_banner"`    // shown before the login; lines end in "\n", but for the last
	Welcome string `xml:"welcome_message"` // shown after it, likewise
	// Restricted admits clients from Allowed only, to the command line and to files.
	Restricted bool           `xml:"restrict_by_address"`
	Allowed    []netip.Prefix `xml:"allowed_addresses>network"`
	CLITimeout int            `xml:"cli_inactivity_timeout"` // minutes
	WebTimeout int            `xml:"web_inactivity_timeout"` // minutes
}

// Access is how administrators come in: what they are shown, from where, and how long
// they may be silent.
var Access = config.Define("admin_access", AdminAccess{CLITimeout: DefaultTimeout, WebTimeout: DefaultTimeout},
	func(a AdminAccess, _ *config.Config) error { return a.check() }, config.In(config.Access, 30))

func (a AdminAccess) check() error {
	for _, text := range []string{a.Banner, a.Welcome} {
		if err := ValidAccessText(text); err != nil {
			return err
		}
	}
	for _, p := range a.Allowed {
		if !p.IsValid() {
			return errors.New("an address from which access is permitted is not valid")
		}
	}
	for _, minutes := range []int{a.CLITimeout, a.WebTimeout} {
		if minutes < MinTimeout || minutes > MaxTimeout {
			return fmt.Errorf("the inactivity timeout of %d minutes is not from %d to %d", minutes, MinTimeout, MaxTimeout)
		}
	}
	if a.Restricted && len(a.Allowed) == 0 {
		return errors.New("access is restricted to listed addresses, and none is listed")
	}
	return nil
}

// ValidAccessText says what is wrong with a banner or a welcome message, in a sentence.
func ValidAccessText(text string) error {
	switch {
	case len(text) > maxAccessText:
		return fmt.Errorf("The text must not be longer than %d bytes.", maxAccessText)
	case !utf8.ValidString(text), strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		return errors.New("The text must not hold control characters.")
	}
	return nil
}

// Admits reports whether somebody may come in from addr. Who sits at the serial console
// has no address, and may.
func (a AdminAccess) Admits(addr netip.Addr) bool {
	if !a.Restricted || !addr.IsValid() {
		return true
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(a.Allowed, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Idle is how long a session of the command line may be silent.
func (a AdminAccess) Idle() time.Duration { return time.Duration(a.CLITimeout) * time.Minute }

// ParseNetwork reads an address, or a network such as 10.1.0.0/16, whose host bits it
// clears. Its error is a sentence for the administrator.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is neither an IP address nor a network such as 10.1.0.0/16.", s)
	}
	return p.Masked(), nil
}

// FormatNetwork writes what ParseNetwork reads.
func FormatNetwork(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// an accessCache is the value of Access in one configuration.
type accessCache struct {
	of    *config.Config
	value AdminAccess
}

// AdminAccess is the committed value of Access, which every connection asks for. Its
// lists must not be changed.
func (a *Appliance) AdminAccess() AdminAccess {
	c := a.Config.Committed()
	if known := a.access.Load(); known != nil && known.of == c {
		return known.value
	}
	v := Access.Get(c)
	a.access.Store(&accessCache{c, v})
	return v
}
