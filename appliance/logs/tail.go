package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Files lists the files of a subscription in the file area, the oldest first and the
// current one last. What was written before is in them.
func (h *Hub) Files(ctx context.Context, name string) ([]string, error) {
	if err := h.Flush(ctx, name); err != nil {
		return nil, err
	}
	f := file{hub: h, dir: dirOf(name)}
	var all []string
	for _, code := range []string{saved, current} {
		names, err := f.list(code)
		if err != nil {
			return nil, fmt.Errorf("list the files of a log: %w", err)
		}
		for _, n := range names {
			all = append(all, path.Join(f.dir, n))
		}
	}
	return all, nil
}

// A Follower reads what is written to a subscription, over all roll-overs. It is for
// one goroutine and needs no closing.
type Follower struct {
	hub    *Hub
	s      *subscription
	name   string // of the subscription
	file   string // in the file area, without its status code; "" before there is one
	offset int64
}

// Follow returns a Follower that begins with the last so many lines of the
// subscription's current file.
func (h *Hub) Follow(ctx context.Context, name string, last int) (*Follower, error) {
	list, err := h.named([]string{name})
	if err != nil {
		return nil, err
	}
	f := &Follower{hub: h, name: name, s: list[0]}
	names, err := h.Files(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return f, nil
	}
	newest := names[len(names)-1]
	f.file = stemOf(newest)
	if fi, err := h.o.Files.Stat(newest); err == nil {
		f.offset = max(0, fi.Size()-tailWindow)
	}
	window, err := f.read()
	if err != nil {
		return nil, err
	}
	f.offset += int64(len(window) - len(lastLines(window, last)))
	return f, nil
}

// tailWindow is how far from the end of a file its last lines are looked for.
const tailWindow = 256 << 10

func stemOf(name string) string { return strings.TrimSuffix(strings.TrimSuffix(name, current), saved) }

func lastLines(b []byte, n int) []byte {
	i := len(b)
	for ; n > 0 && i > 0; n-- {
		i = bytes.LastIndexByte(b[:i-1], '\n') + 1
	}
	return b[i:]
}

// Next returns the lines that come next: one or more whole lines. It waits until there
// are some, and returns ctx's cause if that ends first, and ErrNoSubscription once the
// subscription is no longer there and all has been read.
func (f *Follower) Next(ctx context.Context) ([]byte, error) {
	for {
		f.s.mu.Lock()
		progress, ended := f.s.progress, f.s.ended && !f.s.draining
		f.s.mu.Unlock()
		b, err := f.more()
		if err != nil || len(b) > 0 {
			return b, err
		}
		if ended {
			return nil, fmt.Errorf("%w: %s", ErrNoSubscription, f.name)
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// more reads what there is: the rest of the file, or the beginning of the next.
func (f *Follower) more() ([]byte, error) {
	if f.file != "" {
		b, err := f.read()
		if err != nil || len(b) > 0 {
			f.offset += int64(len(b))
			return b, err
		}
	}
	next, err := f.next()
	if err != nil || next == "" {
		return nil, err
	}
	if f.file != "" { // the old one may have grown before it was saved
		b, err := f.read()
		if err != nil || len(b) > 0 {
			f.offset += int64(len(b))
			return b, err
		}
	}
	f.file, f.offset = next, 0
	b, err := f.read()
	f.offset += int64(len(b))
	return b, err
}

// next is the file that follows the present one, without its status code; "" if there
// is none.
func (f *Follower) next() (string, error) {
	dir := file{hub: f.hub, dir: dirOf(f.name)}
	var all []string
	for _, code := range []string{saved, current} {
		names, err := dir.list(code)
		if err != nil {
			return "", fmt.Errorf("list the files of a log: %w", err)
		}
		for _, n := range names {
			all = append(all, stemOf(path.Join(dir.dir, n)))
		}
	}
	if len(all) == 0 {
		return "", nil
	}
	for i, n := range all {
		if n != f.file {
			continue
		}
		if i+1 < len(all) {
			return all[i+1], nil
		}
		return "", nil
	}
	if f.file != "" && len(all) > 1 { // the present one was removed: go on with what is newer
		for _, n := range all {
			if stampInName(path.Base(n)+current) > stampInName(path.Base(f.file)+current) {
				return n, nil
			}
		}
	}
	return all[len(all)-1], nil
}

// read reads the file from offset on.
func (f *Follower) read() ([]byte, error) {
	store := f.hub.o.Files
	for _, code := range []string{current, saved, current} { // it may be renamed meanwhile
		r, err := store.OpenFile(f.file+code, os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read a log: %w", err)
		}
		defer r.Close()
		if _, err := r.Seek(f.offset, io.SeekStart); err != nil {
			return nil, fmt.Errorf("read a log: %w", err)
		}
		b, err := io.ReadAll(io.LimitReader(r, 1<<20))
		if err != nil {
			return nil, fmt.Errorf("read a log: %w", err)
		}
		return b[:bytes.LastIndexByte(b, '\n')+1], nil
	}
	return nil, nil
}
