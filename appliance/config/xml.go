package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Passphrases says how WriteXML writes what is tagged as secret.
type Passphrases int

// Ways to write passphrases.
const (
	// Masked hides them. ReadXML refuses such a file.
	Masked Passphrases = iota
	// Encrypted writes hashes as they are, and what the appliance must be able to
	// read again under a key that all appliances share: it keeps passphrases from
	// being read in passing, and the file can be loaded into another appliance.
	Encrypted
	// Plain writes everything as it is. AsyncOS offers it before version 14.
	Plain
)

// XMLOptions of WriteXML.
type XMLOptions struct {
	Header      []string // the lines of the comment at the top, without indentation
	Passphrases Passphrases
}

const xmlHead = `<?xml version="1.0" encoding="ISO-8859-1"?>`

// WriteXML writes all sections of v as showconfig and saveconfig do, one after the
// other, so that a slow reader holds up nothing but itself. Lines end in "\n".
func WriteXML(w io.Writer, v View, o XMLOptions) error {
	out := bufio.NewWriter(w)
	out.WriteString(xmlHead + "\n<!DOCTYPE config SYSTEM \"config.dtd\">\n\n<!--\n")
	for _, line := range o.Header {
		out.WriteString("  " + commentText(line) + "\n")
	}
	out.WriteString("-->\n<config>\n")
	var group Group
	for _, s := range allSections() {
		if s.group != group {
			group = s.group
			out.WriteString(banner(group.String()) + "\n")
		}
		n := v.entry(s).tree()
		s.schema.hideSecrets(n, o.Passphrases)
		n.write(out, 1)
		if err := out.Flush(); err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}
	}
	out.WriteString("</config>\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

// banner is the comment that begins a group.
func banner(title string) string {
	const width = 76
	left := (width - len(title)) / 2
	stars := strings.Repeat("*", width+2)
	return "<!--\n" + stars + "\n*" + strings.Repeat(" ", left) + title +
		strings.Repeat(" ", width-left-len(title)) + "*\n" + stars + "\n-->\n"
}

// commentable is line without what would end the comment, in ASCII.
func commentText(line string) string {
	line = strings.ReplaceAll(line, "--", "- -")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, line)
}

// fileLimits are far above any configuration and far below what would hurt.
var fileLimits = limits{bytes: 8 << 20, nodes: 200_000, depth: 16}

// ReadXML puts the sections that r holds into d, and reports whether that changed
// anything in it. A file may hold some sections only; a section that it holds is
// replaced, lists included, but for single values that it leaves out, which stay.
//
// Either the whole file is taken or d stays as it was. An unknown element, a value
// that does not fit, a masked passphrase or a file out of all proportion is an
// *XMLError, a configuration that could not be committed an *InvalidError; anything
// else comes from r.
func ReadXML(r io.Reader, d *Draft) (changed bool, err error) {
	root, err := parse(r, fileLimits)
	if err != nil {
		return false, err
	}
	if root.Name != "config" {
		return false, xmlErrorf(root, "<%s> where <config> was expected", root.Name)
	}
	if strings.TrimSpace(root.Text) != "" {
		return false, xmlErrorf(root, "text outside of any element")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	base := d.store.Committed()
	trial := base.with(d.edits, base.rev)
	read := map[*spec]*entry{}
	for _, n := range root.Children {
		s := registry[n.Name]
		if s == nil {
			return false, xmlErrorf(n, "unknown element <%s>", n.Name)
		}
		if read[s] != nil {
			return false, xmlErrorf(n, "<%s> appears twice", n.Name)
		}
		if read[s], err = s.read(n, trial.entry(s)); err != nil {
			return false, err
		}
	}
	for s, e := range read {
		if equalXML(e, trial.entry(s)) {
			delete(read, s)
			continue
		}
		trial.set[s.name] = e
	}
	if len(read) == 0 {
		return false, nil
	}
	if err := trial.check(); err != nil {
		return false, err
	}
	for s, e := range read {
		d.setLocked(s, e)
	}
	return true, nil
}

// read makes n a value of the section; base lends the single values that n lacks.
func (s *spec) read(n *node, base *entry) (*entry, error) {
	if err := s.schema.revealSecrets(n); err != nil {
		return nil, err
	}
	if err := s.schema.check(n); err != nil {
		return nil, err
	}
	s.schema.addMissing(n, base.tree())
	e, err := s.canonical(n.bytes())
	if err != nil { // a value that passed its own check
		return nil, xmlErrorf(n, "<%s>: %v", n.Name, err)
	}
	return e, nil
}
