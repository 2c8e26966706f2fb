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

// What a server that files are sent to keeps; the oldest files go first, and of a
// longer file the beginning stays.
const (
	maxUploads     = 500
	maxUploadBytes = 16 << 20
	maxUploadShown = 16 << 10 // of each in a report
)

// An Upload is a file that a server was sent.
type Upload struct {
	Time   time.Time      `json:"time"`
	Client netip.AddrPort `json:"client"`
	User   string         `json:"user"`
	Name   string         `json:"name"` // with its directory: "/logs/mail.@20150625T085003.s"
	Size   int64          `json:"size"`
	Whole  bool           `json:"whole"` // the server has taken all of it
	Data   []byte         `json:"-"`     // its first 16 MiB
}

// An UploadReport is what such a server tells of itself.
type UploadReport struct {
	Taken   int            `json:"taken"` // whole files since the beginning
	Refused int            `json:"refused"`
	Files   []ReportedFile `json:"files"` // those that are still kept
}

// A ReportedFile is an Upload and how it begins.
type ReportedFile struct {
	Upload
	Text string `json:"text"`
}

// uploads are the files that a server was sent, and whom it refuses: at the step that
// the option refuse names, as often as times says.
type uploads struct {
	step  string
	times int // 0: always

	mu      sync.Mutex
	files   []Upload
	bytes   int
	taken   int
	refused int
	more    chan struct{} // closed when taken or refused grows, and replaced
}

// refusals are the options of whoever embeds uploads, besides its own.
func refusals(options map[string]func(string) error) map[string]func(string) error {
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
	return uploads{step: c.Options["refuse"], times: count(c.Options["times"]), more: make(chan struct{})}
}

// refuses reports whether this is to be refused, which is counted.
func (u *uploads) refuses(step string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.step != step || u.times > 0 && u.refused >= u.times {
		return false
	}
	u.refused++
	u.changed()
	return true
}

// receive reads up to size bytes of a file, all there are if size is negative, and
// keeps it. f says whose it is; whole says whether what was read is all.
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
	if u.refuses("full") {
		f.Whole = false
	}
	u.keep(f)
	return f.Whole, err
}

func (u *uploads) keep(f Upload) {
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
	u.changed()
}

// changed tells whoever waits. It needs mu.
func (u *uploads) changed() {
	close(u.more)
	u.more = make(chan struct{})
}

// Uploads are the last files that came, in the order in which they did: at most 500, of
// 16 MiB. Those that broke off are among them.
func (u *uploads) Uploads() []Upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.files)
}

// Await waits until n whole files have come since the beginning, and returns Uploads.
func (u *uploads) Await(ctx context.Context, n int) ([]Upload, error) {
	err := u.await(ctx, func() bool { return u.taken >= n })
	return u.Uploads(), err
}

// AwaitRefusals waits until the server has refused n times since the beginning.
func (u *uploads) AwaitRefusals(ctx context.Context, n int) error {
	return u.await(ctx, func() bool { return u.refused >= n })
}

func (u *uploads) await(ctx context.Context, enough func() bool) error {
	for {
		u.mu.Lock()
		done, more := enough(), u.more
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

// Report implements Reporter with an UploadReport.
func (u *uploads) Report() any {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := UploadReport{Taken: u.taken, Refused: u.refused, Files: []ReportedFile{}}
	for _, f := range u.files {
		r.Files = append(r.Files, ReportedFile{f, string(f.Data[:min(len(f.Data), maxUploadShown)])})
	}
	return r
}
