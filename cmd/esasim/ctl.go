package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim"
)

type ctl struct {
	target

	Fault    ctlFault    `cmd:"" help:"Add, change, list and remove faults of the network."`
	Preset   ctlPreset   `cmd:"" help:"List, add and remove sets of faults that break the network in common ways."`
	Peer     ctlPeer     `cmd:"" help:"List, read, stop and start the simulated servers."`
	Mail     ctlMail     `cmd:"" help:"Read the mail that the simulated mail servers have received."`
	Net      ctlNet      `cmd:"" help:"Show the sockets, neighbors, routes and interfaces of the appliance or of a simulated host."`
	Session  ctlSession  `cmd:"" help:"List and end the sessions that are open."`
	User     ctlUser     `cmd:"" help:"List the accounts of the appliance."`
	Log      ctlLog      `cmd:"" help:"List the logs of the appliance, and show and search their lines."`
	Config   ctlConfig   `cmd:"" help:"Show, load and commit the configuration of the appliance."`
	Run      runLine     `cmd:"" help:"Run a command line of the appliance, as on its serial console."`
	World    ctlWorld    `cmd:"" name:"topology" help:"Print the topology as it is now, with faults, rules and stopped servers, as a file that --topology takes."`
	Metrics  ctlMetrics  `cmd:"" help:"Print figures of the appliance, of its world and of the process, as Prometheus reads them."`
	Power    ctlPower    `cmd:"" help:"Reboot the appliance, and switch it off and on."`
	Console  ctlConsole  `cmd:"" help:"Disconnect and connect the serial console."`
	Clock    ctlClock    `cmd:"" help:"Show and set the appliance's clock."`
	Guard    ctlGuard    `cmd:"" help:"List and free the client addresses that are blocked after failed logins."`
	Events   ctlEvents   `cmd:"" help:"Show what happens."`
	Wait     ctlWait     `cmd:"" help:"Wait until something happens."`
	Cables   ctlCables   `cmd:"" help:"List the places of the network at which packets can be captured."`
	Capture  ctlCapture  `cmd:"" help:"Capture packets at any place of the network, live or into files."`
	Snapshot ctlSnapshot `cmd:"" help:"Save the state of world and appliance, and return to it."`
	Reset    ctlReset    `cmd:"" help:"Put the world and the appliance back to the state after the start."`
	Fleet    ctlFleet    `cmd:"" help:"List, start and stop the appliances of a fleet."`
	API      ctlAPI      `cmd:"" name:"api" help:"List and describe the requests of the control API."`
}

// AfterApply binds the client that the commands below use.
func (c *ctl) AfterApply(k *kong.Context) error {
	client, err := c.client()
	if err == nil {
		k.Bind(client)
	}
	return err
}

type ctlFault struct {
	Add     addFault     `cmd:"" help:"Add a fault and print its number."`
	Put     putFault     `cmd:"" help:"Make the fault of a name what the flags say, or add it, and print its number. The same again changes nothing."`
	Update  updateFault  `cmd:"" help:"Change some keys of a fault, which begins from scratch."`
	Enable  enableFault  `cmd:"" help:"Enable a fault that was disabled. It begins from scratch."`
	Disable disableFault `cmd:"" help:"Disable a fault: it applies to nothing until it is enabled."`
	Remove  removeFault  `cmd:"" help:"Remove a fault, or all of them."`
	Set     setFaults    `cmd:"" help:"Replace all faults by those of a file."`
	List    listFaults   `cmd:"" help:"List the faults in the order in which they are evaluated, the newest first."`
	Show    showFault    `cmd:"" help:"Show one fault."`
}

