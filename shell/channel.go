package shell

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
)

// A Channel is one conversation of an SSH connection, from the view of a subsystem. Read returns
// io.EOF when the client has sent everything.
type Channel interface {
	io.ReadWriteCloser
	Stderr() io.Writer
	Account() users.Account // as it is now; if Check returns an error, as it was before
	RemoteAddr() netip.Addr
	// Check returns the reason if the account no longer permits the conversation, which then
	// must do nothing more. The server tells the client the reason and closes the channel.
	Check() error
	// Authority returns the Authority of the conversation. If it is revoked, Check returns why.
	Authority() *users.Authority
	// Exit sends the exit status and closes the channel. If it is not called, the status is 0.
	Exit(status int) error
}

// channel implements Channel.
type channel struct {
	gossh.Channel
	account    users.Account // as it was when the channel was opened
	clientAddr netip.Addr
	localAddr  netip.Addr       // the appliance's
	authority  *users.Authority // of a subsystem or of Exec; nil before it starts
	exited     atomic.Bool
	out        *combiner // of the connection
}

func (c *channel) Stderr() io.Writer      { return c.Channel.Stderr() }
func (c *channel) Account() users.Account { account, _ := c.authority.Check(); return account }
func (c *channel) RemoteAddr() netip.Addr { return c.clientAddr }
func (c *channel) Check() error           { return c.authority.Err() }

func (c *channel) Authority() *users.Authority { return c.authority }

// BeginBulk announces that much data will be written, which EndBulk ends. What is written between
// them may be sent a little later, and in larger pieces.
func (c *channel) BeginBulk() { c.out.beginBulk() }

// EndBulk sends what has been written since BeginBulk and not been sent.
func (c *channel) EndBulk() error { return c.out.endBulk() }

func (c *channel) Exit(status int) error {
	if c.exited.Swap(true) {
		return nil
	}
	c.out.HoldNext()
	payload := binary.BigEndian.AppendUint32(nil, uint32(status))
	if _, err := c.SendRequest("exit-status", false, payload); err != nil {
		return err
	}
	return c.Close()
}

// serveChannel serves a channel until the client closes it; by then the client has received
// everything. It replaces the library's handler, which can hang on changes of the window and whose
// context lives as long as the connection. Here the newest size is stored without blocking, and
// the context ends with the channel.
//
//nolint:errcheck // Reject fails if the connection is gone
func (r *runningServer) serveChannel(
	_ *ssh.Server, conn *gossh.ServerConn, offer gossh.NewChannel, ctx ssh.Context,
) {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	account, err := c.authority.Check()
	if err != nil {
		offer.Reject(gossh.Prohibited, revokedText(err))
		return
	}
	if r.runCtx.Err() != nil || !c.openChannel(r.limits.Sessions) {
		offer.Reject(gossh.ResourceShortage, "no more sessions")
		return
	}
	defer c.closeChannel()
	if !r.startTask(&r.channelTasks) {
		offer.Reject(gossh.ResourceShortage, "the system is going down")
		return
	}
	defer r.channelTasks.done()
	defer r.recoverPanic("channel")
	r.startKeepalive(c, conn)
	ch, requests, err := offer.Accept()
	if err != nil {
		return
	}
	h := &channelHandler{runningServer: r, authority: c.authority, ch: &channel{
		Channel:    ch,
		account:    account,
		clientAddr: c.addr,
		localAddr:  addrOf(c.LocalAddr()),
		out:        &c.out,
	}}
	h.serve(requests)
}

// startTask adds a task to g. It reports false if Stop has been called: the caller must then not
// start the task.
func (r *runningServer) startTask(g *taskGroup) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener == nil {
		return false
	}
	g.add()
	return true
}

// A channelHandler handles the requests of one channel and runs the channel's program.
type channelHandler struct {
	*runningServer
	ch        *channel
	authority *users.Authority // of the connection
	window    *windowSize      // nil without a terminal
	session   *session         // of a shell or a command line; nil before it starts
	ended     chan struct{}    // closed when the program has ended; nil before it starts
	reading   sync.WaitGroup   // the goroutine that reads the session's input
}

// A program is what a channel runs: a shell, a command line or a subsystem. It returns the exit
// status.
type program func() (exitStatus int)

