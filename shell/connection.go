package shell

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
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
	out      combiner
	ahead    []byte // has been read from Conn and not by the library

	disconnectOnce sync.Once // a second Close waits for it

	heard      atomic.Bool      // the client has sent something since the last look of the keepalive
	verified   verifiedLogin    // used by the goroutine of the login
	authority  *users.Authority // of the connection; set at the login, before the first channel
	loginEvent uint64           // the number of the event that the user has logged in; set with authority

	mu                 sync.Mutex  // a leaf
	stopHandshakeTimer func() bool // stops the timer that closes the connection; nil after the login
	sshConn            gossh.Conn  // nil before the first channel
	stopKeepalive      func() bool // stops the timer of the next keepalive; nil before the first
	user               string      // "" before the login
	openChannels       int
	revoked            bool        // the account no longer permits the connection
	stopRevokedTimer   func() bool // stops the timer that closes a revoked connection; or nil
	closed             bool
	endReason          string // why the server has closed the connection, for the log; or ""
}

// connectionKey is the key of the *connection in a context of the library.
type connectionKey struct{}

// Read reads from the client.
func (c *connection) Read(p []byte) (n int, err error) {
	switch {
	case len(c.ahead) > 0:
		n = copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil
		}
		return n, nil
	case c.out.handshake.Load():
		return c.readHandshake(p)
	}
	n, err = c.Conn.Read(p)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	return n, err
}

// readHandshake reads from the client during the handshake. The library reads the client's version
// byte by byte, which would be a system call for each byte.
func (c *connection) readHandshake(p []byte) (n int, err error) {
	c.out.beginRead()
	defer c.out.endRead()
	if len(p) > 1 {
		n, err = c.Conn.Read(p)
		c.hello.observe(p[:n], err)
		return n, err
	}
	b := make([]byte, 512)
	n, err = c.Conn.Read(b)
	c.hello.observe(b[:n], err)
	used := copy(p, b[:n])
	if used == n {
		return n, err
	}
	c.ahead = b[used:n] // an error will be returned by the next read
	return used, nil
}

// Write writes to the client.
func (c *connection) Write(p []byte) (int, error) { return c.out.Write(p) }

// Close closes the connection when everything that was written has been sent. A client that has
// broken the protocol is told so before.
func (c *connection) Close() error {
	c.disconnectOnce.Do(c.disconnect)
	c.out.finish()
	err := c.Conn.Close()
	c.out.close()
	return err
}

// SetDeadline does nothing. The library calls it before each Read and Write to set no deadline.
func (c *connection) SetDeadline(time.Time) error { return nil }

// end closes the connection. The log will contain the reason, unless the connection has already
// ended.
func (c *connection) end(reason string) {
	c.mu.Lock()
	if !c.closed && c.endReason == "" {
		c.endReason = reason
	}
	c.mu.Unlock()
	c.Conn.Close()
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
	c.stopHandshakeTimer = nil // lets go of the timer
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
// in, or "", and the reason that end was called with, or "".
func (c *connection) stopTimers() (user, endReason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, stop := range []func() bool{
		c.stopHandshakeTimer, c.stopKeepalive, c.stopRevokedTimer,
	} {
		if stop != nil {
			stop()
		}
	}
	return c.user, c.endReason
}

// startKeepalive starts to send keepalive requests, when the client has been silent for an
// interval. If the client does not answer within another interval, the connection is closed.
// Between two requests only a timer exists, no goroutine. startKeepalive may be called for every
// channel.
//
// A busy client gets no requests, like from OpenSSH's server. There are clients, such as Paramiko,
// that answer a request even while they exchange keys, which the library does not accept (see
// failureText); a client that exchanges keys is not silent.
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
	c.stopKeepalive = c.timers.AfterFunc(r.connClock, interval, func() {
		var err error
		if !c.heard.Swap(false) {
			cancel := c.timers.AfterFunc(r.connClock, interval, func() {
				c.end(fmt.Sprintf("the client has not answered for %v", interval))
			})
			_, _, err = conn.SendRequest("keepalive@openssh.com", true, nil)
			cancel()
			c.heard.Store(false) // the answer does not delay the next request
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil && !c.closed {
			r.scheduleKeepalive(c, conn)
		}
	})
}
