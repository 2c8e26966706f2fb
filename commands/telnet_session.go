package commands

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/shell"
)

// telnetEscape is Ctrl-].
const telnetEscape = 0x1d

// errTelnetClosed says that the remote host has closed the connection.
var errTelnetClosed = errors.New("commands: connection closed by foreign host")

// A telnetSession connects a terminal with a remote host.
type telnetSession struct {
	terminal shell.LineReader
	conn     network.Conn
	// screenLock has room for one value. A goroutine that has put one in may write to the
	// terminal; telnet's own prompt holds the lock while it is shown.
	screenLock chan struct{}
	midLine    bool // the last line on the screen has no end; guarded by screenLock
}

// run blocks until the connection has ended, and closes it. It returns nil if the user or the
// remote host closed the connection, and otherwise the cause of ctx or the terminal's error.
func (t *telnetSession) run(ctx context.Context) error {
	defer t.conn.Close()
	defer context.AfterFunc(ctx, func() { t.conn.Close() })()
	connCtx, end := context.WithCancelCause(ctx)
	defer end(nil)
	outputEnded := make(chan struct{})
	go func() {
		defer close(outputEnded)
		t.showOutput(connCtx)
		end(errTelnetClosed)
	}()
	err := t.sendInput(connCtx)
	t.conn.Close()
	end(nil)
	<-outputEnded
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errTelnetClosed) {
		if t.midLine {
			io.WriteString(t.terminal, "\n")
		}
		io.WriteString(t.terminal, "Connection closed by foreign host.\n")
		return nil
	}
	return err
}

// sendInput sends the lines that are typed. It returns nil if the user closes the connection.
// ctx is that of the connection.
func (t *telnetSession) sendInput(ctx context.Context) error {
	_, echoes := t.terminal.(shell.Screen)
	for {
		line, err := t.terminal.ReadLine(ctx, telnetEscape)
		if echoes && (err == nil || errors.Is(err, shell.ErrEscape)) {
			select { // the echo has ended the line on the screen
			case t.screenLock <- struct{}{}:
				t.midLine = false
				<-t.screenLock
			case <-ctx.Done():
			}
		}
		switch {
		case err == nil:
			// A single byte 255 would begin a command (RFC 854).
			text := strings.ReplaceAll(line, "\xff", "\xff\xff") + "\r\n"
			if _, err := t.conn.Write([]byte(text)); err != nil {
				<-ctx.Done() // showOutput gets the error, too
				return context.Cause(ctx)
			}
		case errors.Is(err, shell.ErrEscape):
			if done, err := t.prompt(ctx); err != nil || done {
				return err
			}
		case errors.Is(err, io.EOF):
			// If the remote host has reset the connection, showOutput gets the error too, after what
			// had arrived before.
			t.conn.CloseWrite() //nolint:errcheck // see above
			<-ctx.Done()
			return context.Cause(ctx)
		default:
			return err
		}
	}
}

// prompt shows telnet's own prompt. Output of the remote host is held back meanwhile. prompt
// reports whether the connection is to be closed.
func (t *telnetSession) prompt(ctx context.Context) (done bool, err error) {
	select {
	case t.screenLock <- struct{}{}:
	case <-ctx.Done():
		return true, context.Cause(ctx)
	}
	defer func() { <-t.screenLock }()
	for {
		line, err := t.terminal.Prompt(ctx, "telnet> ")
		if errors.Is(err, io.EOF) {
			line, err = "quit", nil
		}
		if err != nil {
			return true, err
		}
		word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(line)), " ")
		switch {
		case word == "":
			return false, nil
		case strings.HasPrefix("close", word), strings.HasPrefix("quit", word):
			io.WriteString(t.terminal, "Connection closed.\n")
			return true, nil
		case word == "?", strings.HasPrefix("help", word):
			io.WriteString(t.terminal, "Commands may be abbreviated. "+
				"An empty line returns to the connection.\n\n"+
				"close    close the connection\nquit     close the connection\n?        print this\n")
		default:
			io.WriteString(t.terminal, "?Invalid command\n")
		}
	}
}

// showOutput shows the output of the remote host until the connection ends.
func (t *telnetSession) showOutput(ctx context.Context) {
	var v nvtDecoder
	b := make([]byte, 4096)
	for {
		n, err := t.conn.Read(b)
		text, answer := v.decode(b[:n])
		if len(answer) > 0 {
			t.conn.Write(answer) //nolint:errcheck // the next Read returns the error
		}
		if len(text) > 0 {
			select {
			case t.screenLock <- struct{}{}:
			case <-ctx.Done():
				return
			}
			t.terminal.Write(text) //nolint:errcheck // the next ReadLine returns the error
			t.midLine = !bytes.HasSuffix(text, []byte("\n"))
			<-t.screenLock
		}
		if err != nil {
			return
		}
	}
}

// An nvtDecoder removes telnet's commands from the output of a remote host (RFC 854: a network
// virtual terminal). It refuses every option that the remote host offers or asks for (RFC 855),
// since the local side echoes what is typed and sends it line by line.
type nvtDecoder struct {
	state nvtState
	verb  byte // of the option that follows
}

type nvtState int

const (
	nvtText nvtState = iota
	nvtReturn
	nvtCommand
	nvtOption
	nvtSub
	nvtSubCommand
)

// Command bytes of the telnet protocol.
const (
	telnetSE   = 240
	telnetSB   = 250
	telnetWILL = 251
	telnetWONT = 252
	telnetDO   = 253
	telnetDONT = 254
	telnetIAC  = 255
)

// decode returns the text in b, with "\n" as line ends, and the commands to be sent in reply.
func (v *nvtDecoder) decode(b []byte) (text, answer []byte) {
	for _, c := range b {
		switch v.state {
		case nvtReturn:
			v.state = nvtText
			if c != '\n' {
				text = append(text, '\r')
			}
			if c == 0 {
				continue
			}
			text, v.state = v.text(text, c)
		case nvtText:
			text, v.state = v.text(text, c)
		case nvtCommand:
			switch {
			case c == telnetIAC:
				text, v.state = append(text, c), nvtText
			case c == telnetSB:
				v.state = nvtSub
			case c >= telnetWILL:
				v.verb, v.state = c, nvtOption
			default:
				v.state = nvtText
			}
		case nvtOption:
			v.state = nvtText
			switch v.verb {
			case telnetDO:
				answer = append(answer, telnetIAC, telnetWONT, c)
			case telnetWILL:
				answer = append(answer, telnetIAC, telnetDONT, c)
			}
		case nvtSub:
			if c == telnetIAC {
				v.state = nvtSubCommand
			}
		case nvtSubCommand:
			v.state = nvtSub
			if c == telnetSE {
				v.state = nvtText
			}
		}
	}
	return text, answer
}

// text decodes a byte outside of a command.
func (v *nvtDecoder) text(text []byte, c byte) ([]byte, nvtState) {
	switch c {
	case telnetIAC:
		return text, nvtCommand
	case '\r':
		return text, nvtReturn
	case 0:
		return text, nvtText
	}
	return append(text, c), nvtText
}
