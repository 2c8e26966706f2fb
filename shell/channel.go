package shell

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"sync"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/users"
)

// A Channel is one conversation of an SSH connection, as a subsystem sees it. It
// reads until the client's end of input.
type Channel interface {
	io.ReadWriteCloser
	Stderr() io.Writer
	Account() users.Account
	RemoteAddr() netip.Addr
	// Exit tells the client the exit status and closes the channel. Without it
	// the status is 0.
	Exit(status int) error
}

// channel is the Channel that the server makes.
type channel struct {
	gossh.Channel
	account users.Account
	from    netip.Addr
	local   netip.Addr // the appliance's
	exited  bool
}

func (c *channel) Stderr() io.Writer      { return c.Channel.Stderr() }
func (c *channel) Account() users.Account { return c.account }
func (c *channel) RemoteAddr() netip.Addr { return c.from }

func (c *channel) Exit(status int) error {
	if c.exited {
		return nil
	}
	c.exited = true
	if _, err := c.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, uint32(status))); err != nil {
		return err
	}
	return c.Close()
}

// channel answers the requests of one channel until the client closes it, which is
// also when it has received everything. The library's own handler can hang on
// changes of the window, and its context lives as long as the connection; here the
// newest size is handed on without waiting, and the context is the channel's.
func (r *run) channel(_ *ssh.Server, conn *gossh.ServerConn, offer gossh.NewChannel, ctx ssh.Context) {
	p, _ := ctx.Value(peerKey{}).(*peer)
	account, ok := conn.Permissions.ExtraData[accountKey{}].(users.Account)
	if !ok || r.life.Err() != nil || !p.openChannel(r.limits.Sessions) {
		offer.Reject(gossh.ResourceShortage, "no more sessions") //nolint:errcheck // the connection is gone then
		return
	}
	defer p.closeChannel()
	if !r.enter(&r.channels) {
		offer.Reject(gossh.ResourceShortage, "the system is going down") //nolint:errcheck // as above
		return
	}
	defer r.channels.done()
	defer r.guard("channel")
	r.keepAlive(p, conn)
	ch, requests, err := offer.Accept()
	if err != nil {
		return
	}
	v := &visit{run: r, ch: &channel{Channel: ch, account: account, from: p.addr, local: addrOf(p.LocalAddr())}}
	v.serve(requests)
}

// enter counts something that Stop must wait for, unless Stop waits already.
func (r *run) enter(g *taskGroup) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lis == nil {
		return false
	}
	g.add()
	return true
}

// A visit is a channel and what became of it.
type visit struct {
	*run
	ch      *channel
	window  *size         // nil without a terminal
	session *session      // nil until a shell or a command begins, and for a subsystem
	over    chan struct{} // closed when what was started has ended; nil before
	reading sync.WaitGroup
}

// serve answers requests until there are no more, then ends what they started.
func (v *visit) serve(requests <-chan *gossh.Request) {
	ctx, cancel := context.WithCancelCause(v.life)
	for req := range requests {
		ok, talk := v.request(ctx, req)
		if req.WantReply {
			req.Reply(ok, nil) //nolint:errcheck // the loop ends with the connection
		}
		if talk != nil { // after the reply: a short talk closes the channel at once
			v.start(talk)
		}
	}
	cancel(ErrHangup)
	if v.over != nil {
		<-v.over
	}
	v.ch.Close()
	v.reading.Wait()
	if v.session != nil {
		v.session.out.close()
	}
}

