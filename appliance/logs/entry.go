package logs

import (
	"strconv"
	"time"
)

// A Level is the severity of an entry. The numbers are AsyncOS's: a subscription takes the
// entries whose level is no higher than its own.
type Level int

// The levels.
const (
	Critical Level = iota + 1
	Warning
	Information
	Debug
	Trace
)

// Levels returns all levels, the most severe first.
func Levels() []Level { return []Level{Critical, Warning, Information, Debug, Trace} }

// String returns the word for the level in a log line, such as "Info".
func (l Level) String() string {
	if l == Information {
		return "Info"
	}
	return l.Title()
}

// Title returns the name of the level in dialogues, such as "Information".
func (l Level) Title() string {
	switch l {
	case Critical:
		return "Critical"
	case Warning:
		return "Warning"
	case Information:
		return "Information"
	case Debug:
		return "Debug"
	case Trace:
		return "Trace"
	}
	return "Level " + strconv.Itoa(int(l))
}

// An Entry is one line of a log.
type Entry struct {
	Time  time.Time // zero: now
	Type  Type
	Level Level
	Text  string
	// Rest, if not nil, returns what follows the text in the log of a subscription whose BounceBytes
	// are given. It is called at once, for each subscription that takes the entry.
	Rest func(bounceBytes int) string
	// Only, if not "", is the name of the only subscription that takes the entry.
	Only string

	// Cause is the number of the event that the entry tells; 0 if there is none. Follows says that
	// a subscriber of the event stream writes the entry while it is told that event.
	Cause   uint64
	Follows bool

	// origin is the name of the subscription whose push the entry is about, "" if it is
	// about something else. That subscription writes the entry and does not push it.
	origin string
}

// stampLayout is the time at the beginning of a line: C's asctime without its newline.
// stampLength is its length for years of four digits.
const (
	stampLayout = "Mon Jan _2 15:04:05 2006"
	stampLength = 24
)

// headerTexts returns the texts of the lines at the beginning of a log file, and of a connection
// to a syslog server (A6, logs.md 1.2).
func headerTexts(version, serial string, offset int) []string {
	return []string{"Begin Logfile", "Version: " + version + " SN: " + serial, offsetText(offset)}
}

// offsetText returns the text of the line about the zone's offset: seconds east of UTC.
func offsetText(offset int) string {
	return "Time offset from UTC: " + strconv.Itoa(offset) + " seconds"
}
