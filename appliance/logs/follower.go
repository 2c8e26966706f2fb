package logs

import (
	"bufio"
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

// Files returns the paths of a subscription's files in the file area, the oldest first and the
// current one last. Everything that was written before is in them.
func (h *Hub) Files(ctx context.Context, name string) ([]string, error) {
	if err := h.Flush(ctx, name); err != nil {
		return nil, err
	}
	list, err := h.lookup([]string{name})
	if err != nil {
		return nil, err
	}
	return list[0].files()
}

// files returns the paths of the files in the file area, the oldest first and the current one last.
func (s *subscription) files() ([]string, error) {
	var all []string
	for _, code := range []string{savedCode, currentCode} {
		names, err := s.file.list(code)
		if err != nil {
			return nil, fmt.Errorf("list the files of a log: %w", err)
		}
		for _, n := range names {
			all = append(all, path.Join(s.file.dir, n))
		}
	}
	return all, nil
}

// ReadLines calls f for every line of a file that Files has returned, without the line's end. A file
// that has been rolled over since then is read under its new name, and one that has been removed has
// no lines. ReadLines returns the error of f, or ctx's cause if ctx ends.
func (h *Hub) ReadLines(ctx context.Context, file string, f func(line string) error) error {
	r, err := h.o.Files.OpenFile(file, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) { // removed or rolled over meanwhile
		rolledOver := strings.TrimSuffix(file, currentCode) + savedCode
		r, err = h.o.Files.OpenFile(rolledOver, os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("read a log: %w", err)
	}
	defer r.Close()
	for in := bufio.NewReaderSize(r, 64<<10); ; {
		line, err := in.ReadString('\n')
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil // a line without an end is still being written
		case err != nil:
			return fmt.Errorf("read a log: %w", err)
		}
		if err := f(line[:len(line)-1]); err != nil {
			return err
		}
	}
}

// A Follower reads what is written to a subscription, across roll-overs. It must be used by one
// goroutine at a time and need not be closed.
type Follower struct {
	hub          *Hub
	subscription *subscription
	name         string // of the subscription
	file         string // path without the status code; "" before there is a file
	number       uint64 // of file, in the order of the subscription's files
	offset       int64  // in file
}

// Follow returns a Follower that begins with the last lines of the subscription's current file;
// last is their number.
func (h *Hub) Follow(ctx context.Context, name string, last int) (*Follower, error) {
	list, err := h.lookup([]string{name})
	if err != nil {
		return nil, err
	}
	f := &Follower{hub: h, name: name, subscription: list[0]}
	names, err := h.Files(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return f, nil
	}
	newest := names[len(names)-1]
	f.setFile(stemOf(newest))
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

// tailWindow is how far before the end of a file its last lines are looked for.
const tailWindow = 256 << 10

func stemOf(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, currentCode), savedCode)
}

func lastLines(b []byte, n int) []byte {
	i := len(b)
	for ; n > 0 && i > 0; n-- {
		i = bytes.LastIndexByte(b[:i-1], '\n') + 1
	}
	return b[i:]
}

// Next returns the next whole lines, one or more. It blocks until there are any. If ctx ends
// first it returns ctx's cause. Once the subscription does not exist any more and everything has
// been read, it returns ErrNoSubscription.
func (f *Follower) Next(ctx context.Context) ([]byte, error) {
	for {
		f.subscription.mu.Lock()
		progress := f.subscription.awaitProgress()
		ended := f.subscription.ended && !f.subscription.draining
		f.subscription.mu.Unlock()
		b, err := f.readMore()
		if err != nil || len(b) > 0 {
			return b, err
		}
		if ended {
			return nil, noSubscription(f.name)
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// readMore reads what has been written: the rest of the file or, if that is empty, the beginning
// of the next one.
func (f *Follower) readMore() ([]byte, error) {
	if f.file != "" {
		b, err := f.read()
		if err != nil || len(b) > 0 {
			f.offset += int64(len(b))
			return b, err
		}
	}
	next, err := f.nextFile()
	if err != nil || next == "" {
		return nil, err
	}
	if f.file != "" { // it may have grown before it was saved
		b, err := f.read()
		if err != nil || len(b) > 0 {
			f.offset += int64(len(b))
			return b, err
		}
	}
	f.setFile(next)
	b, err := f.read()
	f.offset += int64(len(b))
	return b, err
}

// setFile makes the Follower read a file from its beginning.
func (f *Follower) setFile(stem string) {
	f.file, f.offset, f.number = stem, 0, f.subscription.file.order.numberOf(stem)
}

// nextFile returns the file that was begun after the present one, without its status code, or "" if
// there is none.
func (f *Follower) nextFile() (string, error) {
	all, err := f.subscription.files()
	if err != nil {
		return "", err
	}
	order := &f.subscription.file.order
	for _, name := range all {
		if f.file == "" || order.numberOf(name) > f.number {
			return stemOf(name), nil
		}
	}
	return "", nil
}

// read reads whole lines of the file, from offset on.
func (f *Follower) read() ([]byte, error) {
	store := f.hub.o.Files
	for _, code := range []string{currentCode, savedCode, currentCode} { // it may be renamed now
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
