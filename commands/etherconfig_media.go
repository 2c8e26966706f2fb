package commands

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// media is the menu of rates and duplex modes.
func (d etherDialogue) media(ctx context.Context) error {
	return d.env.Menu(ctx, func() shell.Menu {
		return shell.Menu{
			Header: func() {
				d.env.Printf("\nEthernet interfaces:\n")
				for n, name := range physicalPorts(draftPorts(d.env)) {
					d.env.PrintWrapped(fmt.Sprintf("%d. %s", n+1, d.mediaLine(name)))
				}
			},
			Items: []shell.Item{{Key: "EDIT", Text: "Edit an ethernet interface.", Run: d.editMedia}},
		}
	})
}

// mediaLine describes a physical port: its setting, the medium that is in use, and its MAC.
func (d etherDialogue) mediaLine(name string) string {
	set := "Autoselect"
	if m := netconfig.Media.Get(d.env.Draft).For(name); m.Type != netconfig.Autoselect {
		set = m.Type + " " + m.Options
	}
	now, ok := liveInterface(d.env, name)
	if !ok {
		return fmt.Sprintf("%s (%s: <not present>)", name, set)
	}
	return fmt.Sprintf("%s (%s: <%s>) %v", name, set, activeMedia(now), now.MAC)
}

// activeMedia returns the medium that an interface uses, as its driver names it.
func activeMedia(i network.Interface) string {
	if !i.Up || i.NoCarrier {
		return "no carrier"
	}
	names := map[int64]string{
		0: "1000baseT", 10_000_000: "10baseT/UTP", 100_000_000: "100baseTX", 1_000_000_000: "1000baseT",
	}
	if i.Media.HalfDuplex {
		return names[i.Media.Rate] + " half-duplex"
	}
	return names[i.Media.Rate] + " full-duplex"
}

// mediaChoices returns the possible settings, in the order of the list.
func mediaChoices() []netconfig.MediaSetting {
	list := []netconfig.MediaSetting{{Type: netconfig.Autoselect}}
	for _, m := range netconfig.MediaTypes() {
		list = append(list,
			netconfig.MediaSetting{Type: m.Name, Options: "half-duplex"},
			netconfig.MediaSetting{Type: m.Name, Options: "full-duplex"})
	}
	return list
}

func (d etherDialogue) editMedia(ctx context.Context) error {
	name, err := d.choosePort(ctx,
		"Enter the name or number of the ethernet interface you wish to edit.",
		physicalPorts(draftPorts(d.env)))
	if err != nil {
		return err
	}
	choices := mediaChoices()
	var texts []string
	for _, c := range choices {
		if c.Type == netconfig.Autoselect {
			texts = append(texts, "Autoselect")
		} else {
			texts = append(texts, c.Type+" "+c.Options)
		}
	}
	now := netconfig.Media.Get(d.env.Draft).For(name)
	def := slices.IndexFunc(choices, func(c netconfig.MediaSetting) bool {
		return c.Type == now.Type && c.Options == now.Options
	})
	n, err := d.env.Choose(ctx,
		fmt.Sprintf("Please choose the Ethernet media options for the %s interface.", name),
		def, texts...)
	if err != nil {
		return err
	}
	return editSection(d.env, netconfig.Media, func(v *netconfig.MediaSettings) error {
		v.List = slices.DeleteFunc(v.List, func(e netconfig.MediaSetting) bool {
			return e.Interface == name
		})
		if m := choices[n]; m.Type != netconfig.Autoselect { // the default of interfaces not listed
			m.Interface = name
			v.List = append(v.List, m)
		}
		return nil
	})
}

// mtu is the menu of MTUs.
func (d etherDialogue) mtu(ctx context.Context) error {
	return d.env.Menu(ctx, func() shell.Menu {
		return shell.Menu{
			Header: func() {
				d.env.Printf("\nEthernet interfaces:\n")
				for n, p := range draftPorts(d.env).List {
					mtu := fmt.Sprintf("mtu %d", p.MTU)
					if p.MTU == netconfig.DefaultMTU {
						mtu = "default " + mtu
					}
					d.env.PrintWrapped(fmt.Sprintf("%d. %s %s", n+1, p.Name, mtu))
				}
			},
			Items: []shell.Item{{Key: "EDIT", Text: "Edit an ethernet interface.", Run: d.editMTU}},
		}
	})
}

func (d etherDialogue) editMTU(ctx context.Context) error {
	ports := draftPorts(d.env)
	name, err := d.choosePort(ctx,
		"Enter the name or number of the ethernet interface you wish to edit:", portNames(ports))
	if err != nil {
		return err
	}
	port, _ := ports.Find(name)
	most := netconfig.MaxMTU
	if port.VLAN != 0 {
		parent, _ := ports.Find(port.Ethernet)
		most = parent.MTU
	}
	preset := ""
	if port.MTU != netconfig.DefaultMTU {
		preset = strconv.Itoa(port.MTU)
	}
	mtu := port.MTU
	question := fmt.Sprintf("Please enter a non-default (%d) MTU value for the %s interface.",
		netconfig.DefaultMTU, name)
	_, err = d.env.Ask(ctx, question, preset, func(answer string) error {
		if answer == "" {
			return nil
		}
		n, err := strconv.Atoi(answer)
		switch {
		case err == nil && n > most && port.VLAN != 0 && n <= netconfig.MaxMTU:
			return refusal.Newf("The MTU of a VLAN must not be greater than that of its "+
				"Ethernet interface: %s has %d.", port.Ethernet, most)
		case err != nil || n < netconfig.MinMTU || n > most:
			return refusal.Newf("The MTU must be an integer from %d to %d.", netconfig.MinMTU, most)
		}
		mtu = n
		return nil
	})
	if err != nil {
		return err
	}
	if mtu != port.MTU && mtu < network.MinIPv6MTU && supportsIPv6(d.env) {
		d.env.PrintWrapped(fmt.Sprintf("Warning: IPv6 requires an MTU of at least %d. "+
			"The interface %s will not carry it.", network.MinIPv6MTU, name))
	}
	return editPorts(d.env, func(v *netconfig.PortList) {
		for i := range v.List {
			p := &v.List[i]
			switch {
			case p.Name == name:
				p.MTU = mtu
			case p.Ethernet == name && (p.MTU == port.MTU || p.MTU > mtu): // VLANs follow
				p.MTU = mtu
			}
		}
	})
}
