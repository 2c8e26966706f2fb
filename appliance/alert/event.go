package alert

// A Raised is the event that an alert was raised and not held back as a repetition. Its cause is the
// trouble that it is about, if that is an event.
type Raised struct {
	Class    Class
	Severity Severity
	Text     string
	Repeats  int // how often it was held back before
}

// Kind implements events.Fields.
func (Raised) Kind() string { return "alert.raised" }

// Summary returns the text of the alert.
func (r Raised) Summary() string { return r.Text }
