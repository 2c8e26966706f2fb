package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/esasim/esasim/appliance/control"
)

type ctlGuard struct {
	List listGuard `cmd:"" help:"List the addresses with failed logins, the blocked ones first."`
	Free freeGuard `cmd:"" help:"Forget the failed logins of an address, which unblocks it."`
}

type listGuard struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (l listGuard) Run(t stdio, client *control.Client) error {
	list, err := client.Guard(context.Background())
	switch {
	case err != nil:
		return err
	case l.JSON:
		return printJSON(t.out, list)
	case len(list) == 0:
		fmt.Fprintln(t.out, "No address has failed logins.")
		return nil
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ADDRESS\tSTATE\tFAILURES\tLEFT")
	for _, a := range list {
		left := time.Duration(a.Left).Round(time.Second)
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", a.Address, guardState(a), a.Failures, left)
	}
	return w.Flush()
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
	if f.Address == "all" {
		return client.FreeAll(context.Background())
	}
	return pointTo("esasim ctl guard list", client.Free(context.Background(), f.Address))
}
