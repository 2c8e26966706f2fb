package logs

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/logs/syslog"
)

// A subscription is a log that runs. Whoever writes appends to its jobs; a goroutine
// that lives as long as there are any, the drainer, carries them out. So a log that
// nobody writes to costs no goroutine, no open file and no directory.
type subscription struct {
	hub  *Hub
	name string
	file file // the drainer's; before there is one, Configure's

	mu       sync.Mutex // held for no call that can block
	conf     Subscription
	textual  bool     // its files are lines
	push     Pusher   // nil: not pushed
	relay    *relay   // instead of push until it is open; nil: that is not to come
	carrier  Uploader // nil: files stay
	jobs     []job
	taken    int // jobs that the drainer has, or had
	done     int // of these
	waiting  int // bytes in jobs
	lost     int // lines since the log last said so
	lostEver int
	draining bool
	ended    bool
	progress chan struct{} // closed and renewed after each step of the drainer
	spare    []byte
	stopTime func() bool // stops the timer of the next roll-over by time
	due      time.Time   // when that is

	// muted says that other subscriptions' push errors are not pushed for a while, as this
	// one has had an error of its own, when failed was. See doc.go.
	muted  bool
	failed clock.Mark

	// The last stamp, kept as most lines share their second with the one before.
	stamp  []byte
	second int64
	zone   *time.Location
	offset int // seconds east; of the last line
	begun  bool
}

// A job is a step of the drainer.
type job struct {
	what task
	text []byte         // whole lines, or a document
	zone *time.Location // of the stamps of lines
	at   time.Time      // of a roll-over and of a document
	conf Subscription   // of reconfigure
}

type task int

const (
	lines task = iota
	document
	rollover
	reconfigure
	schedule // the time of a roll-over has come
	finish   // the log ends
)

// newSubscription returns one that has yet to be configured. Until then its file may be
// resumed.
func newSubscription(h *Hub, conf Subscription) *subscription {
	s := &subscription{hub: h, name: conf.Name, progress: make(chan struct{})}
	s.file = file{hub: h, dir: dirOf(s.name), subscription: s.name, conf: conf, lost: s.lose, saved: s.wakeCarrier}
	return s
}

// write appends an entry's line.
func (s *subscription) write(e Entry, zone *time.Location) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || e.Level > s.conf.Level || !s.textual {
		return
	}
	s.setTime(e.Time, zone)
	if s.waiting+len(e.Text)+stampLength > s.hub.o.Buffer {
		s.lost++
		s.lostEver++
		s.send(e, e.Level, e.Text) // the way to the server has a queue of its own
		return
	}
	if s.lost > 0 {
		s.line(e, Warning, fmt.Sprintf("%d log lines were lost: the disk was too slow.", s.lost))
		s.lost = 0
	}
	s.line(e, e.Level, e.Text)
}

// setTime computes the stamp of the lines that follow, and notes a change of the zone's
// offset in the log.
func (s *subscription) setTime(t time.Time, zone *time.Location) {
	if sec := t.Unix(); sec == s.second && zone == s.zone {
		return
	}
	local := t.In(zone)
	s.second, s.zone = t.Unix(), zone
	s.stamp = local.AppendFormat(s.stamp[:0], stampForm)
	_, offset := local.Zone()
	if s.begun && offset != s.offset {
		s.line(Entry{Time: t}, Information, offsetText(offset))
	}
	s.begun, s.offset = true, offset
}

// line appends a line with the present stamp, and pushes it.
func (s *subscription) line(e Entry, l Level, text string) {
	j := s.last()
	before := len(j.text)
	j.text = append(j.text, s.stamp...)
	j.text = append(j.text, ' ')
	j.text = append(j.text, l.String()...)
	j.text = append(j.text, ": "...)
	j.text = appendText(j.text, text)
	j.text = append(j.text, '\n')
	s.waiting += len(j.text) - before
	s.wake()
	s.send(e, l, text)
}

// send pushes a text. The pusher makes it one line. What is no push error ends
// the silence about others'.
func (s *subscription) send(e Entry, l Level, text string) {
	s.muted = s.muted && e.origin != "" && s.hub.o.Clock.Since(s.failed) < muteTime
	if e.origin == s.name || s.muted {
		return
	}
	switch at := e.Time.In(s.zone); {
	case s.push != nil:
		s.push.Push(at, l.String(), text)
	case s.relay != nil:
		s.relay.push(message{at, l.String(), text})
	}
}

// last is the job that lines are appended to.
func (s *subscription) last() *job {
	if n := len(s.jobs); n > 0 && s.jobs[n-1].what == lines && s.jobs[n-1].zone == s.zone {
		return &s.jobs[n-1]
	}
	s.jobs = append(s.jobs, job{what: lines, text: s.spare[:0], zone: s.zone})
	s.spare = nil
	return &s.jobs[len(s.jobs)-1]
}

// enqueue appends a step.
func (s *subscription) enqueue(j job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.jobs = append(s.jobs, j)
	s.waiting += len(j.text)
	s.wake()
}

