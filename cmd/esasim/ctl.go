package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim"
)

type ctl struct {
	target

	Fault ctlFault `cmd:"" help:"What is wrong with the network."`
	Peer  ctlPeer  `cmd:"" help:"The simulated servers."`
	Clock ctlClock `cmd:"" help:"The appliance's clock."`
}

// AfterApply gives the commands below their client.
func (c *ctl) AfterApply(k *kong.Context) error {
	client, err := c.client()
	if err == nil {
		k.Bind(client)
	}
	return err
}

type ctlFault struct {
	Add    addFault    `cmd:"" help:"Let something go wrong; prints the fault's number."`
	Remove removeFault `cmd:"" help:"Repair it."`
	List   listFaults  `cmd:"" help:"List what is wrong, the rule that is asked first before the others."`
}

// addFault has a flag for every key of topology.Rule, but for those of Amount.
type addFault struct {
	Action string `arg:"" predictor:"action" help:"What happens: drop, reset, refuse, prohibit, net-unreachable, host-unreachable, delay, loss, rate, unplug, or pass (no older rule is asked)."`
	Amount string `arg:"" optional:"" help:"Of delay: a time such as 200ms; of loss: a share such as 30%; of rate: bits a second such as 64k."`

	To         string `group:"Which packets" placeholder:"NET" help:"For this address or network."`
	From       string `group:"Which packets" placeholder:"NET" help:"From this address or network."`
	Host       string `group:"Which packets" placeholder:"NET" help:"From or for it."`
	Protocol   string `group:"Which packets" predictor:"protocol" placeholder:"NAME" help:"tcp, udp or icmp."`
	Port       string `group:"Which packets" placeholder:"N" help:"For this port."`
	FromPort   string `group:"Which packets" placeholder:"N" help:"From this port."`
	EitherPort string `group:"Which packets" placeholder:"N" help:"From or for it."`
	Direction  string `group:"Which packets" predictor:"direction" placeholder:"WAY" help:"in or out, as the appliance sees it."`

	Path  string `group:"Where (else: at the gateways, and between neighbours)" predictor:"path" placeholder:"NAME" help:"At the far end of this path of the topology."`
	Cable string `group:"Where (else: at the gateways, and between neighbours)" placeholder:"NAME" help:"On the cable of this interface, or host on a wire: every frame."`

	Connections     string `group:"When" placeholder:"N" help:"Only so many of the next connections."`
	SkipConnections string `group:"When" placeholder:"N" help:"Not the next so many connections."`
	AfterBytes      string `group:"When" placeholder:"SIZE" help:"Once a connection has carried so much: 412, 64KiB."`
	AfterRecords    string `group:"When" placeholder:"N" help:"Once a connection has carried so many lines (datagrams)."`
	After           string `group:"When" placeholder:"TIME" help:"Not before this time has passed: 5s."`
	For             string `group:"When" placeholder:"TIME" help:"And for this long only: 30s."`

	Jitter string `group:"How" placeholder:"TIME" help:"Of delay: up to this much more, by chance."`
	Queue  string `group:"How" placeholder:"SIZE" help:"Of rate: how much may wait (default: 256KiB)."`

	Name string `placeholder:"TEXT" help:"A note for whoever lists faults."`
	JSON bool   `name:"json" help:"Print the fault as JSON."`
}

// keys are what the flags say, as a rule.
func (a addFault) keys() (map[string]string, error) {
	keys := map[string]string{
		"name": a.Name, "action": a.Action, "jitter": a.Jitter, "queue": a.Queue,
		"from": a.From, "to": a.To, "host": a.Host, "protocol": a.Protocol,
		"port": a.Port, "from_port": a.FromPort, "either_port": a.EitherPort, "direction": a.Direction,
		"path": a.Path, "cable": a.Cable,
		"connections": a.Connections, "skip_connections": a.SkipConnections,
		"after_bytes": a.AfterBytes, "after_records": a.AfterRecords, "after": a.After, "for": a.For,
	}
	switch a.Action {
	case "delay", "loss", "rate":
		keys[a.Action] = a.Amount
	default:
		if a.Amount != "" {
			return nil, fmt.Errorf("%s %s: only delay, loss and rate have an amount", a.Action, a.Amount)
		}
	}
	for key, text := range keys {
		if text == "" {
			delete(keys, key)
		}
	}
	return keys, nil
}

func (a addFault) Run(t terminal, client *control.Client) error {
	keys, err := a.keys()
	if err != nil {
		return err
	}
	f, err := client.AddFault(context.Background(), keys)
	switch {
	case err != nil:
		return err
	case a.JSON:
		return printJSON(t.out, f)
	}
	fmt.Fprintln(t.out, f.ID)
	return nil
}

type removeFault struct {
	ID string `arg:"" predictor:"fault" help:"The fault's number, or all."`
}

