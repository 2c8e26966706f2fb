package logs

import (
	"strconv"
	"time"
	"unicode/utf8"
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

// maxText bounds the text of a line in bytes. A longer text is cut and ends in "...".
const maxText = 64 << 10

// appendText appends a text as one line. Control characters, and bytes that are not UTF-8, are
// escaped as Go and Python escape them in string literals.
func appendText(b []byte, text string) []byte {
	if len(text) > maxText {
		text = text[:maxText] + "..."
	}
	start := 0 // of the text that has not been appended
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		if c < utf8.RuneSelf || r == utf8.RuneError && n == 1 || !strconv.IsPrint(r) {
			b = append(b, text[start:i]...)
			b = appendEscaped(b, text[i:i+n])
			start = i + n
		}
		i += n
	}
	return append(b, text[start:]...)
}

func appendEscaped(b []byte, char string) []byte {
	switch char {
	case "\n":
		return append(b, `\n`...)
	case "\r":
		return append(b, `\r`...)
	case "\t":
		return append(b, `\t`...)
	}
	const digits = "0123456789abcdef"
	for i := range len(char) {
		b = append(b, '\\', 'x', digits[char[i]>>4], digits[char[i]&15])
	}
	return b
}

// headerTexts returns the texts of the lines at the beginning of a log file, and of a connection
// to a syslog server (A6, logs.md 1.2).
func headerTexts(version, serial string, offset int) []string {
	return []string{"Begin Logfile", "Version: " + version + " SN: " + serial, offsetText(offset)}
}

// offsetText returns the text of the line about the zone's offset: seconds east of UTC.
func offsetText(offset int) string {
	return "Time offset from UTC: " + strconv.Itoa(offset) + " seconds"
}
