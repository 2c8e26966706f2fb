package transfer

import (
	"encoding/binary"
	"io"
)

// maxReadRequest is how much of a request to read or to close a file is looked at. The library's
// handles have a few bytes, but it takes requests with anything behind the handle.
const maxReadRequest = 128

// dataHead is the length of what precedes the data in an answer: length, type, number and length of
// the data.
const dataHead = 4 + 1 + 4 + 4

// sftpReads is what an sftpStream knows of the files that are read. It is used by Read.
type sftpReads struct {
	files    map[string]*sftpFile // by handle
	learning string               // the handle of the request to read that the library answers, or ""
	buf      []byte               // for an answer, while files are open
	end      func()               // ends the bulk data that was begun; nil: there is none
	endErr   error                // of end
}

// answer handles a request to read or to close a file, after learn. request is the beginning of the
// request, which has the given length. answer reports whether it has answered the request. If not,
// the library must.
func (s *sftpStream) answer(request []byte, length int64) (answered bool, err error) {
	if len(request) < 13 {
		return false, nil
	}
	n := int64(binary.BigEndian.Uint32(request[9:]))
	rest := request[13:]
	if n > int64(len(rest)) {
		return false, nil
	}
	handle, rest := string(rest[:n]), rest[n:]
	if request[4] == sftpClose {
		if delete(s.reads.files, handle); len(s.reads.files) == 0 {
			s.reads.buf = nil // an idle session keeps no buffer
		}
		return false, nil
	}
	if length != int64(len(request)) || len(rest) != 8+4 || !s.awaitIdle() {
		return false, nil
	}
	f := s.reads.files[handle]
	if f == nil {
		s.reads.learning = handle
		s.session.lastRead.Store(nil)
		return false, nil
	}
	off, most := int64(binary.BigEndian.Uint64(rest)), binary.BigEndian.Uint32(rest[8:])
	return s.answerRead(f, request[5:9], off, int(min(most, maxSFTPData)))
}

// learn notes which file belongs to a handle, before any other request. The library does not tell;
// but while it answered the first request to read with that handle, it had no other request, so the
// file that was read is the one. Requests to write with a handle for reading read a file too.
func (s *sftpStream) learn() {
	r := &s.reads
	if r.learning == "" || !s.awaitIdle() {
		return
	}
	if f := s.session.lastRead.Load(); f != nil {
		if r.files == nil {
			r.files = map[string]*sftpFile{}
		}
		r.files[r.learning] = f
	}
	r.learning = ""
}

// answerRead answers a request to read in place of the library, which allocates 256 KiB for each
// such request of OpenSSH's client and hands it through three goroutines: together that was a fifth
// of the processor time of a get. The library has answered all earlier requests, so the answers
// have the order of the requests. At the end of the file and after errors, the library must answer.
func (s *sftpStream) answerRead(f *sftpFile, id []byte, off int64, n int) (bool, error) {
	r := &s.reads
	if cap(r.buf) < dataHead+n {
		r.buf = make([]byte, dataHead+n)
	}
	b := r.buf[:dataHead+n]
	k, err := f.ReadAt(b[dataHead:], off)
	if k == 0 || err != nil && err != io.EOF {
		return false, nil
	}
	b = b[:dataHead+k]
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	b[4] = sftpData
	copy(b[5:], id)
	binary.BigEndian.PutUint32(b[9:], uint32(k))
	if r.end == nil {
		r.end = beginBulk(s.ReadWriteCloser, &r.endErr)
	}
	_, err = s.ReadWriteCloser.Write(b)
	return true, err
}

// endBulk sends what was written by answerRead.
func (r *sftpReads) endBulk() error {
	if r.end == nil {
		return nil
	}
	r.end()
	r.end = nil
	return r.endErr
}
