package commands

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// vlan is the menu of VLANs.
func (d etherDialogue) vlan(ctx context.Context) error {
	return d.env.Menu(ctx, func() shell.Menu {
		vlans := d.vlans()
		return shell.Menu{
			Header: func() {
				d.env.Printf("\nVLAN interfaces:\n")
				for n, v := range vlans {
					d.env.PrintWrapped(fmt.Sprintf("%d. VLAN %4d (%s)", n+1, v.VLAN, v.Ethernet))
				}
			},
			Items: []shell.Item{
				{Key: "NEW", Text: "Create a new VLAN.", Run: func(ctx context.Context) error {
					return d.putVLAN(ctx, netconfig.Port{})
				}},
				{Key: "EDIT", Text: "Edit a VLAN.", Hidden: len(vlans) == 0, Run: d.editVLAN},
				{Key: "DELETE", Text: "Delete a VLAN.", Hidden: len(vlans) == 0, Run: d.deleteVLAN},
			},
		}
	})
}

func (d etherDialogue) vlans() []netconfig.Port {
	return slices.DeleteFunc(draftPorts(d.env).List, func(p netconfig.Port) bool {
		return p.VLAN == 0
	})
}

func (d etherDialogue) chooseVLAN(ctx context.Context, verb string) (netconfig.Port, error) {
	vlans := d.vlans()
	var n int
	question := "Enter the name or number of the VLAN you wish to " + verb + ":"
	_, err := d.env.Ask(ctx, question, "", func(answer string) (err error) {
		n, err = findByNameOrNumber(answer, portNames(netconfig.PortList{List: vlans}), "VLAN")
		if err != nil { // the list shows its ID as well
			i := slices.IndexFunc(vlans, func(v netconfig.Port) bool {
				return strconv.Itoa(v.VLAN) == answer
			})
			if i >= 0 {
				n, err = i, nil
			}
		}
		return err
	})
	if err != nil {
		return netconfig.Port{}, err
	}
	return vlans[n], nil
}

func (d etherDialogue) editVLAN(ctx context.Context) error {
	v, err := d.chooseVLAN(ctx, "edit")
	if err != nil {
		return err
	}
	return d.putVLAN(ctx, v)
}

// putVLAN asks the questions that NEW and EDIT share and replaces the VLAN was by the result.
// For a new VLAN, was is the zero Port. IP interfaces on the VLAN stay on it.
func (d etherDialogue) putVLAN(ctx context.Context, was netconfig.Port) error {
	ports := draftPorts(d.env)
	preset, id := "", 0
	if was.VLAN != 0 {
		preset = strconv.Itoa(was.VLAN)
	}
	const question = `VLAN ID for the interface (Ex: "34"):`
	_, err := d.env.Ask(ctx, question, preset, func(answer string) error {
		n, err := strconv.Atoi(answer)
		if err != nil || n < 1 || n > netconfig.MaxVLAN {
			return refusal.Newf("The VLAN ID must be an integer from 1 to %d.", netconfig.MaxVLAN)
		}
		if _, taken := ports.Find(netconfig.VLANName(n)); taken && n != was.VLAN {
			return refusal.Newf("The VLAN %d already exists.", n)
		}
		id = n
		return nil
	})
	if err != nil {
		return err
	}
	names := physicalPorts(ports)
	n, err := d.env.Choose(ctx,
		"Enter the name or number of the ethernet interface you wish bind to:",
		max(0, slices.Index(names, was.Ethernet)), names...)
	if err != nil {
		return err
	}
	parent, _ := ports.Find(names[n])
	v := netconfig.Port{Name: netconfig.VLANName(id), Ethernet: parent.Name, MTU: parent.MTU, VLAN: id}
	if was.VLAN != 0 && was.MTU < parent.MTU && was.Ethernet == parent.Name {
		v.MTU = was.MTU
	}
	if err := editPorts(d.env, func(l *netconfig.PortList) {
		at := slices.IndexFunc(l.List, func(p netconfig.Port) bool {
			return was.VLAN != 0 && p.Name == was.Name
		})
		if at < 0 {
			l.List = append(l.List, v)
		} else {
			l.List[at] = v
		}
	}); err != nil {
		return err
	}
	if was.VLAN == 0 || was.Name == v.Name {
		return nil
	}
	return editSection(d.env, netconfig.Interfaces, func(l *netconfig.IPInterfaces) error {
		for i := range l.List {
			if l.List[i].Port == was.Name {
				l.List[i].Port = v.Name
			}
		}
		return nil
	})
}

func (d etherDialogue) deleteVLAN(ctx context.Context) error {
	v, err := d.chooseVLAN(ctx, "delete")
	if err != nil {
		return err
	}
	if user, used := interfaceOnPort(d.env, v.Name); used {
		return refusal.Newf("The VLAN %d is used by the IP interface %s: "+
			"use interfaceconfig to move or delete that first.", v.VLAN, user)
	}
	return editPorts(d.env, func(l *netconfig.PortList) {
		l.List = slices.DeleteFunc(l.List, func(p netconfig.Port) bool { return p.Name == v.Name })
	})
}
