package shell

import (
	"net"
	"net/netip"
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/clock"
)

// A peer is a client's connection.
type peer struct {
	net.Conn
	addr   netip.Addr
	since  clock.Mark
	timers clock.Group

	mu    sync.Mutex  // a leaf
	grace func() bool // keeps the connection from being cut for not logging in
	user  string      // who has logged in; "": nobody yet
	open  int         // channels
	ended bool
	alive func() bool // stops the keepalives
}

type peerKey struct{}

func (p *peer) loggedIn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.user != ""
}

func (p *peer) login(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.user = user
	p.grace()
}

func (p *peer) channels() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// openChannel counts a channel, unless there are enough.
func (p *peer) openChannel(most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open >= most {
		return false
	}
	p.open++
	return true
}

func (p *peer) closeChannel() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
}

// end stops the timers. It returns who was logged in.
func (p *peer) end() (user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.grace()
	if p.alive != nil {
		p.alive()
	}
	return p.user
}

// keepAlive asks the client every so often whether it is there, and closes the
// connection when no answer has come by the time of the next question. It holds no
// goroutine between two questions, and may be called for every channel.
func (r *run) keepAlive(p *peer, conn gossh.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive == nil {
		r.askAlive(p, conn)
	}
}

// askAlive arms the next question; p.mu is held.
func (r *run) askAlive(p *peer, conn gossh.Conn) {
	every := r.limits.KeepaliveInterval
	p.alive = p.timers.AfterFunc(clock.System(), every, func() {
		cancel := p.timers.AfterFunc(clock.System(), every, func() { p.Conn.Close() })
		_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		if err == nil && !p.ended {
			r.askAlive(p, conn)
		}
	})
}
