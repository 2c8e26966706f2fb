package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/fleet"
)

type ctlFleet struct {
	List     listFleet    `cmd:"" help:"List the appliances of a fleet."`
	Networks listNetworks `cmd:"" help:"List the networks that appliances share."`
	Start    startMember  `cmd:"" help:"Start an appliance that was stopped, or could not be started."`
	Stop     stopMember   `cmd:"" help:"Stop an appliance. The others go on."`

	Reboot rebootFleet `cmd:"" help:"Reboot all appliances, one after the other."`
	Reset  resetFleet  `cmd:"" help:"Put all appliances and their worlds back to the state after the start."`
	Clock  fleetClock  `cmd:"" help:"Set the clocks of all appliances."`
	Fault  fleetFault  `cmd:"" help:"Put a fault on all appliances or on a share of them, and remove it."`
}

type listFleet struct {
	output
	Format string `placeholder:"FORM" help:"Print an inventory in this form: json, csv, ansible, oxidized or ssh_config."`
}

func (l listFleet) Run(t stdio, client *control.Client) error {
	list, err := client.Appliances(context.Background())
	if err != nil {
		return err
	}
	if l.Format != "" {
		h, err := client.Health(context.Background())
		name := "fleet"
		if err == nil && h.Fleet != nil {
			name = h.Fleet.Name
		}
		networks, err := client.Networks(context.Background())
		if err != nil {
			return err
		}
		return fleet.WriteInventory(t.out, fleet.Format(l.Format), name, list, networks)
	}
	return printList(l.output, t, list, nil, listing[fleet.Appliance]{
		empty:    "The fleet has no appliance.",
		headings: "NAME\tSTATE\tMODEL\tVERSION\tTOPOLOGY\tSSH",
		row: func(a fleet.Appliance) string {
			ssh := "-"
			if at, ok := a.Doors["ssh"]; ok {
				ssh = at.String()
			}
			state := string(a.State)
			if a.Error != "" {
				state += " (" + a.Error + ")"
			}
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", a.Name, state, a.Model, a.Version, a.Topology, ssh)
		},
	})
}

type listNetworks struct{ output }

func (l listNetworks) Run(t stdio, client *control.Client) error {
	list, err := client.Networks(context.Background())
	return printList(l.output, t, list, err, listing[fleet.Network]{
		empty:    "No appliances share a network.",
		headings: "NAME\tSTATE\tTOPOLOGY\tINTERFACES\tAPPLIANCES",
		row: func(n fleet.Network) string {
			state := string(n.State)
			if n.Error != "" {
				state += " (" + n.Error + ")"
			}
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", n.Name, state, n.Topology,
				strings.Join(n.Interfaces, ", "), strings.Join(n.Appliances, ", "))
		},
	})
}

type startMember struct {
	Name string `arg:"" name:"appliance" predictor:"member" help:"The name of an appliance: see esasim ctl fleet list."`
}

func (s startMember) Run(client *control.Client) error {
	_, err := client.SetAppliance(context.Background(), s.Name, true)
	return pointTo("esasim ctl fleet list", err)
}

type stopMember struct {
	Name string `arg:"" name:"appliance" predictor:"member" help:"The name of an appliance: see esasim ctl fleet list."`
}

func (s stopMember) Run(client *control.Client) error {
	_, err := client.SetAppliance(context.Background(), s.Name, false)
	return pointTo("esasim ctl fleet list", err)
}

// printOutcome prints on how many appliances something was done, and returns an error if it failed on
// some.
func printOutcome(t stdio, o fleet.Outcome, err error) error {
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%d appliances\n", len(o.Done))
	if len(o.Failed) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(o.Failed)))
	return fmt.Errorf("%d appliances failed, for example %s: %s", len(o.Failed), first, o.Failed[first])
}

type rebootFleet struct {
	Parallel int `default:"1" placeholder:"N" help:"How many may reboot at a time (default: 1)."`
}

func (r rebootFleet) Run(t stdio, client *control.Client) error {
	o, err := client.RebootFleet(context.Background(), r.Parallel)
	return printOutcome(t, o, err)
}

type resetFleet struct {
	Confirm bool `help:"Do it although the data of the appliances outlast the program."`
}

func (r resetFleet) Run(t stdio, client *control.Client) error {
	o, err := client.ResetFleet(context.Background(), r.Confirm)
	return printOutcome(t, o, err)
}

type fleetClock struct {
	Set     string `placeholder:"TIME" help:"A time with its zone, such as 2015-06-25T08:50:03Z. By default each appliance keeps its own."`
	Advance shift  `placeholder:"TIME" help:"Set the clocks forward by this time, such as 2h."`
	Step    shift  `placeholder:"TIME" help:"Set the clock of each further appliance this much ahead of the one before it."`
}

func (f fleetClock) Run(t stdio, client *control.Client) error {
	o, err := client.SetFleetClocks(context.Background(), f.Set, f.Advance.Duration, f.Step.Duration)
	return printOutcome(t, o, err)
}

type fleetFault struct {
	Put    putFleetFault    `cmd:"" help:"Make the fault of a name what the flags say on a share of the appliances, and remove it from the others."`
	Remove removeFleetFault `cmd:"" help:"Remove the fault of a name from all appliances."`
}

type putFleetFault struct {
	Ref   string `arg:"" name:"fault" help:"The name of the fault. A name is not all digits."`
	Share string `default:"100%" placeholder:"SHARE" help:"On how many of the appliances, such as 10%. They are spread evenly, and always the same ones (default: all)."`
	addFault
}

func (p putFleetFault) Run(t stdio, client *control.Client) error {
	keys, err := p.keys()
	if err != nil {
		return err
	}
	o, err := client.PutFleetFault(context.Background(), p.Ref, p.Share, keys)
	if err == nil && p.JSON {
		return printJSON(t.out, o)
	}
	return printOutcome(t, o, err)
}

type removeFleetFault struct {
	Ref string `arg:"" name:"fault" help:"The name of the fault."`
}

func (r removeFleetFault) Run(t stdio, client *control.Client) error {
	o, err := client.RemoveFleetFault(context.Background(), r.Ref)
	return printOutcome(t, o, err)
}
