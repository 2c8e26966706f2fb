//go:build unix

package fleet

import "syscall"

// descriptorLimit returns the number of descriptors that this process may have; 0 if none is known.
func descriptorLimit() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return uint64(l.Cur) //nolint:unconvert // it is signed on FreeBSD
}
