package capture

// A Started is the event that a packet capture has begun.
type Started struct {
	File       string // its name in the file area
	Side       string // "CLI", "GUI" or "tcpdump"
	Filter     string
	Interfaces []string
}

// Kind implements events.Fields.
func (Started) Kind() string { return "capture.started" }

// An Ended is the event that a packet capture has ended and its files are complete. Its cause is
// the beginning.
type Ended struct {
	File    string
	Side    string
	Reason  string
	Packets uint64
	Size    int64 // bytes
}

// Kind implements events.Fields.
func (Ended) Kind() string { return "capture.ended" }
