package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/esasim/esasim/appliance/files"
)

// maxParts is the number of parts of a capture that keeps the newest data.
const maxParts = 10

// errSizeLimit is returned by output.write when the size limit is reached.
var errSizeLimit = errors.New("capture: size limit reached")

// An output is the files of one capture: NAME.cap, or the parts NAME-1.cap to NAME-10.cap if
// the newest data is kept. A part holds a tenth of the size limit and is removed as a whole
// to make room. Every file is a valid pcap file between any two writes. Only the writer
// uses an output.
type output struct {
	store *files.Store
	name  string // without ".cap"
	parts bool
	limit int64 // of one file

	file       *files.File
	path       string // of file; after join, of the joined file
	size       int64  // of file
	older      []part // files that are complete, oldest first
	partNumber int    // number of the newest part; 0 if the output has no parts

	failed bool // a write has failed or reached the limit: no more writes
}

// A part is a file to which no more records are added.
type part struct {
	path string
	size int64
}

// filePath returns the path of a capture's file, or that of one of its parts if part is not 0.
func filePath(name string, part int) string {
	if part > 0 {
		name += "-" + strconv.Itoa(part)
	}
	return files.Diagnostic + "/" + name + ".cap"
}

// newOutput creates the first file.
func newOutput(store *files.Store, name string, s Settings) (*output, error) {
	o := &output{store: store, name: name, parts: s.KeepNewest, limit: int64(s.SizeMB) << 20}
	switch {
	case s.SizeMB == 0:
		o.limit = math.MaxInt64
	case o.parts:
		o.limit /= maxParts
	}
	return o, o.nextFile()
}

// nextFile begins a new file. If there are maxParts parts, it removes the oldest one.
func (o *output) nextFile() error {
	if o.parts {
		o.partNumber = o.partNumber%maxParts + 1
	}
	path := filePath(o.name, o.partNumber)
	if o.file != nil {
		if err := o.closeFile(); err != nil {
			return err
		}
	}
	if len(o.older) == maxParts {
		// The part is removed and not truncated, so that its readers are not affected.
		if err := o.store.Remove(o.older[0].path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		o.older = o.older[1:]
	}
	f, err := o.store.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	header := fileHeader()
	if _, err := f.Write(header); err != nil {
		return errors.Join(err, f.Close(), o.store.Remove(path))
	}
	o.file, o.path, o.size = f, path, int64(len(header))
	return nil
}

// discard removes the first file, because the capture could not be started.
func (o *output) discard() error {
	return errors.Join(o.closeFile(), o.store.Remove(o.path))
}

// closeFile closes the newest file and adds it to the older ones.
func (o *output) closeFile() error {
	err := o.file.Close()
	o.older = append(o.older, part{o.path, o.size})
	o.file = nil
	return err
}

// total returns the length of all files.
func (o *output) total() int64 {
	sum := int64(0)
	if o.file != nil {
		sum = o.size
	}
	for _, p := range o.older {
		sum += p.size
	}
	return sum
}

// write appends the records of a chunk and returns the number of records written. If the next
// record would exceed the limit, it returns errSizeLimit. write must not be called again after
// an error.
func (o *output) write(chunk []byte) (records int, err error) {
	defer func() { o.failed = err != nil }()
	for len(chunk) > 0 {
		n, k := wholeRecords(chunk, o.limit-o.size)
		if n == 0 && o.size == fileHeaderLen {
			n, k = firstRecord(chunk) // longer than a part: it gets one of its own
		}
		if n > 0 {
			written, err := o.append(chunk[:n], k)
			records += written
			if err != nil {
				return records, err
			}
			chunk = chunk[n:]
			continue
		}
		if !o.parts {
			return records, errSizeLimit
		}
		if err := o.nextFile(); err != nil {
			return records, err
		}
	}
	return records, nil
}

// append writes count whole records, with one call if there is space for all of them. Otherwise it
// writes as many as fit, so that a disk is called full only when it is. If a write fails, append
// restores the file. It returns the number of records written.
func (o *output) append(records []byte, count int) (written int, err error) {
	if _, err = o.file.Write(records); err == nil {
		o.size += int64(len(records))
		return count, nil
	}
	err = errors.Join(err, o.file.Truncate(o.size))
	if !errors.Is(err, syscall.ENOSPC) || count == 1 {
		return 0, err
	}
	half := 0
	for range count / 2 {
		n, _ := firstRecord(records[half:])
		half += n
	}
	written, err = o.append(records[:half], count/2)
	if err != nil {
		return written, err
	}
	more, err := o.append(records[half:], count-count/2)
	return written + more, err
}

// finish closes the files and joins the parts.
func (o *output) finish() error {
	var err error
	if o.file != nil {
		err = o.closeFile()
	}
	if !o.parts || len(o.older) == 0 {
		return err
	}
	return errors.Join(err, o.join())
}

// join appends all parts to the oldest one and renames it to the capture's file. A part is
// removed once it has been appended, so that the disk holds at most one part twice. If join
// fails, each part is either appended or unchanged.
func (o *output) join() error {
	o.older = slices.DeleteFunc(o.older, func(p part) bool {
		_, err := o.store.Stat(p.path) // a user may have deleted it
		return errors.Is(err, fs.ErrNotExist)
	})
	if len(o.older) == 0 {
		return nil
	}
	first := &o.older[0]
	f, err := o.store.OpenFile(first.path, os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return err
	}
	for len(o.older) > 1 && err == nil {
		err = o.appendPart(f, first, o.older[1])
		if err == nil {
			o.older = slices.Delete(o.older, 1, 2)
			first = &o.older[0]
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("join the parts of %s: %w", o.name, err)
	}
	path := filePath(o.name, 0)
	if err := o.store.Rename(first.path, path); err != nil {
		return err
	}
	first.path, o.path = path, path
	return nil
}

// appendPart appends the records of p to first, which is open as f, and removes p.
func (o *output) appendPart(f *files.File, first *part, p part) error {
	before := first.size
	n, err := o.copyRecords(f, p.path)
	if err != nil {
		return errors.Join(err, f.Truncate(before))
	}
	first.size += n
	return o.store.Remove(p.path)
}

// copyRecords appends the records of the file at path to dst. Each write consists of whole
// records.
func (o *output) copyRecords(dst io.Writer, path string) (copied int64, err error) {
	src, err := o.store.Open(path)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	if _, err := io.CopyN(io.Discard, src, fileHeaderLen); err != nil {
		return 0, err
	}
	buf, held := make([]byte, chunkSize), 0
	for {
		n, err := io.ReadFull(src, buf[held:])
		held += n
		whole, _ := wholeRecords(buf[:held], int64(held))
		if _, err := dst.Write(buf[:whole]); err != nil {
			return copied, err
		}
		copied += int64(whole)
		held = copy(buf, buf[whole:held])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return copied, nil
		case err != nil:
			return copied, err
		}
	}
}
