package box_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/jlaffaye/ftp"
	"github.com/pkg/sftp"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/pcapfilter"
	"github.com/esasim/esasim/fixtures"
	"github.com/esasim/esasim/shell/shelltest"
)

// TestScenarios plays stories across parts. A script may use the default verbs of
// testscript and these:
//
//	box [-topology T|FILE]      switch the box on; the default is lab
//	    -once                       a ping sends one echo, and waits for Ctrl-C
//	    -probe T                    how long traceroute waits for an answer
//	session [-in LABEL] FILE... play conversations, see package shelltest
//	ssh LINE                    run a command line; its output is stdout
//	fault add ACTION KEY=VALUE  let something go wrong, as a topology's rule says it
//	fault remove ID|all         repair it
//	fault await ID N            wait until it has acted on so many packets
//	connect ADDR:PORT           connect from the appliance, within a second
//	reboot                      switch the appliance off and on
//	listen ADDR BACKLOG         open a service of the appliance's that accepts nobody
//	dial [-within T] FROM TO N  connect a simulated host N times; connections stay
//	sftp get PATH FILE          fetch a file; scp and ftp likewise
//	mail PEER N                 wait for the Nth mail, the last so far; stdout
//	uploads PEER N              wait for the Nth whole file, the last so far, and the
//	                            end of its connection; stdout
//	log NAME PATTERN            wait for lines in a log of the appliance's; stdout
//	pcap FILE FILTER            decode the frames that a filter matches; stdout; fails
//	                            if there are none
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../../fixtures/scenarios/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios: ", err)
	}
	testscript.Run(t, testscript.Params{
		Files:              files,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Values[storyKey{}] = &story{env: env, players: map[string]*shelltest.Player{}}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"box":     verb((*story).boxVerb),
			"session": verb((*story).session),
			"ssh":     verb((*story).ssh),
			"fault":   verb((*story).fault),
			"connect": verb((*story).connect),
			"reboot":  verb((*story).reboot),
			"listen":  verb((*story).listen),
			"dial":    verb((*story).dial),
			"sftp":    verb((*story).sftp),
			"ftp":     verb((*story).ftp),
			"pcap":    verb((*story).pcap),
			"mail":    verb((*story).mail),
			"uploads": verb((*story).uploads),
			"log":     verb((*story).log),
		},
	})
}

type storyKey struct{}

// A story is a script while it is played.
type story struct {
	env     *testscript.Env
	box     *box.Box
	players map[string]*shelltest.Player
}

// verb makes a command of a method. With "!" the method must fail.
func verb(f func(*story, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		err := f(ts.Value(storyKey{}).(*story), ts, args)
		switch {
		case neg && err == nil:
			ts.Fatalf("it succeeds, but should fail")
		case !neg && err != nil:
			ts.Fatalf("%v", err)
		case neg:
			fmt.Fprintln(ts.Stdout(), err)
		}
	}
}

const scriptPatience = 20 * time.Second

