package logs

import (
	"container/list"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
)

// OpenFiles keeps the current files of logs open between two lines: to open and close a file costs
// ten times as much as to write a line. A file is closed when it has been idle for a second. If
// there are more files than the limit, those that have been idle for longest are closed. As many
// other files are in use at most; a log that needs one more waits. So thousands of appliances that
// write at the same moment do not use up the descriptors of the process. All hubs of a process can
// share an OpenFiles, so that the limit is that of the process. An OpenFiles is safe for concurrent
// use.
type OpenFiles struct {
	limit  int
	inUse  chan struct{} // has a value for each file in use
	clock  clock.Clock
	timers clock.Group

	mu    sync.Mutex // not held during calls that can block
	idle  list.List  // of *keptFile; the file that was used last is at the front
	timer func() bool
	ended bool
}

// DefaultOpenFiles is how many idle files an OpenFiles keeps open by default.
const DefaultOpenFiles = 256

const (
	// idleDuration is how long an idle file stays open.
	idleDuration = time.Second
	// maxOpenDuration is how long a file stays open at most. If somebody removes a log file on this
	// machine behind the file area's back, the following lines are in a new file after this time.
	maxOpenDuration = 10 * time.Second
)

// NewOpenFiles returns an OpenFiles that keeps at most limit idle files open, lets as many be in use,
// but at least one, and measures time with c. The caller must close it after the hubs that use it.
func NewOpenFiles(limit int, c clock.Clock) *OpenFiles {
	return &OpenFiles{limit: limit, inUse: make(chan struct{}, max(limit, 1)), clock: c}
}

// use waits until one more file may be in use. The caller must call unuse when it has kept or closed
// the file, and must not wait for another log meanwhile.
func (o *OpenFiles) use() { o.inUse <- struct{}{} }

func (o *OpenFiles) unuse() { <-o.inUse }

// Close closes all files and stops the timer. Files that are kept later are closed immediately.
func (o *OpenFiles) Close() {
	o.mu.Lock()
	o.ended = true
	stop := o.timer
	o.mu.Unlock()
	if stop != nil {
		stop()
	}
	o.timers.Wait()
	o.closeIdle(0, 0)
}

// A keptFile is the place of one log's current file in an OpenFiles.
type keptFile struct {
	log *subscription // fileClosed is called after the OpenFiles has closed the file

	// The following fields are guarded by OpenFiles.mu.
	handle    *files.File
	element   *list.Element // in OpenFiles.idle; nil if the file is not there
	closing   chan struct{} // not nil while the OpenFiles closes the file; closed afterwards
	opened    clock.Mark
	idleSince clock.Mark
}

// keep takes over an open file that is idle from now on, and returns true. opened is when it was
// opened. It returns false if the caller must close the file, which has been open for long.
func (o *OpenFiles) keep(k *keptFile, handle *files.File, opened clock.Mark) bool {
	now := o.clock.Mark()
	if time.Duration(now-opened) >= maxOpenDuration {
		return false
	}
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return false
	}
	k.handle, k.opened, k.idleSince = handle, opened, now
	k.element = o.idle.PushFront(k)
	full := o.idle.Len() > o.limit
	if o.timer == nil {
		o.setTimer(idleDuration)
	}
	o.mu.Unlock()
	if full {
		o.closeIdle(o.limit, 0)
	}
	return true
}

// setTimer sets the timer that closes files. mu must be held.
func (o *OpenFiles) setTimer(d time.Duration) {
	o.timer = o.timers.AfterFunc(o.clock, d, o.timerFired)
}

// timerFired closes the files that have been idle for long, and sets the timer for the others.
func (o *OpenFiles) timerFired() {
	o.closeIdle(o.limit, idleDuration)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.timer = nil
	if oldest := o.idle.Back(); oldest != nil && !o.ended {
		idle := o.clock.Since(oldest.Value.(*keptFile).idleSince)
		o.setTimer(max(idleDuration-idle, time.Millisecond))
	}
}

// take returns the open file of k and when it was opened, or nil if it is not open any more. The
// file belongs to the caller until keep is called.
func (o *OpenFiles) take(k *keptFile) (*files.File, clock.Mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k.closing != nil {
		closing := k.closing
		o.mu.Unlock()
		<-closing
		o.mu.Lock()
	}
	if k.element == nil {
		return nil, 0
	}
	o.idle.Remove(k.element)
	handle := k.handle
	k.element, k.handle = nil, nil
	return handle, k.opened
}

// closeIdle closes files until at most limit are left, and all files that have been idle for d if d
// is not 0. It returns the number of files that it has closed.
func (o *OpenFiles) closeIdle(limit int, d time.Duration) (closed int) {
	for {
		o.mu.Lock()
		oldest := o.idle.Back()
		if oldest == nil {
			o.mu.Unlock()
			return closed
		}
		k := oldest.Value.(*keptFile)
		if o.idle.Len() <= limit && (d == 0 || o.clock.Since(k.idleSince) < d) {
			o.mu.Unlock()
			return closed
		}
		o.idle.Remove(oldest)
		handle := k.handle
		k.element, k.handle, k.closing = nil, nil, make(chan struct{})
		o.mu.Unlock()

		err := handle.Close()
		closed++
		k.log.fileClosed(err)
		o.mu.Lock()
		close(k.closing)
		k.closing = nil
		o.mu.Unlock()
	}
}

// open calls f, which opens a file, and returns the file and the present time. If the process has no
// free descriptors, the idle files are closed and f is called again.
func (o *OpenFiles) open(f func() (*files.File, error)) (*files.File, clock.Mark, error) {
	handle, err := f()
	if (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) && o.closeIdle(0, 0) > 0 {
		handle, err = f()
	}
	return handle, o.clock.Mark(), err
}
