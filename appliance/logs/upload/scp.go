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

// An scpServer is somebody logged in by SSH.
type scpServer struct {
	client *ssh.Client
	dir    string
}

func (p *Uploader) connectSCP(at netip.AddrPort) (server, error) {
	key, err := p.o.Key()
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		return nil, fmt.Errorf("use the appliance's key: %w", err)
	}
	c, err := p.dialer().dial(at)
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{User: p.settings.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}}
	known := p.hostKeys()
	if p.settings.CheckHostKey {
		config.HostKeyAlgorithms = algorithms(known)
	}
	acquainted := false
	config.HostKeyCallback = ssh.HostKeyCallback(p.judge(known, &acquainted))
	conn, channels, requests, err := ssh.NewClientConn(c, at.String(), config)
	if err == nil {
		return &scpServer{ssh.NewClient(conn, channels, requests), p.settings.Dir}, nil
	}
	c.Close()
	switch {
	case errors.Is(err, errUnknownKey), errors.Is(err, errOtherKey):
		return nil, &failure{"Failed to connect to " + p.settings.Host + ": ", err}
	case acquainted && !broken(err):
		return nil, &failure{"Failed to log in to " + p.settings.Host + ": ", errKeyRefused}
	case !acquainted && !broken(err):
		return nil, &failure{"Failed to connect to " + p.settings.Host + ": ", errNoSSH}
	}
	return nil, err
}

// put runs the far side's scp for one file. With -d it makes no file of a directory that
// does not exist.
func (s *scpServer) put(name string, from io.Reader, size int64) error {
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
			// What the other side says before it goes is the better reason.
			return errors.Join(answer(answers), err)
		}
		if err := answer(answers); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	return session.Wait()
}

// answer reads what the other side says of a step.
func answer(in *bufio.Reader) error {
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
	return reply(strings.TrimPrefix(strings.TrimSpace(string(line)), "scp: "))
}

func (s *scpServer) close() { _ = s.client.Close() }
