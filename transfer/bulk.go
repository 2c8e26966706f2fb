package transfer

import (
	"errors"
	"io"
)

// bulkLeast is the number of bytes from which on data is announced as bulk data.
const bulkLeast = 64 << 10

// A bulkWriter is a channel that sends much data in larger pieces if it is told so. Those of
// package shell are.
type bulkWriter interface {
	BeginBulk()
	EndBulk() error
}

// beginBulk announces that much data is written to w. The caller must call end, which adds its
// error to *err.
func beginBulk(w io.Writer, err *error) (end func()) {
	b, ok := w.(bulkWriter)
	if !ok {
		return func() {}
	}
	b.BeginBulk()
	return func() { *err = errors.Join(*err, b.EndBulk()) }
}
