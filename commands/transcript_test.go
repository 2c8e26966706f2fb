package commands_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/fixtures"
	"github.com/esasim/esasim/shell/shelltest"
)

var update = flag.Bool("update", false, "rewrite the transcripts as the appliance speaks now")

// welcome matches a conversation that begins with the login; others begin with the
// first prompt.
var welcome = regexp.MustCompile(`\A(Last login|Copyright|AsyncOS)`)

// patience is how long a transcript waits for the next byte.
const patience = 20 * time.Second

// TestTranscripts plays the conversations beside the commands. A script without a
// box verb has the default one: topology lab, the clock standing at 2015-06-25
// 08:50:03, seed 1. The verbs:
//
//	box                     a box other than the default; before everything else
//	    -topology NAME          in another network
//	    -version 8.5.6-106      of another version
//	    -machine                on the machine's clock: a ping's second takes one
//	    -patience 500ms         that waits no longer for answers of the network
//	session NAME...         play files of the archive, one login each
//	    -in LABEL               in a login that stays, for two at a time
//	    -user U -pass P         not as admin
//	    -size 80x24             on another terminal
//	clock +31m              move the clock
//	ssh LINE                run a command line; its output is stdout
//	alert CLASS SEVERITY TEXT   raise an alert
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts: ", err)
	}
	testscript.Run(t, testscript.Params{
		Files:              files,
		RequireUniqueNames: true,
		UpdateScripts:      *update,
		Setup: func(env *testscript.Env) error {
			env.Values[standKey{}] = &stand{env: env, players: map[string]*shelltest.Player{}, told: map[string]string{}}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"box":     func(ts *testscript.TestScript, _ bool, args []string) { at(ts).box(ts, args) },
			"clock":   func(ts *testscript.TestScript, _ bool, args []string) { at(ts).clock(ts, args) },
			"session": func(ts *testscript.TestScript, _ bool, args []string) { at(ts).session(ts, args) },
			"ssh":     func(ts *testscript.TestScript, neg bool, args []string) { at(ts).ssh(ts, neg, args) },
			"alert":   func(ts *testscript.TestScript, _ bool, args []string) { at(ts).alert(ts, args) },
		},
	})
}

type standKey struct{}

func at(ts *testscript.TestScript) *stand { return ts.Value(standKey{}).(*stand) }

// A stand is where a script is played: a box and the sessions in it.
type stand struct {
	env     *testscript.Env
	fake    *clock.Fake // nil before the box is switched on, and where the clock is the machine's
	addr    string      // "" before the box is switched on
	inner   *box.Box    // as addr
	players map[string]*shelltest.Player
	told    map[string]string // by name of a conversation: what was said this time
}

var (
	switchedOn = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
	hostKey    = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
)

// start switches on a box that runs until the script ends. version, if not empty, takes the place of
// the topology's.
func (s *stand) start(ts *testscript.TestScript, topology, version string, c clock.Clock, patience time.Duration) {
	file, data, ok := fixtures.Topology(topology)
	if !ok {
		ts.Fatalf("no topology %s", topology)
	}
	loaded, err := netsim.Load(file, data)
	ts.Check(err)
	loaded.Appliance.Version = cmp.Or(version, loaded.Appliance.Version)
	doors := map[string]netip.AddrPort{}
	for _, d := range loaded.Doors.In {
		doors[d.Name] = netip.MustParseAddrPort("127.0.0.1:0")
	}
	b, err := box.New(box.Options{
		Topology:  loaded,
		Dir:       filepath.Join(s.env.WorkDir, ".box"),
		HostKey:   hostKey,
		DoorAddrs: doors,
		Clock:     c,
		Entropy:   entropy.Seeded(1),
		Timeouts:  appliance.Timeouts{Probe: patience, Lookup: patience, Connect: patience},
	})
	ts.Check(err)
	ts.Check(b.Start(context.Background()))
	s.addr, s.inner = b.Addrs()["ssh"].String(), b
	s.stopAtEnd(ts, b.Stop)
}