// wake sees to it that the jobs are carried out.
func (s *subscription) wake() {
	if !s.draining {
		s.draining = true
		s.hub.drainers.Go(s.drain)
	}
}

// drain carries out jobs until there are none.
func (s *subscription) drain() {
	for busy := true; busy; {
		s.mu.Lock()
		jobs := s.jobs
		s.jobs, s.waiting = nil, 0
		s.taken += len(jobs)
		s.mu.Unlock()
		for _, j := range jobs {
			s.do(j)
		}
		if s.idle() { // so that who waits for these jobs finds the file let go of
			s.file.close()
		}
		s.mu.Lock()
		s.recycle(jobs)
		s.done = s.taken
		busy = len(s.jobs) > 0
		s.draining = busy
		s.step()
		s.mu.Unlock()
	}
}

// idle reports whether no jobs wait.
func (s *subscription) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.jobs) == 0
}

// step tells who waits for progress that there was some.
func (s *subscription) step() {
	close(s.progress)
	s.progress = make(chan struct{})
}

// recycle keeps a buffer for the next lines unless it is unusually big.
func (s *subscription) recycle(jobs []job) {
	for _, j := range jobs {
		if j.what == lines && cap(j.text) <= 1<<20 {
			s.spare = j.text[:0]
		}
	}
}

func (s *subscription) do(j job) {
	switch j.what {
	case lines:
		s.file.append(j.text, j.zone)
	case document:
		s.file.document(j.text, j.at)
	case rollover:
		s.file.roll(j.at, true)
	case schedule:
		s.file.roll(j.at, false)
		s.mu.Lock()
		s.setTimer()
		s.mu.Unlock()
	case reconfigure:
		s.file.configure(j.conf)
	case finish:
		s.file.retire(j.at)
	}
}

// lose counts lines that found no room.
func (s *subscription) lose(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lostEver += n
}

// configure changes the settings; lines written before are dealt with under the old
// ones. It returns what the caller is to close, if the push is to be another, before it
// calls startPush; what is written meanwhile is kept for that if it is to come.
func (s *subscription) configure(conf Subscription, pushing bool) (ending []closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.conf
	s.conf, s.textual = conf, conf.Type.Spec().Format == Lines
	if old.Name != "" && old != conf {
		s.jobs = append(s.jobs, job{what: reconfigure, conf: conf})
		s.wake()
	}
	if old.Schedule != conf.Schedule || old.IntervalSeconds != conf.IntervalSeconds || old.TimeOfDay != conf.TimeOfDay || old.Day != conf.Day {
		s.setTimer()
	}
	if old.Push != conf.Push || old.Remote != conf.Remote || old.Method != conf.Method {
		kept := old.Push.Buffer > 0 && conf.Method == Syslog && conf.Push.Buffer > 0
		ending = s.releaseLocked(kept)
	}
	if pushing && conf.Method == Syslog && s.hub.o.NewPusher != nil && s.push == nil {
		s.relay = &relay{limit: s.hub.o.Buffer}
	}
	return ending
}

// startPush opens the way to the server, if there is to be one and it is not open.
func (s *subscription) startPush() {
	s.mu.Lock()
	conf, open := s.conf, s.push != nil || s.carrier != nil
	s.mu.Unlock()
	switch {
	case open:
	case conf.Method.Uploads() && s.hub.o.NewUploader != nil:
		s.carry(s.hub.o.NewUploader(conf, s.file.dir, s.finished, s.carryTrouble))
	case conf.Method == Syslog && s.hub.o.NewPusher != nil:
		p, err := s.hub.o.NewPusher(conf, s.pushTrouble)
		s.pushBy(p, err)
	}
}

// pushBy has a Pusher, if it could be opened, push what the relay kept and what follows.
func (s *subscription) pushBy(p Pusher, err error) {
	s.mu.Lock()
	kept := s.relay
	s.relay = nil
	if err == nil {
		s.push = p
		if kept != nil {
			kept.pour(p)
		}
	}
	s.mu.Unlock()
	if err != nil {
		s.hub.o.Logger.Error("a syslog push does not start", "subscription", s.name, "err", err)
		s.pushTrouble(syslog.Event{Kind: syslog.DiskFailed, Text: "Log Error: Subscription " + s.name + ": The push to the syslog server cannot be started"})
	}
}

// muteTime bounds how long a push error keeps a subscription from pushing the others'.
const muteTime = time.Minute

// pushTrouble logs what goes wrong on the way to the syslog server as the mail log does
// (A2, A35), and tells whom it concerns. This subscription does not push that line.
func (s *subscription) pushTrouble(e syslog.Event) {
	level := Critical
	if !e.Kind.Critical() {
		level = Warning
	}
	if e.Kind.Critical() {
		s.mu.Lock()
		s.muted, s.failed = true, s.hub.o.Clock.Mark()
		s.mu.Unlock()
	}
	s.hub.Write(Entry{Type: Mail, Level: level, Text: e.Text, origin: s.name})
	if e.Kind.Critical() {
		s.hub.o.OnProblem(Problem{s.name, PushFailed, e.Text})
	}
}

