package vnet

import (
	"time"

	"gvisor.dev/gvisor/pkg/log"

	"github.com/esasim/esasim/appliance/entropy"
)

// A randSource is a stream as gVisor needs it (math/rand.Source64).
type randSource struct{ *entropy.Stream }

func (s randSource) Int63() int64 { return int64(s.Uint64() >> 1) }

// Seed does nothing, because the stream is seeded when it is created.
func (randSource) Seed(int64) {}

// discardLog discards gVisor's log, which would go to standard error. The log is about
// martian packets and ports in use, which is of no interest outside the simulated world.
type discardLog struct{}

func (discardLog) Emit(int, log.Level, time.Time, string, ...any) {}

func init() { log.SetTarget(discardLog{}) }
