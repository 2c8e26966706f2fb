package logs

// A LineWritten is the event that a line was handed to a log.
type LineWritten struct {
	Log   Type   // "mail"
	Level string // "Info"
	Text  string
}

// Kind implements events.Fields.
func (LineWritten) Kind() string { return "log.line" }

// Summary returns the text of the line.
func (l LineWritten) Summary() string { return l.Text }
