package users

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
)

// An Event is the kind of a Record.
type Event string

// The events of the history.
const (
	LoggedIn Event = "login"
	Rebooted Event = "reboot"
	ShutDown Event = "shutdown"
)

// maxRecords is the length of the history.
const maxRecords = 500

// A Record is one entry of the history of logins. Its JSON form is a line of the history's file.
type Record struct {
	Event      Event
	ID         int        // of the login
	Account    string     // the account's name; empty for Rebooted and ShutDown
	ClientAddr netip.Addr `json:"From"` // invalid on the serial console
	Service    string     `json:"What"` // "cli", "ftp", "sftp", "scp" or "gui"
	LoginTime  time.Time  `json:"In"`   // of Rebooted and ShutDown: when that happened
	LogoutTime time.Time  `json:"Out"`  // zero if Open, and if the process ended before the logout
	Open       bool       // the user is still logged in
}

// A Session describes a login that has not ended.
type Session struct {
	ID         int
	Account    string
	Role       Role // at login
	ClientAddr netip.Addr
	Service    string
	LoginTime  time.Time
	Idle       time.Duration
}

// Logins is the list of the logins that have not ended, and the history of all logins. It is safe
// for concurrent use.
type Logins struct {
	clock  clock.Clock
	log    *slog.Logger
	timers clock.Group

	fileMu sync.Mutex // guards the following two fields; taken before mu
	file   journal
	// unwritten is set while the file lacks records of the history.
	unwritten bool

	// Events gets logins and logouts. It must not be changed once the Logins is used; nil: nobody.
	Events *events.Stream

	mu      sync.Mutex // guards the fields below
	lastID  int
	open    map[int]*Login // by ID
	history []Record       // oldest first
	// pending are the records that Flush will add to the file. If there are too many of them, they
	// are dropped and rewrite is set: Flush then writes the whole history.
	pending  []Record
	rewrite  bool
	stopWait func() bool // stops the timer that calls Flush; nil if there is none
	closed   bool
}

// writeDelay is the time until a record is written to the file. Logins do not wait for the file,
// and records of that time are written together.
const writeDelay = 50 * time.Millisecond

// OpenLogins returns the Logins whose history is kept in the file of that name, or in memory if
// the name is "". A history that cannot be read is empty. While the file cannot be written, the
// history is kept in memory, and it is written as a whole as soon as that is possible again. Both
// are logged to log, which may be nil; they are no reason to refuse a login. The caller must call
// Close.
func OpenLogins(file string, c clock.Clock, log *slog.Logger) *Logins {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &Logins{clock: c, log: log, file: journal{name: file}, open: map[int]*Login{}}
	if file == "" {
		return l
	}
	var err error
	if l.history, err = l.file.read(); err != nil {
		log.Warn("the history of logins is ignored", "err", err)
	}
	if n := l.file.damaged; n > 0 {
		log.Warn("lines of the history of logins are damaged and were skipped", "file", file, "lines", n)
		l.unwritten = true // the next login replaces the file
	}
	for _, r := range l.history {
		l.lastID = max(l.lastID, r.ID)
	}
	return l
}

// A Login is one login. Its owner closes it when the session ends.
type Login struct {
	logins   *Logins
	session  Session
	activity clock.Mark // when Touch was called last; guarded by logins.mu
	event    uint64     // the number of the event of the login

	// authority ends the session if it is revoked; revoked is the reason for that, if End was called
	// before EndBy. Both are guarded by logins.mu.
	authority *Authority
	revoked   *RevokedError
}

// Open records a login through a service: "cli", "ftp", "sftp", "scp" or "gui". The caller must
// close the Login.
func (l *Logins) Open(account Account, client netip.Addr, service string) *Login {
	login := l.openLogin(account, client, service)
	s := login.session
	login.event = events.Publish(l.Events, 0,
		LoginOpened{s.ID, s.Account, s.Role, s.ClientAddr, s.Service})
	return login
}

func (l *Logins) openLogin(account Account, client netip.Addr, service string) *Login {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID++
	s := Session{
		ID: l.lastID, Account: account.Name, Role: account.Role,
		ClientAddr: client.Unmap(), Service: service, LoginTime: l.clock.Now(),
	}
	login := &Login{logins: l, session: s, activity: l.clock.Mark()}
	l.open[s.ID] = login
	l.add(Record{
		Event: LoggedIn, ID: s.ID, Account: s.Account,
		ClientAddr: s.ClientAddr, Service: s.Service, LoginTime: s.LoginTime, Open: true,
	})
	return login
}

// RecordPowerEvent records that the appliance goes down: event is Rebooted or ShutDown.
func (l *Logins) RecordPowerEvent(event Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(Record{Event: event, LoginTime: l.clock.Now()})
}

