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
	// segmentSize is the size, in bytes, at which the next file is begun.
	segmentSize = 1 << 20

	segmentFormat  = "%016x.queue"
	positionName   = "position"
	positionFormat = "%016x %016x\n" // number of the first file, and the offset in it
)

// A spool is a queue of records on disk. Its files contain the records as they are sent, in
// order; the file "position" tells where the first record that has not been acknowledged begins.
// openSpool removes a record that a crash cut short. A spool must be used by one goroutine at a
// time.
type spool struct {
	dir      string
	reserve  func(int64) error
	segments []segment // the first is read, the last is written
	offset   int64     // of the first record, in the first segment
	size     int64     // bytes from there to the end
	records  int
	reserved int64 // bytes

	position, reader, writer *os.File // nil if not open
}

// A segment is one file of a spool.
type segment struct {
	number uint64
	size   int64
}

// openSpool opens the spool in a directory, which need not exist, and continues with the records
// that were left in it.
func openSpool(dir string, room func(int64) error) (*spool, error) {
	s := &spool{dir: dir, reserve: room}
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
	if _, err := fmt.Fscanf(s.position, positionFormat, &first, &s.offset); err != nil ||
		s.offset < 0 {
		first, s.offset = 0, 0 // the file is new or damaged: records may be sent twice
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var n uint64
		if _, err := fmt.Sscanf(e.Name(), segmentFormat, &n); err != nil ||
			!strings.HasSuffix(e.Name(), ".queue") {
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
		if err := s.scanSegment(&s.segments[i], i == 0); err != nil {
			return err
		}
	}
	if n := len(s.segments); n > 0 {
		first = s.segments[0].number
	}
	// Write the position while the disk has room: later it is only overwritten. Without room the
	// records can be sent all the same.
	_, _ = s.position.WriteAt(fmt.Appendf(nil, positionFormat, first, s.offset), 0)
	for len(s.segments) > 1 && s.offset == s.segments[0].size { // a crash has left no whole record
		if err := os.Remove(s.path(s.segments[0].number)); err != nil {
			return err
		}
		s.segments, s.offset = s.segments[1:], 0
	}
	_ = s.takeRoom(s.usedBytes()) // the records are on disk even if there is no room for them
	return nil
}

// takeRoom reserves room.
func (s *spool) takeRoom(n int64) error {
	err := s.reserve(n)
	if err == nil {
		s.reserved += n
	}
	return err
}

// returnRoom returns room that was reserved.
func (s *spool) returnRoom(n int64) {
	if n = min(n, s.reserved); n > 0 {
		s.reserved -= n
		_ = s.reserve(-n) // returning does not fail
	}
}

// scanSegment counts the records in a file, and truncates it after its last whole record.
func (s *spool) scanSegment(g *segment, first bool) error {
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
		if err == nil && fi.Size() < from { // cannot happen; treat the file as empty
			g.size, s.offset = fi.Size(), fi.Size()
		}
		return err
	}
	return f.Truncate(g.size)
}

func (s *spool) path(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf(segmentFormat, number))
}

// usedBytes returns how many bytes the files take on the disk.
func (s *spool) usedBytes() int64 {
	n := int64(0)
	for _, g := range s.segments {
		n += g.size
	}
	return n
}

// append writes whole records. If it fails, none of them is in the spool.
func (s *spool) append(b []byte) error {
	if n := len(s.segments); n == 0 || s.segments[n-1].size >= segmentSize {
		if err := s.addSegment(); err != nil {
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
	if err := s.takeRoom(int64(len(b))); err != nil {
		return err
	}
	if _, err := s.writer.WriteAt(b, g.size); err != nil {
		s.returnRoom(int64(len(b)))
		return errors.Join(err, s.writer.Truncate(g.size))
	}
	g.size += int64(len(b))
	s.size += int64(len(b))
	s.records += countRecords(b)
	return nil
}

// addSegment begins a new file.
func (s *spool) addSegment() error {
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
	return s.removeFinished()
}

// read reads whole records from the beginning into b: not all that would fit, but at least one
// if one fits.
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
	return b[:wholeRecords(b)], nil
}

// advance removes the first n bytes, which must be whole records.
func (s *spool) advance(n, records int) error {
	s.offset += int64(n)
	s.size -= int64(n)
	s.records -= records
	if err := s.removeFinished(); err != nil {
		return err
	}
	_, err := s.position.WriteAt(fmt.Appendf(nil, positionFormat, s.segments[0].number, s.offset),
		0)
	return err
}

// removeFinished removes files that have been read to their end, except for the one that is
// being written. It updates the position first: if a crash follows, openSpool removes the files
// before it.
func (s *spool) removeFinished() error {
	for len(s.segments) > 1 && s.offset == s.segments[0].size {
		done := s.segments[0]
		s.segments, s.offset = s.segments[1:], 0
		if s.reader != nil {
			s.reader.Close()
			s.reader = nil
		}
		if _, err := s.position.WriteAt(fmt.Appendf(nil, positionFormat, s.segments[0].number, 0),
			0); err != nil {
			return err
		}
		if err := os.Remove(s.path(done.number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.returnRoom(done.size)
	}
	return nil
}

// close closes the files and returns the reserved room. The records stay on disk: the next
// openSpool reserves room for them again.
func (s *spool) close() error {
	s.returnRoom(s.reserved)
	var errs []error
	for _, f := range []*os.File{s.position, s.reader, s.writer} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	s.position, s.reader, s.writer = nil, nil, nil
	return errors.Join(errs...)
}
