package commands

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

// This file holds the code by which interfaceconfig and systemsetup change IP interfaces. Their
// questions are in shared_interfaceform.go.

// An ipDialogue changes IP interfaces of the draft.
type ipDialogue struct{ env *shell.Env }

// list returns the IP interfaces of the draft.
func (d ipDialogue) list() []netconfig.IPInterface {
	return netconfig.Interfaces.Get(d.env.Draft).List
}

// others returns the interfaces of the draft except for the one called name.
func (d ipDialogue) others(name string) []netconfig.IPInterface {
	return slices.DeleteFunc(d.list(), func(i netconfig.IPInterface) bool { return i.Name == name })
}

// checkAddrFree refuses an address that another interface has.
func (d ipDialogue) checkAddrFree(a netip.Addr, others []netconfig.IPInterface) error {
	for _, o := range others {
		if o.IPv4 == a || o.IPv6.Addr() == a {
			return refusal.Newf("The IP interface %[2]s already has the address %[1]v.", a, o.Name)
		}
	}
	return nil
}

// loggedInOver reports whether this session is connected to an address of i.
func (d ipDialogue) loggedInOver(i netconfig.IPInterface) bool {
	local := d.env.LocalAddr
	return local.IsValid() && (i.IPv4 == local || i.IPv6.Addr() == local)
}

// warnIfNoSSH warns if the draft leaves no way to log in over the network.
func (d ipDialogue) warnIfNoSSH() {
	for _, i := range d.list() {
		if i.SSH != 0 && (i.IPv4.IsValid() || i.IPv6.IsValid()) {
			return
		}
	}
	d.env.PrintWrapped("Warning: no IP interface offers SSH. Once this is committed, " +
		"the command line can be reached by the serial console only.")
}

// renameReferences updates the sections that refer to a renamed interface.
func (d ipDialogue) renameReferences(was, now string) error {
	if now == was {
		return nil
	}
	follow := func(name *string) {
		if *name == was {
			*name = now
		}
	}
	return errors.Join(
		editSection(d.env, netconfig.IPGroups, func(v *netconfig.IPGroupList) error {
			for _, g := range v.List {
				for n := range g.Interfaces {
					follow(&g.Interfaces[n])
				}
			}
			return nil
		}),
		editSection(d.env, listener.Section, func(v *listener.Settings) error {
			for n := range v.Listeners {
				follow(&v.Listeners[n].Interface)
			}
			return nil
		}),
		editSection(d.env, resolver.DNS, func(v *resolver.Settings) error {
			follow(&v.Interface)
			return nil
		}),
		editSection(d.env, ntp.NTP, func(v *ntp.Settings) error {
			follow(&v.Source)
			return nil
		}),
		editSection(d.env, delivery.Config, func(v *delivery.Settings) error {
			follow(&v.Interface)
			return nil
		}),
	)
}

// add adds an interface to the draft.
func (d ipDialogue) add(i netconfig.IPInterface) error {
	return editSection(d.env, netconfig.Interfaces, func(v *netconfig.IPInterfaces) error {
		v.List = append(v.List, i)
		return nil
	})
}

// replace changes an interface of the draft, and the names of a renamed one in all sections.
func (d ipDialogue) replace(was, now netconfig.IPInterface) error {
	err := editSection(d.env, netconfig.Interfaces, func(v *netconfig.IPInterfaces) error {
		at := slices.Index(v.List, was)
		if at < 0 {
			return refusal.Newf("Another session has meanwhile changed the IP interface %s: "+
				"nothing was changed here. Please try again.", was.Name)
		}
		v.List[at] = now
		return nil
	})
	if err == nil {
		err = d.renameReferences(was.Name, now.Name)
	}
	return err
}
