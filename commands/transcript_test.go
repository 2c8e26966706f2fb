package commands_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"net/netip"
	"net/smtp"
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
	"github.com/esasim/esasim/fixtures"
	"github.com/esasim/esasim/shell/shelltest"
)

// welcome matches a conversation that begins with the login. Other conversations begin with
// the first prompt.
var welcome = regexp.MustCompile(`\A(Last login|Copyright|AsyncOS)`)

// replyTimeout is how long a transcript waits for the next byte.
const replyTimeout = 2 * time.Minute

// TestTranscripts plays the conversations beside the commands. The package documentation
// lists the verbs of their scripts.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts: ", err)
	}
	rewritten, played := updates(t, files)
	playTranscripts(t, rewritten, true)
	playTranscripts(t, played, false)
}

func playTranscripts(t *testing.T, files []string, update bool) {
	if len(files) == 0 {
		return
	}
	testscript.Run(t, testscript.Params{
		Files:              files,
		RequireUniqueNames: true,
		UpdateScripts:      update,
		Setup: func(env *testscript.Env) error {
			env.Values[scriptKey{}] = &script{
				env: env, update: update,
				players: map[string]*shelltest.Player{}, recorded: map[string]string{},
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"box":     func(ts *testscript.TestScript, _ bool, args []string) { scriptOf(ts).box(ts, args) },
			"clock":   func(ts *testscript.TestScript, _ bool, args []string) { scriptOf(ts).clock(ts, args) },
			"session": func(ts *testscript.TestScript, _ bool, args []string) { scriptOf(ts).session(ts, args) },
			"ssh":     func(ts *testscript.TestScript, neg bool, args []string) { scriptOf(ts).ssh(ts, neg, args) },
			"send":    func(ts *testscript.TestScript, _ bool, args []string) { scriptOf(ts).send(ts, args) },
			"tried":   func(ts *testscript.TestScript, _ bool, args []string) { scriptOf(ts).tried(ts, args) },
			"alert":   func(ts *testscript.TestScript, _ bool, args []string) { scriptOf(ts).alert(ts, args) },
		},
	})
}

type scriptKey struct{}

func scriptOf(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

// A script is one transcript being played: a box and the sessions in it.
type script struct {
	env       *testscript.Env
	update    bool
	running   *box.Box    // nil until the box is started
	fakeClock *clock.Fake // nil until the box is started, and if it runs on the machine's clock
	players   map[string]*shelltest.Player
	recorded  map[string]string // new text of conversations, by name
}

var (
	switchedOn = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
	hostKey    = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
)

func (s *script) box(ts *testscript.TestScript, args []string) {
	if s.running != nil {
		ts.Fatalf("box must come before everything else")
	}
	flags := flag.NewFlagSet("box", flag.ContinueOnError)
	version := flags.String("version", "", "of the product")
	topology := flags.String("topology", "lab", "name of the network")
	machine := flags.Bool("machine", false, "use the machine's clock")
	timeout := flags.Duration("timeout", 0, "for answers of the network")
	ts.Check(flags.Parse(args))
	if *machine {
		s.start(ts, *topology, *version, clock.System(), *timeout)
		return
	}
	s.fakeClock = clock.NewFake(switchedOn)
	s.start(ts, *topology, *version, s.fakeClock, *timeout)
}

// start starts a box, which is stopped when the script ends. A version that is not empty
// replaces the topology's.
func (s *script) start(ts *testscript.TestScript, topology, version string, c clock.Clock, timeout time.Duration) {
	file, data, ok := fixtures.Topology(topology)
	if !ok {
		ts.Fatalf("no topology %s", topology)
	}
	loaded, err := box.LoadTopology(file, data)
	ts.Check(err)
	loaded.Appliance.Version = cmp.Or(version, loaded.Appliance.Version)
	doors := map[string]netip.AddrPort{}
	for _, d := range loaded.Doors.In {
		doors[d.Name] = netip.MustParseAddrPort("127.0.0.1:0")
	}
	s.running, err = box.New(box.Options{
		Topology:  loaded,
		Dir:       filepath.Join(s.env.WorkDir, ".box"),
		HostKey:   hostKey,
		DoorAddrs: doors,
		Clock:     c,
		Entropy:   entropy.Seeded(1),
		Timeouts:  appliance.Timeouts{Probe: timeout, Lookup: timeout, Connect: timeout},
	})
	ts.Check(err)
	ts.Check(s.running.Start(context.Background()))
	ts.Defer(func() { s.stop(ts) })
}

func (s *script) stop(ts *testscript.TestScript) {
	for _, p := range s.players {
		p.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), replyTimeout)
	defer cancel()
	ts.Check(s.running.Stop(ctx))
	s.rewrite(ts)
}

// ensureStarted starts the default box unless there is one.
func (s *script) ensureStarted(ts *testscript.TestScript) {
	if s.running == nil {
		s.box(ts, nil)
	}
}

func (s *script) addr() string { return s.running.DoorAddrs()["ssh"].String() }

func (s *script) clock(ts *testscript.TestScript, args []string) {
	s.ensureStarted(ts)
	if len(args) != 1 || s.fakeClock == nil {
		ts.Fatalf("usage: clock DURATION, unless the box runs on the machine's clock")
	}
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	s.fakeClock.Advance(d)
}

func (s *script) session(ts *testscript.TestScript, args []string) {
	s.ensureStarted(ts)
	flags := flag.NewFlagSet("session", flag.ContinueOnError)
	label := flags.String("in", "", "login that stays open")
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
				ts.Check(p.SkipWelcome(replyTimeout))
			}
		}
		if s.update {
			text, err := p.Record(conversation, replyTimeout)
			ts.Check(err)
			s.recorded[name] = text
		} else if err := p.Play(conversation, replyTimeout); err != nil {
			ts.Fatalf("%s: %v", name, err)
		}
		if *label == "" {
			p.Close()
			delete(s.players, "")
		}
	}
}

