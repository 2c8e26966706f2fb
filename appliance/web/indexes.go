package web

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"sync"

	"github.com/esasim/esasim/appliance/dissect"
	"github.com/esasim/esasim/appliance/pcapfilter"
)

// maxIndexes is how many are kept, scanners how many files are gone through at a time:
// the appliance has more to do.
const (
	maxIndexes = 12
	scanners   = 2
)

// indexes keeps what scans of captures have found.
type indexes struct {
	slots chan struct{}

	mu    sync.Mutex
	order []*keptIndex // the one that was used last is the last
}

// A keptIndex is of one file and one filter.
type keptIndex struct {
	file, filter string

	scan  chan struct{} // holds an element during a scan: the rest belongs to that
	head  []byte        // of the file: another one of that name begins otherwise
	size  int64
	index *dissect.Index
}

func newIndexes() *indexes { return &indexes{slots: make(chan struct{}, scanners)} }

// forget drops everything.
func (x *indexes) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.order = nil
}

// slot is where the index of a file with a filter is kept.
func (x *indexes) slot(file, filter string) *keptIndex {
	x.mu.Lock()
	defer x.mu.Unlock()
	var k *keptIndex
	for i, o := range x.order {
		if o.file == file && o.filter == filter {
			k = o
			x.order = append(x.order[:i], x.order[i+1:]...)
			break
		}
	}
	if k == nil {
		k = &keptIndex{file: file, filter: filter, scan: make(chan struct{}, 1)}
	}
	if x.order = append(x.order, k); len(x.order) > maxIndexes {
		x.order = x.order[1:]
	}
	return k
}

// acquire takes a place in ch, for which it waits until ctx ends: who is not there any
// more does not stand in the way of those behind.
func acquire(ctx context.Context, ch chan struct{}) error {
	select {
	case ch <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// of returns the index of a file with a filter, which is nil where expr is empty. Whoever
// asks for one that is being made waits for it, or until ctx ends.
func (x *indexes) of(ctx context.Context, r io.ReaderAt, info fs.FileInfo, c *dissect.Capture, expr string, filter *pcapfilter.Filter) (*dissect.Index, error) {
	k := x.slot(info.Name(), expr)
	if err := acquire(ctx, k.scan); err != nil {
		return nil, err
	}
	defer func() { <-k.scan }()
	head := make([]byte, 64) // the file's header, and that of the first packet
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF { //nolint:errorlint // io.ReaderAt's
		return nil, err
	}
	head = head[:n]
	old := k.index
	if old != nil && (info.Size() < k.size || !bytes.HasPrefix(head, k.head)) {
		old = nil
	}
	if old != nil && info.Size() == k.size {
		return old, nil
	}
	if err := acquire(ctx, x.slots); err != nil {
		return nil, err
	}
	defer func() { <-x.slots }()
	index, err := c.Scan(ctx, filter, old)
	if err != nil {
		return nil, err
	}
	k.head, k.size, k.index = head, info.Size(), index
	return index, nil
}
