package main

import (
	"context"
	"fmt"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/fleet"
)

type ctlFleet struct {
	List  listFleet   `cmd:"" help:"List the appliances of a fleet."`
	Start startMember `cmd:"" help:"Start an appliance that was stopped, or could not be started."`
	Stop  stopMember  `cmd:"" help:"Stop an appliance. The others go on."`
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
		return fleet.WriteInventory(t.out, fleet.Format(l.Format), name, list)
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

type startMember struct {
	Name string `arg:"" name:"appliance" help:"The name of an appliance: see esasim ctl fleet list."`
}

func (s startMember) Run(client *control.Client) error {
	_, err := client.SetAppliance(context.Background(), s.Name, true)
	return pointTo("esasim ctl fleet list", err)
}

type stopMember struct {
	Name string `arg:"" name:"appliance" help:"The name of an appliance: see esasim ctl fleet list."`
}

func (s stopMember) Run(client *control.Client) error {
	_, err := client.SetAppliance(context.Background(), s.Name, false)
	return pointTo("esasim ctl fleet list", err)
}
