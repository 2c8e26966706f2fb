package logs

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/logs/syslog"
)

// A subscription is a log that runs. Callers append to its jobs; the drainer runs them. The drainer
// is a goroutine of its own, which exists as long as there are jobs, or a caller of writeNow. So a
// silent log costs no goroutine, no open file and no directory.
type subscription struct {
	hub  *Hub
	name string
	file file // used by the drainer only or, before the first one starts, by Configure

	mu             sync.Mutex    // not held during calls that can block
	conf           *Subscription // immutable
	format         Format        // of the files
	pusher         Pusher        // nil: lines are not pushed
	backlog        *backlog      // lines for a pusher that is not open yet; nil if there is none
	uploader       Uploader      // nil: files are not uploaded
	jobs           []job         // that the drainer has not taken yet
	takenJobs      int           // how many jobs the drainer has taken so far
	doneJobs       int           // how many of these are done
	waitingBytes   int           // of text in jobs
	unreportedLost int           // lines that did not fit into jobs; the log does not mention them yet
	lostTotal      int
	draining       bool          // there is a drainer
	ended          bool          // no further jobs are accepted
	progress       chan struct{} // closed after the drainer's next step; nil if nobody waits
	spareJobs      []job         // of length 0, for the next jobs
	spareBuffer    []byte        // for the next job with lines
	stopTimer      func() bool   // stops the timer of the next roll-over by time; nil: none
	due            time.Time     // when that roll-over is due

	// muted means that this subscription does not push the push errors of others, since it
	// has had an error of its own at failedAt. See doc.go.
	muted    bool
	failedAt clock.Mark

	// The last stamp. It is kept because most lines have the same second as the line before.
	stamp     []byte
	second    int64
	zone      *time.Location
	offset    int  // of the last line's zone, in seconds east
	hasOffset bool // offset is valid
}

// A job is a unit of work of the drainer.
type job struct {
	kind jobKind
	text []byte         // jobLines: whole lines; jobDocument: the document
	zone *time.Location // jobLines: of the stamps
	at   time.Time      // when a roll-over, an end or a document was ordered
	conf *Subscription  // jobReconfigure
}

type jobKind int

const (
	jobLines jobKind = iota
	jobDocument
	jobRollOver
	jobReconfigure
	jobScheduledRollOver // a roll-over by time
	jobEnd               // the subscription ends
)

// newSubscription returns a subscription that must be configured next. Until then its file may
// be resumed.
func newSubscription(h *Hub, conf *Subscription) *subscription {
	s := &subscription{hub: h, name: conf.Name}
	s.file.hub, s.file.log, s.file.dir, s.file.conf = h, s, dirOf(s.name), conf
	s.file.order.dir, s.file.order.name = h.o.OrderDir, s.name
	s.file.kept.log = s
	return s
}

// write queues the line of an entry, and pushes it. If now is set and there is no drainer, the caller
// becomes the drainer: write returns true, and the caller must call drainOnce.
func (s *subscription) write(e Entry, zone *time.Location, now bool) (drains bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if drains = now && !s.draining && !s.ended; drains {
		s.draining = true
		s.hub.drainers.Add(1)
	}
	s.writeLocked(e, zone)
	return drains
}

// drainOnce writes the lines that are queued. If others go on writing, it leaves that to a drainer of
// its own goroutine.
func (s *subscription) drainOnce() {
	defer s.hub.drainers.Done()
	if s.runJobs() || !s.finishDraining() {
		s.hub.drainers.Go(s.drain)
	}
}

// takes reports whether the subscription writes an entry of its type.
func (s *subscription) takes(e Entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended && e.Level <= s.conf.Level && s.format != Documents &&
		(e.Only == "" || e.Only == s.name)
}

// writeLocked is write with mu held.
func (s *subscription) writeLocked(e Entry, zone *time.Location) {
	if s.ended || e.Level > s.conf.Level || s.format == Documents {
		return
	}
	if e.Rest != nil {
		e.Text += e.Rest(s.conf.BounceBytes)
	}
	e.Text = syslog.Line(e.Text)
	if s.format == Binary {
		s.addRecord(e.Text, zone)
		return
	}
	e.Time = s.inOrder(e.Time)
	s.setTime(e.Time, zone)
	if s.waitingBytes+len(e.Text)+stampLength > s.hub.o.Buffer {
		s.unreportedLost++
		s.lostTotal++
		s.pushLine(e, e.Level, e.Text) // the pusher has a queue of its own
		return
	}
	if s.unreportedLost > 0 {
		s.addLostLine(e)
	}
	s.addLine(e, e.Level, e.Text)
}

