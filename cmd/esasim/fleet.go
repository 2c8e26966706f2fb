package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/fleet"
	"github.com/esasim/esasim/shell"
)

// runFleet is the verb fleet.
type runFleet struct {
	File      string    `arg:"" optional:"" predictor:"file" help:"The file that describes the fleet."`
	Count     int       `placeholder:"N" help:"Run N equal appliances instead of those of a file."`
	Name      string    `default:"esa" placeholder:"NAME" help:"With --count: the appliances are called NAME-1 to NAME-N (default: esa)."`
	Topology  string    `predictor:"topology" default:"lab" placeholder:"NAME|FILE" help:"With --count: the topology of each appliance (default: lab)."`
	Open      []string  `placeholder:"DOOR,..." help:"With --count: the doors that are open, such as ssh,https,smtp (default: ssh). Each needs a descriptor of the process."`
	Doors     address   `placeholder:"ADDR:BASE" help:"Doors listen on ADDR: door D of appliance P on port BASE + 10 x P + D, both counted from 0, in the order ssh, ftp, http, https, smtp of the built-in topologies. BASE 0 takes free ports. By default each appliance has a loopback address of its own, 127.10.X.Y, with the usual port numbers (those of the topology where low ports are not permitted)."`
	Shard     shardFlag `placeholder:"N/M" help:"Run part N, from 0, of M parts of the fleet."`
	Data      string    `xor:"data" predictor:"directory" placeholder:"DIR" help:"The directory that keeps the appliances' data, each in a directory of its own (default: one for the fleet below the user's state directory)."`
	Ephemeral bool      `xor:"data" help:"Keep nothing after the end of the program (not together with --data)."`
	HostKey   string    `name:"host-key" predictor:"file" placeholder:"FILE" help:"A private SSH host key for all appliances, in PEM (PKCS #8). By default each has one of its own, in its data; with --ephemeral all have that of this user."`
	ClockRate clockRate `name:"clock-rate" placeholder:"N" help:"Run the appliances' clocks N times as fast, up to 3600."`
	Ctl       address   `placeholder:"ADDR" help:"Answer esasim ctl at this address of the loopback interface, too, besides the socket in the data directory."`
	Ready     []string  `predictor:"file" placeholder:"FILE" help:"Write an inventory to FILE once the appliances run, and again when it changes. The name says the form: .json, .csv, .ini (Ansible), .db (router.db of Oxidized), or ssh_config. May be given several times."`
	LogLevel  logLevel  `predictor:"level" default:"warn" placeholder:"LEVEL" help:"The least level that is written to standard error: debug, info, warn or error (default: warn)."`
}

// Help is shown by esasim fleet --help.
func (runFleet) Help() string {
	return "The format of the file is documented with package fleet. For example:\n\n" +
		"  defaults: {version: 15.0.0-104, doors: [ssh, https]}\n" +
		"  appliances:\n" +
		"    - {name: edge, count: 20}\n" +
		"    - {name: hub, model: C690, topology: syslog}\n\n" +
		"Appliances can share a network: esasim deploy fleet prints an example.\n\n" +
		"esasim ctl fleet lists, starts and stops the appliances; with --appliance NAME the other" +
		" verbs of esasim ctl are about one of them."
}

// A shardFlag is the value of --shard.
type shardFlag struct{ fleet.Shard }

// UnmarshalText reads the form N/M.
func (s *shardFlag) UnmarshalText(text []byte) error {
	n, of, ok := strings.Cut(string(text), "/")
	var err1, err2 error
	s.N, err1 = strconv.Atoi(n)
	s.Of, err2 = strconv.Atoi(of)
	if !ok || err1 != nil || err2 != nil || s.Of < 1 || s.N < 0 || s.N >= s.Of {
		return fmt.Errorf("expected a part and the number of parts, from 0/3 to 2/3 for example, but got %q", text)
	}
	return nil
}

// Run runs a fleet until the program receives a signal.
func (r *runFleet) Run(t stdio) (err error) {
	file, err := r.load()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: r.LogLevel.Level}))
	inventories, err := newInventories(r.Ready)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inventories.remove()) }()
	data, err := r.openData(log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	keys, err := r.hostKeys(log)
	if err != nil {
		return err
	}
	o := fleet.Options{
		File: file, Shard: r.Shard.Shard, Doors: fleet.Doors{Base: r.Doors.AddrPort},
		Dir: filepath.Join(data.path, membersName), Persistent: !r.Ephemeral, HostKeys: keys,
		ClockRate: int(r.ClockRate), Logger: log,
	}
	if len(r.Ready) > 0 {
		o.OnChange = inventories.notify
	}
	f, err := fleet.New(o)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	var tcp net.Listener
	if r.Ctl.IsValid() {
		if tcp, err = control.ListenTCP(r.Ctl.AddrPort); err != nil {
			return fmt.Errorf("%w: choose another address with --ctl, such as 127.0.0.1:0", err)
		}
	}
	defer func() { err = errors.Join(err, stopFleet(f)) }()
	if err := f.Start(context.Background()); err != nil {
		if tcp != nil {
			tcp.Close()
		}
		return err
	}
	ctl := serveControl(control.NewFleet(f), data, tcp)
	defer func() { err = errors.Join(err, ctl.stop()) }()
	if err := inventories.write(f); err != nil {
		return err
	}
	defer inventories.follow(f, log)()
	r.announce(t.out, f, data, ctl)
	<-signals
	fmt.Fprintln(t.out, "The appliances stop. A second Ctrl-C ends the program at once.")
	go func() {
		<-signals
		_ = inventories.remove()
		os.Exit(1)
	}()
	return nil
}