// request says whether a request is granted. What it starts, if anything, is the talk,
// which returns the channel's exit status. request does not block.
func (v *visit) request(ctx context.Context, req *gossh.Request) (ok bool, talk func() int) {
	switch req.Type {
	case "pty-req":
		var pty struct {
			Term                         string
			Columns, Rows, Width, Height uint32
			Modes                        string
		}
		if v.over != nil || gossh.Unmarshal(req.Payload, &pty) != nil {
			return false, nil
		}
		v.window = &size{int(pty.Columns), int(pty.Rows)}
		return true, nil
	case "window-change":
		var w struct{ Columns, Rows, Width, Height uint32 }
		if v.window == nil || gossh.Unmarshal(req.Payload, &w) != nil {
			return false, nil
		}
		v.window = &size{int(w.Columns), int(w.Rows)}
		if v.session != nil {
			v.session.resize(*v.window)
		}
		return true, nil
	case "signal":
		var sig struct{ Name string }
		if v.session == nil || gossh.Unmarshal(req.Payload, &sig) != nil || sig.Name != "INT" {
			return false, nil
		}
		v.session.in.Interrupt()
		return true, nil
	case "shell", "exec", "subsystem":
		if v.over != nil {
			return false, nil
		}
		talk = v.talk(ctx, req)
		return talk != nil, talk
	}
	return false, nil
}

// talk returns what a request asks for; nil if there is no such thing, or not for
// this account.
func (v *visit) talk(ctx context.Context, req *gossh.Request) func() int {
	if req.Type == "shell" {
		s := v.newSession()
		return func() int { return v.shell(ctx, s) }
	}
	var p struct{ Text string }
	if gossh.Unmarshal(req.Payload, &p) != nil {
		return nil
	}
	if req.Type == "exec" {
		s := v.newSession()
		return func() int { return v.exec(ctx, s, p.Text) }
	}
	serve := v.Subsystems[p.Text]
	if serve == nil || !mayTransfer(v.ch.account) {
		return nil
	}
	return func() int { serve(ctx, v.ch); return 0 }
}

// start runs a talk, and tells the client its exit status.
func (v *visit) start(talk func() int) {
	over := make(chan struct{})
	v.over = over
	if !v.enter(&v.sessions) {
		close(over)
		v.ch.Close()
		return
	}
	go func() {
		defer v.sessions.done()
		defer close(over)
		status := statusFailed               // of a panic
		defer func() { v.ch.Exit(status) }() //nolint:errcheck // the client may be gone
		defer v.guard("session")
		status = talk()
	}()
}

// newSession makes the session of a shell or of a command line.
func (v *visit) newSession() *session {
	s := newSession(v.Appliance, v.catalog, v.ch.account, v.ch, v.window, cmp.Or(v.limits.IdleTimeout, v.Appliance.AdminAccess().CLIIdle()))
	s.from, s.local = v.ch.from, v.ch.local
	v.session = s
	return s
}

// read starts to read what the client sends.
func (v *visit) read(s *session) {
	s.in.serve(s.limit, s.login.Touch)
	v.reading.Go(func() {
		defer v.guard("input")
		s.in.pump(v.ch, func(text string) { io.WriteString(s.out, text) })
	})
}

func (v *visit) shell(ctx context.Context, s *session) int {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(ErrLogout)
	previous, known := v.Appliance.Logins.PreviousLogin(v.ch.account.Name)
	s.login = v.Appliance.Logins.Open(v.ch.account, v.ch.from, "cli")
	defer s.login.Close()
	v.read(s)
	defer s.in.close()
	last := ""
	if known {
		last = lastLogin(previous.LoginTime.In(v.Appliance.Zone()), previous.ClientAddr)
	}
	io.WriteString(s.keys, welcome(v.Appliance.Product, last, s.limit, v.Appliance.AdminAccess().Welcome))
	if err := s.interact(ctx); err != nil {
		return statusFailed
	}
	return 0
}

func (v *visit) exec(ctx context.Context, s *session, line string) int {
	if v.Exec != nil && mayTransfer(v.ch.account) && v.Exec(ctx, line, v.ch) {
		return 0
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(ErrLogout)
	s.login = v.Appliance.Logins.Open(v.ch.account, v.ch.from, "cli")
	defer s.login.Close()
	v.read(s)
	defer s.in.close()
	return s.execute(ctx, line)
}
