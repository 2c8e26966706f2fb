package alert

// A Raised is the event that an alert was raised and not held back as a repetition.
type Raised struct {
	Class    Class
	Severity Severity
	Text     string
}

// Kind implements events.Fields.
func (Raised) Kind() string { return "alert.raised" }

// Summary returns the text of the alert.
func (r Raised) Summary() string { return r.Text }
