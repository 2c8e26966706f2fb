package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
)

type ctlSnapshot struct {
	Save    saveSnapshot    `cmd:"" help:"Save the state of world and appliance under a name, in place of an earlier snapshot of that name."`
	List    listSnapshots   `cmd:"" help:"List the snapshots that the simulator keeps."`
	Restore restoreSnapshot `cmd:"" help:"Put world and appliance back to the state of a snapshot."`
	Get     getSnapshot     `cmd:"" help:"Read the file of a snapshot, which another simulator can be given."`
	Put     putSnapshot     `cmd:"" help:"Give the simulator the file of a snapshot, under a name."`
	Remove  removeSnapshot  `cmd:"" help:"Remove a snapshot."`
}

// Help is shown by esasim ctl snapshot --help.
func (ctlSnapshot) Help() string {
	return "A snapshot has configuration, files, logs, the mail queue, faults, stopped servers, rules of" +
		" mail servers, what servers have received, the clock and failed logins. Snapshots are kept in" +
		" memory; their files fit a simulator with the same topology, model and version. A file" +
		" contains keys and digests of passphrases."
}

type saveSnapshot struct {
	Name string `arg:"" predictor:"snapshot" help:"The name: letters, digits, hyphens, dots and underscores, with a letter in front."`
	JSON bool   `name:"json" help:"Print the snapshot as JSON."`
}

func (s saveSnapshot) Run(t stdio, client *control.Client) error {
	x, err := client.SaveSnapshot(context.Background(), s.Name)
	return printSnapshot(t, x, err, s.JSON)
}

func printSnapshot(t stdio, x box.SnapshotInfo, err error, asJSON bool) error {
	switch {
	case err != nil:
		return err
	case asJSON:
		return printJSON(t.out, x)
	}
	fmt.Fprintf(t.out, "%s: %d files, %d bytes\n", x.Name, x.Files, x.Bytes)
	return nil
}

type listSnapshots struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (l listSnapshots) Run(t stdio, client *control.Client) error {
	list, err := client.Snapshots(context.Background())
	switch {
	case err != nil:
		return err
	case l.JSON:
		return printJSON(t.out, list)
	case len(list) == 0:
		fmt.Fprintln(t.out, "There are no snapshots.")
		return nil
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSAVED\tFILES\tBYTES")
	for _, x := range list {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", x.Name, x.Saved.Local().Format(timeFormat), x.Files, x.Bytes)
	}
	return w.Flush()
}

type restoreSnapshot struct {
	Name    string `arg:"" predictor:"snapshot" help:"The name of a snapshot."`
	Confirm bool   `help:"Confirm that configuration, files and mail in a data directory that outlasts the simulator are discarded."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

func (c restoreSnapshot) Run(t stdio, client *control.Client) error {
	r, err := client.Restore(context.Background(), c.Name, c.Confirm)
	return printReset(t, r, pointTo("esasim ctl snapshot list", err), c.JSON)
}

// printReset prints the result of a reset.
func printReset(t stdio, r control.Reset, err error, asJSON bool) error {
	var refused *control.RequestError
	switch {
	case errors.As(err, &refused) && refused.Field == "confirm":
		return errors.New("a reset discards configuration, files and mail of a data directory that" +
			" outlasts the simulator: confirm it with --confirm")
	case err != nil:
		return err
	case asJSON:
		return printJSON(t.out, r)
	}
	fmt.Fprintf(t.out, "The simulator was reset in %v.\n", time.Duration(r.Took).Round(time.Millisecond))
	return nil
}

type getSnapshot struct {
	Name  string `arg:"" predictor:"snapshot" help:"The name of a snapshot."`
	Write string `short:"w" default:"-" predictor:"file" placeholder:"FILE" help:"Write to this file, or to standard output: - (the default)."`
}

func (c getSnapshot) Run(t stdio, client *control.Client) error {
	// A file is not made for a snapshot that does not exist.
	list, err := client.Snapshots(context.Background())
	if err != nil {
		return err
	}
	for _, x := range list {
		if x.Name == c.Name {
			return writeTo(c.Write, t.out, func(w io.Writer) error {
				return client.SnapshotFile(context.Background(), c.Name, w)
			})
		}
	}
	return fmt.Errorf("there is no snapshot %q: esasim ctl snapshot list lists what there is", c.Name)
}

type putSnapshot struct {
	Name string `arg:"" help:"The name that the snapshot is to have."`
	File string `arg:"" predictor:"file" help:"The file, or - for standard input."`
	JSON bool   `name:"json" help:"Print the snapshot as JSON."`
}

func (c putSnapshot) Run(t stdio, client *control.Client) error {
	in := t.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("read a snapshot: %w", err)
		}
		defer f.Close()
		in = f
	}
	x, err := client.PutSnapshot(context.Background(), c.Name, in)
	return printSnapshot(t, x, err, c.JSON)
}

type removeSnapshot struct {
	Name string `arg:"" predictor:"snapshot" help:"The name of a snapshot."`
}

func (c removeSnapshot) Run(client *control.Client) error {
	return pointTo("esasim ctl snapshot list", client.RemoveSnapshot(context.Background(), c.Name))
}

func snapshotNames(ctx context.Context, c *control.Client) (names []string) {
	list, _ := c.Snapshots(ctx)
	for _, x := range list {
		names = append(names, x.Name)
	}
	return names
}
