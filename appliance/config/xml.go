package config

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Passphrases says how WriteXML writes the fields that are tagged as secret.
type Passphrases int

// Ways to write passphrases.
const (
	// Masked hides all passphrases. ReadXML refuses such a file.
	Masked Passphrases = iota
	// Encrypted writes hashes unchanged, and encrypts the passphrases that the appliance must be
	// able to read again under a key that all appliances share. It protects only from a casual look
	// at the file. The file can be loaded into any appliance.
	Encrypted
	// Plain writes everything unchanged. AsyncOS offers it before version 14.
	Plain
)

// XMLOptions are the options of WriteXML.
type XMLOptions struct {
	Header      []string // lines of the comment at the top, without indentation
	Passphrases Passphrases
	// Without holds the names of sections that are left out. Loading such a file does not change
	// them.
	Without []string
	// WithoutSecrets leaves out the fields that are tagged as secret, whatever Passphrases says,
	// and marks their elements as kept. Loading such a file keeps the present values.
	WithoutSecrets bool
}

const xmlHead = `<?xml version="1.0" encoding="ISO-8859-1"?>`

// WriteXML writes the sections of v in the form of showconfig and saveconfig. It flushes after each
// section, and holds no lock while it writes. Lines end in "\n".
func WriteXML(w io.Writer, v View, o XMLOptions) error {
	out := bufio.NewWriter(w)
	out.WriteString(xmlHead + "\n<!DOCTYPE config SYSTEM \"config.dtd\">\n\n<!--\n")
	for _, line := range o.Header {
		out.WriteString("  " + commentText(line) + "\n")
	}
	out.WriteString("-->\n<config>\n")
	var group Group
	for _, s := range allSections() {
		if slices.Contains(o.Without, s.name) {
			continue
		}
		if s.group != group {
			group = s.group
			out.WriteString(banner(group.String()) + "\n")
		}
		n := v.entry(s).tree()
		if o.WithoutSecrets {
			s.schema.omitSecrets(n)
		} else {
			s.schema.hideSecrets(n, o.Passphrases)
		}
		n.write(out, 1)
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
	}
	out.WriteString("</config>\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// banner returns the comment that begins a group.
func banner(title string) string {
	const width = 76
	left := (width - len(title)) / 2
	stars := strings.Repeat("*", width+2)
	return "<!--\n" + stars + "\n*" + strings.Repeat(" ", left) + title +
		strings.Repeat(" ", width-left-len(title)) + "*\n" + stars + "\n-->\n"
}

// commentText returns line in ASCII and without anything that would end the comment.
func commentText(line string) string {
	line = strings.ReplaceAll(line, "--", "- -")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, line)
}

// fileLimits bound the size of a file that is loaded. No configuration comes near them, and a file
// within them costs little time and memory.
var fileLimits = limits{bytes: 8 << 20, nodes: 200_000, depth: 16}

// ReadXML sets the sections that r holds in d, and reports whether that changed d. A file may hold
// some sections only. A section that it holds is replaced, including its lists; single values that
// the file leaves out keep their values.
//
// If there is an error, d is unchanged. The error is an *XMLError if the file has an unknown
// element, an unsuitable value or a masked passphrase, or is too large; it wraps an *InvalidError
// if the configuration could not be committed. Any other error is r's, or internal.
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

// read returns n as a value of the section. Single values that n lacks are taken from base.
func (s *spec) read(n *node, base *entry) (*entry, error) {
	was := base.tree()
	if err := s.schema.keepSecrets(n, was); err != nil {
		return nil, err
	}
	if err := s.schema.revealSecrets(n); err != nil {
		return nil, err
	}
	if err := s.schema.check(n); err != nil {
		return nil, err
	}
	s.schema.addMissing(n, was)
	e, err := s.canonical(n.bytes())
	if err != nil { // although the text passed the type's own check
		return nil, xmlErrorf(n, "<%s>: %v", n.Name, err)
	}
	return e, nil
}
