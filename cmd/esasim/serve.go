package main

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/shell"
)

// Bounds of how long the end of the program may take.
const (
	stopTimeout    = 5 * time.Second
	boxStopTimeout = stopTimeout - 500*time.Millisecond // then connections are cut
)

type serve struct {
	Topology   string     `predictor:"topology" default:"lab" placeholder:"NAME|FILE" help:"The network and the appliance to run: a built-in topology or a file (default: lab)."`
	Data       string     `xor:"data" predictor:"directory" placeholder:"DIR" help:"The directory that keeps configuration and files (default: one for each topology below the user's state directory)."`
	Ephemeral  bool       `xor:"data" help:"Keep nothing after the end of the program (not together with --data)."`
	Factory    bool       `help:"Start with the factory configuration; files are kept."`
	Console    bool       `help:"Open the command line here, as on the serial console."`
	SSH        address    `name:"ssh" placeholder:"ADDR" help:"Address of the SSH door (default: the topology's). Port 0 takes a free port."`
	FTP        address    `name:"ftp" placeholder:"ADDR" help:"Address of the FTP door (default: the topology's)."`
	HTTP       address    `name:"http" placeholder:"ADDR" help:"Address of the HTTP door (default: the topology's)."`
	HTTPS      address    `name:"https" placeholder:"ADDR" help:"Address of the HTTPS door (default: the topology's)."`
	SMTP       address    `name:"smtp" placeholder:"ADDR" help:"Address of the SMTP door (default: the topology's)."`
	Ports      string     `enum:"topology,auto" predictor:"ports" default:"topology" placeholder:"auto" help:"Let every door whose address no other flag sets take a free port: auto. The default is the topology's ports."`
	Uplink     []cable    `sep:"none" placeholder:"IF=TARGET" help:"Connect the wire of an interface to a real network, as in \"Data 1=packet:eth1\": tap:NAME, packet:INTERFACE, vxlan:HOST:PORT/VNI or unix:PATH. May be given for each interface."`
	DHCP       []string   `name:"dhcp" sep:"none" placeholder:"IF" help:"Let a new appliance ask for the IPv4 address of an interface by DHCP, as in \"Management\". May be given for each interface."`
	FTPPassive *portRange `name:"ftp-passive" placeholder:"LO-HI" help:"Ports for passive FTP data connections (default: any free ports)."`
	FTPPublic  ipv4       `name:"ftp-public" placeholder:"ADDR" help:"IPv4 address that passive FTP replies name (default: the one that the client has connected to)."`
	Ctl        address    `placeholder:"ADDR" help:"Answer esasim ctl at this address of the loopback interface, too, besides the socket in the data directory."`
	Bench      address    `placeholder:"ADDR" help:"Serve the test bench at this address, such as 127.0.0.1:8090: a page that shows the simulated network and breaks it. It is printed with a token, without which nobody can use it."`
	BenchToken string     `name:"bench-token" predictor:"file" placeholder:"FILE" help:"The token of the test bench, of at least 16 characters; a file that does not exist is made. With it --bench may be an address to which other machines can connect."`
	ClockRate  clockRate  `name:"clock-rate" placeholder:"N" help:"Run the appliance's clock N times as fast, up to 3600: with 1440 a day takes a minute. Packets, faults and time-outs of clients keep real time."`
	Record     string     `predictor:"file" placeholder:"FILE" help:"Write all that happens to FILE, as JSON, an event a line. The file is replaced."`
	WithParent bool       `name:"with-parent" help:"End when the process that started this one ends, or closes standard input if that is a pipe."`
	Ready      string     `predictor:"file" placeholder:"FILE" help:"Write all addresses to FILE, as JSON, once every listener answers."`
	LogLevel   logLevel   `predictor:"level" default:"warn" placeholder:"LEVEL" help:"The least level that is written to standard error: debug, info, warn or error (default: warn)."`
}