// load makes the fleet that the flags describe.
func (r *runFleet) load() (*fleet.File, error) {
	dir := filepath.Dir(r.File)
	sources := fleet.Sources{Topology: loadTopology, ReadFile: os.ReadFile}
	switch {
	case r.File == "" && r.Count == 0:
		return nil, errors.New("expected the file of a fleet, or --count N: see esasim help fleet")
	case r.File != "" && r.Count != 0:
		return nil, errors.New("a file and --count: expected one of them")
	case r.Count < 0 || r.Count > fleet.MaxAppliances:
		return nil, fmt.Errorf("--count %d, expected 1 to %d", r.Count, fleet.MaxAppliances)
	case r.File == "":
		return fleet.Count(r.Name, r.Count, r.Topology, r.Open, sources)
	}
	text, err := os.ReadFile(r.File)
	if err != nil {
		return nil, fmt.Errorf("read the fleet: %w", err)
	}
	besideFile := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	sources.ReadFile = func(name string) ([]byte, error) { return os.ReadFile(besideFile(name)) }
	sources.Topology = topologyBeside(besideFile)
	return fleet.Load(r.File, text, sources)
}

// openData opens the data directory that the flags name.
func (r *runFleet) openData(log *slog.Logger) (*dataDir, error) {
	if r.Ephemeral {
		return ephemeralData()
	}
	mark, name := "fleet "+r.Name, r.Name
	if r.File != "" {
		mark, name = dataDirName(r.File)
		mark = "fleet of " + mark
	}
	if r.Data != "" {
		return openData(r.Data, mark, log)
	}
	home, err := stateHome()
	if err != nil {
		return nil, err
	}
	name = "fleet-" + name
	if r.Shard.Of > 1 {
		name += fmt.Sprintf("-%d-of-%d", r.Shard.N, r.Shard.Of)
	}
	return openData(filepath.Join(home, name), mark, log)
}

// hostKeys returns the function that gives an appliance its host keys.
func (r *runFleet) hostKeys(log *slog.Logger) (
	func(dir string) (crypto.Signer, []shell.LazyHostKey, error), error,
) {
	var common crypto.Signer
	var err error
	switch {
	case r.HostKey != "":
		var text []byte
		if text, err = os.ReadFile(r.HostKey); err == nil {
			common, err = parseHostKey(text)
		}
		if err != nil {
			return nil, fmt.Errorf("--host-key %s: %w", r.HostKey, err)
		}
	case r.Ephemeral:
		if common, err = hostKey(false, log); err != nil {
			return nil, err
		}
	}
	if common != nil {
		// The other types of keys would not be the same after the next start.
		more := []shell.LazyHostKey{}
		return func(string) (crypto.Signer, []shell.LazyHostKey, error) { return common, more, nil }, nil
	}
	return func(dir string) (crypto.Signer, []shell.LazyHostKey, error) {
		key, err := hostKeyIn(dir, true, log)
		return key, moreHostKeysIn(dir, true), err
	}, nil
}

// stopFleet stops f within boxStopTimeout.
func stopFleet(f *fleet.Fleet) error {
	ctx, cancel := context.WithTimeout(context.Background(), boxStopTimeout)
	defer cancel()
	if err := f.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// shownAppliances is how many appliances are announced one by one.
const shownAppliances = 5

// announce prints how to log in to the first appliances, and what failed.
func (r *runFleet) announce(w io.Writer, f *fleet.Fleet, data *dataDir, ctl *controlServer) {
	var running, failed []fleet.Appliance
	for _, a := range f.Inventory() {
		if a.State == fleet.Running {
			running = append(running, a)
		} else {
			failed = append(failed, a)
		}
	}
	shard := ""
	if s := f.Shard(); s.Of > 1 {
		shard = fmt.Sprintf(", shard %d of %d", s.N, s.Of)
	}
	fmt.Fprintf(w, "fleet %s%s: %d appliances run\n", f.Name(), shard, len(running))
	for i, a := range running {
		if i == shownAppliances {
			fmt.Fprintf(w, "  ... %d more: esasim ctl --socket %s fleet list\n", len(running)-i, ctl.socket)
			break
		}
		for _, door := range f.Member(a.Name).Doors() {
			fmt.Fprintf(w, "  %-12s %s\n", a.Name, exampleCommand(door, a.Doors[door].String()))
		}
	}
	for _, n := range f.Networks() {
		if err := n.Err(); err != nil {
			fmt.Fprintf(w, "  %-12s the network does not start: %v\n", n.Name, err)
			continue
		}
		fmt.Fprintf(w, "  %-12s network: esasim ctl --socket %s --appliance %[1]s\n", n.Name, ctl.socket)
	}
	for i, a := range failed {
		if i == shownAppliances {
			fmt.Fprintf(w, "  ... %d more do not start\n", len(failed)-i)
			break
		}
		fmt.Fprintf(w, "  %-12s does not start: %s\n", a.Name, a.Error)
	}
	fmt.Fprintf(w, "  %-5s %s\n", "data", data.path)
	ctl.announce(w, "fleet list")
	fmt.Fprintln(w, "The factory passphrase of admin is ironport. Ctrl-C stops the appliances.")
}
