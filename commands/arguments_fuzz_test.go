package commands_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/shell/shelltest"
)

// A fuzzNet is a network with interfaces and empty tables.
type fuzzNet struct{ tappedNet }

func (fuzzNet) Sockets() ([]network.Socket, error)          { return nil, nil }
func (fuzzNet) Routes() ([]network.Route, error)            { return nil, nil }
func (fuzzNet) Counters(string) (network.Counters, error)   { return network.Counters{}, nil }
func (fuzzNet) Neighbors() ([]network.Neighbor, error)      { return nil, nil }
func (fuzzNet) FlushNeighbors() ([]network.Neighbor, error) { return nil, nil }

// localCommands have an inline form and neither wait nor need other machines.
var localCommands = []string{
	"adminaccessconfig", "commit", "diagnostic", "displayalerts", "dnsconfig", "findevent", "grep",
	"bouncerecipients", "deleterecipients", "redirectrecipients", "suspendlistener",
	"help", "logconfig", "netstat", "packetcapture", "rollovernow", "routeconfig", "sethostname",
	"settz", "showconfig", "status", "tcpdump", "hoststatus", "tophosts",
}

// Whatever the arguments are, an inline command succeeds, refuses them, or needs an answer. It never
// panics and never fails with an internal error.
func FuzzInlineArguments(f *testing.F) {
	for _, line := range []string{
		"packetcapture start", "packetcapture stop now", "diagnostic network tcpdump filter ip host",
		"diagnostic network tcpdump interface data 1", "diagnostic reporting deletedb",
		"diagnostic services webui status", "netstat 1 -f inet6", "netstat 2 Data", "grep -e a mail_logs",
		"grep -i ( mail_logs", "findevent -f a -d x mail_logs", "help listenerconfig", "status detail",
		"adminaccessconfig ipaccess new 1.2.3.4/33", "dnsconfig setup x", "routeconfig new a b c",
		"logconfig hostkeyconfig new", "rollovernow 0", "displayalerts -1", "settz ../../etc/passwd",
		"sethostname \xff.example", "commit \x1b[2J y", "showconfig 9", "tcpdump start",
	} {
		f.Add(line)
	}
	app, err := appliance.New(appliance.Options{
		Net: fuzzNet{}, Dir: f.TempDir(), CaptureInterfaces: []string{"Data 1"},
		Product: product.Facts{Model: "C100V", Version: product.Version{Major: 14}},
		Clock:   clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { app.Stop(context.Background()) }) //nolint:errcheck // it has no services
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Fields(line)
		if len(words) < 2 || !slices.Contains(localCommands, words[0]) {
			return
		}
		env := &shell.Env{
			Dialogue: shell.NewDialogue(shelltest.NewPrompter()), Appliance: app,
			Draft: app.Config.NewDraft(), Args: words[1:], Inline: true,
			Commands: commands.All(), SessionContext: t.Context(),
		}
		err := runCommand(t.Context(), env, words[0])
		if _, refused := refusal.Text(err); err != nil && !refused && !errors.Is(err, io.EOF) {
			t.Errorf("%q: %v", line, err)
		}
	})
}
