package transfer

// A Transferred is a file that was transferred as a whole: its first Size bytes are what the client
// has received, or all of it is what the client has sent. A transfer that was resumed is none.
type Transferred struct {
	Upload bool
	Path   string // in the file area, as the client named it, absolute
	Size   int64  // bytes
}

// doneFunc returns f, or a function that does nothing if f is nil.
func doneFunc(f func(Transferred)) func(Transferred) {
	if f == nil {
		return func(Transferred) {}
	}
	return f
}
