package upload

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"

	"github.com/jlaffaye/ftp"
)

// An ftpSession is a session of a user who is logged in by FTP.
type ftpSession struct{ conn *ftp.ServerConn }

func (u *Uploader) connectFTP(at netip.AddrPort) (session, error) {
	d := u.dialer()
	c, err := ftp.Dial(at.String(),
		ftp.DialWithShutTimeout(d.idleTimeout),
		ftp.DialWithDialFunc(func(_, address string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return nil, fmt.Errorf("connect for data: %w", err)
			}
			return d.dial(to)
		}))
	if err != nil {
		return nil, err
	}
	s := ftpSession{c}
	if err := c.Login(u.settings.User, u.settings.Password); err != nil {
		s.close()
		var code *textproto.Error
		if !errors.As(err, &code) && !isConnectionError(err) {
			err = serverReply(err.Error()) // the library's form of a refused USER
		}
		return nil, &stepError{"Failed to log in to " + u.settings.Host + ": ", err}
	}
	if u.settings.Dir == "" {
		return s, nil
	}
	if err := c.ChangeDir(u.settings.Dir); err != nil {
		s.close()
		return nil, &stepError{fmt.Sprintf("Failed to change to the directory %s of %s: ",
			u.settings.Dir, u.settings.Host), err}
	}
	return s, nil
}

func (s ftpSession) put(name string, from io.Reader, size int64) error {
	return s.conn.Stor(name, io.LimitReader(from, size))
}

// close ends the session. An error means that the server is gone already.
func (s ftpSession) close() { _ = s.conn.Quit() }
