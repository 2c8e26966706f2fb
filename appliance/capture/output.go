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

	"github.com/esasim/esasim/appliance/files"
)

// maxParts is in how many parts the newest data is kept.
const maxParts = 10

// errSize is returned by output.write when the size limit is reached.
var errSizeLimit = errors.New("capture: size limit reached")

// An output is the files of one capture: NAME.cap, or where the newest data is kept
// NAME-1.cap to NAME-10.cap, each of which takes a tenth of the size and gives way to
// newer data as a whole. Every file is a valid pcap between any two writes. Only
// the writer uses it.
type output struct {
	store *files.Store
	name  string // without ".cap"
	parts bool
	limit int64 // of one file

	file       *files.File
	path       string // of file; of the joined one in the end
	size       int64  // of file
	older      []part // the files before it, oldest first
	partNumber int    // number of the newest part; 0 where there are none

	failed bool // a write has failed or met the limit: there are no more
}

// A part is a file that takes no more records.
type part struct {
	path string
	size int64
}

// filePath is the path of a capture's file, or with part from 1 on of that part.
func filePath(name string, part int) string {
	if part > 0 {
		name += "-" + strconv.Itoa(part)
	}
	return files.Diagnostic + "/" + name + ".cap"
}

// newOutput makes the first file.
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

// next begins another file, in the place of the oldest one if there are enough.
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
		// Removed, not emptied: whoever reads it may go on.
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

// discard removes the first file, where the capture does not come to be.
func (o *output) discard() error {
	return errors.Join(o.closeFile(), o.store.Remove(o.path))
}

// closeFile closes the newest file and lists it with the older ones.
func (o *output) closeFile() error {
	err := o.file.Close()
	o.older = append(o.older, part{o.path, o.size})
	o.file = nil
	return err
}

// total is the length of all files.
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

// write appends the records of a chunk and returns how many it wrote. It returns
// errSize when the next one would be beyond the limit. It must not be called again
// after an error.
func (o *output) write(chunk []byte) (records int, err error) {
	defer func() { o.failed = err != nil }()
	for len(chunk) > 0 {
		n, k := wholeRecords(chunk, o.limit-o.size)
		if n == 0 && o.size == fileHeaderLen {
			n, k = firstRecord(chunk) // longer than a part: alone in one
		}
		if n > 0 {
			if err := o.append(chunk[:n]); err != nil {
				return records, err
			}
			records += k
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

// append writes whole records with one call. Where it fails, the file is as before.
func (o *output) append(records []byte) error {
	if _, err := o.file.Write(records); err != nil {
		return errors.Join(err, o.file.Truncate(o.size))
	}
	o.size += int64(len(records))
	return nil
}

// finish closes the files, and makes one of several.
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

// join appends all parts to the oldest and gives that the capture's name. A part is
// removed once it has been appended, so that the disk holds one part twice at most. If
// it fails on the way, each part is either appended or as it was.
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

// absorb appends the records of p to f, which is first, and removes p.
func (o *output) appendPart(f *files.File, first *part, p part) error {
	before := first.size
	n, err := o.copyRecords(f, p.path)
	if err != nil {
		return errors.Join(err, f.Truncate(before))
	}
	first.size += n
	return o.store.Remove(p.path)
}

// copyRecords appends the records of the file called path to dst, whole records a
// write.
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
