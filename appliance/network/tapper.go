package network

import "time"

// A Tapper shows the frames that pass an interface.
type Tapper interface {
	// Tap calls c.Sink for every frame from now on, until the Tap is closed.
	Tap(c TapConfig) (Tap, error)
}

// A TapConfig says which frames a tap shows, and to which function.
type TapConfig struct {
	Interface string
	SnapLen   int // 0: whole frames
	// Match reports whether to keep a frame, which it sees as a whole. A nil Match keeps
	// all frames.
	Match func(frame []byte, wireLen int) bool
	// Sink is called with every kept frame, in order. It must not block and must not
	// retain the frame's Data.
	Sink func(Frame)
}

// A Tap shows frames to a sink until it is closed.
type Tap interface {
	// Stats returns the number of frames that passed and the number that the filter kept.
	Stats() (seen, kept uint64)
	// Close ends the tap. The sink is not called after Close has returned.
	Close() error
}

// A Frame is an Ethernet frame that passed a tap. The receiver of a Frame must not retain
// Data.
type Frame struct {
	Time    time.Time // wall time; never decreases within one tap
	Dir     Direction
	Data    []byte // cut to the snap length
	WireLen int
}

// A Direction is that of a frame as the owner of the interface sees it.
type Direction uint8

// Directions.
const (
	In Direction = iota
	Out
)
