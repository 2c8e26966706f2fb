package users

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// An Event is what a Record tells of.
type Event string

// Events.
const (
	LoggedIn   Event = "login"
	Rebooted   Event = "reboot"
	ShutDown   Event = "shutdown"
	maxRecords       = 500 // that History remembers
)

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

// A Session is somebody who is logged in.
type Session struct {
	ID         int
	Account    string
	Role       Role // at login
	ClientAddr netip.Addr
	Service    string
	LoginTime  time.Time
	Idle       time.Duration
}

// Logins knows who is logged in and who was. It is safe for concurrent use.
type Logins struct {
	clock clock.Clock
	log   *slog.Logger

	mu      sync.Mutex
	file    journal
	next    int
	open    map[int]*Login
	history []Record // oldest first
}

// OpenLogins returns the logins whose history is kept in the file of that name; ""
// keeps it in memory. log, which may be nil, is told when the file cannot be
// written: that is no reason to refuse a login.
func OpenLogins(file string, c clock.Clock, log *slog.Logger) (*Logins, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &Logins{clock: c, log: log, file: journal{name: file}, open: map[int]*Login{}}
	if file == "" {
		return l, nil
	}
	var err error
	if l.history, err = l.file.read(); err != nil {
		return nil, fmt.Errorf("users: history of logins: %w", err)
	}
	for _, r := range l.history {
		l.next = max(l.next, r.ID)
	}
	return l, nil
}

// A Login is one session.
type Login struct {
	list    *Logins
	session Session
	touched clock.Mark // guarded by list.mu
}

// Open notes a login over what ("cli", "ftp", "sftp", "scp", "gui"). The caller
// closes the Login.
func (l *Logins) Open(account Account, from netip.Addr, what string) *Login {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	s := &Login{l, Session{
		ID: l.next, Account: account.Name, Role: account.Role, ClientAddr: from.Unmap(), Service: what, LoginTime: l.clock.Now(),
	}, l.clock.Mark()}
	l.open[l.next] = s
	l.add(Record{Event: LoggedIn, ID: s.session.ID, Account: account.Name, ClientAddr: s.session.ClientAddr, Service: what, LoginTime: s.session.LoginTime, Open: true})
	return s
}

// Mark notes that the appliance goes down: how is Rebooted or ShutDown.
func (l *Logins) RecordPowerEvent(how Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(Record{Event: how, LoginTime: l.clock.Now()})
}

func (l *Logins) add(r Record) {
	if l.history = append(l.history, r); len(l.history) >= 2*maxRecords {
		l.history = slices.Clone(l.history[len(l.history)-maxRecords:])
	}
	l.write(r)
}

func (l *Logins) write(r Record) {
	if l.file.name == "" {
		return
	}
	err := l.file.append(r)
	if err == nil && l.file.lines > 8*maxRecords {
		err = l.file.rewrite(l.history)
	}
	if err != nil {
		l.log.Warn("the history of logins is not written", "err", err)
	}
}

// List returns who is logged in, in the order of their logins.
func (l *Logins) Sessions() []Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Session
	for _, o := range l.open {
		s := o.session
		s.Idle = l.clock.Since(o.touched)
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Session) int { return a.ID - b.ID })
	return all
}

// History returns the last logins and when the appliance went down, newest first.
func (l *Logins) History() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := slices.Clone(l.history[max(0, len(l.history)-maxRecords):])
	slices.Reverse(h)
	return h
}

// PreviousLogin returns the newest login of the account called name. Who wants to
// tell a user of the last one asks before opening the new.
func (l *Logins) PreviousLogin(name string) (Record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range slices.Backward(l.history) {
		if r.Event == LoggedIn && r.Account == name {
			return r, true
		}
	}
	return Record{}, false
}

// ID is the login's number; later logins have higher ones, also after a restart.
func (l *Login) ID() int { return l.session.ID }

// Touch notes that the user did something: idle time starts anew.
func (l *Login) Touch() {
	l.list.mu.Lock()
	defer l.list.mu.Unlock()
	l.touched = l.list.clock.Mark()
}

// Close notes the logout. It may be called more than once.
func (l *Login) Close() {
	all := l.list
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.open[l.session.ID] != l {
		return
	}
	delete(all.open, l.session.ID)
	for i, r := range slices.Backward(all.history) {
		if r.Event == LoggedIn && r.ID == l.session.ID {
			r.Open, r.LogoutTime = false, all.clock.Now()
			all.history[i] = r
			all.write(r)
			return
		}
	}
}
