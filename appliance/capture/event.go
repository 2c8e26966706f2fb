package capture

// A Started is the event that a packet capture has begun.
type Started struct {
	File       string // its name in the file area
	Side       string // "CLI", "GUI" or "tcpdump"
	Filter     string
	Interfaces []string // none: all
}

// Kind implements events.Fields.
func (Started) Kind() string { return "capture.started" }

// A Stopping is the event that a packet capture is about to end: every frame that has passed until
// now is in its file, unless the file is full. Its cause is the beginning.
type Stopping struct {
	File string
	Side string
}

// Kind implements events.Fields.
func (Stopping) Kind() string { return "capture.stopping" }

// An Ended is the event that a packet capture has ended and its files are complete. Its cause is
// the beginning.
type Ended struct {
	File    string
	Side    string
	Reason  string
	Packets uint64
	Dropped uint64 // because the writer was too far behind
	Size    int64  // bytes
	// Whole reports whether the file has all frames that passed from the beginning to Stopping.
	Whole bool
}

// Kind implements events.Fields.
func (Ended) Kind() string { return "capture.ended" }
