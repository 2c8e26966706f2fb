package box_test

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/jlaffaye/ftp"
	"github.com/pkg/sftp"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"
)

// A heldConn is a connection that transfers files.
type heldConn struct {
	get func(path string) (io.ReadCloser, error)
	put func(path string, data []byte) error // SFTP only
}

// hold logs in over SFTP or FTP. The connection stays open until the script ends.
func (s *scenario) hold(ts *testscript.TestScript, args []string) error {
	flags := flag.NewFlagSet("hold", flag.ContinueOnError)
	user, passphrase := addLogin(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	protocol, label := flags.Arg(0), flags.Arg(1)
	switch protocol {
	case "sftp":
		config := clientConfig
		config.User, config.Auth = *user, []ssh.AuthMethod{ssh.Password(*passphrase)}
		conn, err := ssh.Dial("tcp", s.box.DoorAddrs()["ssh"].String(), &config)
		if err != nil {
			return err
		}
		ts.Defer(func() { conn.Close() })
		client, err := sftp.NewClient(conn)
		if err != nil {
			return err
		}
		s.held[label] = heldConn{
			get: func(path string) (io.ReadCloser, error) { return client.Open(path) },
			put: func(path string, data []byte) error {
				f, err := client.Create(path)
				if err != nil {
					return err
				}
				_, err = f.Write(data)
				return errors.Join(err, f.Close())
			},
		}
	case "ftp":
		// If EPSV fails, the client tries PASV and does not return the first error.
		conn, err := ftp.Dial(s.box.DoorAddrs()["ftp"].String(),
			ftp.DialWithTimeout(scenarioTimeout), ftp.DialWithDisabledEPSV(true))
		if err != nil {
			return err
		}
		ts.Defer(func() { conn.Quit() }) //nolint:errcheck // the appliance may have ended it
		if err := conn.Login(*user, *passphrase); err != nil {
			return err
		}
		s.held[label] = heldConn{
			get: func(path string) (io.ReadCloser, error) { return conn.Retr(path) },
		}
	default:
		return fmt.Errorf("%s is neither sftp nor ftp", protocol)
	}
	return nil
}

func (s *scenario) get(ts *testscript.TestScript, args []string) error {
	conn, ok := s.held[args[0]]
	if !ok {
		return fmt.Errorf("no connection is held as %s", args[0])
	}
	f, err := conn.get(args[1])
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(ts.Stdout(), f)
	return err
}

func (s *scenario) put(ts *testscript.TestScript, args []string) error {
	conn := s.held[args[0]]
	if conn.put == nil {
		return fmt.Errorf("no SFTP connection is held as %s", args[0])
	}
	return conn.put(args[2], []byte(ts.ReadFile(args[1])))
}