func (s *subscription) carry(c Uploader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carrier = c
}

// finished lists the files that are to be carried away, the oldest first.
func (s *subscription) finished() ([]string, error) { return s.file.list(saved) }

// wakeCarrier says that there is another file.
func (s *subscription) wakeCarrier() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.carrier != nil {
		s.carrier.Wake()
	}
}

// carryTrouble logs that files cannot be sent, and tells whom it concerns.
func (s *subscription) carryTrouble(text string) {
	s.hub.Write(Entry{Type: Mail, Level: Critical, Text: text})
	s.hub.o.OnProblem(Problem{s.name, PushFailed, text})
}

// release takes the ways to the servers away; the caller closes them. kept says that
// somebody will go on with what waits on disk.
func (s *subscription) release(kept bool) []closer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.releaseLocked(kept)
}

// releaseLocked is release for who has mu.
func (s *subscription) releaseLocked(kept bool) (ways []closer) {
	if s.push != nil {
		ways = append(ways, leave{s.push, s, kept})
	}
	if s.carrier != nil {
		ways = append(ways, s.carrier)
	}
	s.push, s.relay, s.carrier = nil, nil, nil
	return ways
}

// end refuses further entries.
func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost > 0 && !s.ended {
		s.line(Entry{Time: s.hub.o.Clock.Now(), origin: s.name}, Warning, fmt.Sprintf("%d log lines were lost: the disk was too slow.", s.lost))
		s.lost = 0
	}
	s.ended = true
	if s.stopTime != nil {
		s.stopTime()
	}
	s.step() // who follows the log learns of it
}

// flush waits until what was enqueued before is done.
func (s *subscription) flush(ctx context.Context) error {
	s.mu.Lock()
	all := s.taken + len(s.jobs)
	s.mu.Unlock()
	for {
		s.mu.Lock()
		done, progress := s.done, s.progress
		s.mu.Unlock()
		if done >= all {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// glance is how often the clock is looked at while a time of day is waited for: it may
// have been set on the machine. What the appliance itself sets is told by ClockSet.
const glance = time.Minute

// setTimer arranges the next roll-over by time. It needs mu.
func (s *subscription) setTimer() {
	s.unsetTimer()
	if s.conf.Schedule == NoSchedule || s.ended {
		return
	}
	now := s.now()
	s.due = s.conf.next(now)
	s.await(now)
}

func (s *subscription) unsetTimer() {
	if s.stopTime != nil {
		s.stopTime()
		s.stopTime = nil
	}
}

// await sets the timer to when the next roll-over is due. It needs mu.
func (s *subscription) await(now time.Time) {
	wait := s.due.Sub(now)
	if s.conf.Schedule != Interval {
		wait = min(wait, glance)
	}
	s.stopTime = s.hub.timers.AfterFunc(s.hub.o.Clock, wait, s.ring)
}

// ring is called when a timer has run out.
func (s *subscription) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.conf.Schedule == NoSchedule {
		return
	}
	if s.conf.Schedule == Interval {
		s.rollAt(s.now())
		return
	}
	s.look()
}

// clockSet is called when the clock, or its zone, was set.
func (s *subscription) clockSet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && (s.conf.Schedule == Daily || s.conf.Schedule == Weekly) {
		s.look()
	}
}

// look rolls over if the time of day has come that is waited for, and goes on waiting
// otherwise. It needs mu.
func (s *subscription) look() {
	s.unsetTimer()
	now := s.now()
	if !now.Before(s.due) {
		s.due = s.conf.next(now) // who looks again before the drainer's turn does not find it due
		s.rollAt(now)
		return
	}
	if next := s.conf.next(now); next.Before(s.due) { // it was set back
		s.due = next
	}
	s.await(now)
}

// rollAt lets the drainer roll over; it sets the next timer. It needs mu.
func (s *subscription) rollAt(now time.Time) {
	s.jobs = append(s.jobs, job{what: schedule, at: now})
	s.wake()
}

func (s *subscription) now() time.Time { return s.hub.o.Clock.Now().In(s.hub.o.Zone()) }

// next is when a file is rolled over by time, after now.
func (s Subscription) next(now time.Time) time.Time {
	if s.Schedule == Interval {
		return now.Add(time.Duration(s.IntervalSeconds) * time.Second)
	}
	at, _ := time.Parse("15:04", s.TimeOfDay) // was checked
	day := now.Day()
	for {
		t := time.Date(now.Year(), now.Month(), day, at.Hour(), at.Minute(), 0, 0, now.Location())
		weekday, _ := s.Day.day()
		if t.After(now) && (s.Schedule == Daily || t.Weekday() == weekday) {
			return t
		}
		day++
	}
}

// lineEnds returns how much of b is lines that fit into room bytes: at least one line.
func lineEnds(b []byte, room int64) int {
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
