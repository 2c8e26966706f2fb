package syslog

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// segmentSize is the length at which the next file is begun.
	segmentSize = 1 << 20

	segmentForm  = "%016x.queue"
	positionName = "position"
	positionForm = "%016x %016x\n" // number of the first file, and where in it
)

// A spool is a queue of records on disk. Its files hold the records as they are sent, in
// order; the file "position" says what has been dealt with. A record that a crash cut
// short is removed by openSpool. A spool is for one goroutine at a time.
type spool struct {
	dir      string
	room     func(int64) error
	segments []segment // the first is read from, the last is written to
	offset   int64     // in the first
	size     int64     // bytes from there to the end
	records  int
	taken    int64 // of the room

	position, reader, writer *os.File // nil: not open
}

// A segment is a file of a spool.
type segment struct {
	number uint64
	size   int64
}

// openSpool opens the spool in a directory, which need not be there, and goes on with
// what was left in it.
func openSpool(dir string, room func(int64) error) (*spool, error) {
	s := &spool{dir: dir, room: room}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the buffer on disk: %w", err), s.close())
	}
	return s, nil
}

func (s *spool) open() (err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	s.position, err = os.OpenFile(filepath.Join(s.dir, positionName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	var first uint64
	if _, err := fmt.Fscanf(s.position, positionForm, &first, &s.offset); err != nil {
		first, s.offset = 0, 0 // a new one
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var n uint64
		if _, err := fmt.Sscanf(e.Name(), segmentForm, &n); err != nil || !strings.HasSuffix(e.Name(), ".queue") {
			continue
		}
		if n < first {
			if err := os.Remove(s.path(n)); err != nil {
				return err
			}
			continue
		}
		s.segments = append(s.segments, segment{number: n})
	}
	slices.SortFunc(s.segments, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	if len(s.segments) == 0 || s.segments[0].number != first {
		s.offset = 0
	}
	for i := range s.segments {
		if err := s.measure(&s.segments[i], i == 0); err != nil {
			return err
		}
	}
	if n := len(s.segments); n > 0 {
		first = s.segments[0].number
	}
	// It is written now, so that a full disk does not keep it from being changed.
	if _, err := s.position.WriteAt(fmt.Appendf(nil, positionForm, first, s.offset), 0); err != nil {
		return err
	}
	// What is here is here, also where there is no room: it is not refused.
	_ = s.take(s.used())
	return nil
}

// take asks for room, and give gives back what was taken.
func (s *spool) take(n int64) error {
	err := s.room(n)
	if err == nil {
		s.taken += n
	}
	return err
}

func (s *spool) give(n int64) {
	if n = min(n, s.taken); n > 0 {
		s.taken -= n
		_ = s.room(-n) // what becomes free is not refused
	}
}

// measure finds out what is in a file, and cuts it behind its last whole record.
func (s *spool) measure(g *segment, first bool) error {
	f, err := os.OpenFile(s.path(g.number), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	from := int64(0)
	if first {
		from = s.offset
	}
	g.size = from
	r := bufio.NewReaderSize(io.NewSectionReader(f, from, 1<<62), 64<<10)
	for {
		line, err := r.ReadSlice('\n')
		length := int64(len(line))
		for err == bufio.ErrBufferFull {
			line, err = r.ReadSlice('\n')
			length += int64(len(line))
		}
		if err != nil && err != io.EOF {
			return err
		}
		if err == io.EOF {
			break
		}
		g.size += length
		s.records++
	}
	s.size += g.size - from
	if fi, err := f.Stat(); err != nil || fi.Size() <= g.size {
		if err == nil && fi.Size() < from { // cannot be; nothing is in it
			g.size, s.offset = fi.Size(), fi.Size()
		}
		return err
	}
	return f.Truncate(g.size)
}

func (s *spool) path(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf(segmentForm, number))
}

// used is what the files take on the disk.
func (s *spool) used() int64 {
	n := int64(0)
	for _, g := range s.segments {
		n += g.size
	}
	return n
}

// append writes whole records. If it fails, none is in the spool.
func (s *spool) append(b []byte) error {
	if n := len(s.segments); n == 0 || s.segments[n-1].size >= segmentSize {
		if err := s.extend(); err != nil {
			return err
		}
	}
	g := &s.segments[len(s.segments)-1]
	if s.writer == nil {
		f, err := os.OpenFile(s.path(g.number), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		s.writer = f
	}
	if err := s.take(int64(len(b))); err != nil {
		return err
	}
	if _, err := s.writer.WriteAt(b, g.size); err != nil {
		s.give(int64(len(b)))
		return errors.Join(err, s.writer.Truncate(g.size))
	}
	g.size += int64(len(b))
	s.size += int64(len(b))
	s.records += count(b)
	return nil
}

// extend begins a file.
func (s *spool) extend() error {
	number := uint64(1)
	if n := len(s.segments); n > 0 {
		number = s.segments[n-1].number + 1
	}
	f, err := os.OpenFile(s.path(number), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if s.writer != nil {
		s.writer.Close()
	}
	s.writer = f
	s.segments = append(s.segments, segment{number: number})
	return s.forget()
}

// read reads whole records from the beginning into b; not all of them that would fit,
// but at least one that does.
func (s *spool) read(b []byte) ([]byte, error) {
	if s.size == 0 {
		return nil, nil
	}
	if s.reader == nil {
		f, err := os.Open(s.path(s.segments[0].number))
		if err != nil {
			return nil, err
		}
		s.reader = f
	}
	b = b[:min(int64(len(b)), s.segments[0].size-s.offset)]
	n, err := s.reader.ReadAt(b, s.offset)
	if n < len(b) {
		return nil, err
	}
	return b[:whole(b)], nil
}

// advance says that the first n bytes, which are whole records, have been dealt with.
func (s *spool) advance(n, records int) error {
	s.offset += int64(n)
	s.size -= int64(n)
	s.records -= records
	if err := s.forget(); err != nil {
		return err
	}
	_, err := s.position.WriteAt(fmt.Appendf(nil, positionForm, s.segments[0].number, s.offset), 0)
	return err
}

// forget removes files that have been read to their end, but for the one that is
// written to. The position comes first: what stands before it is removed by openSpool.
func (s *spool) forget() error {
	for len(s.segments) > 1 && s.offset == s.segments[0].size {
		done := s.segments[0]
		s.segments, s.offset = s.segments[1:], 0
		if s.reader != nil {
			s.reader.Close()
			s.reader = nil
		}
		if _, err := s.position.WriteAt(fmt.Appendf(nil, positionForm, s.segments[0].number, 0), 0); err != nil {
			return err
		}
		if err := os.Remove(s.path(done.number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.give(done.size)
	}
	return nil
}

// close lets go of the files and of the room. What is in them stays: the next openSpool
// takes the room again.
func (s *spool) close() error {
	s.give(s.taken)
	var errs []error
	for _, f := range []*os.File{s.position, s.reader, s.writer} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	s.position, s.reader, s.writer = nil, nil, nil
	return errors.Join(errs...)
}
