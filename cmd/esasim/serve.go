package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/shell"
)

const (
	stopTime  = 5 * time.Second                 // that an orderly stop may take
	stopGrace = stopTime - 500*time.Millisecond // of it for the box; then it is cut
)

type serve struct {
	Topology   string     `predictor:"topology" default:"lab" placeholder:"NAME|FILE" help:"The network and the appliance to run: a built-in topology or a file (default: lab)."`
	Data       string     `xor:"data" predictor:"directory" placeholder:"DIR" help:"Where configuration and files are kept (default: a directory for each topology below the user's state directory)."`
	Ephemeral  bool       `xor:"data" help:"Keep nothing (not together with --data)."`
	Factory    bool       `help:"Start from the factory configuration; files stay."`
	Console    bool       `help:"Open the command line here, as on the serial console."`
	SSH        address    `name:"ssh" placeholder:"ADDR" help:"Address of the SSH door (default: the topology's). Port 0 takes a free port."`
	FTP        address    `name:"ftp" placeholder:"ADDR" help:"Address of the FTP door (default: the topology's)."`
	HTTP       address    `name:"http" placeholder:"ADDR" help:"Address of the HTTP door (default: the topology's)."`
	HTTPS      address    `name:"https" placeholder:"ADDR" help:"Address of the HTTPS door (default: the topology's)."`
	FTPPassive *portRange `name:"ftp-passive" placeholder:"LO-HI" help:"Ports for passive FTP data connections (default: any free ports)."`
	FTPPublic  netip.Addr `name:"ftp-public" placeholder:"ADDR" help:"IPv4 address that passive FTP tells clients to connect to (default: the one that they connected to)."`
	Ctl        address    `placeholder:"ADDR" help:"Also let esasim ctl in at this address of the loopback interface, besides the socket in the data directory."`
	Ready      string     `predictor:"file" placeholder:"FILE" help:"Write all addresses to FILE, as JSON, once every listener answers."`
	LogLevel   slog.Level `predictor:"level" default:"warn" placeholder:"LEVEL" help:"What is written to standard error: debug, info, warn or error (default: warn)."`
}

// Run serves until a signal comes or an administrator shuts the appliance down.
func (s *serve) Run(t terminal) (err error) {
	topo, err := loadTopology(s.Topology)
	if err != nil {
		return err
	}
	data, err := s.openData()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	key, err := hostKey(!s.Ephemeral)
	if err != nil {
		return err
	}
	b, err := box.New(box.Options{
		Topology:     topo,
		Dir:          filepath.Join(data.path, "appliance"),
		HostKey:      key,
		FactoryReset: s.Factory,
		DoorAddrs:    s.doorAddrs(),
		FTPPassive:   s.FTPPassive.bounds(),
		FTPPublic:    s.FTPPublic,
		Logger:       slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: s.LogLevel})),
	})
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := b.Start(context.Background()); err != nil {
		return err
	}
	ctl, err := s.openControl(b, data)
	if err != nil {
		return errors.Join(err, stopBox(b))
	}
	if err := s.announce(t.out, b, data, ctl); err != nil {
		return errors.Join(err, ctl.stop(), stopBox(b))
	}
	var console chan struct{} // closed when the console has ended; nil: there is none
	var consoleErr error
	if s.Console {
		in, err := consoleInput(t.in)
		if err != nil {
			return errors.Join(err, ctl.stop(), stopBox(b))
		}
		size, restore := rawTerminal(t.in)
		defer restore()
		console = make(chan struct{})
		go func() {
			defer close(console)
			consoleErr = b.Console(context.Background(), in, t.out, size)
		}()
	}
	select {
	case <-signals:
		go func() { // a second signal cuts
			<-signals
			os.Exit(1)
		}()
	case <-b.Done():
	case <-console:
	}
	err = errors.Join(ctl.stop(), stopBox(b))
	if console != nil { // its last words come before the terminal is put back
		select {
		case <-console:
			err = errors.Join(err, consoleErr)
		case <-time.After(stopTime - stopGrace):
		}
	}
	return err
}

func stopBox(b *box.Box) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if err := b.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

func (s *serve) doorAddrs() map[string]netip.AddrPort {
	addrs := map[string]netip.AddrPort{}
	for name, addr := range map[string]address{"ssh": s.SSH, "ftp": s.FTP, "http": s.HTTP, "https": s.HTTPS} {
		if addr.IsValid() {
			addrs[name] = addr.AddrPort
		}
	}
	return addrs
}

// openData opens the directory that the flags name.
func (s *serve) openData() (*dataDir, error) {
	if s.Ephemeral {
		return ephemeralData()
	}
	id, dirName := topologyIdentity(s.Topology)
	if s.Data != "" {
		return openData(s.Data, id)
	}
	home, err := stateHome()
	if err != nil {
		return nil, err
	}
	return openData(filepath.Join(home, dirName), id)
}

// consoleInput returns a reader of in whose Close makes a blocked Read return.
func consoleInput(in io.Reader) (io.ReadCloser, error) {
	if f, ok := in.(*os.File); ok {
		return newClosableInput(f)
	}
	return io.NopCloser(in), nil // a text, whose Read never blocks
}

// rawTerminal prepares t.in, if it is a terminal, for the console.
func rawTerminal(in io.Reader) (size func() (columns, rows int), restore func()) {
	if f, ok := in.(*os.File); ok {
		if size, restore, ok := shell.RawTerminal(f); ok {
			return size, restore
		}
	}
	return nil, func() {}
}

// ready is what --ready writes.
type ready struct {
	PID       int               `json:"pid"`
	Topology  string            `json:"topology"`
	Hostname  string            `json:"hostname"`
	Data      string            `json:"data"`
	User      string            `json:"user"`
	HostKey   string            `json:"hostKey"`          // as ssh-keygen -l prints it
	Addresses map[string]string `json:"addresses"`        // by name of the door
	Socket    string            `json:"socket,omitempty"` // for esasim ctl
	Ctl       string            `json:"ctl,omitempty"`    // likewise; with --ctl only
}

// announce says how to log in, and writes the file that --ready names.
func (s *serve) announce(w io.Writer, b *box.Box, data *dataDir, ctl *controller) error {
	r := ready{os.Getpid(), s.Topology, b.Appliance().Hostname(), data.path, "admin", b.HostKeyFingerprint(), map[string]string{}, ctl.socket, ctl.address}
	for name, addr := range b.Addrs() {
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
		fmt.Fprintf(w, "  %-5s %-22s %s\n", name, r.Addresses[name], howTo(name, r.Addresses[name]))
	}
	fmt.Fprintf(w, "  %-5s %s\n", "data", r.Data)
	ctl.announce(w)
	how := "Ctrl-C"
	if s.Console {
		how = "The command shutdown"
	}
	fmt.Fprintf(w, "The factory passphrase of admin is ironport. %s stops the appliance.\n", how)
	return nil
}

// howTo is a command that uses the door called name.
func howTo(name, addr string) string {
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
	case "http", "https":
		return fmt.Sprintf("%s://%s/", name, net.JoinHostPort(host, port))
	}
	return ""
}

// writeReady writes r so that no reader sees half of it. It does not make the directory:
// who waits for the file looks where it was meant to be.
func writeReady(file string, r ready) error {
	if _, err := os.Stat(filepath.Dir(file)); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(file, append(text, '\n'))
}