// addFault has a flag for every key of topology.Rule, except for those that Amount sets.
type addFault struct {
	Action string `arg:"" predictor:"action" help:"What happens to matching packets: drop, reset, refuse, prohibit, net-unreachable, host-unreachable, delay, loss, rate, unplug, or pass (older faults are skipped)."`
	Amount string `arg:"" optional:"" help:"For delay, a time such as 200ms; for loss, a share such as 30%; for rate, bits per second such as 64k."`

	To         string `group:"Which packets" placeholder:"NET" help:"Packets to this address or network."`
	From       string `group:"Which packets" placeholder:"NET" help:"Packets from this address or network."`
	Host       string `group:"Which packets" placeholder:"NET" help:"Packets to or from this address or network."`
	Protocol   string `group:"Which packets" predictor:"protocol" placeholder:"NAME" help:"Packets of this protocol: tcp, udp or icmp."`
	Port       string `group:"Which packets" placeholder:"N" help:"Packets to this port."`
	FromPort   string `group:"Which packets" placeholder:"N" help:"Packets from this port."`
	EitherPort string `group:"Which packets" placeholder:"N" help:"Packets to or from this port."`
	Direction  string `group:"Which packets" predictor:"direction" placeholder:"WAY" help:"Packets in this direction, as seen by the appliance: in or out."`

	Path  string `group:"Where (default: at the gateways and between neighbors)" predictor:"path" placeholder:"NAME" help:"At the far end of this path of the topology."`
	Cable string `group:"Where (default: at the gateways and between neighbors)" placeholder:"NAME" help:"On the cable of this interface, or of this host on a segment: every frame, ARP included."`

	Connections     string `group:"When" placeholder:"N" help:"Match the next N connections only."`
	SkipConnections string `group:"When" placeholder:"N" help:"Do not match the next N connections."`
	AfterBytes      string `group:"When" placeholder:"SIZE" help:"After a connection has carried this many bytes, such as 412 or 64KiB."`
	AfterRecords    string `group:"When" placeholder:"N" help:"After a connection has carried this many lines (UDP: datagrams)."`
	After           string `group:"When" placeholder:"TIME" help:"Begin after this time, such as 5s."`
	For             string `group:"When" placeholder:"TIME" help:"End after this time, such as 30s."`

	Jitter string `group:"How much" placeholder:"TIME" help:"For delay: the maximum of a random additional delay."`
	Queue  string `group:"How much" placeholder:"SIZE" help:"For rate: how many bytes may wait (default: 256KiB)."`

	Name string `placeholder:"TEXT" help:"A note, which the list of faults shows."`
	JSON bool   `name:"json" help:"Print the fault as JSON."`
}

// keys returns the flags as the keys and values of a rule.
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
			return nil, fmt.Errorf("%s %s: only delay, loss and rate take an amount", a.Action, a.Amount)
		}
	}
	for key, text := range keys {
		if text == "" {
			delete(keys, key)
		}
	}
	return keys, nil
}

func (a addFault) Run(t stdio, client *control.Client) error {
	keys, err := a.keys()
	if err != nil {
		return err
	}
	f, err := client.AddFault(context.Background(), keys)
	return a.print(t, f, err)
}

func (a addFault) print(t stdio, f netsim.Fault, err error) error {
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
	Ref string `arg:"" name:"fault" predictor:"fault" help:"The number or the name of a fault, or all."`
}

func (r removeFault) Run(client *control.Client) error {
	return remove(r.Ref, "esasim ctl fault list", client.ClearFaults, client.DeleteFault)
}

type listFaults struct{ output }

func (l listFaults) Run(t stdio, client *control.Client) error {
	list, err := client.Faults(context.Background())
	return printList(l.output, t, list, err, faultListing())
}

func faultListing() listing[netsim.Fault] {
	return listing[netsim.Fault]{
		empty:    "There are no faults.",
		headings: "ID\tSTATE\tLEFT\tPACKETS\tCONNECTIONS\tFAULT",
		row: func(f netsim.Fault) string {
			left := "-"
			if f.Left > 0 {
				left = time.Duration(f.Left).Round(100 * time.Millisecond).String()
			}
			return fmt.Sprintf("%d\t%s\t%s\t%d\t%d\t%s", f.ID, f.State, left, f.Packets, f.Connections,
				withNote(f.Rule.String(), f.Rule.Name))
		},
	}
}

// withNote adds the name of a rule to its text.
func withNote(text, name string) string {
	if name != "" {
		text += " (" + name + ")"
	}
	return text
}

type ctlPeer struct {
	List  listPeers `cmd:"" help:"List the servers."`
	Show  showPeer  `cmd:"" help:"Show a server and what it has received."`
	Stop  stopPeer  `cmd:"" help:"Stop a server, as if it had crashed: its connections are cut and new ones are refused."`
	Start startPeer `cmd:"" help:"Start a server that was stopped."`
}

type listPeers struct{ output }

func (l listPeers) Run(t stdio, client *control.Client) error {
	list, err := client.Peers(context.Background())
	return printList(l.output, t, list, err, listing[netsim.Server]{
		headings: "NAME\tTYPE\tSTATE\tADDRESSES",
		row: func(p netsim.Server) string {
			return fmt.Sprintf("%s\t%s\t%s\t%s", p.Name, p.Type, peerState(p), peerAddresses(p))
		},
	})
}

