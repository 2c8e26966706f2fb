package box

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// baselineFile is the file of the baseline, in the appliance's directory. It is there while the box
// runs, unless the directory was empty when it was started.
const baselineFile = "baseline.tar"

// A baseline is what the appliance's directory held when the box was started, to which Reset
// returns. It is a tar archive in that directory and not in memory, because a process may have
// thousands of boxes. Its checksum is kept in memory only: the archive is of no use to another
// process, which makes one of its own when it starts. The archive is therefore not synced, and one
// that a killed process has left is replaced or removed.
type baseline struct {
	file string // "": the directory was empty
	size int64
	sum  uint32 // castagnoli
}

// castagnoli returns the table of a checksum that processors compute.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// keepBaseline makes the baseline of a directory that is not in use. The error is errTooLarge, or says
// why the archive cannot be written. No archive is left then, if it can be removed.
func keepBaseline(dir string) (*baseline, error) {
	file := filepath.Join(dir, baselineFile)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return &baseline{}, nil
	case err != nil:
		return nil, err
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	b := &baseline{file: file}
	err = b.write(dir, out)
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(file))
	}
	return b, nil
}

// write writes the archive of a directory.
func (b *baseline) write(dir string, out io.Writer) error {
	sum := crc32.New(castagnoli())
	buffered := bufio.NewWriterSize(io.MultiWriter(out, sum, (*counter)(&b.size)), 32<<10)
	archive := tar.NewWriter(buffered)
	left := int64(MaxContent)
	err := walkContent(dir, func(path string, f contentFile) error {
		h := &tar.Header{Name: filepath.ToSlash(f.name), Mode: int64(f.mode.Perm())}
		switch {
		case f.mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		case f.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		default:
			h.Typeflag, h.Size = tar.TypeReg, f.size
			if left -= f.size; left < 0 {
				return errTooLarge
			}
		}
		if err := archive.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.CopyN(archive, in, f.size)
		return err
	})
	if err != nil {
		return err
	}
	err = errors.Join(archive.Close(), buffered.Flush())
	b.sum = sum.Sum32()
	return err
}

// A counter counts the bytes that are written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// check returns an error if the archive is not as it was written.
func (b *baseline) check() error {
	if b.file == "" {
		return nil
	}
	in, err := os.Open(b.file)
	if err != nil {
		return fmt.Errorf("read the files of the start: %w", err)
	}
	defer in.Close()
	sum := crc32.New(castagnoli())
	n, err := io.Copy(sum, in)
	switch {
	case err != nil:
		return fmt.Errorf("read the files of the start: %w", err)
	case n != b.size || sum.Sum32() != b.sum:
		return fmt.Errorf("%s, which has the files of the start, was changed or damaged", b.file)
	}
	return nil
}

// extract writes the files to an empty directory.
func (b *baseline) extract(dir string) error {
	if err := b.check(); err != nil || b.file == "" {
		return err
	}
	file, err := os.Open(b.file)
	if err != nil {
		return err
	}
	defer file.Close()
	in := tar.NewReader(bufio.NewReaderSize(file, 32<<10))
	for {
		h, err := in.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		path, mode := filepath.Join(dir, filepath.FromSlash(h.Name)), fs.FileMode(h.Mode)&fs.ModePerm
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, mode|0o700)
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, path)
		default:
			err = writeFrom(path, mode, in)
		}
		if err != nil {
			return err
		}
	}
}

// writeFrom writes a file with the rest of in.
func writeFrom(path string, mode fs.FileMode, in io.Reader) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// remove removes the archive. No reset follows. b may be nil.
func (b *baseline) remove() error {
	if b == nil || b.file == "" {
		return nil
	}
	if err := os.Remove(b.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the copy of the files of the start: %w", err)
	}
	return nil
}