// add appends r to the history and to its file. l.mu is held.
func (l *Logins) add(r Record) {
	if l.history = append(l.history, r); len(l.history) >= 2*maxRecords {
		l.history = slices.Clone(l.history[len(l.history)-maxRecords:])
	}
	l.write(r)
}

// write has r written to the file a short time later. l.mu is held.
func (l *Logins) write(r Record) {
	if l.closed || l.file.name == "" {
		return
	}
	if l.pending = append(l.pending, r); len(l.pending) > 2*maxRecords { // the disk hangs
		l.pending, l.rewrite = nil, true
	}
	if l.stopWait == nil {
		l.stopWait = l.timers.AfterFunc(clock.System(), writeDelay, l.Flush)
	}
}

// Flush blocks until the file has all records, unless it cannot be written.
func (l *Logins) Flush() {
	l.fileMu.Lock()
	defer l.fileMu.Unlock()
	l.mu.Lock()
	records, whole := l.pending, l.rewrite
	l.pending, l.rewrite = nil, false
	if l.stopWait != nil {
		l.stopWait()
		l.stopWait = nil
	}
	if len(records) > 0 && (l.unwritten || l.file.lines+len(records) > 8*maxRecords) {
		whole = true
	}
	if whole {
		records = slices.Clone(l.history)
	}
	l.mu.Unlock()
	var err error
	switch {
	case len(records) == 0:
		return
	case whole:
		err = l.file.rewrite(records)
	default:
		err = l.file.append(records)
	}
	switch {
	case err != nil && !l.unwritten:
		l.log.Warn("the history of logins is kept in memory: its file cannot be written", "err", err)
	case err == nil && l.unwritten:
		l.log.Info("the history of logins is written to its file again")
	}
	l.unwritten = err != nil
}

// Close calls Flush. Later records are kept in memory only.
func (l *Logins) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.Flush()
	l.timers.Wait()
}

// Sessions returns the sessions that have not ended, in the order of their logins.
func (l *Logins) Sessions() []Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Session
	for _, o := range l.open {
		s := o.session
		s.Idle = l.clock.Since(o.activity)
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Session) int { return a.ID - b.ID })
	return all
}

// History returns the last records, the newest first.
func (l *Logins) History() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := slices.Clone(l.history[max(0, len(l.history)-maxRecords):])
	slices.Reverse(h)
	return h
}

// PreviousLogin returns the newest login of the account called name; ok reports whether there is
// one. A caller that shows a user the previous login calls it before Open.
func (l *Logins) PreviousLogin(name string) (r Record, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range slices.Backward(l.history) {
		if r.Event == LoggedIn && r.Account == name {
			return r, true
		}
	}
	return Record{}, false
}

// ID returns the login's number. Later logins have higher numbers, even after a restart.
func (l *Login) ID() int { return l.session.ID }

// Touch records that the user is active: the session's idle time starts from 0 again.
func (l *Login) Touch() {
	l.logins.mu.Lock()
	defer l.logins.mu.Unlock()
	l.activity = l.logins.clock.Mark()
}

// Close records the logout. Further calls do nothing.
func (l *Login) Close() {
	if l.close() {
		s := l.session
		events.Publish(l.logins.Events, l.event, LoginClosed{s.ID, s.Account, s.ClientAddr, s.Service})
	}
}

// EndBy says which Authority the session follows, so that Logins.End can end the session. The
// owner of the Login calls it once.
func (l *Login) EndBy(a *Authority) {
	l.logins.mu.Lock()
	l.authority = a
	revoked := l.revoked
	l.logins.mu.Unlock()
	if revoked != nil {
		a.Revoke(revoked)
	}
}

// End ends the session with that ID: its Authority is revoked for the given reason, which the user
// is shown. It does not wait until the session has ended. It returns false if there is no such
// session.
func (l *Logins) End(id int, why *RevokedError) bool {
	l.mu.Lock()
	login := l.open[id]
	var authority *Authority
	if login != nil {
		login.revoked, authority = why, login.authority
	}
	l.mu.Unlock()
	if authority != nil {
		authority.Revoke(why)
	}
	return login != nil
}

// Event returns the number of the event of the login, the cause of what the user does.
func (l *Login) Event() uint64 { return l.event }

// close is Close, and reports whether the login was open.
func (l *Login) close() bool {
	all := l.logins
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.open[l.session.ID] != l {
		return false
	}
	delete(all.open, l.session.ID)
	for i, r := range slices.Backward(all.history) {
		if r.Event == LoggedIn && r.ID == l.session.ID {
			r.Open, r.LogoutTime = false, all.clock.Now()
			all.history[i] = r
			all.write(r)
			break
		}
	}
	return true
}
