package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/tooltest"
)

// The verbs about captures work together, and say what is wrong.
func TestCtlCapture(t *testing.T) {
	p := start(t, shortHome(t), "--ctl", "127.0.0.1:0")
	file := filepath.Join(t.TempDir(), "dns.pcapng")
	for _, c := range []struct{ line, want string }{
		{"cables", "path/google                raw       the path to 216.58.194.0/24, behind the gateway\n"},
		{"cables --json", `"link": "ethernet"`},
		{"capture list", "There are no captures.\n"},
		{"capture start --cable resolver --name dns --size 64KiB --packets 9 --duration 1h udp port 53", "dns\n"},
		{"capture start --cable google6", "capture1\n"},
		{"capture list", "dns       running  0        0        "},
		{"capture list", "path/google6  -\n"},
		{"capture stop dns", " bytes\n"},
		{"capture get dns -w " + file, ""},
		{"capture list --json", `"max_bytes": 65536`},
		{"capture remove dns", ""},
		{"capture remove all", ""},
		{"capture list", "There are no captures.\n"},
		{"capture --cable google --duration 1ms -w " + file + ".live", ""},
	} {
		status, out, stderr := p.ctl(t, strings.Fields(c.line)...)
		if status != 0 || stderr != "" || !strings.Contains(out, c.want) {
			t.Errorf("ctl %s: %d %s%s, want %q", c.line, status, out, stderr, c.want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "\x0a\x0d\x0d\x0a") {
		t.Errorf("the file is %q, %v", text, err)
	}
	for line, want := range map[string]string{
		"capture --cable nic9":                      `has no cable "nic9": expected one of Data 1, `,
		"capture start --cable nic9":                `esasim ctl cables describes them`,
		"capture start --cable google host and":     `the filter is not valid at character 6: an address is missing`,
		"capture start --cable google --size much":  `expected a size such as 64KiB, but got "much"`,
		"capture stop x":                            `there is no capture "x": esasim ctl capture list lists what there is`,
		"capture get x":                             `there is no capture "x"`,
		"capture":                                   `missing flags: --cable=NAME`,
		"capture start --cable google --name a/b x": `"a/b" is no name of a capture`,
	} {
		if status, out, stderr := p.ctl(t, strings.Fields(line)...); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("ctl %s: %d %s%s, want %q", line, status, out, stderr, want)
		}
	}
	if got := completions(t, "esasim ctl --socket "+p.ready.Socket+" capture start --cable goo"); strings.Join(got, " ") != "google google/web" {
		t.Errorf("completion of cables: %q", got)
	}
}

// tshark reads what ctl capture writes, while packets pass.
func TestCtlCaptureWithTshark(t *testing.T) {
	tooltest.Need(t, "tshark", "ssh", "sshpass")
	p := start(t, shortHome(t))
	capture := command(t, p.home, "ctl", "capture", "--cable", "resolver", "-w", "-", "udp port 53")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	capture.Stdout = w
	if err := capture.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	tshark := exec.CommandContext(t.Context(), "tshark", "-n", "-l", "-r", "-", "-T", "fields", "-e", "dns.qry.name")
	tshark.Stdin = r
	out, err := tshark.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tshark.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	seen := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		seen <- line
	}()
	for n := 0; ; n++ { // the capture may begin later than the first lookups
		tryExecute(t, p.home, "", "sshpass", sshCommand(p, "nslookup", fmt.Sprintf("try%d.example.com", n))...)
		select {
		case line := <-seen:
			if !strings.HasPrefix(line, "try") {
				t.Errorf("tshark shows %q", line)
			}
			capture.Process.Signal(os.Interrupt)
			capture.Wait()
			tshark.Wait()
			return
		default:
		}
	}
}
