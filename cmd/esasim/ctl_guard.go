package main

import (
	"context"
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance/control"
)

type ctlGuard struct {
	List listGuard `cmd:"" help:"List the addresses with failed logins, the blocked ones first."`
	Free freeGuard `cmd:"" help:"Forget the failed logins of an address, which unblocks it."`
}

type listGuard struct{ output }

func (l listGuard) Run(t stdio, client *control.Client) error {
	list, err := client.Guard(context.Background())
	return printList(l.output, t, list, err, listing[control.GuardAddress]{
		empty:    "No address has failed logins.",
		headings: "ADDRESS\tSTATE\tFAILURES\tLEFT",
		row: func(a control.GuardAddress) string {
			left := time.Duration(a.Left).Round(time.Second)
			return fmt.Sprintf("%s\t%s\t%d\t%s", a.Address, guardState(a), a.Failures, left)
		},
	})
}

func guardState(a control.GuardAddress) string {
	switch {
	case a.Blocked:
		return "blocked"
	case a.Trusted:
		return "trusted"
	}
	return "failing"
}

type freeGuard struct {
	Address string `arg:"" predictor:"address" help:"An address as in the list, or all."`
}

func (f freeGuard) Run(client *control.Client) error {
	return remove(f.Address, "esasim ctl guard list", client.FreeAll, client.Free)
}