func (s *stand) stopAtEnd(ts *testscript.TestScript, stop func(context.Context) error) {
	ts.Defer(func() {
		for _, p := range s.players {
			p.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ts.Check(stop(ctx))
		s.rewrite(ts)
	})
}

func (s *stand) box(ts *testscript.TestScript, args []string) {
	if s.addr != "" {
		ts.Fatalf("box comes before everything else")
	}
	flags := flag.NewFlagSet("box", flag.ContinueOnError)
	version := flags.String("version", "", "of the product")
	topology := flags.String("topology", "lab", "name of the network")
	machine := flags.Bool("machine", false, "use the machine's clock")
	patience := flags.Duration("patience", 0, "with the network")
	ts.Check(flags.Parse(args))
	if *machine {
		s.start(ts, *topology, *version, clock.System(), *patience)
		return
	}
	s.fake = clock.NewFake(switchedOn)
	s.start(ts, *topology, *version, s.fake, *patience)
}

// on switches the default box on unless there is one.
func (s *stand) on(ts *testscript.TestScript) {
	if s.addr == "" {
		s.box(ts, nil)
	}
}

func (s *stand) clock(ts *testscript.TestScript, args []string) {
	s.on(ts)
	if len(args) != 1 || s.fake == nil {
		ts.Fatalf("usage: clock DURATION, where the clock is not the machine's")
	}
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	s.fake.Advance(d)
}

func (s *stand) session(ts *testscript.TestScript, args []string) {
	s.on(ts)
	flags := flag.NewFlagSet("session", flag.ContinueOnError)
	label := flags.String("in", "", "login that stays")
	user := flags.String("user", "admin", "name")
	pass := flags.String("pass", "ironport", "passphrase")
	size := flags.String("size", "200x50", "of the terminal")
	ts.Check(flags.Parse(args))
	for _, name := range flags.Args() {
		conversation := ts.ReadFile(name)
		p := s.players[*label]
		if p == nil || *label == "" {
			p = s.login(ts, *user, *pass, *size)
			s.players[*label] = p
			if !welcome.MatchString(conversation) {
				ts.Check(p.SkipWelcome(patience))
			}
		}
		if *update {
			said, err := p.Record(conversation, patience)
			ts.Check(err)
			s.told[name] = said
		} else if err := p.Play(conversation, patience); err != nil {
			ts.Fatalf("%s: %v", name, err)
		}
		if *label == "" {
			p.Close()
			delete(s.players, "")
		}
	}
}

func (s *stand) login(ts *testscript.TestScript, user, pass, size string) *shelltest.Player {
	columns, rows, ok := strings.Cut(size, "x")
	c, err := strconv.Atoi(columns)
	ts.Check(err)
	r, err := strconv.Atoi(rows)
	ts.Check(err)
	if !ok {
		ts.Fatalf("a size is written as 80x24")
	}
	client, err := shelltest.Dial(s.addr, user, pass)
	ts.Check(err)
	ts.Defer(func() { client.Close() })
	conn, err := client.Shell(c, r)
	ts.Check(err)
	return shelltest.NewPlayer(conn)
}

func (s *stand) ssh(ts *testscript.TestScript, neg bool, args []string) {
	s.on(ts)
	if len(args) != 1 {
		ts.Fatalf("usage: ssh 'LINE'")
	}
	client, err := shelltest.Dial(s.addr, "admin", "ironport")
	ts.Check(err)
	defer client.Close()
	var out bytes.Buffer
	status, err := client.Run(args[0], nil, &out)
	ts.Check(err)
	_, err = ts.Stdout().Write(out.Bytes())
	ts.Check(err)
	if neg != (status != 0) {
		ts.Fatalf("exit status %d of %s\n%s", status, args[0], out.String())
	}
}

func (s *stand) alert(ts *testscript.TestScript, args []string) {
	s.on(ts)
	if len(args) != 3 {
		ts.Fatalf("usage: alert CLASS SEVERITY TEXT")
	}
	s.inner.Appliance().Alerts.Raise(alert.Class(args[0]), alert.Severity(args[1]), args[2])
}

// rewrite puts what was said this time in the script.
func (s *stand) rewrite(ts *testscript.TestScript) {
	if len(s.told) == 0 {
		return
	}
	file := strings.TrimPrefix(ts.Name(), "TestTranscripts/") + ".txtar"
	a, err := txtar.ParseFile(file)
	ts.Check(err)
	for i, f := range a.Files {
		if said, ok := s.told[f.Name]; ok {
			a.Files[i].Data = []byte(said)
		}
	}
	ts.Check(os.WriteFile(file, txtar.Format(a), 0o644))
}
