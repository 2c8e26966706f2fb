package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/fleet"
)

// inventories are the files of --ready. They are written once the appliances run, and again when an
// inventory changes, unless somebody else has changed or removed them.
type inventories struct {
	files   []string
	changes chan struct{} // an inventory may have changed

	mu      sync.Mutex
	written map[string][]byte // nil: removed for good
}

// newInventories checks the names of the files, and removes what earlier runs have left there.
func newInventories(files []string) (*inventories, error) {
	for _, file := range files {
		if _, ok := fleet.FormatOf(filepath.ToSlash(file)); !ok {
			return nil, fmt.Errorf("--ready %s: expected a name that ends in .json, .csv, .ini, .db or ssh_config", file)
		}
		if fi, err := os.Lstat(file); err == nil && fi.Mode().IsRegular() {
			if err := os.Remove(file); err != nil {
				return nil, fmt.Errorf("remove the file of --ready: %w", err)
			}
		}
	}
	return &inventories{
		files: files, changes: make(chan struct{}, 1), written: map[string][]byte{},
	}, nil
}

// notify says that an inventory may have changed. It returns immediately.
func (x *inventories) notify() {
	select {
	case x.changes <- struct{}{}:
	default: // it will be read
	}
}

// write writes the files that have changed, each in one step.
func (x *inventories) write(f *fleet.Fleet) error {
	list, networks := f.Inventory(), f.NetworkInventory()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.written == nil {
		return nil
	}
	for _, file := range x.files {
		format, _ := fleet.FormatOf(filepath.ToSlash(file))
		var b bytes.Buffer
		if err := fleet.WriteInventory(&b, format, f.Name(), list, networks); err != nil {
			return err
		}
		if before, again := x.written[file]; again && (bytes.Equal(before, b.Bytes()) || !isStill(file, before)) {
			continue
		}
		if _, err := os.Stat(filepath.Dir(file)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write %s: there is no directory %s: create it first", file, filepath.Dir(file))
		}
		if err := atomicfile.Write(file, b.Bytes()); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
		x.written[file] = b.Bytes()
	}
	return nil
}

// inventoryInterval is the least time between two changes of a file, since many appliances may boot at
// the same time.
const inventoryInterval = 200 * time.Millisecond

// follow writes the files again when they change, until end is called, which waits for that.
func (x *inventories) follow(f *fleet.Fleet, log *slog.Logger) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-x.changes:
			}
			if clock.System().Sleep(ctx, inventoryInterval) != nil {
				return
			}
			if err := x.write(f); err != nil {
				log.Warn("the inventory has changed, but not its file", "err", err)
			}
		}
	})
	return func() {
		cancel()
		following.Wait()
	}
}

// remove removes the files that are still as they were written. They are not written any more.
func (x *inventories) remove() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var errs []error
	for file, text := range x.written {
		if isStill(file, text) {
			errs = append(errs, os.Remove(file))
		}
	}
	x.written = nil
	return errors.Join(errs...)
}

// isStill reports whether a file has a certain content.
func isStill(file string, text []byte) bool {
	found, err := os.ReadFile(file)
	return err == nil && bytes.Equal(found, text)
}
