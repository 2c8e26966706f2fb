package shell

import (
	"bytes"
	"context"
	"io"
	"strings"
)

const (
	more      = "-Press Any Key For More-"
	eraseMore = "\r" + "                         " + "\r" // 25 blanks
)

// SetPaging switches the TTY mode of the session: with paging (the default) long
// output stops at the end of each page until a key is pressed.
func (d Dialogue) SetPaging(on bool) { d.page.paging = on }

// Paging is what SetPaging has set.
func (d Dialogue) Paging() bool { return d.page.paging }

// Pager returns a writer that wraps long lines and waits for a key at the end of
// each page of the terminal. Without a terminal, and without paging, it passes
// everything on as it comes. Its Write returns the error of the wait, such as
// ErrInterrupt; whoever writes stops then.
func (d Dialogue) Pager(ctx context.Context) io.Writer {
	if d.screen == nil {
		return d.page
	}
	return &pager{ctx: ctx, page: d.page}
}

type pager struct {
	ctx  context.Context
	page *page
	rows int    // on the screen since the last key
	line []byte // the beginning of a line whose end has not come yet
	err  error
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
		p.show(p.page.wrap(string(p.line)))
		p.line, rest = p.line[:0], rest[i+1:]
	}
	if p.err != nil {
		return 0, p.err
	}
	return len(b), nil
}

func (p *pager) show(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		_, height := p.page.screen.Size()
		if p.page.paging && p.rows >= max(height-1, 1) {
			if p.wait(); p.err != nil {
				return
			}
		}
		if _, p.err = io.WriteString(p.page, line+"\n"); p.err != nil {
			return
		}
		p.rows++
	}
}

// wait shows the marker until a key is pressed, and removes it. It goes by the
// page's Prompter: the marker is no text.
func (p *pager) wait() {
	if _, p.err = io.WriteString(p.page.Prompter, more); p.err != nil {
		return
	}
	if p.err = p.page.screen.WaitForKey(p.ctx); p.err == nil {
		_, p.err = io.WriteString(p.page.Prompter, eraseMore)
	}
	p.rows = 0
}
