package shelltest

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// A Client is a logged-in SSH connection.
type Client struct{ conn *ssh.Client }

// Dial logs in at addr with a passphrase. It accepts every host key.
func Dial(addr, user, passphrase string) (*Client, error) {
	c, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.Password(passphrase)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, fmt.Errorf("log in at %s as %s: %w", addr, user, err)
	}
	return &Client{c}, nil
}

// Close closes the connection with all its sessions.
func (c *Client) Close() error { return c.conn.Close() }

// Shell starts a shell with a terminal of that size. The result reads the shell's output and writes
// what the user types.
func (c *Client) Shell(columns, rows int) (io.ReadWriteCloser, error) {
	s, err := c.conn.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := s.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.RequestPty("vt100", rows, columns, nil); err != nil {
		return nil, err
	}
	if err := s.Shell(); err != nil {
		return nil, err
	}
	return &shellConn{s, in, out}, nil
}

// A shellConn is the client's end of a shell.
type shellConn struct {
	session *ssh.Session
	io.Writer
	io.Reader
}

func (s *shellConn) Close() error {
	if err := s.session.Close(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil // the session has ended before
}

// Run runs a command line without a terminal, as "ssh host line" does, and returns its exit status.
func (c *Client) Run(line string, in io.Reader, out io.Writer) (status int, err error) {
	s, err := c.conn.NewSession()
	if err != nil {
		return 0, err
	}
	defer s.Close()
	s.Stdin, s.Stdout = in, out
	err = s.Run(line)
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return exit.ExitStatus(), nil
	}
	return 0, err
}