func (s *script) login(ts *testscript.TestScript, user, pass, size string) *shelltest.Player {
	columns, rows, ok := strings.Cut(size, "x")
	c, err := strconv.Atoi(columns)
	ts.Check(err)
	r, err := strconv.Atoi(rows)
	ts.Check(err)
	if !ok {
		ts.Fatalf("a size is written as 80x24")
	}
	client, err := shelltest.Dial(s.addr(), user, pass)
	ts.Check(err)
	ts.Defer(func() { client.Close() })
	conn, err := client.Shell(c, r)
	ts.Check(err)
	return shelltest.NewPlayer(conn)
}

func (s *script) ssh(ts *testscript.TestScript, neg bool, args []string) {
	s.ensureStarted(ts)
	if len(args) != 1 {
		ts.Fatalf("usage: ssh 'LINE'")
	}
	client, err := shelltest.Dial(s.addr(), "admin", "ironport")
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

// send sends a message through the SMTP door. The appliance has accepted it when send returns.
func (s *script) send(ts *testscript.TestScript, args []string) {
	s.ensureStarted(ts)
	if len(args) < 3 {
		ts.Fatalf("usage: send SUBJECT FROM TO...")
	}
	const body = "Subject: %s\r\nMessage-ID: <1@example.net>\r\n\r\nhello\r\n"
	ts.Check(smtp.SendMail(s.running.DoorAddrs()["smtp"].String(), nil, args[1], args[2:],
		fmt.Appendf(nil, body, args[0])))
}

func (s *script) alert(ts *testscript.TestScript, args []string) {
	s.ensureStarted(ts)
	if len(args) != 3 {
		ts.Fatalf("usage: alert CLASS SEVERITY TEXT")
	}
	s.running.Appliance().Alerts.Raise(alert.Class(args[0]), alert.Severity(args[1]), args[2])
}

// rewrite puts the recorded conversations into the script's file.
func (s *script) rewrite(ts *testscript.TestScript) {
	if len(s.recorded) == 0 {
		return
	}
	file := ts.Name() + ".txtar"
	a, err := txtar.ParseFile(file)
	ts.Check(err)
	for i, f := range a.Files {
		if text, ok := s.recorded[f.Name]; ok {
			a.Files[i].Data = []byte(text)
		}
	}
	ts.Check(os.WriteFile(file, txtar.Format(a), 0o644))
}
