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

// errTelnetClosed is why a conversation is over that the remote host has ended.
var errTelnetClosed = errors.New("commands: connection closed by foreign host")

// A telnetTalk is a connection with the user at one end.
type telnetSession struct {
	terminal   shell.LineReader
	conn       network.Conn
	screenLock chan struct{} // whoever has put something in may write; the user, while talking to telnet itself
	midLine    bool          // the screen's last line has no end; for who has the screen
}

// run returns when the connection is over: nil at the user's wish and at the remote
// host's, else ctx's cause or the error of the keyboard. It closes the connection.
func (t *telnetSession) run(ctx context.Context) error {
	defer t.conn.Close()
	defer context.AfterFunc(ctx, func() { t.conn.Close() })()
	open, end := context.WithCancelCause(ctx)
	defer end(nil)
	over := make(chan struct{})
	go func() {
		defer close(over)
		t.showOutput(open)
		end(errTelnetClosed)
	}()
	err := t.sendInput(open)
	t.conn.Close()
	end(nil)
	<-over
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

// speak sends what is typed. It returns nil when the user wants no more.
func (t *telnetSession) sendInput(open context.Context) error {
	_, echoes := t.terminal.(shell.Screen)
	for {
		line, err := t.terminal.ReadLine(open, telnetEscape)
		if echoes && (err == nil || errors.Is(err, shell.ErrEscape)) {
			select { // what was typed has ended the line
			case t.screenLock <- struct{}{}:
				t.midLine = false
				<-t.screenLock
			case <-open.Done():
			}
		}
		switch {
		case err == nil:
			// A byte 255 would be a command (RFC 854).
			text := strings.ReplaceAll(line, "\xff", "\xff\xff") + "\r\n"
			if _, err := t.conn.Write([]byte(text)); err != nil {
				<-open.Done() // the other side hears of it, too
				return context.Cause(open)
			}
		case errors.Is(err, shell.ErrEscape):
			if done, err := t.prompt(open); err != nil || done {
				return err
			}
		case errors.Is(err, io.EOF):
			if err := t.conn.CloseWrite(); err != nil {
				return errTelnetClosed
			}
			<-open.Done()
			return context.Cause(open)
		default:
			return err
		}
	}
}

// command is telnet's own prompt. What arrives meanwhile waits. done says that the
// connection is to be closed.
func (t *telnetSession) prompt(open context.Context) (done bool, err error) {
	select {
	case t.screenLock <- struct{}{}:
	case <-open.Done():
		return true, context.Cause(open)
	}
	defer func() { <-t.screenLock }()
	for {
		line, err := t.terminal.Prompt(open, "telnet> ")
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
			io.WriteString(t.terminal, "Commands may be abbreviated. An empty line goes on with the connection.\n\n"+
				"close    close the connection\nquit     close the connection\n?        print this\n")
		default:
			io.WriteString(t.terminal, "?Invalid command\n")
		}
	}
}

// listen shows what the remote host says until it says no more.
func (t *telnetSession) showOutput(open context.Context) {
	var v nvtDecoder
	b := make([]byte, 4096)
	for {
		n, err := t.conn.Read(b)
		text, answer := v.decode(b[:n])
		if len(answer) > 0 {
			t.conn.Write(answer) //nolint:errcheck // the next read tells
		}
		if len(text) > 0 {
			select {
			case t.screenLock <- struct{}{}:
			case <-open.Done():
				return
			}
			t.terminal.Write(text) //nolint:errcheck // the keyboard tells
			t.midLine = !bytes.HasSuffix(text, []byte("\n"))
			<-t.screenLock
		}
		if err != nil {
			return
		}
	}
}

// An nvt takes telnet's commands out of what a remote host sends (RFC 854). Of the options
// that it offers or asks for it gets none (RFC 855): what is typed is shown here, and
// sent line by line.
type nvtDecoder struct {
	state nvtState
	verb  byte // of the option that comes next
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

// Bytes of commands.
const (
	telnetSE   = 240
	telnetSB   = 250
	telnetWILL = 251
	telnetWONT = 252
	telnetDO   = 253
	telnetDONT = 254
	telnetIAC  = 255
)

// take returns the text in b, its lines ended by "\n", and what must be answered.
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

// char takes a character of the text.
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
