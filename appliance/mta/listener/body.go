package listener

import (
	"bufio"
	"bytes"
	"errors"
)

// readBody reads a message up to its end, CRLF "." CRLF, and gives it to w without dot-stuffing
// (RFC 5321 4.5.2). Bare CR and LF become CRLF; if reject is set, they make w refuse the message. The
// end of the message is never missed: after a refusal the rest is read and thrown away. An error is
// that of reading, or errTarpit.
func readBody(in *bufio.Reader, w *bodyWriter, reject bool) error {
	b := bodyReader{w: w, reject: reject}
	// The line before the message ended with CRLF: that of DATA.
	afterCRLF := true
	for {
		part, err := in.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !full {
			return err
		}
		if afterCRLF && part[0] == '.' {
			if string(part) == ".\r\n" {
				return b.flush()
			}
			part = part[1:]
		}
		// A CR at the end of a full buffer belongs to what follows.
		afterCRLF = !full && endsLine(part, b.pendingCR)
		if err := b.take(part); err != nil {
			return err
		}
	}
}

// endsLine reports whether a part ends with CRLF. pendingCR says that the part before ended with
// CR.
func endsLine(part []byte, pendingCR bool) bool {
	return bytes.HasSuffix(part, []byte("\r\n")) || pendingCR && string(part) == "\n"
}

// A bodyReader turns all line ends into CRLF.
type bodyReader struct {
	w         *bodyWriter
	reject    bool
	pendingCR bool // the last byte was CR
	inLine    bool // the last line has not ended
	line      []byte
}

// take passes a part on, line by line.
func (b *bodyReader) take(part []byte) error {
	for len(part) > 0 {
		i := bytes.IndexAny(part, "\r\n")
		if b.pendingCR {
			b.pendingCR = false
			if part[0] == '\n' {
				part = part[1:]
			} else if b.bare() {
				b.w.refuse(bareLineEnds())
			}
			if err := b.endLine(); err != nil {
				return err
			}
			continue
		}
		switch {
		case i < 0:
			return b.text(part)
		case i > 0:
			if err := b.text(part[:i]); err != nil {
				return err
			}
		}
		if part[i] == '\r' {
			b.pendingCR = true
		} else {
			if b.bare() {
				b.w.refuse(bareLineEnds())
			}
			if err := b.endLine(); err != nil {
				return err
			}
		}
		part = part[i+1:]
	}
	return nil
}

// bare reports whether bare line ends are refused.
func (b *bodyReader) bare() bool { return b.reject }

// text keeps text within a line. A long line is passed on in parts.
func (b *bodyReader) text(part []byte) error {
	b.line = append(b.line, part...)
	if len(b.line) < bufferSize {
		return nil
	}
	return b.pass(b.line)
}

// endLine passes the line on with CRLF.
func (b *bodyReader) endLine() error {
	err := b.pass(append(b.line, "\r\n"...))
	b.inLine = false
	return err
}

func (b *bodyReader) pass(part []byte) error {
	err := b.w.write(part, !b.inLine)
	b.inLine = true
	b.line = part[:0]
	return err
}

// flush ends a last line that was ended by CR alone.
func (b *bodyReader) flush() error {
	if b.pendingCR || len(b.line) > 0 {
		return b.endLine()
	}
	return nil
}
