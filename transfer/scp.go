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

// IsSCP reports whether a command line, with which an SSH client asks for a program, runs scp in
// one of its remote modes.
func IsSCP(command string) bool {
	_, err := scp.ParseCommand(command)
	return err == nil
}

// SCPOptions are the options of ServeSCP. The zero value is usable.
type SCPOptions struct {
	Stderr io.Writer         // receives the output of -v; nil discards it
	Log    func(text string) // as in SFTPOptions
	Done   func(Transferred) // likewise
	Logger *slog.Logger      // the program's log; nil discards
}

// ServeSCP runs an scp command line for the client at the other end of ch and returns the exit
// status, which the caller must send before it closes ch. If ctx ends, ServeSCP closes ch itself.
func ServeSCP(
	ctx context.Context, command string, ch io.ReadWriteCloser, area *files.Area, o SCPOptions,
) (exitStatus int) {
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
		logf:    logFunc(o.Log),
		done:    doneFunc(o.Done),
		logger:  loggerOrDiscard(o.Logger),
	}
	defer context.AfterFunc(ctx, func() { ch.Close() })()
	defer func() {
		if p := recover(); p != nil {
			s.logger.Error("panic in scp", "value", p, "stack", string(debug.Stack()))
			exitStatus = 1
		}
	}()
	if c.Source {
		err = s.sendAll()
	} else {
		err = s.receiveAll()
	}
	if err != nil && !errors.Is(err, errSessionEnded) {
		s.logger.Info("scp ended early", "user", area.User(), "cause", err)
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
	logf   func(format string, args ...any)
	done   func(Transferred)
	logger *slog.Logger
	failed bool // a file was refused or missing: the exit status is 1
}

const (
	maxSCPLine  = 8 << 10
	maxSCPDepth = 64
)

// errSessionEnded ends a session after either side has sent a fatal error.
var errSessionEnded = errors.New("transfer: scp gave up")

// sendOK sends the byte that lets the client continue.
func (s *scpSession) sendOK() error {
	_, err := s.out.Write([]byte{0})
	return err
}

// sendWarning sends the client the error of one file.
func (s *scpSession) sendWarning(name string, err error) error {
	return s.sendMessage(scp.Warning, name+": "+reasonText(err))
}

// sendFatal sends the client an error that ends the session.
func (s *scpSession) sendFatal(text string) error {
	if err := s.sendMessage(scp.Fatal, text); err != nil {
		return err
	}
	return errSessionEnded
}

// sendMessage sends an error and records that the session has failed.
func (s *scpSession) sendMessage(code byte, text string) error {
	s.failed = true
	_, err := fmt.Fprintf(s.out, "%cscp: %s\n", code, sanitize(text))
	return err
}

// verbosef writes a line of the output of -v.
func (s *scpSession) verbosef(format string, args ...any) {
	if s.Verbose && s.stderr != nil {
		fmt.Fprintf(s.stderr, format+"\n", args...)
	}
}

// sanitize replaces control characters, so that a name cannot be mistaken for a line of the
// protocol.
func sanitize(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}

// readAnswer reads the client's answer to the last step. ok reports whether the client has accepted
// the file. An error ends the session.
func (s *scpSession) readAnswer() (ok bool, err error) {
	b, err := s.in.ReadByte()
	if err != nil {
		return false, err
	}
	switch b {
	case scp.OK:
		return true, nil
	case scp.Warning:
		_, err = s.readLine()
		s.failed = true
		return false, err
	case scp.Fatal:
		return false, errSessionEnded
	}
	return false, s.sendFatal("protocol error")
}

// readLine reads a line and returns it without its line end.
func (s *scpSession) readLine() (string, error) {
	var line []byte
	for {
		part, err := s.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxSCPLine:
			return "", s.sendFatal("line too long")
		case err == nil:
			return string(line[:len(line)-1]), nil
		case err == io.EOF && len(line) > 0:
			return "", io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// fullPath returns the area's path of an argument. A shell replaces "~" by the home directory;
// relative paths begin there, too.
func (s *scpSession) fullPath(arg string) string {
	if arg == "~" || strings.HasPrefix(arg, "~/") {
		arg = "." + arg[1:]
	}
	return s.area.Path(files.Home, arg)
}

// baseName returns the name that the client gives to a file.
func baseName(p string) string {
	if b := path.Base(p); b != "/" {
		return b
	}
	return "root" // clients do not accept the name "/"
}
