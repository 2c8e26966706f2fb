package peers

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of what a server for uploads stores. When they are reached, the oldest file is
// removed. Of a larger file the beginning is stored.
const (
	maxUploads     = 500
	maxUploadBytes = 16 << 20
	maxUploadShown = 16 << 10 // of each file in a report
)

// An Upload is a file that a server has received.
type Upload struct {
	Time   time.Time      `json:"time"`
	Client netip.AddrPort `json:"client"`
	User   string         `json:"user"`
	Name   string         `json:"name"` // with its directory, such as "/logs/mail_logs.@20150625T085003.s"
	Size   int64          `json:"size"`
	Whole  bool           `json:"whole"` // the server has received and accepted all of it
	Data   []byte         `json:"-"`     // the first 16 MiB
}

// An UploadReport is the report of a server for uploads.
type UploadReport struct {
	Taken   int            `json:"taken"` // whole files since the start
	Refused int            `json:"refused"`
	Files   []ReportedFile `json:"files"` // those that are still stored
}

// A ReportedFile is an Upload with the beginning of its data.
type ReportedFile struct {
	Upload
	Text string `json:"text"`
}

// An UploadServer is a server that receives files: an FTPServer or an SCPServer.
type UploadServer interface {
	Peer
	// Uploads returns the latest files in the order of their arrival: at most 500, with at most
	// 16 MiB. Files whose transfer broke off are included.
	Uploads() []Upload
	// Await blocks until n whole files have arrived since the start, and returns Uploads.
	Await(ctx context.Context, n int) ([]Upload, error)
	// AwaitRefusals blocks until the server has refused n times since the start.
	AwaitRefusals(ctx context.Context, n int) error
}

// uploads holds the files that a server has received. It also decides what the server
// refuses: the step that the option refuse names, as often as the option times says.
type uploads struct {
	step  string
	times int // 0 means always

	mu      sync.Mutex
	files   []Upload
	bytes   int
	taken   int
	refused int
	changed chan struct{} // closed and replaced when taken or refused grows
}

// withRefusalOptions adds the options of uploads to those of a kind that embeds it.
func withRefusalOptions(options map[string]func(string) error) map[string]func(string) error {
	options["refuse"] = func(s string) error {
		if s != "login" && s != "upload" && s != "full" {
			return fmt.Errorf("%q, expected login, upload or full", s)
		}
		return nil
	}
	options["times"] = checkCount
	return options
}

func uploadsOf(c Config) uploads {
	return uploads{step: c.Options["refuse"], times: parseCount(c.Options["times"]),
		changed: make(chan struct{})}
}

// refuse reports whether the server must refuse this step. It counts the refusals.
func (u *uploads) refuse(step string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.step != step || u.times > 0 && u.refused >= u.times {
		return false
	}
	u.refused++
	u.notify()
	return true
}

// receive reads a file of size bytes, or up to the end of from if size is negative, and
// stores it. f has the fields that describe the client and the file. whole reports whether
// the file was received and accepted as a whole.
func (u *uploads) receive(f Upload, from io.Reader, size int64) (whole bool, err error) {
	if size >= 0 {
		from = io.LimitReader(from, size)
	}
	f.Data, err = io.ReadAll(io.LimitReader(from, maxUploadBytes))
	f.Size = int64(len(f.Data))
	if err == nil {
		var rest int64
		rest, err = io.Copy(io.Discard, from)
		f.Size += rest
	}
	f.Whole = err == nil && (size < 0 || f.Size == size)
	if u.refuse("full") {
		f.Whole = false
	}
	u.store(f)
	return f.Whole, err
}

func (u *uploads) store(f Upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files = append(u.files, f)
	u.bytes += len(f.Data)
	for len(u.files) > maxUploads || u.bytes > maxUploadBytes && len(u.files) > 1 {
		u.bytes -= len(u.files[0].Data)
		u.files = slices.Delete(u.files, 0, 1)
	}
	if f.Whole {
		u.taken++
	}
	u.notify()
}

// notify wakes the callers of await. The caller holds mu.
func (u *uploads) notify() {
	close(u.changed)
	u.changed = make(chan struct{})
}

// Uploads returns the latest files in the order of their arrival: at most 500, with at most
// 16 MiB. Files whose transfer broke off are included.
func (u *uploads) Uploads() []Upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.files)
}

// Await blocks until n whole files have arrived since the start, and returns Uploads.
func (u *uploads) Await(ctx context.Context, n int) ([]Upload, error) {
	err := u.await(ctx, func() bool { return u.taken >= n })
	return u.Uploads(), err
}

// AwaitRefusals blocks until the server has refused n times since the start.
func (u *uploads) AwaitRefusals(ctx context.Context, n int) error {
	return u.await(ctx, func() bool { return u.refused >= n })
}

func (u *uploads) await(ctx context.Context, enough func() bool) error {
	for {
		u.mu.Lock()
		done, more := enough(), u.changed
		u.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Report implements Reporter. It returns an UploadReport.
func (u *uploads) Report() any {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := UploadReport{Taken: u.taken, Refused: u.refused, Files: []ReportedFile{}}
	for _, f := range u.files {
		r.Files = append(r.Files, ReportedFile{f, string(f.Data[:min(len(f.Data), maxUploadShown)])})
	}
	return r
}
