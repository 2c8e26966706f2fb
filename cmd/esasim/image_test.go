package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/clock"
)

// The README shows a session at the prompt. The test records it again on an appliance whose
// clock stands still and whose random numbers repeat, so that every byte is the same.
func TestReadmeShowsARecordedTerminal(t *testing.T) {
	box := appliancetest.Start(t, appliancetest.Seed(1),
		appliancetest.Clock(clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC))))
	settings := box.Appliance().Captures.Settings()
	settings.Filter = capture.Filter{Kind: capture.Custom, Expression: "host 10.0.202.53"}
	if err := box.Appliance().Captures.SetSettings(settings); err != nil {
		t.Fatal(err)
	}

	var screen strings.Builder
	screen.WriteString("$ ssh -p 2222 admin@127.0.0.1\n...\nexample.com> packetcapture\n...\n[]> ")
	session := box.Login()
	enter := func(typed, prompt string) {
		session.Type(typed)
		screen.WriteString(session.Expect(prompt))
	}
	session.Type("packetcapture")
	session.Expect("[]> ")
	enter("start", "[]> ")
	enter("", "example.com> ")
	enter("nslookup google.com", "example.com> ")
	session.Type("packetcapture")
	session.Expect("[]> ")
	session.Type("stop")
	session.Expect("Success - Packet Capture has stopped")
	screen.WriteString("packetcapture\n...\n[]> stop\n\nSuccess - Packet Capture has stopped\n...\n\n")

	name := box.Captures()[0]
	data, err := fs.ReadFile(box.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	local := filepath.Join(t.TempDir(), path.Base(name))
	if err := os.WriteFile(local, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (filter{Read: local}).Run(stdio{out: &out, err: &out}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(&screen, "$ sftp -q -P 2222 'admin@127.0.0.1:/data/pub/diagnostic/*.cap' .\n")
	fmt.Fprintf(&screen, "$ esasim filter -r %s...cap\n%s", path.Base(name)[:27], out.String())

	checkImage(t, ".github/images/terminal.svg", terminalSVG(screen.String()))
}

// checkImage compares an image with the file that the README shows, or with -fix replaces
// the file.
func checkImage(t *testing.T, file, want string) {
	t.Helper()
	file = filepath.Join(root, file)
	if *fix {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil || strings.ReplaceAll(string(got), "\r\n", "\n") != want {
		t.Errorf("%s is not what the appliance shows (%v): go test ./cmd/esasim -run %s -fix rewrites it",
			file, err, t.Name())
	}
}

// terminalSVG draws text as a terminal shows it. What follows a prompt is bright: it was
// typed.
func terminalSVG(text string) string {
	const lineHeight, charWidth, margin, bar = 17, 7.9, 16, 30
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	columns := 0
	for _, line := range lines {
		columns = max(columns, len(line))
	}
	width := int(float64(columns)*charWidth) + 2*margin
	height := len(lines)*lineHeight + bar + margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">
<rect width="%[1]d" height="%[2]d" rx="8" fill="#10151c"/>
<circle cx="20" cy="15" r="5" fill="#e0645c"/><circle cx="38" cy="15" r="5" fill="#e3b341"/>`+
		`<circle cx="56" cy="15" r="5" fill="#57ab5a"/>
<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"`+
		` font-size="13" fill="#adbac7">
`, width, height)
	for i, line := range lines {
		if line == "" {
			continue
		}
		prompt, typed := "", line
		for _, p := range []string{"example.com> ", "[]> ", "$ "} {
			if strings.HasPrefix(line, p) {
				prompt, typed = p, strings.TrimPrefix(line, p)
			}
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s`, margin, bar+(i+1)*lineHeight-4, escaped(prompt))
		if prompt != "" {
			fmt.Fprintf(&b, `<tspan fill="#f0f6fc" font-weight="bold">%s</tspan></text>`+"\n", escaped(typed))
		} else {
			fmt.Fprintf(&b, "%s</text>\n", escaped(typed))
		}
	}
	b.WriteString("</g>\n</svg>\n")
	return b.String()
}

// escaped is text as XML content. Its blanks are no-break spaces: renderers of SVG collapse
// others, whatever white-space or xml:space say.
func escaped(text string) string {
	var b bytes.Buffer
	text = strings.ReplaceAll(text, " ", "\u00a0")
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		panic(err) // a bytes.Buffer never fails
	}
	return b.String()
}
