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

// TestScenarios runs the scenarios, which test several parts together. A script may use the
// default verbs of testscript and these:
//
//	box [-topology T|FILE]      start the box; the default topology is lab
//	    -once                       a ping sends one echo, and waits for Ctrl-C
//	    -probe T                    how long traceroute waits for an answer
//	    -connect T                  how long the appliance waits for a TCP connection
//	session [-in LABEL] FILE... play conversations (see package shelltest)
//	ssh LINE                    run a command line; its output is stdout
//	hold sftp|ftp LABEL         log in and stay connected
//	get LABEL PATH              fetch a file over a connection that is held; print it
//	put LABEL FILE PATH         store a file over SFTP
//	fault add ACTION KEY=VALUE  add a fault, with the keys of a topology's rule
//	fault remove ID|all         remove one or all faults
//	fault await ID N            wait until a fault has applied to N packets
//	connect ADDR:PORT           connect from the appliance, within a second
//	reboot                      reboot the appliance
//	listen ADDR BACKLOG         listen on the appliance without accepting connections
//	dial [-within T] FROM TO N  connect a simulated host N times; connections stay open
//	sftp get PATH FILE          fetch a file; scp and ftp likewise
//	send SUBJECT FROM TO...     send a message through the SMTP door
//	mail PEER N                 wait until a server has received N mails; print all
//	mailrule add SERVER ACTION KEY=VALUE   add a rule to a mail server
//	mailrule list SERVER        print the rules: number, state, hits and rule
//	mailrule remove SERVER all  remove all rules
//	mailrule await SERVER ID N  wait until a rule has applied N times; print it
//	uploads PEER N              wait until a server has received N whole files and the
//	                            connection has ended; print the last
//	log NAME PATTERN            wait until the text of a log matches; print it
//	pcap FILE FILTER            print the frames that a filter matches; fail if none does
//
// The verbs session, ssh and hold log in as admin, or as another user with -user NAME -pass TEXT.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../../fixtures/scenarios/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios: ", err)
	}
	testscript.Run(t, testscript.Params{
		Files:              files,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Values[scenarioKey{}] = &scenario{
				env: env, players: map[string]*shelltest.Player{}, held: map[string]heldConn{},
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"box":      verb((*scenario).start),
			"session":  verb((*scenario).session),
			"ssh":      verb((*scenario).ssh),
			"fault":    verb((*scenario).fault),
			"connect":  verb((*scenario).connect),
			"reboot":   verb((*scenario).reboot),
			"listen":   verb((*scenario).listen),
			"dial":     verb((*scenario).dial),
			"sftp":     verb((*scenario).sftp),
			"hold":     verb((*scenario).hold),
			"get":      verb((*scenario).get),
			"put":      verb((*scenario).put),
			"ftp":      verb((*scenario).ftp),
			"pcap":     verb((*scenario).pcap),
			"send":     verb((*scenario).send),
			"mail":     verb((*scenario).mail),
			"mailrule": verb((*scenario).mailrule),
			"uploads":  verb((*scenario).uploads),
			"log":      verb((*scenario).log),
		},
	})
}

type scenarioKey struct{}

// A scenario is the state of a running script.
type scenario struct {
	env     *testscript.Env
	box     *box.Box
	run     *watchedRun
	players map[string]*shelltest.Player
	held    map[string]heldConn // connections by label
}

// addLogin adds the flags of a login.
func addLogin(flags *flag.FlagSet) (user, passphrase *string) {
	return flags.String("user", "admin", "user name"), flags.String("pass", "ironport", "passphrase")
}

// verb makes a verb of a method. After "!" the method must fail.
func verb(f func(*scenario, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		err := f(ts.Value(scenarioKey{}).(*scenario), ts, args)
		switch {
		case neg && err == nil:
			ts.Fatalf("the verb succeeds, but should fail")
		case !neg && err != nil:
			ts.Fatalf("%v", err)
		case neg:
			fmt.Fprintln(ts.Stdout(), err)
		}
	}
}