func (r removeFault) Run(client *control.Client) error {
	if r.ID == "all" {
		return client.ClearFaults(context.Background())
	}
	id, err := strconv.Atoi(r.ID)
	if err != nil {
		return fmt.Errorf("%q is no fault: expected its number, or all", r.ID)
	}
	return client.RemoveFault(context.Background(), id)
}

type listFaults struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (l listFaults) Run(t terminal, client *control.Client) error {
	list, err := client.Faults(context.Background())
	switch {
	case err != nil:
		return err
	case l.JSON:
		return printJSON(t.out, list)
	case len(list) == 0:
		fmt.Fprintln(t.out, "Nothing is wrong.")
		return nil
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tLEFT\tPACKETS\tCONNECTIONS\tFAULT")
	for _, f := range list {
		left, text := "-", f.Rule.String()
		if f.Left > 0 {
			left = time.Duration(f.Left).Round(100 * time.Millisecond).String()
		}
		if f.Rule.Name != "" {
			text += " (" + f.Rule.Name + ")"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%s\n", f.ID, f.State, left, f.Packets, f.Connections, text)
	}
	return w.Flush()
}

type ctlPeer struct {
	List  listPeers `cmd:"" help:"List the servers."`
	Show  showPeer  `cmd:"" help:"Show a server, and what it has received."`
	Stop  stopPeer  `cmd:"" help:"Stop a server: its connections are cut, and who comes is refused."`
	Start startPeer `cmd:"" help:"Start a server that was stopped."`
}

type listPeers struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (l listPeers) Run(t terminal, client *control.Client) error {
	list, err := client.Peers(context.Background())
	switch {
	case err != nil:
		return err
	case l.JSON:
		return printJSON(t.out, list)
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tTYPE\tSTATE\tADDRESSES")
	for _, p := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, p.Type, stateOf(p), addressesOf(p))
	}
	return w.Flush()
}

func stateOf(p netsim.Server) string {
	if p.Running {
		return "running"
	}
	return "stopped"
}

func addressesOf(p netsim.Server) string {
	var list []string
	for _, a := range p.Addresses {
		list = append(list, a.String())
	}
	return strings.Join(list, " ")
}

type showPeer struct {
	Name string `arg:"" predictor:"peer" help:"The server's name."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (s showPeer) Run(t terminal, client *control.Client) error {
	p, err := client.Peer(context.Background(), s.Name)
	switch {
	case err != nil:
		return err
	case s.JSON:
		return printJSON(t.out, p)
	}
	fmt.Fprintf(t.out, "%s, %s on host %s, %s\nlistens on %s\n", p.Name, p.Type, p.Host, stateOf(p), cmp.Or(addressesOf(p), "nothing"))
	if p.Report == nil {
		return nil
	}
	return printJSON(t.out, p.Report)
}

type stopPeer struct {
	Name string `arg:"" predictor:"peer" help:"The server's name."`
}

func (s stopPeer) Run(client *control.Client) error {
	_, err := client.SetPeer(context.Background(), s.Name, false)
	return err
}

type startPeer struct {
	Name string `arg:"" predictor:"peer" help:"The server's name."`
}

func (s startPeer) Run(client *control.Client) error {
	_, err := client.SetPeer(context.Background(), s.Name, true)
	return err
}

type ctlClock struct {
	Show    showClock    `cmd:"" help:"Show the appliance's time."`
	Set     setClock     `cmd:"" help:"Set it."`
	Advance advanceClock `cmd:"" help:"Set it on, or back."`
}

type showClock struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (s showClock) Run(t terminal, client *control.Client) error {
	k, err := client.Clock(context.Background())
	if err == nil && s.JSON {
		return printJSON(t.out, k)
	}
	return printClock(t.out, k, err)
}

type setClock struct {
	Time string `arg:"" help:"2015-06-25T08:50:03Z or, in the appliance's zone, \"2015-06-25 08:50:03\"."`
}

func (s setClock) Run(t terminal, client *control.Client) error {
	k, err := client.SetClock(context.Background(), s.Time)
	return printClock(t.out, k, err)
}

type advanceClock struct {
	By time.Duration `arg:"" help:"How much: 2h, 90s; -1h sets it back (after --)."`
}

func (a advanceClock) Run(t terminal, client *control.Client) error {
	k, err := client.AdvanceClock(context.Background(), a.By)
	return printClock(t.out, k, err)
}

// timeFormat is the form in which times are printed.
const timeFormat = "2006-01-02 15:04:05 -0700"

func printClock(w io.Writer, k control.Clock, err error) error {
	if err == nil {
		fmt.Fprintf(w, "%s (%s)\n", k.Time.Format(timeFormat), k.Zone)
	}
	return err
}

func printJSON(w io.Writer, x any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(x)
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}
