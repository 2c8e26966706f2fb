package shell

import (
	"bytes"
	"context"
	"io"
	"strings"
)

const (
	pageMarker  = "-Press Any Key For More-"
	eraseMarker = "\r" + "                         " + "\r" // overwrites it with 25 blanks
)

// SetPaging sets the TTY mode of the session. With paging, which is the default, long output stops
// at the end of each page until the user presses a key.
func (d Dialogue) SetPaging(on bool) { d.layout.paging = on }

// Paging reports whether paging is on.
func (d Dialogue) Paging() bool { return d.layout.paging }

// Pager returns a writer that wraps long lines and waits for a key at the end of each page of the
// terminal. Without a terminal it passes all data on unchanged, and without paging it does not
// wait. If the wait ends with an error, such as ErrInterrupt, Write returns it, and the caller
// should stop writing.
func (d Dialogue) Pager(ctx context.Context) io.Writer {
	if d.screen == nil {
		return d.layout
	}
	return &pager{ctx: ctx, layout: d.layout}
}

// A pager is the writer that Pager returns for a terminal.
type pager struct {
	ctx    context.Context
	layout *layout
	rows   int    // written since the last key
	line   []byte // the beginning of an incomplete line
	err    error  // the first error
}

// Write writes the complete lines. It keeps an incomplete line until its end arrives.
func (p *pager) Write(b []byte) (int, error) {
	for rest := b; p.err == nil; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			p.line = append(p.line, rest...)
			break
		}
		p.line = append(p.line, rest[:i]...)
		p.show(p.layout.wrap(string(p.line)))
		p.line, rest = p.line[:0], rest[i+1:]
	}
	if p.err != nil {
		return 0, p.err
	}
	return len(b), nil
}

// show writes complete lines, and waits for a key when the page is full.
func (p *pager) show(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		_, height := p.layout.screen.Size()
		if p.layout.paging && p.rows >= max(height-1, 1) {
			if p.wait(); p.err != nil {
				return
			}
		}
		if _, p.err = io.WriteString(p.layout, line+"\n"); p.err != nil {
			return
		}
		p.rows++
	}
}

// wait shows the marker until the user presses a key. It writes to the layout's Prompter directly,
// because the marker is not part of the output.
func (p *pager) wait() {
	if _, p.err = io.WriteString(p.layout.Prompter, pageMarker); p.err != nil {
		return
	}
	if p.err = p.layout.screen.WaitForKey(p.ctx); p.err == nil {
		_, p.err = io.WriteString(p.layout.Prompter, eraseMarker)
	}
	p.rows = 0
}
