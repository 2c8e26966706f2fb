//go:build !unix

package appliance

import "time"

// processorTime returns the processor time that the process has used; ok reports whether it is
// known.
func processorTime() (used time.Duration, ok bool) { return 0, false }
