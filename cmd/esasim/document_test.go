package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The pages of this repository have blocks of shell lines that readers type: those that are indented
// by four columns, and fences of sh and python. TestDocuments runs all of them, a page against a
// process of its own.
//
// What is not run, or needs something that a reader has anyway, is marked by comments of HTML before
// the block, which readers do not see:
//
//	<!-- not run: REASON -->
//
// or a comment that begins with a line "<!-- run" and has a mark a line. PREFIX is the beginning of
// the lines to which a mark applies; one that applies to none is an error.
//
//	first: COMMAND                 runs before the block
//	skip: PREFIX => REASON         is not run
//	status: PREFIX => NUMBER       ends with that exit status
//	interrupt: PREFIX              runs for ever: it is interrupted, as by Ctrl-C, once it has printed
//	                               something
//	interrupt: PREFIX => COMMAND   ... once COMMAND, which is repeated, succeeds
//	meanwhile: PREFIX => COMMAND   waits: COMMAND is repeated until it ends
//	as: TEXT => OTHER              OTHER is typed in the place of TEXT
//
// In a block with lines that begin with "$ ", the others are output. Ports of the doors and of the
// control API are replaced by those of the process. ssh, scp and sftp know the passphrase.

// A block is a block of lines of a page.
type block struct {
	line     int    // of the page, from 1
	language string // sh or python
	text     string
	notRun   string // why
	marks    []*blockMark
}

// A blockMark is a mark of a block.
type blockMark struct {
	verb, prefix, argument string
	used                   bool
}

var (
	markVerbs = map[string]bool{"first": true, "skip": true, "status": true, "interrupt": true,
		"meanwhile": true, "as": true}
	fence = "```"
)

// parseMarks reads the marks of a comment.
func parseMarks(text string) ([]*blockMark, error) {
	var list []*blockMark
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		verb, rest, _ := strings.Cut(line, ": ")
		prefix, argument, has := strings.Cut(rest, " => ")
		m := &blockMark{verb: verb, prefix: prefix, argument: argument}
		if verb == "first" {
			m.prefix, m.argument, has = "", rest, true
		}
		if !markVerbs[verb] || !has && verb != "interrupt" {
			return nil, fmt.Errorf("what does the mark %q mean?", line)
		}
		list = append(list, m)
	}
	return list, nil
}

// parseBlocks returns the blocks of a page.
func parseBlocks(page string) ([]*block, error) {
	var list []*block
	lines := strings.Split(page, "\n")
	var notRun, comment string
	take := func(b *block) error {
		var err error
		b.notRun = notRun
		b.marks, err = parseMarks(comment)
		notRun, comment = "", ""
		list = append(list, b)
		return err
	}
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "<!-- not run: "):
			_, notRun, _ = strings.Cut(strings.TrimSuffix(line, " -->"), ": ")
		case line == "<!-- run":
			for i++; lines[i] != "-->"; i++ {
				comment += lines[i] + "\n"
			}
		case strings.HasPrefix(line, fence):
			b := &block{line: i + 2, language: strings.TrimPrefix(line, fence)}
			for i++; !strings.HasPrefix(lines[i], fence); i++ {
				b.text += lines[i] + "\n"
			}
			if b.language != "sh" && b.language != "python" {
				continue
			}
			if err := take(b); err != nil {
				return nil, err
			}
		case strings.HasPrefix(line, "    ") && (i == 0 || strings.TrimSpace(lines[i-1]) == "" ||
			strings.HasPrefix(lines[i-1], "-->") || strings.HasPrefix(strings.TrimSpace(lines[i-1]), "<!-- ")):
			b := &block{line: i + 1, language: "sh"}
			indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
			for ; i < len(lines) && (lines[i] == "" || strings.HasPrefix(lines[i], indent)); i++ {
				b.text += strings.TrimPrefix(lines[i], indent) + "\n"
			}
			i--
			if err := take(b); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// commands returns the commands of a block. A command may have several lines.
