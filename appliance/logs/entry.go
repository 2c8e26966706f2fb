package logs

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// A Level is how grave an entry is. Its numbers are AsyncOS's: a subscription takes
// the entries whose level is no higher than its own.
type Level int

// The levels.
const (
	Critical Level = iota + 1
	Warning
	Information
	Debug
	Trace
)

// Levels lists all of them, the gravest first.
func Levels() []Level { return []Level{Critical, Warning, Information, Debug, Trace} }

// String is the word in a log line: "Info".
func (l Level) String() string {
	if l == Information {
		return "Info"
	}
	return l.Title()
}

// Title is the level's name in a dialogue: "Information".
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

// An Entry is a line of a log.
type Entry struct {
	Time  time.Time // zero: now
	Type  Type
	Level Level
	Text  string

	// origin is the subscription whose own push the entry is about: that one
	// writes it and does not push it.
	origin string
}

// stampForm is C's asctime without its newline; stampLength is its length for years
// of four digits.
const (
	stampForm   = "Mon Jan _2 15:04:05 2006"
	stampLength = 24
)

// maxText bounds a line: what is longer is cut, and says so.
const maxText = 64 << 10

// appendText appends a text as one line: control characters, and what is no UTF-8, are
// written as Go and Python write them in strings.
func appendText(b []byte, text string) []byte {
	if len(text) > maxText {
		text = text[:maxText] + "..."
	}
	plain := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		if c < utf8.RuneSelf || r == utf8.RuneError && n == 1 || !strconv.IsPrint(r) {
			b = append(b, text[plain:i]...)
			b = appendEscaped(b, text[i:i+n])
			plain = i + n
		}
		i += n
	}
	return append(b, text[plain:]...)
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

// headerTexts are what a log file, and a connection to a syslog server, begin with
// (A6, logs.md 1.2).
func headerTexts(version, serial string, offset int) []string {
	return []string{"Begin Logfile", "Version: " + version + " SN: " + serial, offsetText(offset)}
}

// offsetText tells how many seconds the zone is east of Greenwich.
func offsetText(offset int) string {
	return "Time offset from UTC: " + strconv.Itoa(offset) + " seconds"
}