func (s *story) boxVerb(ts *testscript.TestScript, args []string) error {
	flags := flag.NewFlagSet("box", flag.ContinueOnError)
	topology := flags.String("topology", "lab", "name of a built-in one, or a file of the script")
	once := flags.Bool("once", false, "who waits on the clock waits for ever")
	probe := flags.Duration("probe", 0, "time for an answer; 0 is the default")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c := clock.System()
	if *once {
		c = endless{c}
	}
	file, data, ok := fixtures.Topology(*topology)
	if !ok {
		file, data = *topology, []byte(ts.ReadFile(*topology))
	}
	topo, err := box.LoadTopology(file, data)
	if err != nil {
		return err
	}
	doors := map[string]netip.AddrPort{}
	for _, d := range topo.Doors.In {
		doors[d.Name] = loopback
	}
	s.box, err = box.New(box.Options{
		Topology:  topo,
		Dir:       filepath.Join(s.env.WorkDir, ".box"),
		HostKey:   ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		DoorAddrs: doors,
		Clock:     c,
		Entropy:   entropy.Seeded(1),
		Timeouts:  appliance.Timeouts{Probe: *probe},
	})
	if err != nil {
		return err
	}
	if err := s.box.Start(context.Background()); err != nil {
		return err
	}
	ts.Defer(func() {
		for _, p := range s.players {
			p.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
		defer cancel()
		ts.Check(s.box.Stop(ctx))
	})
	return nil
}

// An endless clock lets whoever sleeps on it sleep until woken: the next second of a
// ping never comes, however slow the machine is.
type endless struct{ clock.Clock }

func (endless) Sleep(ctx context.Context, _ time.Duration) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *story) session(ts *testscript.TestScript, args []string) error {
	flags := flag.NewFlagSet("session", flag.ContinueOnError)
	label := flags.String("in", "", "login that stays")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, name := range flags.Args() {
		p := s.players[*label]
		if p == nil || *label == "" {
			client, err := shelltest.Dial(s.box.DoorAddrs()["ssh"].String(), "admin", "ironport")
			if err != nil {
				return err
			}
			ts.Defer(func() { client.Close() })
			conn, err := client.Shell(200, 50)
			if err != nil {
				return err
			}
			p = shelltest.NewPlayer(conn)
			s.players[*label] = p
			if err := p.SkipWelcome(scriptPatience); err != nil {
				return err
			}
		}
		if err := p.Play(ts.ReadFile(name), scriptPatience); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (s *story) ssh(ts *testscript.TestScript, args []string) error {
	client, err := shelltest.Dial(s.box.DoorAddrs()["ssh"].String(), "admin", "ironport")
	if err != nil {
		return err
	}
	defer client.Close()
	status, err := client.Run(strings.Join(args, " "), nil, ts.Stdout())
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	return err
}

func (s *story) listen(ts *testscript.TestScript, args []string) error {
	addr, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	backlog, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	l, err := s.box.Appliance().Net.Listen(context.Background(), network.ListenConfig{Addr: addr, Backlog: backlog})
	if err == nil {
		ts.Defer(func() { l.Close() })
	}
	return err
}

func (s *story) dial(ts *testscript.TestScript, args []string) error {
	flags := flag.NewFlagSet("dial", flag.ContinueOnError)
	within := flags.Duration("within", scriptPatience, "time for all of them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	from, err := netip.ParseAddr(flags.Arg(0))
	if err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(flags.Arg(1))
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(flags.Arg(2))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), *within)
	defer cancel()
	for range count {
		c, err := s.box.World().Hosts().Dial(ctx, network.DialConfig{Local: netip.AddrPortFrom(from, 0), Remote: to})
		if err != nil {
			return err
		}
		ts.Defer(c.Abort)
	}
	return nil
}

func (s *story) sftp(ts *testscript.TestScript, args []string) error {
	conn, err := ssh.Dial("tcp", s.box.DoorAddrs()["ssh"].String(), &clientConfig)
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := sftp.NewClient(conn)
	if err != nil {
		return err
	}
	defer client.Close()
	names, err := client.Glob(args[1])
	if err != nil || len(names) != 1 {
		return fmt.Errorf("%s: %q %v", args[1], names, err)
	}
	f, err := client.Open(names[0])
	if err != nil {
		return err
	}
	return save(ts, args[2], f)
}

func (s *story) ftp(ts *testscript.TestScript, args []string) error {
	conn, err := ftp.Dial(s.box.DoorAddrs()["ftp"].String(), ftp.DialWithTimeout(scriptPatience))
	if err != nil {
		return err
	}
	defer conn.Quit()
	if err := conn.Login("admin", "ironport"); err != nil {
		return err
	}
	names, err := conn.NameList(args[1])
	if err != nil || len(names) != 1 {
		return fmt.Errorf("%s: %q %v", args[1], names, err)
	}
	f, err := conn.Retr(names[0])
	if err != nil {
		return err
	}
	return save(ts, args[2], f)
}

func save(ts *testscript.TestScript, file string, r io.ReadCloser) error {
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(file), data, 0o600)
}

// pcap prints frames as flows: direction as the appliance sees it, what it is, its
// flags and its length.
func (s *story) pcap(ts *testscript.TestScript, args []string) error {
	filter, err := pcapfilter.Compile(args[1], pcapfilter.Options{})
	if err != nil {
		return err
	}
	r, err := pcapgo.NewReader(bytes.NewReader([]byte(ts.ReadFile(args[0]))))
	if err != nil {
		return err
	}
	own := map[string]bool{}
	for _, i := range s.box.Appliance().Net.Interfaces() {
		for _, a := range i.Addrs {
			own[a.Addr().String()] = true
		}
	}
	for found := false; ; {
		frame, info, err := r.ReadPacketData()
		if err == io.EOF && !found {
			return fmt.Errorf("%s matches no frame", args[1])
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if filter.Match(frame, info.Length) {
			found = true
			fmt.Fprintln(ts.Stdout(), describe(gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default), own))
		}
	}
}

func describe(p gopacket.Packet, own map[string]bool) string {
	if arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
		target := netip.AddrFrom4([4]byte(arp.DstProtAddress))
		if arp.Operation == layers.ARPRequest {
			return "arp who-has " + target.String()
		}
		return "arp reply to " + target.String()
	}
	arrow := "<"
	if n := p.NetworkLayer(); n != nil && own[n.NetworkFlow().Src().String()] {
		arrow = ">"
	}
	if icmp, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok {
		return arrow + " icmp " + icmp.TypeCode.String()
	}
	if dns, ok := p.Layer(layers.LayerTypeDNS).(*layers.DNS); ok {
		return fmt.Sprintf("%s dns %s %s, %d answers", arrow, dns.Questions[0].Type, dns.Questions[0].Name, len(dns.Answers))
	}
	if tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); ok {
		flags := ""
		for _, f := range []struct {
			set  bool
			name string
		}{{tcp.FIN, "F"}, {tcp.SYN, "S"}, {tcp.RST, "R"}, {tcp.PSH, "P"}, {tcp.ACK, "."}} {
			if f.set {
				flags += f.name
			}
		}
		return fmt.Sprintf("%s tcp %s %d", arrow, flags, len(tcp.Payload))
	}
	return arrow + " " + p.String()
}
