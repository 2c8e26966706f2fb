package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs/syslog"
)

const (
	nameLayout  = "20060102T150405" // time in a file's name
	currentCode = ".c"              // status codes (logs.md 1.3)
	savedCode   = ".s"

	chunkSize = 64 << 10 // bytes that are written at once
)

// A file is the current file of a subscription. Only one goroutine may use it at a time, which calls
// release when it has written what there was.
type file struct {
	hub   *Hub
	log   *subscription // whose file it is
	dir   string
	order fileOrder
	conf  *Subscription // immutable

	name       string // in dir; "": there is no current file
	size       int64
	headerOnly bool        // no lines follow the header
	resumed    bool        // an earlier run has begun it: the next line needs a header
	handle     *files.File // nil: not open, or kept
	opened     clock.Mark  // when handle was opened
	kept       keptFile    // handle between release and the next use
	inUse      bool        // OpenFiles counts the file as one in use

	usedStems []string // names, without status code, that a server may have

	unreportedLost []lostLines // that the log does not mention yet; none twice with a cause
	errorReported  bool        // since the last write that succeeded
}

// resume continues the current file that an earlier run, or an earlier subscription of this
// name, has left. A line that was cut short is removed. If there are several current files, all
// but the newest become saved files. The newest also becomes one if its name does not agree with
// the settings.
func (f *file) resume() error {
	names, err := f.names()
	if err != nil || len(names) == 0 {
		return err
	}
	f.loadOrder(names)
	names = f.sorted(names, currentCode)
	for i, n := range names {
		size, err := f.trimTornLine(n)
		if err != nil {
			return err
		}
		if i < len(names)-1 || !strings.HasPrefix(n, f.namePrefix()+".@") {
			err = f.markSaved(n)
		} else {
			f.name, f.size, f.resumed = n, size, true
			err = f.linkCurrent()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// loadOrder reads the order of the files. If the index cannot be read, the order is that of the
// names.
func (f *file) loadOrder(names []string) {
	var saved, current []string
	for _, n := range names {
		if strings.HasSuffix(n, currentCode) {
			current = append(current, stemOf(n))
		} else {
			saved = append(saved, stemOf(n))
		}
	}
	if err := f.order.load(saved, current); err != nil {
		f.hub.o.Logger.Error("the order of log files cannot be read; their names decide",
			"subscription", f.log.name, "err", err)
	}
}

// stems returns the stems of all files, in no particular order.
func (f *file) stems() ([]string, error) {
	names, err := f.names()
	for i, n := range names {
		names[i] = stemOf(n)
	}
	return names, err
}

// trimTornLine truncates a file after its last whole line, and returns its length.
func (f *file) trimTornLine(name string) (int64, error) {
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

// openCurrent opens the current file if there is one and it is not open. If the file was removed
// or renamed, there is no current file afterwards.
func (f *file) openCurrent() error {
	f.use()
	if f.handle == nil {
		f.handle, f.opened = f.hub.o.OpenFiles.take(&f.kept)
	}
	if f.handle != nil && f.handle.Moved() {
		f.close()
	}
	if f.handle != nil || f.name == "" {
		return nil
	}
	err := f.open(f.name, os.O_WRONLY|os.O_APPEND)
	if errors.Is(err, fs.ErrNotExist) {
		f.name, f.size = "", 0
		return nil
	}
	return err
}

// open opens a file of the directory as the current file.
func (f *file) open(name string, flag int) error {
	f.use()
	handle, opened, err := f.hub.o.OpenFiles.open(func() (*files.File, error) {
		return f.hub.o.Files.OpenFile(path.Join(f.dir, name), flag)
	})
	if err == nil {
		f.handle, f.opened = handle, opened
	}
	return err
}

// use makes the file one in use.
func (f *file) use() {
	if !f.inUse {
		f.hub.o.OpenFiles.use()
		f.inUse = true
	}
}

func (f *file) unuse() {
	if f.inUse {
		f.hub.o.OpenFiles.unuse()
		f.inUse = false
	}
}

// release ends the use of the file for now. The file stays open for a while.
func (f *file) release() {
	defer f.unuse()
	if f.handle == nil {
		return
	}
	if f.hub.o.OpenFiles.keep(&f.kept, f.handle, f.opened) {
		f.handle = nil
	} else {
		f.close()
	}
}

// pendingHeader returns what must be written before the next line if the file was begun by an
// earlier run, or if there is no current file, in which case pendingHeader creates one.
func (f *file) pendingHeader(at time.Time) ([]byte, error) {
	if f.name == "" {
		if err := f.createCurrent(at); err != nil {
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
	b = at.AppendFormat(b, stampLayout)
	b = append(b, ' ')
	b = append(b, l.String()...)
	b = append(b, ": "...)
	return append(append(b, syslog.Line(text)...), '\n')
}

// createCurrent creates a new current file, which is named by the time of its first line, or the
// next second for which there is no file yet.
func (f *file) createCurrent(at time.Time) error {
	for ; ; at = at.Add(time.Second) {
		stem := f.namePrefix() + ".@" + at.Format(nameLayout)
		if slices.Contains(f.usedStems, stem) || f.order.numberOf(stem) != 0 &&
			(f.exists(stem+savedCode) || f.exists(stem+currentCode)) {
			continue
		}
		err := f.open(stem+currentCode, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		f.name, f.size, f.resumed, f.headerOnly = stem+currentCode, 0, false, true
		f.rememberStem(stem)
		if err := f.addToOrder(stem); err != nil {
			f.hub.o.Logger.Error("the order of log files cannot be stored",
				"subscription", f.log.name, "err", err)
		}
		return f.linkCurrent()
	}
}

// addToOrder makes a file the last one.
func (f *file) addToOrder(stem string) error {
	if f.order.isEmpty() { // nothing to forget
		return f.order.add(stem, nil)
	}
	present, err := f.stems()
	return errors.Join(err, f.order.add(stem, present))
}

// maxUsedStems is how many names are remembered. A name can come up again if the clock is set
// back, as in the hour that comes twice in autumn; fewer files than that are written in such an
// hour, unless there are so many that the server would not notice.
const maxUsedStems = 256

// rememberStem keeps a name from being used again: the new file would replace, on the server,
// the one that was uploaded under this name.
func (f *file) rememberStem(stem string) {
	if !f.conf.Method.Uploads() {
		return
	}
	if len(f.usedStems) == maxUsedStems {
		f.usedStems = slices.Delete(f.usedStems, 0, 1)
	}
	f.usedStems = append(f.usedStems, stem)
}

// namePrefix returns the part of a file's name before its time.
func (f *file) namePrefix() string {
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

// linkCurrent makes FILE.current the second name of the current file.
func (f *file) linkCurrent() error {
	return f.hub.o.Files.Link(path.Join(f.dir, f.conf.File+".current"), path.Join(f.dir, f.name))
}

// rollOver finishes the current file and begins a new one, whose header is written immediately.
// A roll-over by time skips a file without lines. It also skips a file to which nothing was
// written since the start, unless the file is to be uploaded.
func (f *file) rollOver(at time.Time, byTime bool) {
	if f.name == "" || byTime && (f.headerOnly || f.resumed && !f.conf.Method.Uploads()) {
		return
	}
	f.finish(at)
	if f.conf.Type.Spec().Format == Lines {
		f.writeChunk(nil, func() time.Time { return at })
	}
}

// writeDocument writes body to a file of its own.
func (f *file) writeDocument(body []byte, at time.Time) {
	if f.name != "" {
		f.finish(at)
	}
	f.writeChunk(body, func() time.Time { return at })
}

// finish makes the current file a saved file, and removes the oldest saved files above the
// limit.
func (f *file) finish(at time.Time) {
	if err := f.openCurrent(); err == nil && f.handle != nil && f.conf.Type.Spec().Format == Lines {
		// The file is saved even if the disk has no room for its last line.
		_, _ = f.write(nil, appendLine(nil, at, Information, "End Logfile"))
	}
	f.close()
	if f.name == "" {
		return
	}
	if err := f.markSaved(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.reportError(err)
	}
	f.name, f.size, f.resumed = "", 0, false
	f.removeOldest()
	f.log.wakeUploader()
}

// markSaved renames a current file to the name of a saved one.
func (f *file) markSaved(name string) error {
	to := strings.TrimSuffix(name, currentCode) + savedCode
	return f.hub.o.Files.Rename(path.Join(f.dir, name), path.Join(f.dir, to))
}

// removeOldest removes the oldest saved files, so that there is room for a new one within the
// limit. Files that wait to be uploaded are not removed (logs.md 1.3).
func (f *file) removeOldest() {
	if f.conf.Method.Uploads() {
		return
	}
	names, err := f.list(savedCode)
	removed := 0
	for len(names) >= f.conf.MaxFiles && len(names) > 0 && err == nil {
		if err = f.hub.o.Files.Remove(path.Join(f.dir, names[0])); err == nil {
			removed++
		}
		names = names[1:]
	}
	if err != nil {
		f.reportError(err)
	}
	if removed > 0 && f.conf.Alert {
		text := fmt.Sprintf(
			"Log subscription %s: %d log files were removed because of the maximum number of files, %d.",
			f.log.name, removed, f.conf.MaxFiles)
		f.hub.o.OnProblem(Problem{f.log.name, FilesRemoved, text})
	}
}

// configure applies new settings. If the name of files changes, the current file is finished;
// the next line begins one of the new name.
func (f *file) configure(conf *Subscription) {
	renamed := f.conf.File != conf.File ||
		f.conf.HostSuffix != conf.HostSuffix || f.conf.SerialSuffix != conf.SerialSuffix
	if renamed && f.name != "" {
		f.hub.o.Files.RemoveAlias(path.Join(f.dir, f.conf.File+".current"))
		f.finish(f.hub.o.Clock.Now().In(f.hub.o.Zone()))
	}
	f.conf = conf
}

// close closes the current file if it is open.
func (f *file) close() {
	defer f.unuse()
	if f.handle == nil {
		f.handle, _ = f.hub.o.OpenFiles.take(&f.kept)
	}
	if f.handle == nil {
		return
	}
	if err := f.handle.Close(); err != nil {
		f.reportError(err)
	}
	f.handle = nil
}

// list returns the names of the files with the given status code, the one that was begun first at
// the beginning. Any goroutine may call it.
func (f *file) list(code string) ([]string, error) {
	names, err := f.names()
	return f.sorted(names, code), err
}

// sorted returns those of names that have the given status code, in the order of list. names must
// not be used any more.
func (f *file) sorted(names []string, code string) []string {
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, code) })
	slices.SortFunc(names, f.order.compare)
	return names
}

// names returns the names of all files, in no particular order.
func (f *file) names() ([]string, error) {
	entries, err := f.hub.o.Files.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && timeInName(e.Name()) != "" {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// timeInName returns the time in the name of a log file, or "" if the name is not that of a log
// file.
func timeInName(name string) string {
	i := strings.LastIndex(name, ".@")
	if i < 0 || len(name) != i+2+len(nameLayout)+2 {
		return ""
	}
	if _, err := time.Parse(nameLayout, name[i+2:i+2+len(nameLayout)]); err != nil {
		return ""
	}
	return name[i+2 : i+2+len(nameLayout)]
}

// FileTime returns the time in the name of a log file, which is when it was begun, as if it were
// in UTC: the name does not tell the zone, which is the appliance's. If the name is not that of
// a log file, it returns the zero time.
func FileTime(name string) time.Time {
	t, _ := time.Parse(nameLayout, timeInName(path.Base(name)))
	return t
}
