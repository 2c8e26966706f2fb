package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"runtime/debug"
	"strings"

	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/scp"
)

// IsSCP reports whether the command line that an SSH client asked to run is the
// far side of an scp.
func IsSCP(command string) bool {
	_, err := scp.ParseCommand(command)
	return err == nil
}

// SCPOptions are what ServeSCP can be told. The zero value is usable.
type SCPOptions struct {
	Stderr io.Writer         // where -v writes; nil discards
	Log    func(text string) // as SFTPOptions'
	Logger *slog.Logger      // for whoever runs the program; nil discards
}

// ServeSCP runs an scp command line for the client at the other end of ch and
// returns the exit status, which the caller sends before it closes ch. When ctx
// ends it closes ch itself.
func ServeSCP(ctx context.Context, command string, ch io.ReadWriteCloser, area *files.Area, o SCPOptions) (exitStatus int) {
	c, err := scp.ParseCommand(command)
	if err != nil {
		return 1
	}
	s := &scpSession{
		Command: c,
		area:    area,
		in:      bufio.NewReaderSize(ch, 32<<10),
		out:     ch,
		stderr:  o.Stderr,
		tell:    teller(o.Log),
		log:     logger(o.Logger),
	}
	defer context.AfterFunc(ctx, func() { ch.Close() })()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in scp", "value", p, "stack", string(debug.Stack()))
			exitStatus = 1
		}
	}()
	if c.Source {
		err = s.sendAll()
	} else {
		err = s.receiveAll()
	}
	if err != nil && !errors.Is(err, errGiveUp) {
		s.log.Info("scp broke off", "user", area.User(), "cause", err)
	}
	if err != nil || s.failed {
		return 1
	}
	return 0
}

// An scpSession is one run of scp.
type scpSession struct {
	scp.Command
	area   *files.Area
	in     *bufio.Reader
	out    io.Writer
	stderr io.Writer
	tell   func(format string, args ...any)
	log    *slog.Logger
	failed bool // something was refused or missing: the exit status will be 1
}

const (
	maxSCPLine  = 8 << 10
	maxSCPDepth = 64
)

// errGiveUp ends a session in which everything has been said.
var errGiveUp = errors.New("transfer: scp gave up")

// ack tells the other side that it may go on.
func (s *scpSession) ack() error {
	_, err := s.out.Write([]byte{0})
	return err
}

// warn tells the other side what went wrong with one file.
func (s *scpSession) warn(name string, err error) error {
	return s.say(scp.Warning, name+": "+reason(err))
}

// fatal tells the other side that the session ends here.
func (s *scpSession) fatal(text string) error {
	if err := s.say(scp.Fatal, text); err != nil {
		return err
	}
	return errGiveUp
}

func (s *scpSession) say(code byte, text string) error {
	s.failed = true
	_, err := fmt.Fprintf(s.out, "%cscp: %s\n", code, printable(text))
	return err
}

// verbosef writes what scp -v shows.
func (s *scpSession) verbosef(format string, args ...any) {
	if s.Verbose && s.stderr != nil {
		fmt.Fprintf(s.stderr, format+"\n", args...)
	}
}

// printable keeps a name from looking like a line of the protocol.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}

// answer reads what the other side says to the last step. ok is false when it has
// refused this file; an error ends the session.
func (s *scpSession) answer() (ok bool, err error) {
	b, err := s.in.ReadByte()
	if err != nil {
		return false, err
	}
	switch b {
	case scp.OK:
		return true, nil
	case scp.Warning:
		_, err = s.line()
		s.failed = true
		return false, err
	case scp.Fatal:
		return false, errGiveUp
	}
	return false, s.fatal("protocol error")
}

// line reads up to the end of a line, which it leaves out.
func (s *scpSession) line() (string, error) {
	var line []byte
	for {
		part, err := s.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxSCPLine:
			return "", s.fatal("line too long")
		case err == nil:
			return string(line[:len(line)-1]), nil
		case err == io.EOF && len(line) > 0:
			return "", io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// full is the area's path of an argument. A shell would make "~" the home
// directory, where relative paths begin anyway.
func (s *scpSession) full(arg string) string {
	if arg == "~" || strings.HasPrefix(arg, "~/") {
		arg = "." + arg[1:]
	}
	return s.area.Path(files.Home, arg)
}

// base is the name that the other side gives a file.
func base(p string) string {
	if b := path.Base(p); b != "/" {
		return b
	}
	return "root" // "/" itself is no name that a client would accept
}
