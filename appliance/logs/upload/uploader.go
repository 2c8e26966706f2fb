package upload

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/network"
)

// A Method is a protocol for sending files.
type Method string

// The methods.
const (
	FTP Method = "ftp"
	SCP Method = "scp"
)

// Port returns the method's default port.
func (m Method) Port() uint16 {
	if m == FTP {
		return 21
	}
	return 22
}

// Settings are what an administrator configures for one log.
type Settings struct {
	Subscription string // for messages
	Method       Method
	Host         string // name or address
	Port         uint16 // 0: the method's
	User         string
	Password     string // FTP only
	Dir          string // on the server; "": the login directory
	CheckHostKey bool   // SCP only: the server must show a known key
}

// Options configure an Uploader. Net, Lookup, Files, Dir and Waiting are required.
type Options struct {
	Net    network.Transport
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Clock  clock.Clock // of the delays between attempts; nil: the machine's

	Files *files.Store
	Dir   string // in the file area, with the log's files
	// Waiting returns the names in Dir of the files to send, the oldest first.
	Waiting func() ([]string, error)

	Key      func() (crypto.Signer, error) // returns the appliance's own key; SCP only
	HostKeys func() []HostKey              // returns the known host keys; SCP only

	// OnError is called with a line that says why files cannot be sent. It is called in the
	// Uploader's goroutine, and must not wait for the Uploader.
	OnError func(text string)

	Owner, User    string        // of sockets
	ConnectTimeout time.Duration // 0: 75 s
	IdleTimeout    time.Duration // of a server that does not answer; 0: 2 min
	// Backoff are the delay before the first retry and the greatest delay. Each delay is twice
	// the one before. Zeros: 30 s and 15 min.
	Backoff [2]time.Duration
	Logger  *slog.Logger // of the program; nil discards
}

// Stats are an Uploader's figures since it was made.
type Stats struct {
	Waiting   int    // files that wait at this time
	Uploaded  int    // files
	Failures  int    // attempts that failed
	LastError string // as OnError gets it
}

// An Uploader sends the files of one log. Its methods are safe for concurrent use.
type Uploader struct {
	settings Settings
	o        Options

	ctx     context.Context
	cancel  context.CancelFunc
	wake    chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex
	stats Stats
}

// New returns an Uploader that works until Close. It begins with the files that wait already.
func New(o Options, s Settings) *Uploader {
	if s.Port == 0 {
		s.Port = s.Method.Port()
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.OnError == nil {
		o.OnError = func(string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value     *time.Duration
		byDefault time.Duration
	}{
		{&o.ConnectTimeout, 75 * time.Second}, {&o.IdleTimeout, 2 * time.Minute},
		{&o.Backoff[0], 30 * time.Second}, {&o.Backoff[1], 15 * time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.byDefault
		}
	}
	u := &Uploader{settings: s, o: o, wake: make(chan struct{}, 1)}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	u.running.Go(u.run)
	u.Wake()
	return u
}

// Wake tells the Uploader that a file was finished. It does not block.
func (u *Uploader) Wake() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// Stats returns the present figures.
func (u *Uploader) Stats() Stats {
	names, err := u.o.Waiting()
	if err != nil {
		u.o.Logger.Error("a log's directory cannot be listed",
			"subscription", u.settings.Subscription, "err", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.stats
	s.Waiting = len(names)
	return s
}

// Close aborts a transfer that is in flight, whose file stays and is sent by the next Uploader,
// and waits for the goroutine, which exits within a few milliseconds.
func (u *Uploader) Close(context.Context) error {
	u.cancel()
	u.running.Wait()
	return nil
}

// run sends the files that wait, whenever there is a new one or a retry is due.
func (u *Uploader) run() {
	delay := u.o.Backoff[0]
	reported := map[string]bool{} // texts of failures, since a file has arrived
	var due <-chan struct{}
	stop := func() bool { return false }
	defer func() { stop() }()
	for {
		select {
		case <-u.wake:
		case <-due:
		case <-u.ctx.Done():
			return
		}
		uploaded, err := u.upload()
		if uploaded > 0 {
			clear(reported)
			delay = u.o.Backoff[0]
		}
		if u.ctx.Err() != nil {
			return
		}
		stop()
		due = nil
		if err != nil {
			timer := make(chan struct{})
			stop = u.o.Clock.AfterFunc(delay, func() { close(timer) })
			due, delay = timer, min(2*delay, u.o.Backoff[1])
			text := u.recordFailure(err)
			if !reported[text] && len(reported) < maxReasons {
				reported[text] = true
				u.o.OnError(text)
			}
		}
	}
}

// maxReasons bounds how many reasons are reported until a file has arrived. A server may give
// another one each time.
const maxReasons = 16

// recordFailure counts a failed attempt, and returns its text.
func (u *Uploader) recordFailure(err error) (text string) {
	text = fmt.Sprintf("Log Error: Push error for subscription %s: %s",
		u.settings.Subscription, reasonText(err))
	u.o.Logger.Debug("a log file was not uploaded",
		"subscription", u.settings.Subscription, "err", err)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stats.Failures++
	u.stats.LastError = text
	return text
}

// A session is a login to a server that accepts files.
type session interface {
	// put stores size bytes under the given name.
	put(name string, from io.Reader, size int64) error
	close()
}

// upload sends all files that wait, over one connection.
func (u *Uploader) upload() (uploaded int, err error) {
	var to session
	defer func() {
		if to != nil {
			to.close()
		}
	}()
	for {
		names, err := u.o.Waiting()
		if err != nil {
			return uploaded, fmt.Errorf("list log files: %w", err)
		}
		before := uploaded
		for _, name := range names {
			if to == nil {
				if to, err = u.connect(); err != nil {
					return uploaded, err
				}
			}
			ok, err := u.uploadFile(to, name)
			if err != nil {
				return uploaded, err
			}
			if ok {
				uploaded++
			}
		}
		if uploaded == before { // no file was added meanwhile
			return uploaded, nil
		}
	}
}

// uploadFile sends one file and removes it; ok reports whether the file still existed.
func (u *Uploader) uploadFile(to session, name string) (ok bool, err error) {
	full := path.Join(u.o.Dir, name)
	f, err := u.o.Files.OpenFile(full, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open a log file: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("open a log file: %w", err)
	}
	if err := to.put(name, f, fi.Size()); err != nil {
		return false,
			&stepError{fmt.Sprintf("Failed to transfer %s to %s: ", name, u.settings.Host), err}
	}
	if err := u.o.Files.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("remove a log file: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stats.Uploaded++
	return true, nil
}

// connect logs in to the server that the settings name.
func (u *Uploader) connect() (s session, err error) {
	addrs, err := u.addresses()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs { // until a server answers
		at := netip.AddrPortFrom(a, u.settings.Port)
		if u.settings.Method == FTP {
			s, err = u.connectFTP(at)
		} else {
			s, err = u.connectSCP(at)
		}
		var step *stepError
		if err == nil || errors.As(err, &step) || u.ctx.Err() != nil {
			return s, err
		}
	}
	return nil, &stepError{"Failed to connect to " + u.settings.Host + ": ", err}
}
