package vnet

import (
	"time"

	"gvisor.dev/gvisor/pkg/log"

	"github.com/esasim/esasim/appliance/entropy"
)

// A source is a stream as gVisor wants it (math/rand.Source64).
type source struct{ *entropy.Stream }

func (s source) Int63() int64 { return int64(s.Uint64() >> 1) }

// Seed does nothing: the stream is seeded where it is made.
func (source) Seed(int64) {}

// silence is where gVisor's log goes; its default is standard error. It tells of
// martian packets and ports in use, which are the simulated world's own affair.
type silence struct{}

func (silence) Emit(int, log.Level, time.Time, string, ...any) {}

func init() { log.SetTarget(silence{}) }