// Run runs an appliance until the program receives a signal or an administrator shuts the
// appliance down.
func (s *serve) Run(t stdio) (err error) {
	plan, err := s.loadBlueprint()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: s.LogLevel.Level}))
	data, err := s.openData(log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	if err := removeReady(s.Ready, 0); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeReady(s.Ready, os.Getpid())) }()
	key, err := hostKey(!s.Ephemeral, log)
	if err != nil {
		return err
	}
	b, err := s.newBox(plan, data, key, log)
	if err != nil {
		return err
	}
	record, err := s.startRecord(b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, record.stop()) }()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	parent, err := s.watchParent(t.in)
	if err != nil {
		return err
	}
	defer parent.close()
	own, ownErr := s.listenOwn()
	if err := b.Start(context.Background()); err != nil {
		own.close()
		return errors.Join(s.explainListen(err, plan.Topology()), ownErr) // all ports that are taken at once
	}
	if ownErr != nil {
		return errors.Join(ownErr, stopBox(b))
	}
	ctl := openControl(b, data, own, log)
	if err := s.announce(t.out, b, data, ctl); err != nil {
		return errors.Join(err, ctl.stop(), stopBox(b))
	}
	console, restore, err := s.startConsole(t, b)
	if err != nil {
		return errors.Join(err, ctl.stop(), stopBox(b))
	}
	defer restore()
	select {
	case <-signals:
		fmt.Fprintln(t.out, "The appliance stops. A second Ctrl-C ends the program at once.")
		go func() {
			<-signals
			_ = removeReady(s.Ready, os.Getpid())
			os.Exit(1)
		}()
	case <-b.Done():
	case <-parent.gone: // nobody reads what is printed
	case err = <-console:
		console = nil // it has ended
	}
	err = errors.Join(err, ctl.stop(), stopBox(b))
	if console != nil { // the console prints why it ends before the terminal is restored
		select {
		case ended := <-console:
			err = errors.Join(err, ended)
		case <-time.After(stopTimeout - boxStopTimeout):
		}
	}
	return err
}

// newBox makes the box that the flags describe.
func (s *serve) newBox(plan *box.Blueprint, data *dataDir, key crypto.Signer, log *slog.Logger) (
	*box.Box, error) {
	return box.New(box.Options{
		Blueprint:       plan,
		Dir:             filepath.Join(data.path, applianceName),
		HostKey:         key,
		MoreHostKeys:    moreHostKeys(!s.Ephemeral),
		FactoryReset:    s.Factory,
		DoorAddrs:       s.doorAddrs(plan.Topology()),
		FTPPassivePorts: s.FTPPassive.bounds(),
		FTPPublicAddr:   s.FTPPublic.Addr,
		Logger:          log,
		Persistent:      !s.Ephemeral,
		KeepEvents:      events.DefaultKept,
		ClockRate:       int(s.ClockRate),
	})
}

// startConsole serves the console on the program's input and output if the user wants one. The
// channel gets the console's error, or nil, when the console has ended; the channel is nil if
// there is no console. restore resets the terminal.
func (s *serve) startConsole(t stdio, b *box.Box) (ended chan error, restore func(), err error) {
	if !s.Console {
		return nil, func() {}, nil
	}
	in, err := consoleInput(t.in)
	if err != nil {
		return nil, nil, err
	}
	size, restore := rawTerminal(t.in)
	ended = make(chan error, 1)
	go func() { ended <- b.Console(context.Background(), in, t.out, size) }()
	return ended, restore, nil
}

