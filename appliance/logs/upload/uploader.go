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

// A Method is how files are carried.
type Method string

// The methods.
const (
	FTP Method = "ftp"
	SCP Method = "scp"
)

// Port is a method's usual one.
func (m Method) Port() uint16 {
	if m == FTP {
		return 21
	}
	return 22
}

// Settings say where files go.
type Settings struct {
	Subscription string // for messages
	Method       Method
	Host         string // name or address
	Port         uint16 // 0: the method's
	User         string
	Password     string // FTP only
	Dir          string // on the server; "": where a login begins
	CheckHostKey bool   // SCP only: the server must show a known key
}

// Options are what a Pusher works with. Net, Lookup, Files, Dir and Waiting are required.
type Options struct {
	Net    network.Transport
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Clock  clock.Clock // for the waits between attempts; nil: the machine's

	Files *files.Store
	Dir   string // of the file area, where the files are
	// Waiting lists the names in Dir of what is to be carried, the oldest first.
	Waiting func() ([]string, error)

	Key      func() (crypto.Signer, error) // the appliance's own, for SCP
	HostKeys func() []HostKey              // those that are known, for SCP

	// Trouble is told what an administrator should know. It is called from the
	// Pusher's goroutine, and must not wait for the Pusher.
	OnError func(text string)

	Owner, User    string           // of sockets
	ConnectTimeout time.Duration    // 0: 75 s
	IdleTimeout    time.Duration    // of a server that does not answer; 0: 2 min
	Backoff        [2]time.Duration // before the first and, doubled each time, at most before any further attempt; zeros: 30 s and 15 min
	Logger         *slog.Logger     // for whoever runs the program; nil discards
}

// Stats are a Pusher's figures since it was made.
type Stats struct {
	Waiting   int // files, now
	Uploaded  int
	Failures  int // attempts that failed
	LastError string
}

// A Pusher carries the files of one subscription. Its methods are safe for concurrent use.
type Uploader struct {
	settings Settings
	o        Options

	life    context.Context
	end     context.CancelFunc
	wake    chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex
	stats Stats
}

// New returns a Pusher that works until Close, and begins with what waits already.
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
		of    *time.Duration
		usual time.Duration
	}{
		{&o.ConnectTimeout, 75 * time.Second}, {&o.IdleTimeout, 2 * time.Minute},
		{&o.Backoff[0], 30 * time.Second}, {&o.Backoff[1], 15 * time.Minute},
	} {
		if *d.of == 0 {
			*d.of = d.usual
		}
	}
	p := &Uploader{settings: s, o: o, wake: make(chan struct{}, 1)}
	p.life, p.end = context.WithCancel(context.Background())
	p.running.Go(p.run)
	p.Wake()
	return p
}

// Wake says that a file was finished. It does not block.
func (p *Uploader) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Stats are the figures now.
func (p *Uploader) Stats() Stats {
	names, err := p.o.Waiting()
	if err != nil {
		p.o.Logger.Error("a log's directory cannot be listed", "subscription", p.settings.Subscription, "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Waiting = len(names)
	return s
}

// Close breaks off what is under way, whose file stays and is sent again by the next
// Pusher, and waits for the end, which is near.
func (p *Uploader) Close(context.Context) error {
	p.end()
	p.running.Wait()
	return nil
}

// run carries what waits whenever there is something new, or an attempt is due.
func (p *Uploader) run() {
	delay := p.o.Backoff[0]
	told := false
	var due <-chan struct{}
	stop := func() bool { return false }
	defer func() { stop() }()
	for {
		select {
		case <-p.wake:
		case <-due:
		case <-p.life.Done():
			return
		}
		pushed, err := p.upload()
		if pushed > 0 {
			told, delay = false, p.o.Backoff[0]
		}
		if p.life.Err() != nil {
			return
		}
		stop()
		due = nil
		if err != nil {
			timer := make(chan struct{})
			stop = p.o.Clock.AfterFunc(delay, func() { close(timer) })
			due, delay = timer, min(2*delay, p.o.Backoff[1])
			p.failed(err, !told)
			told = true
		}
	}
}

// failed notes a failure, and tells it if it is the first.
func (p *Uploader) failed(err error, tell bool) {
	text := fmt.Sprintf("Log Error: Push error for subscription %s: %s", p.settings.Subscription, sentence(err))
	p.o.Logger.Debug("a log file was not pushed", "subscription", p.settings.Subscription, "err", err)
	p.mu.Lock()
	p.stats.Failures++
	p.stats.LastError = text
	p.mu.Unlock()
	if tell {
		p.o.OnError(text)
	}
}

// A server takes files.
type server interface {
	// put stores size bytes under a name.
	put(name string, from io.Reader, size int64) error
	close()
}

// carry carries all that waits, over one connection.
func (p *Uploader) upload() (pushed int, err error) {
	var to server
	defer func() {
		if to != nil {
			to.close()
		}
	}()
	for {
		names, err := p.o.Waiting()
		if err != nil {
			return pushed, fmt.Errorf("list log files: %w", err)
		}
		before := pushed
		for _, name := range names {
			if to == nil {
				if to, err = p.connect(); err != nil {
					return pushed, err
				}
			}
			ok, err := p.one(to, name)
			if err != nil {
				return pushed, err
			}
			if ok {
				pushed++
			}
		}
		if pushed == before { // nothing came meanwhile
			return pushed, nil
		}
	}
}

// one carries a file. A file that somebody has removed counts as none.
func (p *Uploader) one(to server, name string) (ok bool, err error) {
	full := path.Join(p.o.Dir, name)
	f, err := p.o.Files.OpenFile(full, os.O_RDONLY)
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
		return false, &failure{fmt.Sprintf("Failed to transfer %s to %s: ", name, p.settings.Host), err}
	}
	if err := p.o.Files.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("remove a log file: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Uploaded++
	return true, nil
}

// connect makes the server that the settings name.
func (p *Uploader) connect() (s server, err error) {
	addrs, err := p.addresses()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs { // until one answers
		at := netip.AddrPortFrom(a, p.settings.Port)
		if p.settings.Method == FTP {
			s, err = p.connectFTP(at)
		} else {
			s, err = p.connectSCP(at)
		}
		var said *failure
		if err == nil || errors.As(err, &said) || p.life.Err() != nil {
			return s, err
		}
	}
	return nil, &failure{"Failed to connect to " + p.settings.Host + ": ", err}
}
