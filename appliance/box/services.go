package box

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/appliance/web"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/transfer"
)

// newSSHServer returns the SSH daemon, which serves SFTP and SCP too.
func newSSHServer(a *appliance.Appliance, o Options) *shell.Server {
	return &shell.Server{
		Appliance: a,
		Commands:  commands.All(),
		HostKey:   o.HostKey,
		Listen: func(ctx context.Context) (net.Listener, error) {
			return a.Daemons.Listen(ctx, daemon.SSHPort())
		},
		Subsystems: map[string]func(context.Context, shell.Channel){
			"sftp": func(ctx context.Context, ch shell.Channel) {
				l := logIn(a, ch, "sftp", "sftp")
				defer l.Close()
				err := transfer.ServeSFTP(ctx, ch, a.Files.Area(ch.Account().Name), transfer.SFTPOptions{
					Log: transferLog(a, ch, "SFTP", l), Logger: o.Logger,
				})
				ch.Exit(transfer.ExitStatus(err)) //nolint:errcheck // the client may be gone
			},
		},
		Exec: func(ctx context.Context, line string, ch shell.Channel) bool {
			if !transfer.IsSCP(line) {
				return false
			}
			l := logIn(a, ch, "scp", line)
			defer l.Close()
			status := transfer.ServeSCP(ctx, line, ch, a.Files.Area(ch.Account().Name), transfer.SCPOptions{
				Stderr: ch.Stderr(), Log: transferLog(a, ch, "SCP", l), Logger: o.Logger,
			})
			ch.Exit(status) //nolint:errcheck // the client may be gone
			return true
		},
	}
}

// ftpOptions returns the options of the FTP daemon.
func ftpOptions(a *appliance.Appliance, o Options) transfer.FTPOptions {
	return transfer.FTPOptions{
		Listen: func(ctx context.Context) (net.Listener, error) {
			return a.Daemons.Listen(ctx, daemon.FTPPort())
		},
		Net: a.Net,
		Verify: func(user, passphrase string, from netip.Addr) (*files.Area, error) {
			account, err := a.Users.Verify(user, passphrase)
			if err == nil && !files.MayTransfer(string(account.Role)) {
				err = users.ErrDenied
			}
			if err != nil {
				ftpDenied(a, user, from)
				return nil, err
			}
			return a.Files.Area(account.Name), nil
		},
		OnLogin:     func(user string, from netip.Addr) func() { return ftpLogIn(a, user, from) },
		Guard:       a.Guard,
		Admit:       func(addr netip.Addr) bool { return a.AdminAccess().Admits(addr) },
		Banner:      func() string { return a.AdminAccess().Banner },
		Hostname:    a.Hostname,
		StopReason:  appliance.StopReason,
		Clock:       a.Clock,
		Log:         func(text string) { a.Log(appliance.FTPLog, appliance.Information, text) },
		Logger:      o.Logger,
		SocketOwner: daemon.FTPD.Name(),
		SocketUser:  daemon.FTPD.User(),
	}
}

// certificateFile has the certificate of the appliance's page and its key, in Options.Dir. A
// reload keeps it, so that browsers that have accepted it need not accept another one.
const certificateFile = "gui.pem"

// newGUI returns the server of the appliance's page. The page sends browsers to the door to
// HTTPS.
func newGUI(a *appliance.Appliance, w *netsim.World, o Options) (*web.Server, error) {
	hosts := []string{a.Hostname(), "localhost", "127.0.0.1", "::1"}
	for _, i := range netconfig.Interfaces.Get(a.Config.Committed()).List {
		for _, addr := range []netip.Addr{i.IPv4, i.IPv6.Addr()} {
			if addr.IsValid() {
				hosts = append(hosts, addr.String())
			}
		}
	}
	file, keys := filepath.Join(o.Dir, certificateFile), o.Entropy.Stream("web/certificate")
	cert, err := web.Certificate(file, keys, hosts)
	if err != nil {
		return nil, err
	}
	return web.New(web.Options{
		Appliance: a, Certificate: cert, MayRun: mayRun(),
		Outside: func() (netip.AddrPort, bool) { return httpsDoor(w) },
	}), nil
}

// mayRun returns a function that reports whether accounts of a role may run the command with
// the given name. No role may run a command that does not exist.
func mayRun() func(users.Role, string) bool {
	allows := map[string]func(users.Role) bool{}
	for _, c := range commands.All() {
		allows[c.Name] = c.Allows
	}
	return func(role users.Role, command string) bool {
		allow, ok := allows[command]
		return ok && allow(role)
	}
}
