package commands

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// A diagnosticService is a process of the appliance that can be restarted by name. Services
// whose process the appliance does not have (scanning engines, encryption) are not listed.
type diagnosticService struct {
	key, text string
	process   daemon.Process
}

var diagnosticServices = []diagnosticService{
	{"WEBUI", "Web GUI", daemon.GUI},
}

// services is the menu of the services that this version has.
func (d *diagnosticRun) services() shell.Menu {
	m := shell.Menu{Title: "Choose one of the following services:"}
	for _, s := range diagnosticServices {
		restart := func(ctx context.Context) error { return d.restart(ctx, s) }
		status := func(context.Context) error { return d.serviceStatus(s) }
		m.Items = append(m.Items, shell.Item{
			Key: s.key, Text: s.text, Absent: !d.env.Appliance.Daemons.Has(s.process),
			Run: d.submenu(func() shell.Menu {
				return shell.Menu{Items: []shell.Item{
					{Key: "RESTART", Text: "Restart the service", Run: d.operation(restart)},
					{Key: "STATUS", Text: "View status of the service", Run: d.operation(status)},
				}}
			}),
		})
	}
	return m
}

// restart ends the service's process and starts it again. Ctrl-C does not interrupt that, so
// that the process is not left stopped.
func (d *diagnosticRun) restart(ctx context.Context, s diagnosticService) error {
	d.env.Printf("%s is restarting.\n", s.text)
	err := d.env.Appliance.Restart(context.WithoutCancel(ctx), s.process)
	if errors.Is(err, appliance.ErrNotRunning) {
		return refusal.Newf("%s is not running.", s.text)
	}
	if err != nil {
		return err
	}
	d.env.Printf("%s has been restarted.\n", s.text)
	return nil
}

// serviceStatus prints whether the process runs, and on which addresses it listens.
func (d *diagnosticRun) serviceStatus(s diagnosticService) error {
	all := d.env.Appliance.Daemons.Running()
	i := slices.IndexFunc(all, func(p daemon.RunningProcess) bool { return p.Process == s.process })
	if i < 0 {
		d.env.Printf("%s is down.\n", s.text)
		return nil
	}
	p := all[i]
	d.env.Printf("%s is up: process %s (%d), since %s.\n",
		s.text, p.Name(), p.PID, moment(d.env, p.Started))
	sockets, err := d.env.Appliance.Net.Sockets()
	if err != nil {
		return networkRefusal(err, "list its sockets")
	}
	sockets = slices.DeleteFunc(sockets, func(l network.Socket) bool {
		return l.State != "LISTEN" || l.PID != p.PID
	})
	if len(sockets) == 0 {
		d.env.Printf("It is switched off on all IP interfaces.\n")
		return nil
	}
	slices.SortFunc(sockets, func(a, b network.Socket) int { return a.Local.Compare(b.Local) })
	at := make([]string, len(sockets))
	for i, l := range sockets {
		at[i] = l.Local.String()
	}
	d.env.PrintWrapped("It listens on " + strings.Join(at, ", ") + ".")
	return nil
}
