package main

import (
	"context"
	"fmt"
	"io"

	"github.com/esasim/esasim/appliance/control"
)

type ctlPower struct {
	Show   showPower   `cmd:"" help:"Say whether the appliance is switched on."`
	Off    powerOff    `cmd:"" help:"Shut the appliance down and switch it off. The simulator goes on: on boots it again."`
	On     powerOn     `cmd:"" help:"Switch the appliance on, and wait until it is up."`
	Reboot powerReboot `cmd:"" help:"Reboot the appliance, and wait until it is up."`
}

type showPower struct{ output }

func (s showPower) Run(t stdio, client *control.Client) error {
	p, err := client.Power(context.Background())
	return s.print(t, p, err, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, p.State)
		return err
	})
}

type powerOff struct{}

func (powerOff) Run(client *control.Client) error {
	_, err := client.SetPower(context.Background(), false)
	return err
}

type powerOn struct{}

func (powerOn) Run(client *control.Client) error {
	_, err := client.SetPower(context.Background(), true)
	return err
}

type powerReboot struct{}

func (powerReboot) Run(client *control.Client) error { return client.Reboot(context.Background()) }

type ctlConsole struct {
	Show showConsole `cmd:"" help:"Say whether the serial console is connected."`
	Off  consoleOff  `cmd:"" help:"Disconnect the serial console. Its session ends."`
	On   consoleOn   `cmd:"" help:"Connect the serial console again."`
}

type showConsole struct{ output }

func (s showConsole) Run(t stdio, client *control.Client) error {
	on, err := client.ConsoleConnected(context.Background())
	return s.print(t, control.Console{Connected: on}, err, func(w io.Writer) error {
		text := "disconnected"
		if on {
			text = "connected"
		}
		_, err := fmt.Fprintln(w, text)
		return err
	})
}

type consoleOff struct{}

func (consoleOff) Run(client *control.Client) error {
	return client.ConnectConsole(context.Background(), false)
}

type consoleOn struct{}

func (consoleOn) Run(client *control.Client) error {
	return client.ConnectConsole(context.Background(), true)
}
