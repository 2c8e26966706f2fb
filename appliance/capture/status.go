package capture

import (
	"time"
)

// A Side is one of the places from which captures are started. Each sees and stops
// only its own (B20, B21).
type Side int

// The sides.
const (
	CLI     Side = iota // the command packetcapture
	GUI                 // the page
	TCPDump             // the menu tcpdump of AsyncOS 6 and earlier (B24)
	sides               // how many there are
)

func (s Side) String() string { return [...]string{"CLI", "GUI", "tcpdump menu"}[s] }

// An Owner says who started a capture.
type Owner struct {
	Side    Side
	Session string // not of the GUI: which session, as the program's log names it
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
	ShuttingDown
	InterfaceGone
	MenuLeft // TCPDump's menu (B26)
)

// String says why, to follow a colon: "The capture stopped: ".
func (r Reason) String() string {
	return [...]string{
		NotEnded:        "it is running",
		ByUser:          "it was ended by an administrator",
		SizeReached:     "the file size limit was reached",
		DurationReached: "its time was over",
		SessionEnded:    "the session that started it ended",
		DiskFull:        "there is no disk space left",
		WriteFailed:     "the capture file could not be written",
		NotJoined:       "its parts could not be joined into one file",
		ShuttingDown:    "the appliance was shut down",
		InterfaceGone:   "an interface was removed",
		MenuLeft:        "the tcpdump menu was left",
	}[r]
}

// Trouble reports whether an administrator should be told of it unasked.
func (r Reason) IsFailure() bool { return r == DiskFull || r == WriteFailed || r == NotJoined }

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
	Reason   Reason // why it ended
	Err      error  // what lies behind DiskFull, WriteFailed and NotJoined; for the program's log
}
