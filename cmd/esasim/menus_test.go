package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/commands"
)

// menuScript is an expect script that opens every command and every menu below it. It chooses
// each entry that is offered, reads what the entry asks, and leaves with Ctrl-C. It prints
// the path to each entry that it chose.
const menuScript = `
set timeout 120
set prompt {^[a-z0-9.]+> $}
set question {\]> $|: $}
proc fail {text} { send_user "\nFAIL: $text\n"; exit 1 }

# answer sends text, and returns what is on the screen when the appliance waits again.
proc answer {text} {
    global spawn_id prompt question
    set screen ""
    send -- $text
    while 1 {
        expect {
            -re "More-$" { append screen $expect_out(buffer); send " " }
            -re {Ctrl-C to (stop|return)[^\n]*\n} { append screen $expect_out(buffer); send "\003" }
            -re {(^|\n)([a-z0-9.]+> |[^\n]*\[[^\n\]]*\]> |[A-Z][^\n]*: |[^\n]*(on a line by itself\.|end with '\.'\):)[\r\n]+)$} {
                append screen $expect_out(buffer)
                return $screen
            }
            timeout { fail "after [string trim $text]: nothing more came after '$screen'" }
            eof     { fail "after [string trim $text]: the session ended: $screen" }
        }
    }
}
proc atprompt {screen} { return [regexp {(^|\n)[a-z0-9.]+> $} $screen] }

proc visit {path depth} {
    set screen ""
    foreach word $path { set screen [answer "$word\r"] }
    if {[regexp {Unknown (operation|command)|internal error} $screen]} { fail "$path: $screen" }
    send_user "\nVISITED $path\n"
    # What is on offer after the last word was chosen.
    set last [string last "Choose the operation" $screen]
    set entries {}
    if {$depth < 4 && ![atprompt $screen]} {
        foreach {all key} [regexp -all -inline {\n- ([A-Z0-9_]+) - } [string range $screen [expr {$last < 0 ? 0 : $last}] end]] { lappend entries $key }
    }
    for {set i 0} {![atprompt $screen]} {incr i} {
        if {$i == 5} { fail "$path: Ctrl-C does not lead to the prompt" }
        set screen [answer "\003"]
    }
    # A menu that is shown again after an operation is not one level deeper.
    global seen
    set menu [join $entries]
    if {$menu eq "" || [info exists seen([lrange $path 0 end-1],$menu)]} { return }
    set seen($path,$menu) 1
    foreach key $entries { visit [concat $path [string tolower $key]] [expr {$depth + 1}] }
}

set words [split [lindex $argv 0] " "]
eval spawn -noecho [lrange $argv 1 end]
stty rows 500 columns 200 < $spawn_out(slave,name)
expect "assword:"
answer "ironport\r"
foreach word $words { visit [list $word] 1 }
send "exit\r"
expect {
    -re {lose changes.*\[N\]> $} { send "y\r"; exp_continue }
    eof
}
`

// Every menu of the documents can be opened, and Ctrl-C leads back to the prompt.
func TestEveryMenuWithExpect(t *testing.T) {
	tooltest.Need(t, "expect", "ssh")
	for topology, must := range map[string][]string{
		"lab": {
			"diagnostic raid", "diagnostic disk_usage", "diagnostic network flush", "diagnostic network arpshow",
			"diagnostic network ndpshow", "diagnostic network smtpping", "diagnostic network tcpdump filter",
			"diagnostic reporting", "diagnostic tracking", "diagnostic reload", "diagnostic services",
			"etherconfig media edit", "etherconfig vlan new", "etherconfig loopback enable", "etherconfig mtu edit",
			"etherconfig multicast accept", "interfaceconfig new", "routeconfig", "dnsconfig setup", "netstat", "tcpservices",
			"packetcapture start", "adminaccessconfig banner", "ntpconfig new", "telnet", "nslookup", "dig",
		},
		"legacy": {
			"diagnostic network tcpdump start", "diagnostic network tcpdump clear", "tcpdump interface",
		},
	} {
		t.Run(topology, func(t *testing.T) {
			p := start(t, t.TempDir(), "--ephemeral", "--topology", topology)
			script := filepath.Join(t.TempDir(), "crawl")
			if err := os.WriteFile(script, []byte(menuScript), 0o600); err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, c := range commands.All() {
				if c.Name != "exit" && (topology == "lab") == (c.Name != "tcpdump") {
					words = append(words, c.Name)
				}
			}
			if topology == "legacy" {
				words = []string{"diagnostic", "tcpdump"}
			}
			args := append([]string{"-f", script, strings.Join(words, " "), "ssh", "-o", "PubkeyAuthentication=no"}, sshArgs(p, "-p")...)
			out := execute(t, "", "", "expect", append(args, "admin@127.0.0.1")...)
			var visited []string
			for line := range strings.Lines(out) {
				if path, ok := strings.CutPrefix(strings.TrimSpace(line), "VISITED "); ok {
					visited = append(visited, path)
				}
			}
			for _, path := range must {
				if !slices.Contains(visited, path) {
					t.Errorf("%s was not offered; visited:\n%s", path, strings.Join(visited, "\n"))
				}
			}
		})
	}
}
