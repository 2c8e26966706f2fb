package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/fixtures"
)

// completions returns what a shell offers after a line.
func completions(t *testing.T, line string) []string {
	t.Helper()
	t.Setenv(completionLine, line)
	status, stdout, stderr := invoke()
	if status != 0 || stderr != "" {
		t.Errorf("completion of %q: %d %s", line, status, stderr)
	}
	words := strings.Fields(stdout)
	slices.Sort(words)
	return words
}

func TestCompletion(t *testing.T) {
	topologies := strings.Join(fixtures.Topologies(), " ")
	for line, want := range map[string]string{
		"esasim to":                             "topology",
		"esasim topology ":                      "check list show",
		"esasim topology show ":                 topologies,
		"esasim --topology l":                   "lab legacy",
		"esasim --ep":                           "--ephemeral",
		"esasim serve --log-level ":             "debug error info warn",
		"esasim ctl fault add re":               "refuse reset",
		"esasim ctl fault add drop --from-":     "--from-port",
		"esasim ctl fault add drop --path goo":  "google google6",
		"esasim ctl fault add drop --protocol ": "icmp tcp udp",
		"esasim help ctl clock ":                "advance set show",
		"esasim help ctl pear ":                 "",
		"esasim completion ":                    "bash fish zsh",
		"esasim version ":                       "",
	} {
		if got := strings.Join(completions(t, line), " "); got != want {
			t.Errorf("after %q: %s, want %s", line, got, want)
		}
	}
}

// Completion knows the servers and the faults of the appliance that the line names.
func TestCompletionAsksTheAppliance(t *testing.T) {
	p := start(t, shortHome(t), "--ctl", "127.0.0.1:0")
	p.ctl(t, "fault", "add", "drop")
	for _, where := range []string{"--socket " + p.ready.Socket, "--addr=" + p.ready.Ctl} {
		if got := completions(t, "esasim ctl "+where+" fault remove "); !slices.Equal(got, []string{"1", "all"}) {
			t.Errorf("faults to remove: %q", got)
		}
		if got := completions(t, "esasim ctl "+where+" peer show server/"); !slices.Contains(got, "server/echo") {
			t.Errorf("servers to show: %q", got)
		}
		if got := completions(t, "esasim ctl fault add drop "+where+" --path "); len(got) != 0 {
			t.Errorf("paths of an unknown topology: %q", got)
		}
	}
	if got := completions(t, "esasim ctl --socket /nowhere/x peer stop "); len(got) != 0 {
		t.Errorf("servers without an appliance: %q", got)
	}
}

// Completion knows the appliances of the fleet that the line names, and what one of them has.
func TestCompletionAsksTheFleet(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, "data")
	startFleet(t, home, "--count", "2", "--topology", "minimal", "--data", data)
	out, err := command(t, home, "ctl", "--socket", data, "--appliance", "esa-2", "fault", "put", "slow",
		"drop", "--to", "192.0.2.1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctl := "esasim ctl --socket " + data
	for _, line := range []string{
		ctl + " --appliance ", ctl + " fleet start ", ctl + " fleet stop e", ctl + " --appliance es fleet stop ",
	} {
		if got := completions(t, line); !slices.Equal(got, []string{"esa-1", "esa-2"}) {
			t.Errorf("after %q: %q", line, got)
		}
	}
	for name, want := range map[string]string{"esa-1": "all", "esa-2": "1 all slow"} {
		got := completions(t, ctl+" --appliance "+name+" fault remove ")
		if strings.Join(got, " ") != want {
			t.Errorf("faults of %s: %q, want %s", name, got, want)
		}
	}
	if got := completions(t, "esasim ctl --socket /nowhere/x fleet stop "); len(got) != 0 {
		t.Errorf("appliances without a fleet: %q", got)
	}
}

// interactive is typed by expect: the code for a shell, and then the beginning of a word
// and a tab.
const interactive = `
set timeout 120
set stty_init "columns 200"
lassign $argv shell before
if {$shell eq "bash"} { spawn -noecho bash --norc --noprofile -i } else { spawn -noecho zsh -f -i }
proc type {text} {
    send -- "$text; echo READ''_Y\r"
    expect {
        "READ_Y" {}
        timeout { send_user "\nno answer to $text\n"; exit 1 }
    }
}
type "PS1='> '"
if {$before ne ""} { type $before }
type "source <(esasim completion -c $shell)"
send -- "esasim topology sh\t"
expect {
    -re {esasim topology show} {}
    timeout { send_user "\nnothing is completed\n"; exit 1 }
}
close
`

// The code that esasim completion prints makes a shell complete the program's words.
func TestCompletionInRealShells(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "esasim")); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "interactive")
	if err := os.WriteFile(script, []byte(interactive), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv(runAsProgram, "1")
	t.Setenv("HOME", dir)
	for shell, before := range map[string]string{"bash": "", "zsh": "autoload -U compinit && compinit -D -u"} {
		t.Run(shell, func(t *testing.T) {
			tooltest.Need(t, "expect", shell)
			execute(t, dir, "", "expect", "-f", script, shell, before)
		})
	}
	t.Run("fish", func(t *testing.T) {
		tooltest.Need(t, "fish")
		got := execute(t, dir, "", "fish", "-c", `esasim completion -c fish | source; complete -C "esasim topology sh"`)
		if got != "show\n" {
			t.Errorf("fish offers %q, want show", got)
		}
	})
}
