package appliance

import (
	"context"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/syslog"
)

// spoolDir is where lines wait for syslog servers, below the state directory.
const spoolDir = "syslog"

// openPush opens the way from a log subscription to its syslog server.
func (a *Appliance) openPush(s logs.Subscription, trouble func(syslog.Event)) (logs.Pusher, error) {
	protocol := syslog.Protocol(s.Push.Protocol)
	if s.Push.TLS {
		protocol = syslog.TLS
	}
	return syslog.New(syslog.Options{
		Net: a.Net,
		Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return a.Resolver.Lookup(ctx, host, 0)
		},
		Clock:          a.Clock,
		Dir:            filepath.Join(a.state, spoolDir, s.Name),
		Room:           a.Files.Reserve,
		Header:         a.Logs.Header,
		Roots:          a.trustedRoots,
		Chance:         a.Entropy.Stream("syslog/tls/" + s.Name),
		Trouble:        trouble,
		Owner:          "syslogd",
		User:           "root",
		Logger:         a.Logger,
		ConnectTimeout: a.Timeouts.Connect,
	}, syslog.Settings{
		Subscription: s.Name,
		Tag:          s.Push.Tag,
		Server:       s.Push.Host,
		Port:         s.Push.Port,
		Protocol:     protocol,
		Facility:     s.Push.Facility,
		MaxMessage:   s.Push.MaxMessage,
		Buffer:       s.Push.Buffer,
		Verify:       s.Push.Verify,
	})
}

// trustedRoots are the certificate authorities that vouch for syslog servers: those of
// Options.TrustedCAs, and those in the files *.pem, *.crt and *.cer of the directory
// configuration.
func (a *Appliance) trustedRoots() (*x509.CertPool, error) {
	entries, err := a.Files.ReadDir(files.Configuration)
	if err != nil {
		return nil, fmt.Errorf("look for certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if a.trustedCAs != nil {
		text, err := a.trustedCAs()
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		pool.AppendCertsFromPEM(text)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !slices.Contains([]string{".pem", ".crt", ".cer"}, strings.ToLower(path.Ext(e.Name()))) {
			continue
		}
		text, err := fs.ReadFile(a.Files, path.Join(files.Configuration, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		pool.AppendCertsFromPEM(text)
	}
	return pool, nil
}
