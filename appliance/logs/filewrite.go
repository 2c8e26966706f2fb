package logs

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"syscall"
	"time"
)

// append writes lines, whose stamps are in the given zone, and rolls over when the file is full.
func (f *file) append(text []byte, zone *time.Location) {
	for len(text) > 0 {
		first := int64(bytes.IndexByte(text, '\n') + 1)
		if f.name != "" && !f.headerOnly && f.size+first > f.conf.MaxSize {
			f.finish(f.timeOf(text, zone))
		}
		room := f.conf.MaxSize - f.size
		if f.name == "" {
			room -= headerSize
		}
		n := wholeLines(text, min(chunkSize, room))
		f.writeChunk(text[:n], func() time.Time { return f.timeOf(text, zone) })
		text = text[n:]
	}
}

// headerSize is roughly the length of the header in bytes.
const headerSize = 200

// timeOf returns the time of the first of some lines. Records without times are about what has just
// happened.
func (f *file) timeOf(text []byte, zone *time.Location) time.Time {
	if f.conf.Type.Spec().Format == Binary {
		return f.hub.o.Clock.Now().In(zone)
	}
	return lineTime(text, zone)
}

// lineTime returns the time at the beginning of a line.
func lineTime(line []byte, zone *time.Location) time.Time {
	i := min(stampLength, len(line))
	t, _ := time.ParseInLocation(stampLayout, string(line[:i]), zone) // this package wrote it
	return t
}

// writeChunk writes a chunk. If the disk has no room for it, writeChunk writes the lines that fit
// and counts the others as lost. The chunk is preceded by the header if one is due, and by the
// number of lines that were lost before, whose time is at().
func (f *file) writeChunk(chunk []byte, at func() time.Time) {
	err := f.openCurrent()
	var header []byte
	if err == nil && (f.name == "" || f.resumed) {
		header, err = f.pendingHeader(at())
	}
	for _, l := range f.unreportedLost {
		header = appendLine(header, at(), Warning, l.text())
	}
	written := 0 // bytes of chunk
	if err == nil {
		written, err = f.write(header, chunk)
	}
	if err == nil || written > 0 {
		f.unreportedLost, f.resumed = nil, false
		f.headerOnly = written == 0
	}
	if err == nil {
		f.errorReported = false
		return
	}
	n := bytes.Count(chunk[written:], lineEnd)
	f.countLost(n, writeErrorOf(err).cause)
	f.log.countLost(n)
	f.reportError(err)
}

var lineEnd = []byte("\n")

// countLost adds n lines to those that the log must mention.
func (f *file) countLost(n int, cause string) {
	if n == 0 {
		return
	}
	for i := range f.unreportedLost {
		if f.unreportedLost[i].cause == cause {
			f.unreportedLost[i].count += n
			return
		}
	}
	f.unreportedLost = append(f.unreportedLost, lostLines{n, cause})
}

// write writes header and chunk. If the disk has no room for them, it writes the header and the
// lines of chunk that fit, or nothing. It returns the number of bytes of chunk that are in the file.
// A document is never written in part.
func (f *file) write(header, chunk []byte) (int, error) {
	data := chunk
	if len(header) > 0 {
		data = slices.Concat(header, chunk)
	}
	n, err := f.handle.Write(data)
	if err != nil {
		n = 0
		if f.conf.Type.Spec().Format == Lines {
			n = f.writeLinesThatFit(data, len(header))
		}
	}
	f.size += int64(n)
	if err == nil {
		return len(chunk), nil
	}
	// If the machine's disk is full, more may have been written than Write returned.
	err = errors.Join(err, f.handle.Truncate(f.size))
	if f.size == 0 { // a file without a header is not a log file
		f.close()
		err = errors.Join(err, f.hub.o.Files.Remove(path.Join(f.dir, f.name)))
		f.name = ""
	}
	return max(n-len(header), 0), err
}

// writeLinesThatFit writes as many lines of data as the disk has room for, and returns their length.
// The header, which is at the beginning of data, is written together with a line or not at all. The
// disk does not tell how much room it has, so ever smaller parts are tried, at last single lines.
func (f *file) writeLinesThatFit(data []byte, header int) int {
	done := 0
	tryTo := func(end int) bool { // writes the lines that end before end
		begin := max(done, header)
		if end <= begin || done == 0 && end == len(data) { // all of data did not fit
			return false
		}
		lines := bytes.LastIndexByte(data[begin:end], '\n') + 1
		if lines == 0 {
			return false
		}
		if _, err := f.handle.Write(data[done : begin+lines]); err != nil {
			return false
		}
		done = begin + lines
		return true
	}
	for step := len(data) / 2; step > 0; step /= 2 {
		tryTo(done + step)
	}
	for {
		next := max(done, header)
		if !tryTo(next + bytes.IndexByte(data[next:], '\n') + 1) {
			return done
		}
	}
}

// A writeError describes why a log cannot be written.
type writeError struct {
	errno  syscall.Errno
	reason string // for the alert, which is sent while the condition lasts
	cause  string // for the line about lost lines, which is written afterwards
}

// writeErrors are the errors whose causes an administrator can remove.
var writeErrors = []writeError{
	{syscall.ENOSPC, "the disk is full", "the disk was full"},
	{syscall.EMFILE, "too many files are open", "too many files were open"},
	{syscall.ENFILE, "too many files are open", "too many files were open"},
	{syscall.EROFS, "the disk is read-only", "the disk was read-only"},
}

// writeErrorOf returns the description of an error of the file area.
func writeErrorOf(err error) writeError {
	for _, w := range writeErrors {
		if errors.Is(err, w.errno) {
			return w
		}
	}
	return writeError{0, "the disk has an error", "the disk had an error"}
}

// reportError reports a write that failed, unless one was reported since the last that
// succeeded.
func (f *file) reportError(err error) {
	if f.errorReported {
		return
	}
	f.errorReported = true
	w := writeErrorOf(err)
	if w.errno != syscall.ENOSPC {
		f.hub.o.Logger.Error("a log cannot be written", "subscription", f.log.name, "err", err)
	}
	text := "Log Error: Subscription " + f.log.name +
		": The log files cannot be written: " + w.reason
	f.hub.o.OnProblem(Problem{f.log.name, WriteFailed, text})
}

// lostLines are lines that could not be written.
type lostLines struct {
	count int
	cause string // "the disk was full"
}

// text returns the text of a line of the log that says so.
func (l lostLines) text() string {
	if l.count == 1 {
		return "1 log line was lost: " + l.cause + "."
	}
	return fmt.Sprintf("%d log lines were lost: %s.", l.count, l.cause)
}
