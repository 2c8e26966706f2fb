package shell

import (
	"net"
	"net/netip"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
)

// A connection is a client's SSH connection. It is the net.Conn that the library serves.
type connection struct {
	net.Conn
	addr     netip.Addr // the client's
	accepted clock.Mark
	hello    *clientHello
	timers   clock.Group

	verified  verifiedLogin    // used by the goroutine of the login
	authority *users.Authority // of the connection; set at the login, before the first channel

	mu                 sync.Mutex  // a leaf
	stopHandshakeTimer func() bool // stops the timer that closes the connection before the login
	sshConn            gossh.Conn  // nil before the first channel
	stopKeepalive      func() bool // stops the timer of the next keepalive; nil before the first
	user               string      // "" before the login
	openChannels       int
	revoked            bool        // the account no longer permits the connection
	stopRevokedTimer   func() bool // stops the timer that closes a revoked connection; or nil
	closed             bool
}

// connectionKey is the key of the *connection in a context of the library.
type connectionKey struct{}

// Read reads from the client.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.hello.observe(p[:n], err)
	return n, err
}

func (c *connection) loggedIn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user != ""
}

// setUser records that user has logged in.
func (c *connection) setUser(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.user = user
	c.stopHandshakeTimer()
}

func (c *connection) channelCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.openChannels
}

// openChannel counts a new channel. It reports false if there are limit channels already.
func (c *connection) openChannel(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.openChannels >= limit {
		return false
	}
	c.openChannels++
	return true
}

func (c *connection) closeChannel() {
	c.mu.Lock()
	c.openChannels--
	last := c.revoked && c.openChannels == 0
	c.mu.Unlock()
	if last {
		c.Conn.Close()
	}
}

// revokedTimeout is the time that clients have to close their channels after their account has
// ceased to permit the connection.
const revokedTimeout = 10 * time.Second

// revoke closes the connection when its sessions, which are told the reason, have ended. It does
// not block.
func (c *connection) revoke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.revoked {
		return
	}
	c.revoked = true
	timeout := revokedTimeout
	if c.openChannels == 0 {
		timeout = 0 // Close may block, which must not hold up a commit
	}
	c.stopRevokedTimer = c.timers.AfterFunc(clock.System(), timeout, func() { c.Conn.Close() })
}

// stopTimers stops the timers of a connection that has ended. It returns the user who was logged
// in, or "".
func (c *connection) stopTimers() (user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.stopHandshakeTimer()
	for _, stop := range []func() bool{c.stopKeepalive, c.stopRevokedTimer} {
		if stop != nil {
			stop()
		}
	}
	return c.user
}

// startKeepalive starts to send keepalive requests. If the client has not answered one when the
// next is due, the connection is closed. Between two requests only a timer exists, no goroutine.
// startKeepalive may be called for every channel.
func (r *runningServer) startKeepalive(c *connection, conn gossh.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopKeepalive == nil {
		c.sshConn = conn
		r.scheduleKeepalive(c, conn)
	}
}

// scheduleKeepalive sets the timer of the next keepalive. c.mu is held.
func (r *runningServer) scheduleKeepalive(c *connection, conn gossh.Conn) {
	interval := r.limits.KeepaliveInterval
	c.stopKeepalive = c.timers.AfterFunc(clock.System(), interval, func() {
		cancel := c.timers.AfterFunc(clock.System(), interval, func() { c.Conn.Close() })
		_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil && !c.closed {
			r.scheduleKeepalive(c, conn)
		}
	})
}