// addRecord adds a record of a log whose files are records: a line without time and level, which is
// not pushed. One that does not fit into the buffer is lost. mu must be held.
func (s *subscription) addRecord(text string, zone *time.Location) {
	if s.waitingBytes+len(text) > s.hub.o.Buffer {
		s.lostTotal++
		return
	}
	s.zone = zone
	j := s.lineJob()
	j.text = append(append(j.text, text...), '\n')
	s.waitingBytes += len(text) + 1
	s.startDrainer()
}

// addLostLine adds a line that says how many lines did not fit into the buffer. mu must be held.
func (s *subscription) addLostLine(e Entry) {
	s.addLine(e, Warning, lostLines{s.unreportedLost, "the disk was too slow"}.text())
	s.unreportedLost = 0
}

// maxOvertaking is the real time by which the stamp of a line may be earlier than that of the line
// before it because two goroutines write at the same time. On a clock that runs fast that is minutes.
const maxOvertaking = 5 * time.Second

// inOrder returns the stamp of a line that is written now: t or, if the line before has a later stamp
// because it has overtaken this one, that stamp. If the clock was set back, t is returned. mu must be
// held.
func (s *subscription) inOrder(t time.Time) time.Time {
	limit := maxOvertaking * time.Duration(clock.Rate(s.hub.o.Clock))
	if last := time.Unix(s.second, 0); s.second != 0 && t.Unix() < s.second && last.Sub(t) < limit {
		return last
	}
	return t
}

// setTime sets the stamp of the lines that follow. If the offset of the zone has changed, it
// first adds a line that says so. mu must be held.
func (s *subscription) setTime(t time.Time, zone *time.Location) {
	if sec := t.Unix(); sec == s.second && zone == s.zone {
		return
	}
	local := t.In(zone)
	s.second, s.zone = t.Unix(), zone
	s.stamp = local.AppendFormat(s.stamp[:0], stampLayout)
	_, offset := local.Zone()
	if s.hasOffset && offset != s.offset {
		s.addLine(Entry{Time: t}, Information, offsetText(offset))
	}
	s.hasOffset, s.offset = true, offset
}

// addLine adds a line of printable text with the present stamp to the jobs, and pushes it. mu must
// be held.
func (s *subscription) addLine(e Entry, l Level, text string) {
	j := s.lineJob()
	before := len(j.text)
	j.text = append(j.text, s.stamp...)
	j.text = append(j.text, ' ')
	j.text = append(j.text, l.String()...)
	j.text = append(j.text, ": "...)
	j.text = append(j.text, text...)
	j.text = append(j.text, '\n')
	s.waitingBytes += len(j.text) - before
	s.startDrainer()
	s.pushLine(e, l, text)
}

// pushLine gives a text to the pusher, which makes it one line. An entry that is not about a
// push ends the time in which the errors of other pushes are left out. mu must be held.
func (s *subscription) pushLine(e Entry, l Level, text string) {
	s.muted = s.muted && e.origin != "" && s.hub.o.Clock.Since(s.failedAt) < muteDuration
	if e.origin == s.name || s.muted {
		return
	}
	switch at := e.Time.In(s.zone); {
	case s.pusher != nil:
		s.pusher.Push(at, l.String(), text)
	case s.backlog != nil:
		s.backlog.add(pushedLine{at, l.String(), text})
	}
}

// lineJob returns the job that lines are appended to. mu must be held.
func (s *subscription) lineJob() *job {
	if n := len(s.jobs); n > 0 && s.jobs[n-1].kind == jobLines && s.jobs[n-1].zone == s.zone {
		return &s.jobs[n-1]
	}
	s.jobs = append(s.jobs, job{kind: jobLines, text: s.spareBuffer[:0], zone: s.zone})
	s.spareBuffer = nil
	return &s.jobs[len(s.jobs)-1]
}

// enqueue appends a job.
func (s *subscription) enqueue(j job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.jobs = append(s.jobs, j)
	s.waitingBytes += len(j.text)
	s.startDrainer()
}

// startDrainer starts a drainer unless there is one. mu must be held.
func (s *subscription) startDrainer() {
	if !s.draining {
		s.draining = true
		s.hub.drainers.Go(s.drain)
	}
}

// drain is the drainer. It runs jobs until there are none.
func (s *subscription) drain() {
	for s.runJobs() || !s.finishDraining() {
	}
}

