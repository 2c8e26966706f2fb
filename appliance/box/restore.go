package box

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A reset replaces the content of the appliance's directory as a whole, even if the process is killed
// meanwhile, or the disk is full: the new content is written to newContent while the appliance still
// runs. That directory is renamed to readyContent, then the old content is removed, then the directory
// is renamed to movingContent, and then its entries are moved to their places. The next start
// discards newContent, and finishes what was begun with the other two.
const (
	newContent    = "reset.new"
	readyContent  = "reset.ready"
	movingContent = "reset.moving"
)

// isOwn reports whether an entry of the appliance's directory belongs to the box and not to the
// appliance.
func isOwn(name string) bool {
	return slices.Contains([]string{baselineFile, newContent, readyContent, movingContent}, name)
}

// prepareContent writes the content that replaceContent puts in the place of that of a directory. If
// it returns an error, nothing has changed.
func prepareContent(dir string, extract func(to string) error) error {
	to := filepath.Join(dir, newContent)
	err := os.RemoveAll(to)
	if err == nil {
		err = os.MkdirAll(to, 0o700)
	}
	if err == nil {
		err = extract(to)
	}
	if err != nil {
		discardContent(dir)
	}
	return err
}

// discardContent removes what prepareContent has written. If that fails, the next reset or start does
// it.
func discardContent(dir string) { _ = os.RemoveAll(filepath.Join(dir, newContent)) }

// replaceContent puts what prepareContent has written in the place of the content of a directory.
func replaceContent(dir string) error {
	err := os.Rename(filepath.Join(dir, newContent), filepath.Join(dir, readyContent))
	if err == nil {
		err = finishContent(dir)
	}
	if err != nil {
		return fmt.Errorf("replace the files: %w", err)
	}
	return nil
}

// finishContent finishes what replaceContent has begun, perhaps in a process that was killed.
func finishContent(dir string) error {
	ready, moving := filepath.Join(dir, readyContent), filepath.Join(dir, movingContent)
	if _, err := os.Lstat(ready); err == nil {
		if err := clearDir(dir); err != nil {
			return err
		}
		if err := os.Rename(ready, moving); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(moving)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(moving, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(moving)
}

// clearDir removes everything in a directory that is not the box's.
func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if isOwn(e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
