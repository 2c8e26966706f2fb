package box

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// MaxContent is the number of bytes that the files of the appliance's directory may have in a
// snapshot, and at Start if the box is to be reset.
const MaxContent = 64 << 20

// A content is the content of a directory, in memory.
type content struct {
	dirs  []contentFile // each after the one that contains it
	files []contentFile
}

type contentFile struct {
	name string // below the directory
	mode fs.FileMode
	text []byte
	link string // of a symbolic link: what it points to

	size    int64     // of a regular file, when it was found
	changed time.Time // likewise
}

// walkContent calls visit for everything in a directory, without its text: for a directory before
// what it contains. Entries of isOwn are not part of the content, and neither are sockets, for
// example, which belong to a process. A directory that does not exist is empty.
func walkContent(dir string, visit func(path string, f contentFile) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // there is no directory, or the file has gone meanwhile
			}
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := contentFile{mode: info.Mode(), size: info.Size(), changed: info.ModTime()}
		if f.name, err = filepath.Rel(dir, path); err != nil {
			return err
		}
		switch {
		case isOwn(f.name) && d.IsDir():
			return fs.SkipDir
		case isOwn(f.name):
			return nil
		case d.IsDir(), info.Mode().IsRegular():
		case info.Mode()&fs.ModeSymlink != 0:
			if f.link, err = os.Readlink(path); err != nil {
				return err
			}
		default:
			return nil
		}
		return visit(path, f)
	})
}

// errTooLarge is returned for a directory of more than MaxContent bytes.
var errTooLarge = fmt.Errorf("the appliance's directory holds more than %d MiB", MaxContent>>20)

// readContent returns the content of a directory. The error is errTooLarge if it is more than
// MaxContent bytes.
func readContent(dir string) (*content, error) {
	c := &content{}
	left := int64(MaxContent)
	err := walkContent(dir, func(path string, f contentFile) (err error) {
		switch {
		case f.mode.IsDir():
			c.dirs = append(c.dirs, f)
			return nil
		case f.link == "":
			if left -= f.size; left < 0 {
				return errTooLarge
			}
			f.text, err = os.ReadFile(path)
		}
		c.files = append(c.files, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// extract writes the content to an empty directory.
func (c *content) extract(dir string) error {
	for _, d := range c.dirs {
		if err := os.MkdirAll(filepath.Join(dir, d.name), d.mode.Perm()|0o700); err != nil {
			return err
		}
	}
	for _, f := range c.files {
		path := filepath.Join(dir, f.name)
		var err error
		if f.link != "" {
			err = os.Symlink(f.link, path)
		} else {
			err = os.WriteFile(path, f.text, f.mode.Perm())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bytes returns the number of bytes of all files.
func (c *content) bytes() (n int64) {
	for _, f := range c.files {
		n += int64(len(f.text))
	}
	return n
}

// errChanging is returned if files change while they are read.
var errChanging = errors.New("box: files change while they are read")

// settling is longer than the time within which two changes of a file may have the same time stamp.
const settling = 12 * time.Millisecond

// readStable is readContent for a directory in use: it returns the content that the directory had at
// one moment, or errChanging if some file was changed meanwhile.
func readStable(ctx context.Context, dir string) (*content, error) {
	c, err := readContent(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // a file was removed or renamed after it was found
		return nil, errChanging
	case err != nil:
		return nil, err
	}
	if err := clock.System().Sleep(ctx, settling); err != nil {
		return nil, err
	}
	known := make(map[string]*contentFile)
	for i := range c.files {
		known[c.files[i].name] = &c.files[i]
	}
	files, dirs := 0, 0
	err = walkContent(dir, func(_ string, f contentFile) error {
		if f.mode.IsDir() {
			dirs++
			return nil
		}
		files++
		old := known[f.name]
		if old == nil || f.link != old.link ||
			f.link == "" && (!f.changed.Equal(old.changed) || f.size != int64(len(old.text))) {
			return errChanging
		}
		return nil
	})
	if err != nil || files != len(c.files) || dirs != len(c.dirs) {
		return nil, errChanging
	}
	return c, nil
}