func (b *block) commands() []string {
	if b.language == "python" {
		return []string{b.text}
	}
	prompted := strings.HasPrefix(b.text, "$ ") || strings.Contains(b.text, "\n$ ")
	var list []string
	more := false
	for line := range strings.Lines(b.text) {
		line = strings.TrimSuffix(line, "\n")
		if !more && prompted {
			var is bool
			if line, is = strings.CutPrefix(line, "$ "); !is {
				continue
			}
		}
		if trimmed := strings.TrimSpace(line); !more && (trimmed == "" || trimmed[0] == '#') {
			continue
		}
		if more {
			list[len(list)-1] += "\n" + line
		} else {
			list = append(list, line)
		}
		more = strings.HasSuffix(line, `\`)
	}
	return list
}

// mark returns the argument of the mark of a command.
func (b *block) mark(verb, command string) (argument string, ok bool) {
	for _, m := range b.marks {
		if m.verb == verb && strings.HasPrefix(command, m.prefix) {
			m.used = true
			return m.argument, true
		}
	}
	return "", false
}

// typed returns what is typed instead of a command of the page.
func (b *block) typed(command string) string {
	for _, m := range b.marks {
		if m.verb == "as" && strings.Contains(command, m.prefix) {
			m.used = true
			command = strings.ReplaceAll(command, m.prefix, m.argument)
		}
	}
	return command
}

// pages returns the pages of this repository, from its root.
func pages(t *testing.T) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".md" {
			name, err := filepath.Rel(root, path)
			list = append(list, name)
			return err
		}
		return err
	})
	if err != nil || len(list) < 10 {
		t.Fatal(list, err)
	}
	return list
}

// blocksOf returns the blocks of a page.
func blocksOf(t *testing.T, page string) []*block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseBlocks(string(text))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	if page == "README.md" {
		addReadmeMarks(t, list)
	}
	return list
}

// readmeMarks are the marks of README.md, which has no room for them: for each block its beginning, and
// its marks.
const readmeMarks = `
block go run
not run: it compiles the program and runs its tests
block sftp
first: esasim ctl run "packetcapture start; packetcapture stop"
block esasim ctl fault
as: --bench 127.0.0.1:8090 => --ephemeral --ports auto --bench 127.0.0.1:0
as: --topology syslog => --ephemeral --ports auto --topology syslog
interrupt: esasim --bench
interrupt: esasim --topology
block cmd/esasim
not run: the map of the packages
`

// addReadmeMarks adds readmeMarks.
func addReadmeMarks(t *testing.T, list []*block) {
	t.Helper()
	for _, section := range regexp.MustCompile(`(?m)^block `).Split(readmeMarks, -1)[1:] {
		first, rest, _ := strings.Cut(section, "\n")
		found := false
		for _, b := range list {
			if !strings.HasPrefix(b.text, first) {
				continue
			}
			found = true
			var is bool
			if b.notRun, is = strings.CutPrefix(strings.TrimSpace(rest), "not run: "); is {
				break
			}
			b.notRun = ""
			marks, err := parseMarks(rest)
			if err != nil {
				t.Fatal(err)
			}
			b.marks = marks
		}
		if !found {
			t.Errorf("no block of README.md begins with %q", first)
		}
	}
}

// The marks are read as they are meant.
func TestMarksOfDocuments(t *testing.T) {
	list, err := parseBlocks("text:\n\n<!-- not run: needs a cluster -->\n\n    a\n\n    b \\\n      c\n    # d\n\ntext\n" +
		"<!-- run\nfirst: x: y\nskip: b => why\nas: c => $D\n-->\n" + fence + "sh\nb\nd c\n" + fence +
		"\n\n    $ e\n    output\n    $ f\n")
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	if got := list[0].commands(); list[0].notRun != "needs a cluster" || len(got) != 2 || got[1] != "b \\\n  c" {
		t.Errorf("%+v, %q", list[0], got)
	}
	b := list[1]
	if why, ok := b.mark("skip", "b"); !ok || why != "why" || b.typed("d c") != "d $D" || b.line != 18 {
		t.Errorf("%+v", b)
	}
	if first, ok := b.mark("first", ""); !ok || first != "x: y" {
		t.Errorf("first: %q", first)
	}
	if got := list[2].commands(); len(got) != 2 || got[1] != "f" {
		t.Errorf("%q", got)
	}
	if _, err := parseBlocks("<!-- run\nburn: x\n-->\n\n    a\n"); err == nil {
		t.Error("a mark that does not exist is accepted")
	}
}
