//go:build !linux

package tooltest

import "testing"

// A Disk is a small file system of a test.
type Disk struct {
	Dir string // where it is mounted
}

// SmallDisk mounts an empty file system of 2 MiB in memory until the test ends. The test is skipped
// if this process may not mount.
func SmallDisk(t testing.TB) *Disk {
	t.Skip("small file systems are mounted on Linux only")
	return nil
}

// Fill takes all space, so that no byte can be written. Empty files can still be created.
func (d *Disk) Fill() {}

// Free returns the space that Fill has taken.
func (d *Disk) Free() {}

// MakeReadOnly makes every change fail, for the superuser too. No file may be open for writing.
func (d *Disk) MakeReadOnly() {}
