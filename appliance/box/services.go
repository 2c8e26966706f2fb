package box

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/appliance/web"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/transfer"
)

// newSSHServer returns the SSH daemon, which serves SFTP and SCP too.
func newSSHServer(a *appliance.Appliance, o Options) *shell.Server {
	return &shell.Server{
		Appliance:    a,
		Commands:     commands.All(),
		HostKey:      o.HostKey,
		MoreHostKeys: o.MoreHostKeys,
		Listen: func(ctx context.Context) (net.Listener, error) {
			return a.Daemons.Listen(ctx, daemon.SSHPort())
		},
		Subsystems: map[string]func(context.Context, shell.Channel){
			"sftp": func(ctx context.Context, ch shell.Channel) {
				l := logIn(a, ch, "sftp", "sftp")
				defer l.Close()
				area := areaOf(a, ch)
				err := transfer.ServeSFTP(ctx, ch, area, transfer.SFTPOptions{
					Log: transferLog(a, ch, "SFTP", l), Logger: o.Logger,
					Done: publishTransfers(a, area, "SFTP", ch.Account(), l),
				})
				ch.Exit(transfer.ExitStatus(err)) //nolint:errcheck // the client may be gone
			},
		},
		Exec: func(line string) func(context.Context, shell.Channel) {
			if !transfer.IsSCP(line) {
				return nil
			}
			return func(ctx context.Context, ch shell.Channel) {
				l := logIn(a, ch, "scp", line)
				defer l.Close()
				area := areaOf(a, ch)
				status := transfer.ServeSCP(ctx, line, ch, area, transfer.SCPOptions{
					Stderr: ch.Stderr(), Log: transferLog(a, ch, "SCP", l), Logger: o.Logger,
					Done: publishTransfers(a, area, "SCP", ch.Account(), l),
				})
				ch.Exit(status) //nolint:errcheck // the client may be gone
			}
		},
	}
}

// areaOf returns the file area as the user of a channel sees it.
func areaOf(a *appliance.Appliance, ch shell.Channel) *files.Area {
	return limitedArea(a, func() (users.Account, error) { return ch.Account(), ch.Check() })
}

// limitedArea returns the file area as the user of a session sees it. account returns the session's
// account, or the reason why the session must end. Files with the hashes of the accounts'
// passphrases are readable for administrators only, as they are in showconfig.
func limitedArea(a *appliance.Appliance, account func() (users.Account, error)) *files.Area {
	now, _ := account()
	return a.Files.Area(now.Name).WithLimits(files.Limits{
		Check: func() error { _, err := account(); return err },
		MayRead: func(content io.Reader) bool {
			now, err := account()
			return err == nil && (now.Role == users.Administrator || !users.HoldsHash(content))
		},
	})
}

// ftpOptions returns the options of the FTP daemon.
func ftpOptions(a *appliance.Appliance, o Options) transfer.FTPOptions {
	return transfer.FTPOptions{
		Listen: func(ctx context.Context) (net.Listener, error) {
			return a.Daemons.Listen(ctx, daemon.FTPPort())
		},
		Net: a.Net,
		Verify: func(user, passphrase string, from netip.Addr) (transfer.FTPLogin, error) {
			return verifyFTP(a, user, passphrase, from)
		},
		Guard:       a.Guard,
		Admit:       func(addr netip.Addr) bool { return a.AdminAccess().Admits(addr) },
		Banner:      func() string { return a.AdminAccess().Banner },
		Hostname:    a.Hostname,
		Version:     a.Product.Version.String(),
		StopReason:  appliance.StopReason,
		Clock:       a.Clock,
		Log:         func(text string) { a.Log(appliance.FTPLog, appliance.Information, text) },
		Logger:      o.Logger,
		SocketOwner: daemon.FTPD.Name(),
		SocketUser:  daemon.FTPD.User(),
	}
}

// verifyFTP checks a login over FTP. The session follows its account from then on.
func verifyFTP(
	a *appliance.Appliance, user, passphrase string, from netip.Addr,
) (transfer.FTPLogin, error) {
	account, err := a.Users.Verify(user, passphrase)
	if err == nil && !mayTransfer(account.Role) {
		err = users.ErrDenied
	}
	if err != nil {
		ftpDenied(a, user, from)
		return transfer.FTPLogin{}, err
	}
	var authority atomic.Pointer[users.Authority]
	var login *users.Login // of the session's goroutine
	area := limitedArea(a, func() (users.Account, error) {
		if now := authority.Load(); now != nil {
			return now.Check()
		}
		return account, nil // the session has not begun
	})
	return transfer.FTPLogin{
		Area: area,
		Done: func(t transfer.Transferred) { publishTransfers(a, area, "FTP", account, login)(t) },
		Begin: func(end func(text string)) func() {
			var logout func()
			login, logout = ftpLogIn(a, account, from)
			authority.Store(a.Users.Authorize(account, nil, users.AuthorityOptions{
				Permits: mayTransfer,
				OnChange: func(_ users.Account, err error) {
					var revoked *users.RevokedError
					if errors.As(err, &revoked) {
						end(revoked.Text)
						a.Log(appliance.AuthenticationLog, appliance.Information,
							shell.RevokedMessage("FTP", from, revoked))
					}
				},
			}))
			login.EndBy(authority.Load())
			return func() {
				authority.Load().Close()
				logout()
			}
		},
	}, nil
}

// mayTransfer reports whether accounts of a role may use FTP.
func mayTransfer(r users.Role) bool { return files.MayTransfer(string(r)) }

// certificateFile has the certificate tlsconfig.Demo and its key, in Options.Dir. A
// reload keeps it, so that browsers that have accepted it need not accept another one.
const certificateFile = "gui.pem"

// authorityFile has the key of the authority of the simulated servers, in Options.Dir. It outlives
// restarts, because an administrator may have made it one of the trusted authorities.
const authorityFile = "authority.pem"

// newGUI returns the server of the appliance's page. The page sends browsers to the door to
// HTTPS.
func newGUI(
	a *appliance.Appliance, w *netsim.World) *web.Server {
	return web.New(web.Options{
		Appliance: a, MayRun: mayRun(),
		Outside: func() (netip.AddrPort, bool) { return httpsDoor(w) },
	})
}

// certificate returns a function that returns the certificate tlsconfig.Demo, for the names and
// addresses that the appliance has now. The certificate is read or made when it is first needed:
// most appliances start without anybody using TLS.
func certificate(a *appliance.Appliance, o Options) func() (*tls.Certificate, error) {
	committed := a.Config.Committed()
	return sync.OnceValues(func() (*tls.Certificate, error) {
		hosts := []string{netconfig.Hostname.Get(committed), "localhost", "127.0.0.1", "::1"}
		for _, i := range netconfig.Interfaces.Get(committed).List {
			for _, addr := range []netip.Addr{i.IPv4, i.IPv6.Addr()} {
				if addr.IsValid() {
					hosts = append(hosts, addr.String())
				}
			}
		}
		file, keys := filepath.Join(o.Dir, certificateFile), o.Entropy.Stream("web/certificate")
		return tlsconfig.OpenDemo(file, keys, hosts, a.Logger)
	})
}

// mayRun returns a function that reports whether accounts of a role may run the command with
// the given name. No role may run a command that does not exist.
func mayRun() func(users.Role, string) bool {
	all := commands.All()
	return func(role users.Role, command string) bool {
		i, ok := slices.BinarySearchFunc(all, command, func(c *shell.Command, name string) int {
			return cmp.Compare(c.Name, name)
		})
		return ok && all[i].Allows(role)
	}
}
