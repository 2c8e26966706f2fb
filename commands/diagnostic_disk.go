package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/files"
)

// diskUsage prints the size of the data area as df(1) does, and the usage of each directory.
func (d *diagnosticRun) diskUsage(ctx context.Context) error {
	// Flush includes the entries that were logged before the command.
	if err := d.env.Appliance.Logs.Flush(ctx); err != nil {
		return err
	}
	used, quota := d.env.Appliance.Files.Usage()
	size, avail, capacity := "-", "-", "-"
	if quota > 0 {
		size, avail = fmt.Sprint(quota>>10), fmt.Sprint(max(quota-used, 0)>>10)
		capacity = fmt.Sprintf("%d%%", (used*100+quota-1)/quota)
	}
	d.env.Printf("%-12s %12s %10s %10s %9s  %s\n",
		"Filesystem", "1K-blocks", "Used", "Avail", "Capacity", "Mounted on")
	d.env.Printf("%-12s %12s %10d %10s %9s  %s\n\n",
		"data", size, blocks1K(used), avail, capacity, "/data")

	dirs, err := usageByDirectory(d.env.Appliance.Files)
	if err != nil {
		return fmt.Errorf("add up the data area: %w", err)
	}
	d.env.Printf("%12s %10s  %s\n", "1K-blocks", "Files", "Directory")
	for _, name := range slices.Sorted(maps.Keys(dirs)) {
		d.env.Printf("%12d %10d  /%s\n", blocks1K(dirs[name].bytes), dirs[name].files, name)
	}
	return nil
}

// blocks1K returns the number of blocks of 1,024 bytes that hold so many bytes.
func blocks1K(bytes int64) int64 { return (bytes + 1023) >> 10 }

type usage struct {
	files int
	bytes int64
}

// usageByDirectory returns the usage of each directory that users see in their home directory
// and of each of the system's directories, with everything below. Directories with several
// names count once.
func usageByDirectory(store *files.Store) (map[string]usage, error) {
	sums := map[string]usage{}
	err := fs.WalkDir(store, ".", func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if e.IsDir() {
			if strings.Count(name, "/") == 2 {
				sums[name] = usage{} // so that an empty directory is listed, too
			}
			return nil
		}
		if !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if parts := strings.SplitN(dir, "/", 4); len(parts) == 4 {
			dir = strings.Join(parts[:3], "/")
		}
		sum := sums[dir]
		sum.files++
		sum.bytes += info.Size()
		sums[dir] = sum
		return nil
	})
	return sums, err
}
