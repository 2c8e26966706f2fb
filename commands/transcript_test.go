package commands_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"flag"
	"net"
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
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/shell/shelltest"
)

var update = flag.Bool("update", false, "rewrite the transcripts as the appliance speaks now")

// welcome matches a conversation that begins with the login; others begin with the
// first prompt.
var welcome = regexp.MustCompile(`\A(Last login|Copyright|AsyncOS)`)

// patience is how long a transcript waits for the next byte.
const patience = 20 * time.Second

// TestTranscripts plays the conversations beside the commands. A script without a
// box verb has the default one: version 14.0.0, the clock standing at 2015-06-25
// 08:50:03, seed 1. The verbs:
//
//	box -version 8.5.6-106      another version, before the first session
//	session NAME...             play files of the archive, one login each
//	session -in LABEL NAME      the same in a login that stays, for two at a time
//	session -user U -pass P, -size 80x24
//	clock +31m                  move the clock
//	ssh LINE                    run a command line; its output is stdout
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
		},
	})
}

type standKey struct{}

func at(ts *testscript.TestScript) *stand { return ts.Value(standKey{}).(*stand) }

// A stand is where a script is played: a box and the sessions in it.
type stand struct {
	env     *testscript.Env
	fake    *clock.Fake // nil before the box is switched on
	addr    string
	players map[string]*shelltest.Player
	told    map[string]string // by name of a conversation: what was said this time
}

// newBox builds and starts a box that lives until the script ends.
func (s *stand) start(ts *testscript.TestScript, version string) {
	v, err := product.ParseVersion(version)
	ts.Check(err)
	fake := clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC))
	box, err := appliance.New(appliance.Options{
		Dir:     filepath.Join(s.env.WorkDir, ".box"),
		Clock:   fake,
		Entropy: entropy.Seeded(1),
		Product: product.Facts{Model: "C100V", Serial: "421F6D8FB9C75E19C425-C9AEA81B2B70", Version: v, CPUs: 2, MemoryMB: 6144},
	})
	ts.Check(err)
	srv := &shell.Server{
		Box:      box,
		Commands: commands.All(),
		HostKey:  ed25519.NewKeyFromSeed(make([]byte, 32)),
		Listen:   func(context.Context) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
	}
	box.Add(srv)
	ts.Check(box.Start(context.Background()))
	s.fake, s.addr = fake, srv.Addr().String()
	ts.Defer(func() {
		for _, p := range s.players {
			p.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ts.Check(box.Stop(ctx))
		s.rewrite(ts)
	})
}

func (s *stand) box(ts *testscript.TestScript, args []string) {
	if len(args) != 2 || args[0] != "-version" {
		ts.Fatalf("usage: box -version V")
	}
	if s.fake != nil {
		ts.Fatalf("box comes before everything else")
	}
	s.start(ts, args[1])
}

// on switches the box on unless it is.
func (s *stand) on(ts *testscript.TestScript) {
	if s.fake == nil {
		s.start(ts, "14.0.0-698")
	}
}

func (s *stand) clock(ts *testscript.TestScript, args []string) {
	s.on(ts)
	if len(args) != 1 {
		ts.Fatalf("usage: clock DURATION")
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
