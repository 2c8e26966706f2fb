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

// An ftpServer is somebody logged in by FTP.
type ftpServer struct{ conn *ftp.ServerConn }

func (p *Uploader) connectFTP(at netip.AddrPort) (server, error) {
	d := p.dialer()
	c, err := ftp.Dial(at.String(),
		ftp.DialWithShutTimeout(d.idle),
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
	s := ftpServer{c}
	if err := c.Login(p.settings.User, p.settings.Password); err != nil {
		s.close()
		var code *textproto.Error
		if !errors.As(err, &code) && !broken(err) {
			err = reply(err.Error()) // what the library makes of a refused USER
		}
		return nil, &failure{"Failed to log in to " + p.settings.Host + ": ", err}
	}
	if p.settings.Dir == "" {
		return s, nil
	}
	if err := c.ChangeDir(p.settings.Dir); err != nil {
		s.close()
		return nil, &failure{fmt.Sprintf("Failed to change to the directory %s of %s: ", p.settings.Dir, p.settings.Host), err}
	}
	return s, nil
}

func (s ftpServer) put(name string, from io.Reader, size int64) error {
	return s.conn.Stor(name, io.LimitReader(from, size))
}

// close says good-bye, which the server need not hear.
func (s ftpServer) close() { _ = s.conn.Quit() }
