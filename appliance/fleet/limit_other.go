//go:build !unix

package fleet

// descriptorLimit returns the number of descriptors that this process may have; 0 if none is known.
func descriptorLimit() uint64 { return 0 }