func peerState(p netsim.Server) string {
	if p.Running {
		return "running"
	}
	return "stopped"
}

func peerAddresses(p netsim.Server) string {
	var list []string
	for _, a := range p.Addresses {
		list = append(list, a.String())
	}
	return strings.Join(list, " ")
}

type showPeer struct {
	Name string `arg:"" predictor:"peer" help:"The name of a server: see esasim ctl peer list."`
	output
}

func (s showPeer) Run(t stdio, client *control.Client) error {
	p, err := client.Peer(context.Background(), s.Name)
	return s.print(t, p, pointTo("esasim ctl peer list", err), func(w io.Writer) error {
		fmt.Fprintf(w, "%s, %s on host %s, %s\nlistens on %s\n", p.Name, p.Type, p.Host,
			peerState(p), cmp.Or(peerAddresses(p), "nothing"))
		if p.Report == nil {
			return nil
		}
		return printJSON(w, p.Report)
	})
}

type stopPeer struct {
	Name string `arg:"" predictor:"peer" help:"The name of a server: see esasim ctl peer list."`
}

func (s stopPeer) Run(client *control.Client) error {
	_, err := client.SetPeer(context.Background(), s.Name, false)
	return pointTo("esasim ctl peer list", err)
}

type startPeer struct {
	Name string `arg:"" predictor:"peer" help:"The name of a server: see esasim ctl peer list."`
}

func (s startPeer) Run(client *control.Client) error {
	_, err := client.SetPeer(context.Background(), s.Name, true)
	return pointTo("esasim ctl peer list", err)
}

type ctlClock struct {
	Show    showClock    `cmd:"" help:"Show the appliance's time."`
	Set     setClock     `cmd:"" help:"Set the appliance's time."`
	Advance advanceClock `cmd:"" help:"Set the clock forward or back by some time."`
}

type showClock struct{ output }

func (s showClock) Run(t stdio, client *control.Client) error {
	k, err := client.Clock(context.Background())
	return s.print(t, k, err, func(w io.Writer) error { return printClock(w, k, nil) })
}

type setClock struct {
	Time string `arg:"" help:"A time such as 2015-06-25T08:50:03Z or, in the appliance's time zone, \"2015-06-25 08:50:03\"."`
}

func (s setClock) Run(t stdio, client *control.Client) error {
	k, err := client.SetClock(context.Background(), s.Time)
	return printClock(t.out, k, err)
}

type advanceClock struct {
	By shift `arg:"" help:"How far: 2h, 90s, or -1h to set the clock back."`
}

func (a advanceClock) Run(t stdio, client *control.Client) error {
	k, err := client.AdvanceClock(context.Background(), a.By.Duration)
	return printClock(t.out, k, err)
}

// A shift is a duration that may be negative.
type shift struct{ time.Duration }

// minus stands for the minus sign at the beginning of a shift, which the parser of the command line
// would take for that of a flag.
const minus = "\u2212"

// protectShift returns args with minus in place of the minus sign of a shift.
func protectShift(args []string) []string {
	args = slices.Clone(args)
	advance := slices.Index(args, "advance")
	if advance < 1 || args[advance-1] != "clock" {
		return args
	}
	for i, arg := range args[advance:] {
		if len(arg) > 1 && arg[0] == '-' && (arg[1] >= '0' && arg[1] <= '9' || arg[1] == '.') {
			args[advance+i] = minus + arg[1:]
		}
	}
	return args
}

// UnmarshalText reads a duration.
func (s *shift) UnmarshalText(text []byte) (err error) {
	value := strings.Replace(string(text), minus, "-", 1)
	if s.Duration, err = time.ParseDuration(value); err != nil {
		return fmt.Errorf("expected a time such as 2h, 90s or -1h, but got %q", value)
	}
	return nil
}

// timeFormat is the form in which times are printed.
const timeFormat = "2006-01-02 15:04:05 -0700"

func printClock(w io.Writer, k control.Clock, err error) error {
	if err == nil {
		fmt.Fprintf(w, "%s (%s)", k.Time.Format(timeFormat), k.Zone)
		if k.Rate > 1 {
			fmt.Fprintf(w, ", %d times as fast as real time", k.Rate)
		}
		fmt.Fprintln(w)
	}
	return err
}
