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

const (
	maxIndexes = 12 // that are kept
	maxScans   = 2  // at a time, because the appliance has other work to do
)

// indexes keeps the results of the latest scans of captures.
type indexes struct {
	slots chan struct{} // holds an element for each running scan

	mu    sync.Mutex
	order []*keptIndex // the most recently used index is the last
}

// A keptIndex is the index of one file with one filter.
type keptIndex struct {
	file, filter string

	scan  chan struct{} // holds an element while a goroutine uses the fields below
	head  []byte        // the beginning of the file, by which a replaced file is recognized
	size  int64
	index *dissect.Index
}

func newIndexes() *indexes { return &indexes{slots: make(chan struct{}, maxScans)} }

// forget drops all indexes.
func (x *indexes) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.order = nil
}

// slot returns the keptIndex of a file with a filter. It may be new.
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

// acquire puts an element into ch. It blocks until there is room or ctx ends: a client that
// has gone does not hold up the others.
func acquire(ctx context.Context, ch chan struct{}) error {
	select {
	case ch <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// of returns the index of a file with a filter, which is nil if expr is empty. If another
// goroutine is making the same index, of blocks until it has finished or ctx ends.
func (x *indexes) of(ctx context.Context, r io.ReaderAt, info fs.FileInfo, c *dissect.Capture,
	expr string, filter *pcapfilter.Filter) (*dissect.Index, error) {
	k := x.slot(info.Name(), expr)
	if err := acquire(ctx, k.scan); err != nil {
		return nil, err
	}
	defer func() { <-k.scan }()
	head := make([]byte, 64) // the file's header, and that of the first packet
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF { //nolint:errorlint // io.ReaderAt returns it unwrapped
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
