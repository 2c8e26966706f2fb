//go:build !linux

package ether

import (
	"context"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// sleep waits for d, which is short.
func sleep(d time.Duration) {
	_ = clock.System().Sleep(context.Background(), d)
}