// scenarioTimeout bounds each verb.
const scenarioTimeout = 2 * time.Minute

func (s *scenario) start(ts *testscript.TestScript, args []string) error {
	flags := flag.NewFlagSet("box", flag.ContinueOnError)
	topology := flags.String("topology", "lab", "name of a built-in one, or a file of the script")
	once := flags.Bool("once", false, "sleeps on the appliance's clock do not end")
	probe := flags.Duration("probe", 0, "time for an answer; 0 is the default")
	connect := flags.Duration("connect", 0, "time for a TCP connection; 0 is the default")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c := clock.System()
	if *once {
		c = stoppedClock{c}
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
		Timeouts:  appliance.Timeouts{Probe: *probe, Connect: *connect},
	})
	if err != nil {
		return err
	}
	run := watchRun(s.box)
	s.run = run
	if err := s.box.Start(context.Background()); err != nil {
		return err
	}
	if err := run.tap(); err != nil {
		return err
	}
	ts.Defer(func() {
		for _, p := range s.players {
			p.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), scenarioTimeout)
		defer cancel()
		ts.Check(s.box.Stop(ctx))
		left, err := run.finish(filepath.Join(s.env.WorkDir, ".box"))
		ts.Check(err)
		report := left.Check()
		ts.Logf("%d events, %d frames", report.Events, report.Frames)
		if dir := os.Getenv("ESASIM_KEEP_RECORDS"); dir != "" {
			ts.Check(keepRun(run, filepath.Join(dir, ts.Name())))
		}
		if err := contradictions(report); err != nil {
			s.env.T().(interface{ Error(...any) }).Error(err) // ts.Fatalf would panic here
		}
	})
	return nil
}

// On a stoppedClock, Sleep does not end until its context does. A ping sends one echo request,
// however slow the machine is.
type stoppedClock struct{ clock.Clock }

func (stoppedClock) Sleep(ctx context.Context, _ time.Duration) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *scenario) session(ts *testscript.TestScript, args []string) error {
	flags := flag.NewFlagSet("session", flag.ContinueOnError)
	label := flags.String("in", "", "label of a session that stays open")
	user, passphrase := addLogin(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, name := range flags.Args() {
		p := s.players[*label]
		if p == nil || *label == "" {
			client, err := shelltest.Dial(s.box.DoorAddrs()["ssh"].String(), *user, *passphrase)
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
			if err := p.SkipWelcome(scenarioTimeout); err != nil {
				return err
			}
		}
		if err := p.Play(ts.ReadFile(name), scenarioTimeout); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (s *scenario) ssh(ts *testscript.TestScript, args []string) error {
	flags := flag.NewFlagSet("ssh", flag.ContinueOnError)
	user, passphrase := addLogin(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	client, err := shelltest.Dial(s.box.DoorAddrs()["ssh"].String(), *user, *passphrase)
	if err != nil {
		return err
	}
	defer client.Close()
	status, err := client.Run(strings.Join(flags.Args(), " "), nil, ts.Stdout())
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	return err
}

func (s *scenario) listen(ts *testscript.TestScript, args []string) error {
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

func (s *scenario) dial(ts *testscript.TestScript, args []string) error {
	flags := flag.NewFlagSet("dial", flag.ContinueOnError)
	within := flags.Duration("within", scenarioTimeout, "time limit for all connections")
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

func (s *scenario) sftp(ts *testscript.TestScript, args []string) error {
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

func (s *scenario) ftp(ts *testscript.TestScript, args []string) error {
	conn, err := ftp.Dial(s.box.DoorAddrs()["ftp"].String(), ftp.DialWithTimeout(scenarioTimeout))
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

// save copies r to a file of the script.
func save(ts *testscript.TestScript, file string, r io.ReadCloser) error {
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(file), data, 0o600)
}

// pcap prints a line for each frame: its direction from the appliance's point of view, its
// protocol, flags and length.
func (s *scenario) pcap(ts *testscript.TestScript, args []string) error {
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

// describe returns the line of a frame. own are the addresses of the appliance.
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
