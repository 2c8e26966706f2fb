package queue

// SmallBody is the length of the longest body that is in the log.
const SmallBody = smallBody

// DiskFS returns the machine's file system.
func DiskFS() FS { return diskFS{} }

// Waiting returns the number of requests that the writer has not taken.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.requests)
}

// Segments returns the number of files of the log.
func (q *Queue) Segments() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.segments)
}

// A Record is a record of a segment's file.
type Record struct {
	Kind       byte
	Head, Body []byte
}

// SegmentFile returns the content of a segment's file, with valid checksums.
func SegmentFile(number uint64, records ...Record) []byte {
	b := (&segmentHeader{number: number}).append(nil)
	for _, r := range records {
		b = appendRecord(b, number, int64(len(b)), r.Kind, r.Head, r.Body)
	}
	return b
}
