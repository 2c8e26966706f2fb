package capture

import (
	"time"
)

// A Side is one of the places from which captures are started. Each side sees and stops only
// its own captures (B20, B21).
type Side int

// The sides.
const (
	CLI     Side = iota // the command packetcapture
	GUI                 // the page
	TCPDump             // the menu tcpdump of AsyncOS 6 and earlier (B24)
	sides               // their number
)

func (s Side) String() string { return [...]string{"CLI", "GUI", "tcpdump menu"}[s] }

// An Owner identifies the session that started a capture.
type Owner struct {
	Side    Side
	Session string // number of the session in the program's log; "" for the GUI
}

// A Reason is the reason for which a capture ended.
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
	NotJoined // the parts remain in files.Diagnostic, each a valid file
	ShuttingDown
	InterfaceGone
	MenuLeft // TCPDump's menu (B26)
)

// String returns a clause for the place after "The last capture ended: ".
func (r Reason) String() string {
	return [...]string{
		NotEnded:        "it is running",
		ByUser:          "it was ended by an administrator",
		SizeReached:     "the file size limit was reached",
		DurationReached: "its time limit was reached",
		SessionEnded:    "the session that started it ended",
		DiskFull:        "there is no disk space left",
		WriteFailed:     "the capture file could not be written",
		NotJoined:       "its parts could not be joined into one file",
		ShuttingDown:    "the appliance was shut down",
		InterfaceGone:   "an interface was removed",
		MenuLeft:        "the tcpdump menu was left",
	}[r]
}

// IsFailure reports whether an administrator must be alerted.
func (r Reason) IsFailure() bool { return r == DiskFull || r == WriteFailed || r == NotJoined }

// isWhole reports whether the file of a capture that has ended has all frames that passed until it
// was ended.
func (s *Status) isWhole() bool {
	switch s.Reason {
	case ByUser, DurationReached, SessionEnded, ShuttingDown, MenuLeft:
		return s.Dropped == 0 && !s.Settings.KeepNewest
	}
	return false
}

// A Status is a capture's state at one moment. The zero Status is that of a side that has not
// started a capture yet.
type Status struct {
	Running bool
	Owner   Owner
	// File is the base name of the file, or of the newest part; "" once it has been deleted.
	File     string
	Started  time.Time
	Elapsed  time.Duration
	Size     int64  // of all files, in bytes
	Packets  uint64 // written
	Dropped  uint64 // because the writer was too far behind
	Settings Settings
	Reason   Reason
	Err      error // cause of DiskFull, WriteFailed and NotJoined, for the program's log
}