// stopBox stops b within boxStopTimeout.
func stopBox(b *box.Box) error {
	ctx, cancel := context.WithTimeout(context.Background(), boxStopTimeout)
	defer cancel()
	if err := b.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// doorAddrs returns the addresses of doors that flags set, by name of the door.
func (s *serve) doorAddrs(topo *topology.Topology) map[string]netip.AddrPort {
	addrs := map[string]netip.AddrPort{}
	if s.Ports == "auto" {
		for _, d := range topo.Doors.In {
			if _, off := topo.DoorIsOff(&d); !off {
				addrs[d.Name] = netip.AddrPortFrom(d.Listen.Addr(), 0)
			}
		}
	}
	for name, addr := range s.doorFlags() {
		if addr.IsValid() {
			addrs[name] = addr.AddrPort
		}
	}
	return addrs
}

// doorFlags returns the values of the flags that set the address of the door of that name.
func (s *serve) doorFlags() map[string]address {
	return map[string]address{"ssh": s.SSH, "ftp": s.FTP, "http": s.HTTP, "https": s.HTTPS, "smtp": s.SMTP}
}

// explainListen returns an error that says which doors could not listen, why, and by which flags
// doors get other addresses. Other errors are returned as they are.
func (s *serve) explainListen(err error, topo *topology.Topology) error {
	var failures, flags []string
	moves := true // flags can move every door that failed
	inUse := false
	for _, failed := range listenErrors(err) {
		name := s.doorAt(failed.Addr, topo)
		if name == "" {
			return err
		}
		var reason error = failed
		var errno syscall.Errno
		if errors.As(failed, &errno) {
			reason = errno
		}
		failures = append(failures, fmt.Sprintf("%s cannot listen on %v: %v", name, failed.Addr, reason))
		inUse = inUse || errors.Is(failed, syscall.EADDRINUSE)
		if _, movable := s.doorFlags()[name]; movable {
			flags = append(flags, "--"+name)
		} else {
			moves = false
		}
	}
	if failures == nil {
		return err
	}
	subject := "the door "
	if len(failures) > 1 {
		subject = "doors: "
	}
	var advice []string
	if flags != nil {
		advice = append(advice, "choose another address with "+strings.Join(flags, " and "))
	}
	if !moves {
		advice = append(advice, "choose another address in "+topo.File)
	}
	if inUse {
		advice = append(advice, "let all doors take free ports with --ports auto")
	}
	return &listenError{err,
		fmt.Sprintf("%s%s: %s", subject, strings.Join(failures, "; "), strings.Join(advice, ", or "))}
}

// A listenError says in words for a user why doors could not listen.
type listenError struct {
	cause error
	text  string
}

func (e *listenError) Error() string { return e.text }
func (e *listenError) Unwrap() error { return e.cause }

// listenErrors returns the errors in err of listeners that could not be opened.
func listenErrors(err error) []*net.OpError {
	switch e := err.(type) { //nolint:errorlint // this walks the tree of errors itself
	case *net.OpError:
		if e.Op == "listen" {
			return []*net.OpError{e}
		}
	case interface{ Unwrap() []error }:
		var all []*net.OpError
		for _, err := range e.Unwrap() {
			all = append(all, listenErrors(err)...)
		}
		return all
	}
	if err = errors.Unwrap(err); err != nil {
		return listenErrors(err)
	}
	return nil
}

// doorAt returns the name of the door that was to listen on an address, or "".
func (s *serve) doorAt(at net.Addr, topo *topology.Topology) string {
	moved := s.doorAddrs(topo)
	for _, d := range topo.Doors.In {
		addr := d.Listen
		if other, ok := moved[d.Name]; ok {
			addr = other
		}
		if addr.String() == at.String() {
			return d.Name
		}
	}
	return ""
}

// openData opens the data directory that the flags name.
func (s *serve) openData(log *slog.Logger) (*dataDir, error) {
	if s.Ephemeral {
		return ephemeralData()
	}
	mark, name := dataDirName(s.Topology)
	if s.Data != "" {
		return openData(s.Data, mark, log)
	}
	home, err := stateHome()
	if err != nil {
		return nil, err
	}
	return openData(filepath.Join(home, name), mark, log)
}

// consoleInput returns a reader of in whose Close makes a blocked Read return.
func consoleInput(in io.Reader) (io.ReadCloser, error) {
	if f, ok := in.(*os.File); ok {
		return newClosableInput(f)
	}
	return io.NopCloser(in), nil // a string of a test, whose Read never blocks
}

// rawTerminal prepares in for the console if it is a terminal. size is nil if it is none.
func rawTerminal(in io.Reader) (size func() (columns, rows int), restore func()) {
	if f, ok := in.(*os.File); ok {
		if size, restore, ok := shell.RawTerminal(f); ok {
			return size, restore
		}
	}
	return nil, func() {}
}

// ready is the content of the file that --ready names.
type ready struct {
	PID       int               `json:"pid"`
	Topology  string            `json:"topology"`
	Hostname  string            `json:"hostname"`
	Data      string            `json:"data"`
	User      string            `json:"user"`
	HostKey   string            `json:"hostKey"`          // as ssh-keygen -l prints it
	Addresses map[string]string `json:"addresses"`        // by name of the door
	Socket    string            `json:"socket,omitempty"` // the control socket
	Ctl       string            `json:"ctl,omitempty"`    // the address of --ctl
	Bench     string            `json:"bench,omitempty"`  // the address of the test bench, with its token
}

// announce prints how to log in, and writes the file that --ready names.
func (s *serve) announce(w io.Writer, b *box.Box, data *dataDir, ctl *controlServer) error {
	r := ready{
		PID:       os.Getpid(),
		Topology:  s.Topology,
		Hostname:  b.Appliance().Hostname(),
		Data:      data.path,
		User:      "admin",
		HostKey:   b.HostKeyFingerprint(),
		Addresses: map[string]string{},
		Socket:    ctl.socket,
		Ctl:       ctl.address,
		Bench:     ctl.benchURL(),
	}
	for name, addr := range b.DoorAddrs() {
		r.Addresses[name] = addr.String()
	}
	if s.Ready != "" {
		if err := writeReady(s.Ready, r); err != nil {
			return fmt.Errorf("write %s: %w", s.Ready, err)
		}
	}
	facts := b.Appliance().Product
	fmt.Fprintf(w, "%s: %s, AsyncOS %s, topology %s\n", r.Hostname, facts.Name(), facts.Version, s.Topology)
	for _, name := range slices.Sorted(maps.Keys(r.Addresses)) {
		fmt.Fprintf(w, "  %-5s %-22s %s\n", name, r.Addresses[name], exampleCommand(name, r.Addresses[name]))
	}
	announceUplinks(w, b)
	announceDHCP(w, b)
	fmt.Fprintf(w, "  %-5s %s\n", "data", r.Data)
	ctl.announce(w, "fault list")
	stops := "Ctrl-C"
	if s.Console {
		stops = "The command shutdown"
	}
	fmt.Fprintf(w, "The factory passphrase of admin is ironport. %s stops the appliance.\n", stops)
	return nil
}

// exampleCommand returns a command line, or a URL, that uses the door of that name.
func exampleCommand(name, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	switch name {
	case "ssh":
		return fmt.Sprintf("ssh -p %s admin@%s", port, host)
	case "ftp":
		return fmt.Sprintf("curl --user admin ftp://%s/", net.JoinHostPort(host, port))
	case "smtp":
		return fmt.Sprintf("swaks --server %s --to joe@example.com", net.JoinHostPort(host, port))
	case "http", "https":
		return fmt.Sprintf("%s://%s/", name, net.JoinHostPort(host, port))
	}
	return ""
}

// writeReady writes r in one step, so that no reader sees a part of it. It does not create
// the directory: a program that waits for the file would look in another one.
func writeReady(file string, r ready) error {
	if _, err := os.Stat(filepath.Dir(file)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no directory %s: create it first", filepath.Dir(file))
		}
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(file, append(text, '\n'))
}

// removeReady removes the file that --ready names, so that no program takes what an earlier run has
// left for the announcement of this one. If pid is not 0, the file is removed only if that process
// has written it. Anything but a regular file is left alone.
func removeReady(file string, pid int) error {
	if file == "" {
		return nil
	}
	fi, err := os.Lstat(file)
	if err != nil || !fi.Mode().IsRegular() {
		return nil // writeReady says what is wrong
	}
	if pid != 0 {
		var r ready
		text, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(text, &r) != nil || r.PID != pid {
			return nil
		}
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the file of --ready: %w", err)
	}
	return nil
}