// finishDraining makes the drainer end unless there are jobs, and reports whether it ends.
func (s *subscription) finishDraining() bool {
	s.file.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = len(s.jobs) > 0
	if !s.draining {
		s.signalProgress() // for a Follower that waits for the end
	}
	return !s.draining
}

// runJobs runs the jobs that wait, and reports whether there are further ones.
func (s *subscription) runJobs() bool {
	s.mu.Lock()
	jobs := s.jobs
	s.jobs, s.spareJobs, s.waitingBytes = s.spareJobs, nil, 0
	s.takenJobs += len(jobs)
	s.mu.Unlock()
	for _, j := range jobs {
		s.run(j)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recycle(jobs)
	s.doneJobs = s.takenJobs
	s.signalProgress()
	return len(s.jobs) > 0
}

// awaitProgress returns a channel that is closed after the drainer's next step. mu must be held.
func (s *subscription) awaitProgress() <-chan struct{} {
	if s.progress == nil {
		s.progress = make(chan struct{})
	}
	return s.progress
}

// signalProgress wakes the goroutines that wait for progress. mu must be held.
func (s *subscription) signalProgress() {
	if s.progress != nil {
		close(s.progress)
		s.progress = nil
	}
}

// recycle keeps the memory of jobs for those that follow, unless it is unusually large. mu must be
// held.
func (s *subscription) recycle(jobs []job) {
	for _, j := range jobs {
		if j.kind == jobLines && cap(j.text) <= 1<<20 {
			s.spareBuffer = j.text[:0]
		}
	}
	clear(jobs)
	if s.spareJobs == nil && cap(jobs) <= 16 {
		s.spareJobs = jobs[:0]
	}
}

// fileClosed is called when the file was closed because it was idle.
func (s *subscription) fileClosed(err error) {
	if err != nil {
		s.hub.o.Logger.Error("a log file cannot be closed", "subscription", s.name, "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spareJobs, s.spareBuffer = nil, nil // a silent log keeps no memory
}

// run runs a job.
func (s *subscription) run(j job) {
	switch j.kind {
	case jobLines:
		s.file.append(j.text, j.zone)
	case jobDocument:
		s.file.writeDocument(j.text, j.at)
	case jobRollOver:
		s.file.rollOver(j.at, false)
	case jobScheduledRollOver:
		s.file.rollOver(j.at, true)
		s.mu.Lock()
		s.scheduleRollOver()
		s.mu.Unlock()
	case jobReconfigure:
		s.file.configure(j.conf)
	case jobEnd:
		s.file.finish(j.at)
	}
}

// countLost counts lines that did not fit on the disk.
func (s *subscription) countLost(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lostTotal += n
}

// configure changes the settings. Lines that were written before are processed under the old
// ones. It returns the pusher or uploader that the change ends, which the caller must close
// before it calls startPush. Lines that are written in between are kept for the next pusher if
// there is to be one.
func (s *subscription) configure(conf *Subscription, pushing bool) (ending []closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.conf
	if old == nil {
		old = &Subscription{}
	}
	s.conf, s.format = conf, conf.Type.Spec().Format
	if old.Name != "" && *old != *conf {
		s.jobs = append(s.jobs, job{kind: jobReconfigure, conf: conf})
		s.startDrainer()
	}
	if old.Schedule != conf.Schedule || old.IntervalSeconds != conf.IntervalSeconds ||
		old.TimeOfDay != conf.TimeOfDay || old.Day != conf.Day {
		s.scheduleRollOver()
	}
	if old.Push != conf.Push || old.Remote != conf.Remote || old.Method != conf.Method {
		kept := old.Push.Buffer > 0 && conf.Method == Syslog && conf.Push.Buffer > 0
		ending = s.releaseLocked(kept)
	}
	if pushing && conf.Method == Syslog && s.hub.o.NewPusher != nil && s.pusher == nil {
		s.backlog = &backlog{limit: s.hub.o.Buffer}
	}
	return ending
}

// startPush opens the pusher or the uploader that the configuration requires, unless it is open.
func (s *subscription) startPush() {
	s.mu.Lock()
	conf, open := s.conf, s.pusher != nil || s.uploader != nil
	s.mu.Unlock()
	switch {
	case open:
	case conf.Method.Uploads() && s.hub.o.NewUploader != nil:
		s.setUploader(s.hub.o.NewUploader(*conf, s.file.dir, s.savedFiles, s.reportUploadError))
	case conf.Method == Syslog && s.hub.o.NewPusher != nil:
		p, err := s.hub.o.NewPusher(*conf, s.reportPushEvent)
		s.setPusher(p, err)
	}
}

// setPusher makes p the pusher of the backlog and of the lines that follow. err is the error of
// opening it.
func (s *subscription) setPusher(p Pusher, err error) {
	s.mu.Lock()
	kept := s.backlog
	s.backlog = nil
	if err == nil {
		s.pusher = p
		if kept != nil {
			kept.replay(p)
		}
	}
	s.mu.Unlock()
	if err != nil {
		s.hub.o.Logger.Error("a syslog push cannot be started", "subscription", s.name, "err", err)
		s.reportPushEvent(syslog.Event{
			Kind: syslog.DiskFailed,
			Text: "Log Error: Subscription " + s.name +
				": The push to the syslog server cannot be started",
		})
	}
}

// muteDuration is how long, at most, a subscription leaves out the errors of others after an
// error of its own.
const muteDuration = time.Minute

// reportPushEvent logs what happened to a push in the mail log (A2, A35), and reports it as a
// problem if it is one. This subscription does not push the line.
func (s *subscription) reportPushEvent(e syslog.Event) {
	level := Critical
	if !e.Kind.Critical() {
		level = Warning
	}
	if e.Kind.Critical() {
		s.mu.Lock()
		s.muted, s.failedAt = true, s.hub.o.Clock.Mark()
		s.mu.Unlock()
	}
	s.hub.Write(Entry{Type: Mail, Level: level, Text: e.Text, origin: s.name})
	if e.Kind.Critical() {
		s.hub.o.OnProblem(Problem{s.name, PushFailed, e.Text})
	}
}

func (s *subscription) setUploader(u Uploader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploader = u
}

// savedFiles returns the names of the files that wait to be uploaded, the oldest first.
func (s *subscription) savedFiles() ([]string, error) { return s.file.list(savedCode) }

// wakeUploader tells the uploader, if there is one, that there is another file.
func (s *subscription) wakeUploader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploader != nil {
		s.uploader.Wake()
	}
}

// reportUploadError logs that files cannot be sent, and reports it as a problem.
func (s *subscription) reportUploadError(text string) {
	s.hub.Write(Entry{Type: Mail, Level: Critical, Text: text})
	s.hub.o.OnProblem(Problem{s.name, PushFailed, text})
}

// release takes pusher and uploader away and returns them; the caller must close them. kept says
// that another pusher will continue with the queue on disk.
func (s *subscription) release(kept bool) []closer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.releaseLocked(kept)
}

// releaseLocked is release with mu held.
func (s *subscription) releaseLocked(kept bool) (ending []closer) {
	if s.pusher != nil {
		ending = append(ending, endingPusher{s.pusher, s, kept})
	}
	if s.uploader != nil {
		ending = append(ending, s.uploader)
	}
	s.pusher, s.backlog, s.uploader = nil, nil, nil
	return ending
}

// end makes the subscription drop all further entries and jobs.
func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unreportedLost > 0 && !s.ended {
		s.addLostLine(Entry{Time: s.hub.o.Clock.Now(), origin: s.name})
	}
	s.ended = true
	if s.stopTimer != nil {
		s.stopTimer()
	}
	s.signalProgress() // so that followers notice the end
}

// isWritten reports whether all jobs are done.
func (s *subscription) isWritten() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doneJobs == s.takenJobs && len(s.jobs) == 0
}

// flush blocks until the jobs that were queued before are done.
func (s *subscription) flush(ctx context.Context) error {
	s.mu.Lock()
	all := s.takenJobs + len(s.jobs)
	s.mu.Unlock()
	for {
		s.mu.Lock()
		if s.doneJobs >= all {
			s.mu.Unlock()
			return nil
		}
		progress := s.awaitProgress()
		s.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// clockCheckInterval is how often the clock is read while a roll-over at a time of day is due,
// because the clock may be set on the machine. If the appliance sets it, ClockSet is called.
const clockCheckInterval = time.Minute

// wholeLines returns the length of the lines at the beginning of b that fit into room bytes, or
// of the first line if none fits.
func wholeLines(b []byte, room int64) int {
	if int64(len(b)) <= room {
		return len(b)
	}
	if room > 0 {
		if i := bytes.LastIndexByte(b[:room], '\n'); i >= 0 {
			return i + 1
		}
	}
	return bytes.IndexByte(b, '\n') + 1
}
