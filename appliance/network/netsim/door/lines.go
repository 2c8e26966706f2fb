package door

import "bytes"

// maxHeld bounds the beginning of a line that a lineEditor holds back.
const maxHeld = 512

// A lineEditor changes certain lines of a stream and passes everything else on at once. It
// holds back only the beginning of a line that may turn out to be one of those.
type lineEditor struct {
	// words are the possible beginnings of a line that is changed, in upper case.
	words []string
	// change returns the replacement of a line. Both include the line end.
	change func(line []byte) []byte

	held   []byte // the beginning of a line that may have to be changed
	inside bool   // the rest of this line passes unchanged
	out    []byte
}

// edit is a filter.
func (e *lineEditor) edit(chunk []byte) []byte {
	if chunk == nil { // the end of the stream
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

// candidate reports whether the held bytes may be the beginning of a line that is changed.
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
