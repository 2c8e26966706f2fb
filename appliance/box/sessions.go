package box

import (
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/users"
)

// A Session is a login that has not ended.
type Session struct {
	ID      int             `json:"id"` // as in logs and events
	User    string          `json:"user"`
	Role    users.Role      `json:"role"`             // that the account has now
	Address netip.Addr      `json:"address,omitzero"` // of the client; zero: the serial console
	Service string          `json:"service"`          // cli, sftp, scp, ftp or gui (the page)
	Since   time.Time       `json:"since"`            // by the appliance's clock, in its zone
	Idle    netsim.Duration `json:"idle"`
}

// Sessions returns the sessions that have not ended, in the order of their logins.
func (b *Box) Sessions() []Session {
	a := b.Appliance()
	list := []Session{}
	for _, s := range a.Sessions() {
		list = append(list, Session{
			s.ID, s.Account, s.Role, s.ClientAddr, s.Service, s.LoginTime.In(a.Zone()),
			netsim.Duration(s.Idle.Round(time.Millisecond)),
		})
	}
	return list
}

// Session returns a session that has not ended. The error is a *netsim.NotFoundError.
func (b *Box) Session(id int) (Session, error) {
	for _, s := range b.Sessions() {
		if s.ID == id {
			return s, nil
		}
	}
	return Session{}, netsim.NotFound("there is no open session %d", id)
}

// EndSession ends a session as if an administrator had removed its account, but the account stays:
// the user is told that the session was closed, and the authentication log has a line about it. It
// does not wait until the session has ended; a command that runs is interrupted. The error is a
// *netsim.NotFoundError.
func (b *Box) EndSession(id int) error {
	s, err := b.Session(id)
	if err != nil {
		return err
	}
	if !b.Appliance().Logins.End(id, &users.RevokedError{
		Account: s.User, Text: "The session was closed from outside.",
		Cause: "an intervention from outside",
	}) {
		return netsim.NotFound("there is no open session %d", id)
	}
	return nil
}

// A User is an account of the appliance.
type User struct {
	Name     string     `json:"name"`
	FullName string     `json:"full_name"`
	Role     users.Role `json:"role"`
	Locked   bool       `json:"locked"`
	Keys     int        `json:"keys"`     // public keys with which the user can log in
	Sessions int        `json:"sessions"` // that have not ended
}

// Users returns the committed accounts, in the order of the configuration.
func (b *Box) Users() []User {
	a := b.Appliance()
	open := map[string]int{}
	for _, s := range a.Sessions() {
		open[s.Account]++
	}
	list := []User{}
	for _, u := range users.Section.Get(a.Config.Committed()).List {
		list = append(list, User{u.Name, u.FullName, u.Role, u.Locked, len(u.Keys), open[u.Name]})
	}
	return list
}

// A FailingAddress is a client address whose failed logins have an effect.
type FailingAddress struct {
	Address  string `json:"address"`  // in the appliance's network; for IPv6 the /64
	Failures int    `json:"failures"` // the recent ones
	// Blocked reports whether logins from this address are refused and its connections closed.
	Blocked bool `json:"blocked"`
	// Trusted reports whether a login from this address has succeeded before. Such an address is
	// slowed down but not blocked.
	Trusted bool            `json:"trusted"`
	Left    netsim.Duration `json:"left"` // until the failures are forgotten
}

// FailingAddresses returns the client addresses whose failed logins have an effect, the blocked ones
// first.
func (b *Box) FailingAddresses() []FailingAddress {
	list := []FailingAddress{}
	for _, a := range b.Appliance().Guard.Failing() {
		address := a.Address.String()
		if a.Address.IsSingleIP() {
			address = a.Address.Addr().String()
		}
		list = append(list, FailingAddress{
			address, a.Failures, a.Blocked, a.Trusted, netsim.Duration(a.Left),
		})
	}
	return list
}

// Unblock forgets the failed logins of an address. For an IPv6 address, they are those of its /64.
// The error is a *netsim.NotFoundError if there are none.
func (b *Box) Unblock(a netip.Addr) error {
	if !b.Appliance().Guard.Free(a) {
		return netsim.NotFound("the address %v has no failed logins", a)
	}
	return nil
}

// UnblockAll is Unblock for all addresses.
func (b *Box) UnblockAll() { b.Appliance().Guard.FreeAll() }
