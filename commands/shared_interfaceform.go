package commands

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/shell"
)

// ask asks the questions that NEW and EDIT share.
func (d ipDialogue) ask(ctx context.Context, i *netconfig.IPInterface) error {
	others := d.others(i.Name)
	if err := d.askNetwork(ctx, i, others); err != nil {
		return err
	}
	if err := d.askPort(ctx, i, others); err != nil {
		return err
	}
	if err := d.env.Form(ctx, hostnameField(&i.Hostname)); err != nil {
		return err
	}
	for _, s := range ipServices {
		if err := d.askService(ctx, i, s); err != nil {
			return err
		}
	}
	return nil
}

func hostnameField(name *string) shell.Field {
	return shell.Text(name, "Hostname:", netconfig.CheckHostname)
}

// askNetwork asks for the name and the addresses of an interface.
func (d ipDialogue) askNetwork(
	ctx context.Context, i *netconfig.IPInterface, others []netconfig.IPInterface) error {
	checkName := func(name string) error {
		for _, o := range others {
			if strings.EqualFold(o.Name, name) {
				return refusal.Newf("There is already an IP interface with the name %s.", name)
			}
		}
		for _, g := range netconfig.IPGroups.Get(d.env.Draft).List {
			if strings.EqualFold(g.Name, name) {
				return refusal.Newf("There is already a group with the name %s.", name)
			}
		}
		return checkObjectName(name)
	}
	if err := d.env.Form(ctx,
		shell.Text(&i.Name, `IP interface name (Ex: "InternalNet"):`, checkName)); err != nil {
		return err
	}
	for {
		if err := d.askAddresses(ctx, i, others); err != nil {
			return err
		}
		if i.IPv4.IsValid() || i.IPv6.IsValid() {
			return nil
		}
		d.env.PrintWrapped("An IP interface needs an IPv4 address or an IPv6 address.")
	}
}

func (d ipDialogue) askAddresses(
	ctx context.Context, i *netconfig.IPInterface, others []netconfig.IPInterface) error {
	want4, want6 := i.IPv4.IsValid() || !i.IPv6.IsValid(), i.IPv6.IsValid()
	both := supportsIPv6(d.env)
	return d.env.Form(ctx,
		shell.When(func() bool { return both }, shell.YesNo(&want4,
			"Would you like to configure an IPv4 address for this interface?")),
		func(ctx context.Context, _ shell.Dialogue) error {
			if want4 {
				return d.askIPv4(ctx, i, others)
			}
			i.IPv4, i.Netmask = netip.Addr{}, ""
			return nil
		},
		shell.When(func() bool { return both }, shell.YesNo(&want6,
			"Would you like to configure an IPv6 address for this interface?")),
		func(ctx context.Context, _ shell.Dialogue) error {
			if want6 {
				return d.askIPv6(ctx, i, others)
			}
			i.IPv6 = netip.Prefix{}
			return nil
		},
	)
}

func (d ipDialogue) askIPv4(
	ctx context.Context, i *netconfig.IPInterface, others []netconfig.IPInterface) error {
	address, netmask := "", "24"
	if i.IPv4.IsValid() {
		address = i.IPv4.String()
	}
	if bits, err := parseNetmask(i.Netmask); err == nil {
		netmask = strconv.Itoa(bits)
	}
	return d.env.Form(ctx,
		shell.Text(&address, "IPv4 Address (Ex: 192.168.1.2):", func(answer string) error {
			a, err := parseHostAddr(answer, false)
			if err == nil {
				err = d.checkAddrFree(a, others)
			}
			i.IPv4 = a
			return err
		}),
		shell.Text(&netmask, `Netmask (Ex: "24", "255.255.255.0" or "0xffffff00"):`,
			func(answer string) error {
				bits, err := parseNetmask(answer)
				if err != nil {
					return err
				}
				i.Netmask = netconfig.Netmask(bits)
				return checkHostAddr(netip.PrefixFrom(i.IPv4, bits))
			}),
	)
}

func (d ipDialogue) askIPv6(
	ctx context.Context, i *netconfig.IPInterface, others []netconfig.IPInterface) error {
	address, length := "", 64
	if i.IPv6.IsValid() {
		address, length = i.IPv6.Addr().String(), i.IPv6.Bits()
	}
	var a netip.Addr
	err := d.env.Form(ctx,
		shell.Text(&address, "IPv6 Address (Ex: 2001:db8:1::5):", func(answer string) (err error) {
			if a, err = parseHostAddr(answer, true); err != nil {
				return err
			}
			return d.checkAddrFree(a, others)
		}),
		shell.Number(&length, "Prefix length (Ex: 64):", 1, 128),
	)
	i.IPv6 = netip.PrefixFrom(a, length)
	return err
}