// serve handles requests until the client closes the channel, then ends the program and waits for
// it.
func (h *channelHandler) serve(requests <-chan *gossh.Request) {
	ctx, cancel := context.WithCancelCause(h.runCtx)
	for req := range requests {
		ok, prog := h.handle(ctx, req)
		if req.WantReply {
			if ok && req.Type == "shell" {
				h.ch.out.HoldNext() // until the first prompt, which follows at once
			}
			req.Reply(ok, nil) //nolint:errcheck // the loop ends with the connection
		}
		if prog != nil { // started after the reply, because a short program closes the channel at once
			h.start(prog)
		}
	}
	cancel(ErrHangup)
	if h.ended != nil {
		<-h.ended
	}
	h.ch.Close()
	h.reading.Wait()
	if h.session != nil {
		h.session.out.close()
	}
}

// handle handles one request without blocking. ok reports whether the request is granted. If it
// asks for a program, the caller must start that program.
func (h *channelHandler) handle(ctx context.Context, req *gossh.Request) (ok bool, prog program) {
	switch req.Type {
	case "pty-req":
		var pty struct {
			Term                         string
			Columns, Rows, Width, Height uint32
			Modes                        string
		}
		if h.ended != nil || gossh.Unmarshal(req.Payload, &pty) != nil {
			return false, nil
		}
		h.window = &windowSize{int(pty.Columns), int(pty.Rows)}
		return true, nil
	case "window-change":
		var w struct{ Columns, Rows, Width, Height uint32 }
		if h.window == nil || gossh.Unmarshal(req.Payload, &w) != nil {
			return false, nil
		}
		h.window = &windowSize{int(w.Columns), int(w.Rows)}
		if h.session != nil {
			h.session.resize(*h.window)
		}
		return true, nil
	case "signal":
		var sig struct{ Name string }
		if h.session == nil || gossh.Unmarshal(req.Payload, &sig) != nil || sig.Name != "INT" {
			return false, nil
		}
		h.session.in.Interrupt()
		return true, nil
	case "shell", "exec", "subsystem":
		if h.ended != nil {
			return false, nil
		}
		prog = h.newProgram(ctx, req)
		return prog != nil, prog
	}
	return false, nil
}

// newProgram returns the program that a request asks for, or nil if there is no such program or
// the account may not run it.
func (h *channelHandler) newProgram(ctx context.Context, req *gossh.Request) program {
	if req.Type == "shell" {
		return h.shell(ctx, h.newSession())
	}
	var p struct{ Text string }
	if gossh.Unmarshal(req.Payload, &p) != nil {
		return nil
	}
	if req.Type == "exec" {
		s := h.newSession()
		return func() int { return h.exec(ctx, s, p.Text) }
	}
	serve := h.Subsystems[p.Text]
	if serve == nil || !mayTransfer(h.ch.account.Role) {
		return nil
	}
	return func() int { h.transfer(ctx, p.Text, serve); return 0 }
}

// transfer runs serve. If the server stops meanwhile, or the account ceases to permit the transfer,
// transfer tells the client the reason and closes the channel, which ends serve.
func (h *channelHandler) transfer(
	ctx context.Context, service string, serve func(context.Context, Channel),
) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	h.ch.authority = h.authority.Derive(users.AuthorityOptions{
		Permits: mayTransfer,
		OnChange: func(_ users.Account, err error) {
			if err != nil {
				end(err)
			}
		},
	})
	defer h.ch.authority.Close()
	serveCtx, endServe := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endServe(nil)
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		err := context.Cause(ctx)
		h.endTransfer(service, err)
		endServe(err) // after the client has been told, because serve then closes the channel
	})
	defer func() {
		if !stop() {
			<-told
		}
	}()
	serve(serveCtx, h.ch)
}

// endTransfer tells the client why its transfer ends, and closes the channel. A client that does
// not read is not waited for longer than closeTimeout.
func (h *channelHandler) endTransfer(service string, err error) {
	var stopped StoppedError
	var revoked *users.RevokedError
	var text string
	switch {
	case errors.As(err, &stopped):
		text = string(stopped)
	case errors.As(err, &revoked):
		text = revokedText(err)
		defer logRevoked(h.Appliance, service, h.ch.clientAddr, err)
	default:
		return // the client has closed the channel
	}
	var timers clock.Group
	defer timers.Wait()
	defer timers.AfterFunc(clock.System(), closeTimeout, func() { h.ch.Close() })()
	io.WriteString(h.ch.Stderr(), text+"\n")
	h.ch.Exit(statusFailed) //nolint:errcheck // the client may be gone
}

