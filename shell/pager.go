package shell

import (
	"bytes"
	"context"
	"io"
	"strings"
)

const (
	pageMarker  = "-Press Any Key For More-"
	eraseMarker = "\r" + "                         " + "\r" // 25 blanks
)

// SetPaging switches the TTY mode of the session: with paging (the default) long
// output stops at the end of each page until a key is pressed.
func (d Dialogue) SetPaging(on bool) { d.layout.paging = on }

// Paging is what SetPaging has set.
func (d Dialogue) Paging() bool { return d.layout.paging }

// Pager returns a writer that wraps long lines and waits for a key at the end of
// each page of the terminal. Without a terminal, and without paging, it passes
// everything on as it comes. Its Write returns the error of the wait, such as
// ErrInterrupt; whoever writes stops then.
func (d Dialogue) Pager(ctx context.Context) io.Writer {
	if d.screen == nil {
		return d.layout
	}
	return &pager{ctx: ctx, layout: d.layout}
}

type pager struct {
	ctx    context.Context
	layout *layout
	rows   int    // on the screen since the last key
	line   []byte // the beginning of a line whose end has not come yet
	err    error
}

// Write shows the whole lines in b; a line without its end stays until it has one.
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

// wait shows the marker until a key is pressed, and removes it. It goes by the
// page's Prompter: the marker is no text.
func (p *pager) wait() {
	if _, p.err = io.WriteString(p.layout.Prompter, pageMarker); p.err != nil {
		return
	}
	if p.err = p.layout.screen.WaitForKey(p.ctx); p.err == nil {
		_, p.err = io.WriteString(p.layout.Prompter, eraseMarker)
	}
	p.rows = 0
}