// parseNetmask parses a netmask in one of three forms and returns the prefix length.
func parseNetmask(text string) (bits int, err error) {
	bad := refusal.New("The netmask must be a length from 1 to 32, " +
		"or a mask such as 255.255.255.0 or 0xffffff00.")
	var mask net.IPMask
	switch digits, hex := strings.CutPrefix(strings.ToLower(text), "0x"); {
	case hex:
		n, err := strconv.ParseUint(digits, 16, 32)
		if err != nil || len(digits) != 8 {
			return 0, bad
		}
		mask = net.IPv4Mask(byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	case strings.Contains(text, "."):
		mask = net.IPMask(net.ParseIP(text).To4())
	default:
		if bits, err = strconv.Atoi(text); err != nil || bits < 1 || bits > 32 {
			return 0, bad
		}
		return bits, nil
	}
	if bits, all := mask.Size(); all == 32 && bits > 0 {
		return bits, nil
	}
	return 0, bad
}

// checkHostAddr refuses the network's own address and its broadcast address.
func checkHostAddr(p netip.Prefix) error {
	if p.Bits() >= 31 {
		return nil
	}
	last := p.Masked().Addr().As4()
	for n := p.Bits(); n < 32; n++ {
		last[n/8] |= 0x80 >> (n % 8)
	}
	switch p.Addr() {
	case p.Masked().Addr():
		return refusal.Newf("With this netmask %v cannot be the address of a host: "+
			"it is the address of the network %v itself.", p.Addr(), p.Masked())
	case netip.AddrFrom4(last):
		return refusal.Newf("With this netmask %v cannot be the address of a host: "+
			"it is the broadcast address of the network %v.", p.Addr(), p.Masked())
	}
	return nil
}

// askPort asks for the port that the IP interface is on.
func (d ipDialogue) askPort(
	ctx context.Context, i *netconfig.IPInterface, others []netconfig.IPInterface) error {
	names := portNames(draftPorts(d.env))
	if netconfig.Loopback.Get(d.env.Draft) {
		names = append(names, netconfig.LoopbackPort)
	}
	question := "Ethernet interface:"
	for n, name := range names {
		question += fmt.Sprintf("\n%d. %s", n+1, name)
	}
	preset := strconv.Itoa(max(0, slices.Index(names, i.Port)) + 1)
	_, err := d.env.Ask(ctx, question, preset, func(answer string) error {
		n, err := findByNameOrNumber(answer, names, "interface")
		if err != nil {
			return err
		}
		i.Port = names[n]
		return checkOverlap(*i, others)
	})
	return err
}

// checkOverlap refuses an interface with a network that overlaps with one on another port.
func checkOverlap(i netconfig.IPInterface, others []netconfig.IPInterface) error {
	for _, o := range others {
		if p, q, clash := i.Overlap(o); clash {
			return refusal.Newf("%v overlaps with %v of the IP interface %s, which is on %s: "+
				"an Ethernet interface needs networks of its own.", p, q, o.Name, o.Port)
		}
	}
	return nil
}

// An ipService is a service that can listen on an IP interface.
type ipService struct {
	name  string
	port  uint16 // default
	since product.Version
	field func(*netconfig.IPInterface) *uint16
}

var ipServices = []ipService{
	{"FTP", 21, product.Version{},
		func(i *netconfig.IPInterface) *uint16 { return &i.FTP }},
	{"SSH", 22, product.Version{},
		func(i *netconfig.IPInterface) *uint16 { return &i.SSH }},
	{"HTTP", 80, product.Version{},
		func(i *netconfig.IPInterface) *uint16 { return &i.HTTP }},
	{"HTTPS", 443, product.Version{},
		func(i *netconfig.IPInterface) *uint16 { return &i.HTTPS }},
	{"AsyncOS API HTTP", 6080, product.Version{Major: 9},
		func(i *netconfig.IPInterface) *uint16 { return &i.APIHTTP }},
	{"AsyncOS API HTTPS", 6443, product.Version{Major: 9},
		func(i *netconfig.IPInterface) *uint16 { return &i.APIHTTPS }},
	{"the next-generation GUI", 4431, product.Version{Major: 12},
		func(i *netconfig.IPInterface) *uint16 { return &i.NextGUI }},
}

// askService asks whether a service is enabled, and on which port.
func (d ipDialogue) askService(ctx context.Context, i *netconfig.IPInterface, s ipService) error {
	if d.env.Appliance.Product.Version.Before(s.since) {
		return nil
	}
	port := s.field(i)
	on, n := *port != 0, int(*port)
	if !on {
		n = int(s.port)
	}
	*port = 0 // so that the check for a free port does not find the service itself
	return d.env.Form(ctx,
		shell.YesNo(&on, "Do you want to enable "+s.name+" on this interface?"),
		shell.When(func() bool { return on }, func(ctx context.Context, to shell.Dialogue) error {
			question := "Which port do you want to use for " + s.name + "?"
			_, err := to.Ask(ctx, question, strconv.Itoa(n), func(answer string) error {
				v, err := strconv.ParseUint(answer, 10, 16)
				if err != nil || v == 0 {
					return refusal.New("The port must be an integer from 1 to 65535.")
				}
				for _, o := range ipServices {
					if *o.field(i) == uint16(v) {
						return refusal.Newf("The port %d is already used by %s on this interface.", v, o.name)
					}
				}
				*port = uint16(v)
				return nil
			})
			return err
		}),
		shell.When(func() bool {
			return s.name == "HTTPS" && on && len(tlsconfig.Certificates.Get(d.env.Draft).List) > 0
		}, certificateField(d.env, &i.Certificate)),
	)
}
