package files

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
)

// While a file is being overwritten, its former content is in the temporary directory, under the
// number of the temporary file and the whole name: tmp/7/data/pub/configuration/x.xml. Open
// therefore knows where to put it back if the process was killed before the new content was
// complete.

// backupName returns the name for the former content of the file real, and makes the directory
// for it. The caller holds mu.
func (s *Store) backupName(real string) (string, error) {
	s.temps++
	name := path.Join(tmpDir, strconv.FormatUint(s.temps, 10), real)
	return name, s.root.MkdirAll(path.Dir(name), 0o700)
}

// removeBackup removes the directories that backupName has made and what is left in them.
func (s *Store) removeBackup(backup string) error {
	dir := backup
	for path.Dir(dir) != tmpDir {
		dir = path.Dir(dir)
	}
	return s.root.RemoveAll(dir)
}

// restoreBackups puts back the former content of files that were being overwritten when the
// process was killed, the oldest first, and then removes the temporary directory.
func (s *Store) restoreBackups() {
	entries, err := s.readDisk(tmpDir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	number := func(fi fs.FileInfo) uint64 {
		n, _ := strconv.ParseUint(fi.Name(), 10, 64)
		return n
	}
	slices.SortFunc(entries, func(a, b fs.FileInfo) int { return cmp.Compare(number(a), number(b)) })
	failed := err != nil
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := path.Join(tmpDir, e.Name())
		err := s.root.Walk(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			real := name[len(dir)+1:]
			if err := s.root.MkdirAll(path.Dir(real), 0o700); err != nil {
				return err
			}
			if err := s.root.Rename(name, real); err != nil {
				return err
			}
			s.recovered = append(s.recovered, fmt.Sprintf(
				"/%s has its former content: the process was killed while it was being overwritten", real))
			return nil
		})
		if err != nil {
			failed = true
			s.recovered = append(s.recovered, fmt.Sprintf("files that were being overwritten: %v", err))
		}
	}
	if failed { // the next start tries again
		return
	}
	if err := s.root.RemoveAll(tmpDir); err != nil {
		s.recovered = append(s.recovered, fmt.Sprintf("temporary files are not removed: %v", err))
	}
}

// count adds up the number and the sizes of the files. Directories that cannot be read are left
// out.
func (s *Store) count() {
	root, err := s.root.OpenRoot(".")
	if err == nil {
		err = walk(root, func(_ string, fi fs.FileInfo) {
			s.files.Add(1)
			if fi.Mode().IsRegular() {
				s.used.Add(fi.Size())
			}
		})
	}
	if err != nil {
		s.recovered = append(s.recovered, fmt.Sprintf("not all files are counted: %v", err))
	}
}

// walk calls visit for each file and directory below root, with its name relative to root, and
// closes root. Symbolic links are visited, but not followed. Each directory is opened relative to
// the one above it, so that the time of a walk is proportional to the number of files, however deep
// they are. An error ends the walk of one directory only.
func walk(root *os.Root, visit func(name string, fi fs.FileInfo)) error {
	return walkBelow(root, ".", visit)
}

func walkBelow(dir *os.Root, name string, visit func(name string, fi fs.FileInfo)) (err error) {
	defer func() { dir.Close() }()
	for {
		list, readErr := readNames(dir)
		err = errors.Join(err, readErr)
		var subdirs []string
		for _, base := range list {
			fi, statErr := dir.Lstat(base)
			if statErr != nil {
				err = errors.Join(err, statErr)
				continue
			}
			visit(path.Join(name, base), fi)
			if fi.IsDir() {
				subdirs = append(subdirs, base)
			}
		}
		if len(subdirs) == 0 {
			return err
		}
		// The last directory takes the place of this one, so that a chain of directories needs one
		// file descriptor at a time.
		for i, base := range subdirs {
			sub, openErr := dir.OpenRoot(base)
			if openErr != nil {
				if err = errors.Join(err, openErr); i == len(subdirs)-1 {
					return err
				}
				continue
			}
			if i < len(subdirs)-1 {
				err = errors.Join(err, walkBelow(sub, path.Join(name, base), visit))
				continue
			}
			dir.Close()
			dir, name = sub, path.Join(name, base)
		}
	}
}

func readNames(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}
