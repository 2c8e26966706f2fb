package appliance

import (
	"context"
	"crypto"
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
	"github.com/esasim/esasim/appliance/logs/upload"
	"github.com/esasim/esasim/appliance/tlsconfig"
)

// openPush makes the pusher of a log subscription that is pushed to a syslog server.
func (a *Appliance) openPush(s logs.Subscription, onEvent func(syslog.Event)) (logs.Pusher, error) {
	protocol := syslog.Protocol(s.Push.Protocol)
	if s.Push.TLS {
		protocol = syslog.TLS
	}
	return syslog.New(syslog.Options{
		Net:            a.Net,
		Lookup:         a.lookupServer,
		Clock:          a.Clock,
		Dir:            filepath.Join(a.state, pushBufferDir, s.Name),
		Reserve:        a.Files.Reserve,
		Header:         a.Logs.Header,
		Roots:          a.trustedRoots,
		Rand:           a.Entropy.Stream("syslog/tls/" + s.Name),
		OnEvent:        onEvent,
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

// SystemAuthorities returns the certificates of the authorities that come with the appliance.
func (a *Appliance) SystemAuthorities() ([]*x509.Certificate, error) {
	if a.trustedCAs == nil {
		return nil, nil
	}
	text, err := a.trustedCAs()
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	return tlsconfig.ParseAuthorities(string(text))
}

// TrustedAuthorities returns the authorities of the lists that certconfig has in use. They are
// trusted to identify mail servers.
func (a *Appliance) TrustedAuthorities() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	lists := tlsconfig.Authorities.Get(a.Config.Committed())
	if lists.UseSystem {
		system, err := a.SystemAuthorities()
		if err != nil {
			return nil, err
		}
		for _, c := range system {
			pool.AddCert(c)
		}
	}
	lists.AddTo(pool)
	return pool, nil
}

// trustedRoots returns the certificate authorities that are trusted to identify syslog servers:
// TrustedAuthorities, and those in the files *.pem, *.crt and *.cer of the directory
// configuration.
func (a *Appliance) trustedRoots() (*x509.CertPool, error) {
	entries, err := a.Files.ReadDir(files.Configuration)
	if err != nil {
		return nil, fmt.Errorf("look for certificates: %w", err)
	}
	pool, err := a.TrustedAuthorities()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		ext := strings.ToLower(path.Ext(e.Name()))
		if !e.Type().IsRegular() || !slices.Contains([]string{".pem", ".crt", ".cer"}, ext) {
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

// logKeyFile is the state file with the key pair for pushing log files by SCP.
const logKeyFile = "scp_key"

// openUpload makes the uploader of a log subscription that is pushed by FTP or SCP. Its finished
// files are in dir; waiting returns the names of those that were not uploaded yet.
func (a *Appliance) openUpload(s logs.Subscription, dir string,
	waiting func() ([]string, error), onError func(string),
) logs.Uploader {
	method := upload.FTP
	if s.Method == logs.SCPPush {
		method = upload.SCP
	}
	return upload.New(upload.Options{
		Net:      a.Net,
		Lookup:   a.lookupServer,
		Clock:    a.Clock,
		Files:    a.Files,
		Dir:      dir,
		Waiting:  waiting,
		Key:      a.logKey,
		HostKeys: a.logHostKeys,
		OnError:  onError,
		Owner:    "logpush", User: "root",
		ConnectTimeout: a.Timeouts.Connect,
		Logger:         a.Logger,
	}, upload.Settings{
		Subscription: s.Name,
		Method:       method,
		Host:         s.Remote.Host,
		Port:         s.Remote.Port,
		User:         s.Remote.User,
		Password:     s.Remote.Password,
		Dir:          s.Remote.Dir,
		CheckHostKey: s.Remote.CheckKey,
	})
}

// lookupServer resolves the name of a server that logs are pushed to.
func (a *Appliance) lookupServer(ctx context.Context, host string) ([]netip.Addr, error) {
	return a.Resolver.Lookup(ctx, host, 0)
}

// logKey returns the appliance's own key pair for SCP. The first call makes it.
func (a *Appliance) logKey() (crypto.Signer, error) {
	a.keys.Lock()
	defer a.keys.Unlock()
	return upload.LoadOrCreateKey(filepath.Join(a.state, logKeyFile),
		a.Entropy.Stream("logs/scp key"), a.Logger)
}

// LogKey returns the public key with which the appliance logs in to SCP servers to push log files,
// as a line of authorized_keys.
func (a *Appliance) LogKey() (string, error) {
	key, err := a.logKey()
	if err != nil {
		return "", err
	}
	return upload.AuthorizedKey(key, "root@"+a.Hostname())
}

// logHostKeys returns the committed host keys of SCP servers.
func (a *Appliance) logHostKeys() []upload.HostKey {
	var keys []upload.HostKey
	for _, k := range logs.HostKeys.Get(a.Config.Committed()).List {
		keys = append(keys, upload.HostKey(k))
	}
	return keys
}

// ScanHostKeys returns the host keys of an SSH server, each in the form of logs.KnownHost. The
// error is a refusal that says why there are none, or ctx's cause.
func (a *Appliance) ScanHostKeys(ctx context.Context, host string, port uint16) ([]string, error) {
	return upload.Scanner{
		Net: a.Net, Lookup: a.lookupServer, Owner: "ssh-keyscan", User: "root",
		ConnectTimeout: a.Timeouts.Connect, IdleTimeout: a.Timeouts.Connect,
	}.Scan(ctx, host, port)
}
