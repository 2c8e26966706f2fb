package logs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/files"
)

const (
	nameForm = "20060102T150405" // of the time in a file's name
	current  = ".c"              // status codes (logs.md 1.3)
	saved    = ".s"

	// chunkSize is how much is written at once: of what does not fit on the disk, as
	// much as possible does.
	chunkSize = 64 << 10
)

// A file is the current file of a subscription, and what happens to it. It is for one
// goroutine at a time. It is open only while there is something to write.
type file struct {
	hub          *Hub
	dir          string
	subscription string
	conf         Subscription
	lost         func(lines int)
	saved        func() // a file was finished

	name    string // in dir; "": none yet
	size    int64
	empty   bool // nothing but its header is in it
	resumed bool // from an earlier life: a header is due
	open    *files.File

	used []string // names that were carried away lately, or may have been

	unsaid int // lines that found no room, and that the log has not told of
	told   bool
}

// resume goes on with the file that an earlier life, or an earlier subscription of this
// name, has left. Lines that were cut short are removed. Of several current files, and of
// those that would be called otherwise now, none but the newest stays current.
func (f *file) resume() error {
	names, err := f.list(current)
	if err != nil {
		return err
	}
	for i, n := range names {
		size, err := f.mend(n)
		if err != nil {
			return err
		}
		if i < len(names)-1 || !strings.HasPrefix(n, f.prefix()+".@") {
			err = f.save(n)
		} else {
			f.name, f.size, f.resumed = n, size, true
			err = f.link()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mend cuts a file behind its last whole line, and returns its length.
func (f *file) mend(name string) (int64, error) {
	const block = 64 << 10
	full := path.Join(f.dir, name)
	fi, err := f.hub.o.Files.Stat(full)
	if err != nil || fi.Size() == 0 {
		return 0, err
	}
	r, err := f.hub.o.Files.OpenFile(full, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	buf := make([]byte, block)
	for end := fi.Size(); end > 0; {
		from := max(0, end-block)
		n, err := r.ReadAt(buf[:end-from], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			whole := from + int64(i) + 1
			if whole < fi.Size() {
				err = f.hub.o.Files.Truncate(full, whole)
			} else {
				err = nil
			}
			return whole, err
		}
		end = from
	}
	return 0, f.hub.o.Files.Truncate(full, 0)
}

// append writes lines with stamps of a zone, and rolls over where the file is full.
func (f *file) append(text []byte, zone *time.Location) {
	for len(text) > 0 {
		at := stampOf(text, zone)
		first := int64(bytes.IndexByte(text, '\n') + 1)
		if f.name != "" && !f.empty && f.size+first > f.conf.MaxSize {
			f.retire(at)
		}
		room := f.conf.MaxSize - f.size
		if f.name == "" {
			room -= headerRoom
		}
		n := lineEnds(text, min(chunkSize, room))
		f.put(text[:n], at)
		text = text[n:]
	}
}

// headerRoom is about the length of the header lines.
const headerRoom = 200

// stampOf is the time at the beginning of a line.
func stampOf(line []byte, zone *time.Location) time.Time {
	i := min(stampLength, len(line))
	t, _ := time.ParseInLocation(stampForm, string(line[:i]), zone) // we wrote it
	return t
}

// put writes a chunk: all of it or nothing. What comes before it goes along: the header
// of a new file, and the word of lines that were lost.
func (f *file) put(chunk []byte, at time.Time) {
	err := f.ready()
	var head []byte
	if err == nil {
		head, err = f.head(at)
	}
	if f.unsaid > 0 {
		head = appendLine(head, at, Warning, fmt.Sprintf("%d log lines were lost: the disk was full.", f.unsaid))
	}
	if err == nil {
		err = f.writeOut(head, chunk)
	}
	if err == nil {
		f.unsaid, f.told, f.resumed, f.empty = 0, false, false, len(chunk) == 0
		return
	}
	n := bytes.Count(chunk, []byte("\n"))
	f.unsaid += n
	f.lost(n)
	f.complain(err)
}

// writeOut writes all or nothing.
func (f *file) writeOut(head, chunk []byte) error {
	if len(head) > 0 {
		chunk = append(head, chunk...)
	}
	_, err := f.open.Write(chunk)
	if err == nil {
		f.size += int64(len(chunk))
		return nil
	}
	// Where the machine's disk is full a part may be there, be it told or not.
	err = errors.Join(err, f.open.Truncate(f.size))
	if f.size == 0 { // a file without a header is none
		f.close()
		err = errors.Join(err, f.hub.o.Files.Remove(path.Join(f.dir, f.name)))
		f.name = ""
	}
	return err
}

// complain tells of a write that failed: once until one succeeds.
func (f *file) complain(err error) {
	if f.told {
		return
	}
	f.told = true
	if errors.Is(err, syscall.ENOSPC) {
		f.hub.o.OnProblem(Problem{f.subscription, DiskFull,
			fmt.Sprintf("Log Error: Subscription %s: The log files cannot be written: the disk is full", f.subscription)})
		return
	}
	f.hub.o.Logger.Error("a log cannot be written", "subscription", f.subscription, "err", err)
}

// ready opens the current file, if there is one. Somebody on the machine may have removed
// it.
func (f *file) ready() error {
	if f.open != nil || f.name == "" {
		return nil
	}
	opened, err := f.hub.o.Files.OpenFile(path.Join(f.dir, f.name), os.O_WRONLY|os.O_APPEND)
	if errors.Is(err, fs.ErrNotExist) {
		f.name, f.size = "", 0
		return nil
	}
	f.open = opened
	return err
}

// head is what must stand before the next line: a header where the file is new, which
// head makes, or of an earlier life.
func (f *file) head(at time.Time) ([]byte, error) {
	if f.name != "" && !f.resumed {
		return nil, nil
	}
	if f.name == "" {
		if err := f.create(at); err != nil {
			return nil, err
		}
	}
	if f.conf.Type.Spec().Format != Lines {
		return nil, nil
	}
	var b []byte
	for _, text := range f.hub.headerAt(at) {
		b = appendLine(b, at, Information, text)
	}
	return b, nil
}

func appendLine(b []byte, at time.Time, l Level, text string) []byte {
	b = at.AppendFormat(b, stampForm)
	b = append(b, ' ')
	b = append(b, l.String()...)
	b = append(b, ": "...)
	return append(appendText(b, text), '\n')
}

// create makes a new current file, named by the time of its first line. Two files of
// one second get different names.
func (f *file) create(at time.Time) error {
	for ; ; at = at.Add(time.Second) {
		stem := f.prefix() + ".@" + at.Format(nameForm)
		if f.exists(stem+saved) || f.exists(stem+current) || slices.Contains(f.used, stem) {
			continue
		}
		opened, err := f.hub.o.Files.OpenFile(path.Join(f.dir, stem+current), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND)
		if err != nil {
			return err
		}
		f.name, f.size, f.open, f.resumed, f.empty = stem+current, 0, opened, false, true
		f.remember(stem)
		return f.link()
	}
}

// mostUsed is how many names are remembered: the hour that comes twice in autumn has
// fewer files than that, unless they are so many that the server would not notice.
const mostUsed = 256

// remember keeps a name from being used again: a file that was carried away would be
// replaced on the server.
func (f *file) remember(stem string) {
	if !f.conf.Method.Uploads() {
		return
	}
	if len(f.used) == mostUsed {
		f.used = slices.Delete(f.used, 0, 1)
	}
	f.used = append(f.used, stem)
}

// prefix is what a file's name begins with.
func (f *file) prefix() string {
	p := f.conf.File
	if host := f.hub.o.Hostname(); f.conf.HostSuffix && host != "" {
		p += "." + host
	}
	if f.conf.SerialSuffix {
		p += "." + f.hub.o.Product.Serial
	}
	return p
}

func (f *file) exists(name string) bool {
	_, err := f.hub.o.Files.Stat(path.Join(f.dir, name))
	return err == nil
}

// link makes FILE.current the second name of the current file.
func (f *file) link() error {
	return f.hub.o.Files.Link(path.Join(f.dir, f.conf.File+".current"), path.Join(f.dir, f.name))
}

// roll ends the current file and begins a new one, whose header stands at once. By
// time, a file in which nothing stands is not rolled over, nor one to which nothing was
// written in this life, unless somebody waits for it.
func (f *file) roll(at time.Time, byHand bool) {
	if f.name == "" || !byHand && (f.empty || f.resumed && !f.conf.Method.Uploads()) {
		return
	}
	f.retire(at)
	if f.conf.Type.Spec().Format == Lines {
		f.put(nil, at)
	}
}

// document makes body a file of its own.
func (f *file) document(body []byte, at time.Time) {
	if f.name != "" {
		f.retire(at)
	}
	f.put(body, at)
}

// retire saves the current file, and removes the oldest above the limit.
func (f *file) retire(at time.Time) {
	if err := f.ready(); err == nil && f.open != nil && f.conf.Type.Spec().Format == Lines {
		// A disk without room for its last line saves the file nevertheless.
		_ = f.writeOut(nil, appendLine(nil, at, Information, "End Logfile"))
	}
	f.close()
	if f.name == "" {
		return
	}
	if err := f.save(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.complain(err)
	}
	f.name, f.size, f.resumed = "", 0, false
	f.limit()
	f.saved()
}

func (f *file) save(name string) error {
	return f.hub.o.Files.Rename(path.Join(f.dir, name), path.Join(f.dir, strings.TrimSuffix(name, current)+saved))
}

// limit removes the oldest saved files, so that there is room for a new one. Those that
// wait for their server stay (logs.md 1.3).
func (f *file) limit() {
	if f.conf.Method.Uploads() {
		return
	}
	names, err := f.list(saved)
	removed := 0
	for len(names) >= f.conf.MaxFiles && len(names) > 0 && err == nil {
		if err = f.hub.o.Files.Remove(path.Join(f.dir, names[0])); err == nil {
			removed++
		}
		names = names[1:]
	}
	if err != nil {
		f.complain(err)
	}
	if removed > 0 && f.conf.Alert {
		f.hub.o.OnProblem(Problem{f.subscription, FilesRemoved, fmt.Sprintf(
			"Log subscription %s: %d log files were removed because of the maximum number of files, %d.", f.subscription, removed, f.conf.MaxFiles)})
	}
}

// configure applies new settings: a file of another name begins with the next line.
func (f *file) configure(conf Subscription) {
	renamed := f.conf.File != conf.File || f.conf.HostSuffix != conf.HostSuffix || f.conf.SerialSuffix != conf.SerialSuffix
	if renamed && f.name != "" {
		f.hub.o.Files.Unalias(path.Join(f.dir, f.conf.File+".current"))
		f.retire(f.hub.o.Clock.Now().In(f.hub.o.Zone()))
	}
	f.conf = conf
}

// close lets go of the current file.
func (f *file) close() {
	if f.open == nil {
		return
	}
	if err := f.open.Close(); err != nil {
		f.complain(err)
	}
	f.open = nil
}

// list returns the names of the files with a status code, the oldest first.
func (f *file) list(code string) ([]string, error) {
	entries, err := f.hub.o.Files.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && stampInName(e.Name()) != "" && strings.HasSuffix(e.Name(), code) {
			names = append(names, e.Name())
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(stampInName(a), stampInName(b)) })
	return names, nil
}

// stampInName is the time in the name of a log file; "" if it is none's.
func stampInName(name string) string {
	i := strings.LastIndex(name, ".@")
	if i < 0 || len(name) != i+2+len(nameForm)+2 {
		return ""
	}
	if _, err := time.Parse(nameForm, name[i+2:i+2+len(nameForm)]); err != nil {
		return ""
	}
	return name[i+2 : i+2+len(nameForm)]
}

// FileTime is when a log file was begun, by its name; the zone is the log's, which the
// name does not tell. It is the zero time where the name is no log file's.
func FileTime(name string) time.Time {
	t, _ := time.Parse(nameForm, stampInName(path.Base(name)))
	return t
}
