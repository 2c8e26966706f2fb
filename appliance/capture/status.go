package capture

import (
	"time"
)

// A Side is one of the two places from which captures are started. Each sees and
// stops only its own (B20, B21).
type Side int

// The sides.
const (
	CLI Side = iota
	GUI
)

func (s Side) String() string { return [...]string{"CLI", "GUI"}[s] }

// An Owner says who started a capture.
type Owner struct {
	Side    Side
	Session string // of the CLI: which session, as the program's log names it
}

// A Reason says why a capture ended.
type Reason int

// Reasons.
const (
	NotEnded Reason = iota
	ByUser
	SizeReached
	DurationReached
	SessionEnded
	DiskFull
	WriteFailed
	NotJoined // the files that hold it are in Diagnostic, each whole in itself
	Stopping
	InterfaceGone
)

// String is a sentence for the administrator without its full stop.
func (r Reason) String() string {
	return [...]string{
		NotEnded:        "The capture is running",
		ByUser:          "The capture was stopped",
		SizeReached:     "The capture stopped because the file size limit was reached",
		DurationReached: "The capture stopped because its time was over",
		SessionEnded:    "The capture stopped because the session that started it has ended",
		DiskFull:        "The capture stopped because there is no disk space left",
		WriteFailed:     "The capture stopped because the capture file could not be written",
		NotJoined:       "The capture has ended, but its parts could not be joined into one file",
		Stopping:        "The capture stopped because the appliance was shut down",
		InterfaceGone:   "The capture stopped because an interface was removed",
	}[r]
}

// Trouble reports whether an administrator should be told of it unasked.
func (r Reason) Trouble() bool { return r == DiskFull || r == WriteFailed || r == NotJoined }

// A Status is a capture's state at one moment. The zero Status is that of a side that
// has not started any.
type Status struct {
	Running bool
	Owner   Owner
	// File is the base name of the file, of the newest part where there are several.
	File     string
	Started  time.Time
	Elapsed  time.Duration
	Size     int64  // of all its files, in bytes
	Packets  uint64 // written
	Dropped  uint64 // for which the writer was too slow
	Settings Settings
	Ended    Reason
	Err      error // what lies behind DiskFull, WriteFailed and NotJoined; for the program's log
}
