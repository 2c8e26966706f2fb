package upload

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/scp"
)

// An scpSession is a session of a user who is logged in by SSH.
type scpSession struct {
	client *ssh.Client
	dir    string
}

func (u *Uploader) connectSCP(at netip.AddrPort) (session, error) {
	key, err := u.o.Key()
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		return nil, fmt.Errorf("use the appliance's key: %w", err)
	}
	c, err := u.dialer().dial(at)
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{
		User: u.settings.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
	}
	known := u.knownHostKeys()
	if u.settings.CheckHostKey {
		config.HostKeyAlgorithms = algorithmsFor(known)
	}
	keyAccepted := false
	config.HostKeyCallback = u.hostKeyCallback(known, &keyAccepted)
	conn, channels, requests, err := ssh.NewClientConn(c, at.String(), config)
	if err == nil {
		return &scpSession{ssh.NewClient(conn, channels, requests), u.settings.Dir}, nil
	}
	c.Close()
	switch {
	case errors.Is(err, errHostKeyUnknown), errors.Is(err, errHostKeyMismatch):
		return nil, &stepError{"Failed to connect to " + u.settings.Host + ": ", err}
	case keyAccepted && !isConnectionError(err):
		return nil, &stepError{"Failed to log in to " + u.settings.Host + ": ", errKeyRefused}
	case !keyAccepted && !isConnectionError(err):
		return nil, &stepError{"Failed to connect to " + u.settings.Host + ": ", errNoSSH}
	}
	return nil, err
}

// put runs scp on the server for one file. With the option -d, scp does not create a file with
// the name of a directory that does not exist.
func (s *scpSession) put(name string, from io.Reader, size int64) error {
	session, err := s.client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	out, err := session.StdinPipe()
	if err != nil {
		return err
	}
	in, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	dir := s.dir
	if dir == "" {
		dir = "."
	}
	if err := session.Start("scp -d -t " + scp.Quote(dir)); err != nil {
		return err
	}
	answers := bufio.NewReader(in)
	steps := []func() error{
		func() error { return nil },
		func() error { _, err := fmt.Fprintf(out, "C0644 %d %s\n", size, name); return err },
		func() error {
			if _, err := io.CopyN(out, from, size); err != nil {
				return err
			}
			_, err := out.Write([]byte{scp.OK})
			return err
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			// If the server has sent a reason before it closed, that says more.
			return errors.Join(readAnswer(answers), err)
		}
		if err := readAnswer(answers); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	return session.Wait()
}

// readAnswer reads the server's answer to a step.
func readAnswer(in *bufio.Reader) error {
	b, err := in.ReadByte()
	if err != nil || b == scp.OK {
		return err
	}
	if b != scp.Warning && b != scp.Fatal {
		return errNoSCP
	}
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	return serverReply(strings.TrimPrefix(strings.TrimSpace(string(line)), "scp: "))
}

func (s *scpSession) close() { _ = s.client.Close() }
