package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/packets"
)

type ctlCables struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c ctlCables) Run(t stdio, client *control.Client) error {
	list, err := client.Cables(context.Background())
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(t.out, list)
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tPACKETS\tWHERE")
	for _, x := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\n", x.Name, x.Link, x.Description)
	}
	return w.Flush()
}

type ctlCapture struct {
	Live   liveCapture   `cmd:"" default:"withargs" help:"Write the packets of a cable as they pass, in the form pcapng (the default)."`
	List   listCaptures  `cmd:"" help:"List the captures that the simulator keeps."`
	Start  startCapture  `cmd:"" help:"Start a capture that the simulator keeps, and print its name."`
	Stop   stopCapture   `cmd:"" help:"End a capture. Its file can still be read."`
	Get    getCapture    `cmd:"" help:"Read the file of a capture, in the form pcapng, also while the capture runs."`
	Remove removeCapture `cmd:"" help:"End a capture and remove it, or all captures."`
}

// Help is shown by esasim ctl capture --help.
func (ctlCapture) Help() string {
	return "Packets can be captured at any place of the simulated network: esasim ctl cables lists" +
		" them. The appliance does not notice it; its own captures are something else. To watch live:" +
		" esasim ctl capture --cable resolver -w - | wireshark -k -i -"
}

type liveCapture struct {
	Cable    string        `required:"" predictor:"cable" placeholder:"NAME" help:"The cable: see esasim ctl cables."`
	Write    string        `short:"w" default:"-" predictor:"file" placeholder:"FILE" help:"Write to this file, or to standard output: - (the default)."`
	Duration time.Duration `placeholder:"TIME" help:"End after this time, such as 30s. By default it goes on until it is interrupted."`
	Filter   []string      `arg:"" optional:"" help:"A filter in the language of tcpdump. None selects every packet."`
}

func (c liveCapture) Run(t stdio, client *control.Client) error {
	ctx := context.Background()
	if c.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Duration)
		defer cancel()
	}
	return writeTo(c.Write, t.out, func(w io.Writer) error {
		err := client.Live(ctx, c.Cable, joinWords(c.Filter), w)
		if ctx.Err() != nil {
			return nil
		}
		return pointToCables(err)
	})
}

// writeTo calls write with a file, or with out if its name is "-".
func writeTo(name string, out io.Writer, write func(io.Writer) error) error {
	if name == "-" {
		if f, ok := out.(*os.File); ok && isTerminal(f) {
			return errors.New("this is no text for a terminal: expected -w FILE, or a program that" +
				" reads it, such as | tshark -r - for packets")
		}
		return write(out)
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write a file: %w", err)
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// isTerminal reports whether a file is a terminal, or another device that is no file, pipe or socket.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

type listCaptures struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c listCaptures) Run(t stdio, client *control.Client) error {
	list, err := client.Captures(context.Background())
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(t.out, list)
	case len(list) == 0:
		fmt.Fprintln(t.out, "There are no captures.")
		return nil
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATE\tPACKETS\tDROPPED\tBYTES\tCABLE\tFILTER")
	for _, x := range list {
		state := "running"
		if !x.Running {
			state = "ended: " + x.Reason
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n",
			x.Name, state, x.Packets, x.Dropped, x.Size, x.Cable, cmp.Or(x.Filter, "-"))
	}
	return w.Flush()
}

type startCapture struct {
	Cable    string        `required:"" predictor:"cable" placeholder:"NAME" help:"The cable: see esasim ctl cables."`
	Name     string        `placeholder:"NAME" help:"The name of the capture. By default one that is free."`
	Snaplen  int           `placeholder:"N" help:"Keep N bytes of each packet. By default the whole packet is kept."`
	Size     byteSize      `placeholder:"SIZE" help:"End before the file is larger than this, such as 64KiB (default: 16MiB)."`
	Packets  uint64        `placeholder:"N" help:"End after N packets."`
	Duration time.Duration `placeholder:"TIME" help:"End after this time, such as 30s."`
	JSON     bool          `name:"json" help:"Print the capture as JSON."`
	Filter   []string      `arg:"" optional:"" help:"A filter in the language of tcpdump. None selects every packet."`
}

func (c startCapture) Run(t stdio, client *control.Client) error {
	x, err := client.StartCapture(context.Background(), packets.CaptureRequest{
		Name: c.Name, Cable: c.Cable, Filter: joinWords(c.Filter), SnapLen: c.Snaplen,
		MaxBytes: int64(c.Size), MaxPackets: c.Packets, Duration: netsim.Duration(c.Duration),
	})
	switch {
	case err != nil:
		return pointToCables(err)
	case c.JSON:
		return printJSON(t.out, x)
	}
	fmt.Fprintln(t.out, x.Name)
	return nil
}

type stopCapture struct {
	Name string `arg:"" predictor:"capture" help:"The name of a capture."`
	JSON bool   `name:"json" help:"Print the capture as JSON."`
}

func (c stopCapture) Run(t stdio, client *control.Client) error {
	x, err := client.StopCapture(context.Background(), c.Name)
	switch {
	case err != nil:
		return pointTo("esasim ctl capture list", err)
	case c.JSON:
		return printJSON(t.out, x)
	}
	fmt.Fprintf(t.out, "%d packets, %d bytes\n", x.Packets, x.Size)
	return nil
}

type getCapture struct {
	Name  string `arg:"" predictor:"capture" help:"The name of a capture."`
	Write string `short:"w" default:"-" predictor:"file" placeholder:"FILE" help:"Write to this file, or to standard output: - (the default)."`
}

func (c getCapture) Run(t stdio, client *control.Client) error {
	// A file is not made for a capture that does not exist.
	if _, err := client.Capture(context.Background(), c.Name); err != nil {
		return pointTo("esasim ctl capture list", err)
	}
	return writeTo(c.Write, t.out, func(w io.Writer) error {
		return client.CaptureFile(context.Background(), c.Name, w)
	})
}

type removeCapture struct {
	Name string `arg:"" predictor:"captures" help:"The name of a capture, or all."`
}

func (c removeCapture) Run(client *control.Client) error {
	ctx := context.Background()
	if c.Name != "all" {
		return pointTo("esasim ctl capture list", client.RemoveCapture(ctx, c.Name))
	}
	list, err := client.Captures(ctx)
	if err != nil {
		return err
	}
	for _, x := range list {
		if err := client.RemoveCapture(ctx, x.Name); err != nil {
			return err
		}
	}
	return nil
}

// joinWords returns the words of a filter, which a shell has split.
func joinWords(words []string) string { return strings.Join(words, " ") }

// pointToCables adds to an error about an unknown cable the command that lists the cables.
func pointToCables(err error) error {
	var refused *control.RequestError
	if errors.As(err, &refused) && refused.Field == "cable" {
		return fmt.Errorf("%w: esasim ctl cables describes them", err)
	}
	return err
}

// A byteSize is a number of bytes in a command line, such as 64KiB.
type byteSize int64

// UnmarshalText reads a number of bytes.
func (b *byteSize) UnmarshalText(text []byte) error {
	n, err := topology.ParseBytes(string(text))
	if err != nil {
		return fmt.Errorf("expected a size such as 64KiB, but got %q", text)
	}
	*b = byteSize(n)
	return nil
}
