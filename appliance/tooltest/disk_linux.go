package tooltest

import (
	"os"
	"path/filepath"
	"testing"

	"syscall"
)

// A Disk is a small file system of a test.
type Disk struct {
	Dir  string // where it is mounted
	t    testing.TB
	opts string
}

// SmallDisk mounts an empty file system of 2 MiB in memory until the test ends. The test is skipped
// if this process may not mount.
func SmallDisk(t testing.TB) *Disk {
	t.Helper()
	d := &Disk{t.TempDir(), t, "size=2m"}
	if err := syscall.Mount("none", d.Dir, "tmpfs", 0, d.opts); err != nil {
		t.Skip("no file system can be mounted: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.Dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Fill takes all space, so that no byte can be written. Empty files can still be created.
func (d *Disk) Fill() {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.Dir, "filler"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
}

// Free returns the space that Fill has taken.
func (d *Disk) Free() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.Dir, "filler")); err != nil {
		d.t.Fatal(err)
	}
}

// MakeReadOnly makes every change fail, for the superuser too. No file may be open for writing.
func (d *Disk) MakeReadOnly() {
	d.t.Helper()
	if err := syscall.Mount("", d.Dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, d.opts); err != nil {
		d.t.Fatal(err)
	}
}
