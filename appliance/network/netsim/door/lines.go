package door

import "bytes"

// maxHeld is the longest beginning of a line that is held back.
const maxHeld = 512

// A lineEditor changes certain lines of a stream and lets everything else through
// at once: it holds back only what may turn out to be such a line.
type lineEditor struct {
	// words are what a line to be changed begins with, in upper case.
	words []string
	// change returns what takes the place of a line, its end included.
	change func(line []byte) []byte

	held   []byte // the beginning of a line that may have to be changed
	inside bool   // the rest of this line is let through
	out    []byte
}

// edit is a filter.
func (e *lineEditor) edit(chunk []byte) []byte {
	if chunk == nil { // the end
		out := e.held
		e.held = nil
		return out
	}
	e.out = e.out[:0]
	for len(chunk) > 0 {
		n := bytes.IndexByte(chunk, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(chunk)
		}
		piece := chunk[:n]
		chunk = chunk[n:]
		if e.inside {
			e.out = append(e.out, piece...)
			e.inside = !whole
			continue
		}
		e.held = append(e.held, piece...)
		switch {
		case !e.candidate():
			e.out = append(e.out, e.held...)
			e.inside = !whole
		case whole:
			e.out = append(e.out, e.change(e.held)...)
		default:
			continue // more of the line is to come
		}
		e.held = e.held[:0]
	}
	return e.out
}

// candidate reports whether what is held may be a line to be changed.
func (e *lineEditor) candidate() bool {
	if len(e.held) > maxHeld {
		return false
	}
	for _, w := range e.words {
		n := min(len(w), len(e.held))
		if bytes.EqualFold(e.held[:n], []byte(w[:n])) {
			return true
		}
	}
	return false
}