// revokedText returns the text for the user whose session err has ended.
func revokedText(err error) string {
	var revoked *users.RevokedError
	if errors.As(err, &revoked) {
		return revoked.Text
	}
	return "The session was closed."
}

// start runs a program in its own goroutine and sends the client its exit status.
func (h *channelHandler) start(prog program) {
	ended := make(chan struct{})
	h.ended = ended
	if !h.startTask(&h.sessionTasks) {
		close(ended)
		h.ch.Close()
		return
	}
	go func() {
		status := statusFailed // if prog panics
		defer h.finish(ended, &status)
		defer h.recoverPanic("session")
		status = prog()
	}()
}

// finish sends the client the exit status of the program.
func (h *channelHandler) finish(ended chan<- struct{}, status *int) {
	defer h.sessionTasks.done()
	defer close(ended)
	h.ch.Exit(*status) //nolint:errcheck // the client may be gone
}

// newSession creates the session of a shell or a command line.
func (h *channelHandler) newSession() *session {
	idleTimeout := cmp.Or(h.limits.IdleTimeout, h.Appliance.AdminAccess().CLIIdle())
	s := newSession(h.Appliance, h.catalog(), h.ch.account, h.ch, h.window, idleTimeout)
	s.clientAddr, s.localAddr = h.ch.clientAddr, h.ch.localAddr
	h.session = s
	return s
}

// startReading starts the goroutine that reads the client's input into s.
func (h *channelHandler) startReading(s *session) {
	s.in.setSession(s.idleTimeout, s.login.Touch)
	h.reading.Go(func() {
		defer h.recoverPanic("input")
		s.in.readFrom(h.ch, func(text string) { io.WriteString(s.out, text) })
	})
}

// shell returns the program of an interactive session.
func (h *channelHandler) shell(ctx context.Context, s *session) program {
	return func() (exitStatus int) {
		ctx, finish := h.beginShell(ctx, s)
		defer finish()
		if err := s.promptLoop(ctx); err != nil {
			return statusFailed
		}
		if h.window == nil {
			return s.scriptStatus
		}
		return 0
	}
}

// beginShell prints the welcome text. It returns the context of the session, and the function that
// must be called at the session's end. It is a function of its own because its variables would
// double the stack of a session that waits at its prompt, which is 4 KiB.
func (h *channelHandler) beginShell(
	ctx context.Context, s *session,
) (_ context.Context, finish func()) {
	ctx, end := context.WithCancelCause(ctx)
	ctx = s.authorize(ctx, h.authority, end)
	previous, known := h.Appliance.Logins.PreviousLogin(h.ch.account.Name)
	s.login = h.Appliance.Logins.Open(h.ch.account, h.ch.clientAddr, "cli")
	s.login.EndBy(s.authority)
	h.startReading(s)
	last := ""
	if known {
		last = lastLoginText(previous.LoginTime.In(h.Appliance.Zone()), previous.ClientAddr)
	}
	message := h.Appliance.AdminAccess().Welcome
	io.WriteString(s.prompter, welcomeText(h.Appliance.Product, last, s.idleTimeout, message))
	return ctx, func() {
		s.in.close()
		s.login.Close()
		s.authority.Close()
		end(ErrLogout)
	}
}

// exec runs a command line.
func (h *channelHandler) exec(ctx context.Context, s *session, line string) (exitStatus int) {
	if h.Exec != nil && mayTransfer(h.ch.account.Role) {
		if serve := h.Exec(line); serve != nil {
			word, _, _ := strings.Cut(line, " ")
			h.transfer(ctx, word, serve)
			return 0
		}
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(ErrLogout)
	ctx = s.authorize(ctx, h.authority, end)
	defer s.authority.Close()
	s.login = h.Appliance.Logins.Open(h.ch.account, h.ch.clientAddr, "cli")
	s.login.EndBy(s.authority)
	defer s.login.Close()
	h.startReading(s)
	defer s.in.close()
	return s.execute(ctx, line)
}
