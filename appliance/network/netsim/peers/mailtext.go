package peers

import (
	"io"
	"slices"
)

// Sizes of the pieces of a mailText. They grow with the text.
const (
	firstPiece   = 1 << 10
	largestPiece = 64 << 10
)

// A mailText is the header and body of a message, in pieces: it is never copied into one piece
// while it is received or read. It does not change once it has been received.
type mailText struct {
	pieces [][]byte
	size   int64 // of the message; the pieces have less if there was no room for all of it
}

// room returns the number of bytes that the text occupies.
func (t *mailText) room() (n int64) {
	for _, p := range t.pieces {
		n += int64(cap(p))
	}
	return n
}

// stored returns the number of bytes of the message that are stored.
func (t *mailText) stored() (n int64) {
	for _, p := range t.pieces {
		n += int64(len(p))
	}
	return n
}

// receive reads a text until EOF, and reserves room for it in the mailbox. What does not fit is
// counted but not stored. If reading fails, no room stays reserved.
func (b *mailbox) receive(r io.Reader) (*mailText, error) {
	t := &mailText{}
	for size := firstPiece; b.reserve(size); size = min(2*size, largestPiece) {
		piece := make([]byte, size)
		n, err := fill(r, piece)
		t.size += int64(n)
		if n < size { // the last piece
			piece = slices.Clip(slices.Clone(piece[:n]))
			b.release(int64(size - cap(piece)))
		}
		if n > 0 {
			t.pieces = append(t.pieces, piece)
		}
		switch {
		case err == io.EOF:
			return t, nil
		case err != nil:
			b.release(t.room())
			return nil, err
		}
	}
	n, err := io.Copy(io.Discard, r)
	t.size += n
	if err != nil {
		b.release(t.room())
		return nil, err
	}
	return t, nil
}

// fill reads until p is full. Unlike io.ReadFull, it returns the reader's own error.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	if n == len(p) && err == io.EOF {
		err = nil // the next call returns it
	}
	return n, err
}

// reader returns a reader of what is stored of the text.
func (t *mailText) reader() io.Reader { return &mailTextReader{slices.Clone(t.pieces)} }

type mailTextReader struct{ pieces [][]byte }

func (r *mailTextReader) Read(p []byte) (n int, err error) {
	for n < len(p) && len(r.pieces) > 0 {
		k := copy(p[n:], r.pieces[0])
		n += k
		if r.pieces[0] = r.pieces[0][k:]; len(r.pieces[0]) == 0 {
			r.pieces = r.pieces[1:]
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
