package transfer

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"
)

// Packet types of SFTP (draft-ietf-secsh-filexfer-02).
const (
	sftpVersion       = 2
	sftpClose         = 4
	sftpRead          = 5
	sftpWrite         = 6
	sftpStatus        = 101
	sftpData          = 103
	sftpExtended      = 200
	sftpExtendedReply = 201
)

const (
	// maxSFTPPacket is the length of the longest packet that the library accepts, and maxSFTPData
	// the most data of a request to read or to write. OpenSSH's server has the same.
	maxSFTPPacket = 256 << 10
	maxSFTPData   = maxSFTPPacket - 1024

	// sftpChunk is the size of the data packets of SSH into which the answers are put.
	sftpChunk = 32 << 10

	limitsExtension = "limits@openssh.com"
)

// An sftpStream is the channel between the SFTP library and the client. It passes everything on,
// with four changes:
//
//   - It adds OpenSSH's extension limits@openssh.com, which the library does not have: a client that
//     asks for the limits may read and write maxSFTPData bytes at a time, in place of 32 KiB.
//   - It answers requests to read itself, see answerRead.
//   - It holds back requests that the library might execute before earlier ones, see sftpOrder.
//   - It writes whole packets of SSH. The library writes the few bytes before the data of an answer
//     separately, and each Write of a channel is at least one packet of SSH. While the client awaits
//     further data, the end of an answer waits for the answer after it, which the library writes
//     without waiting for anything but the file.
//
// Read and Write may be called at the same time, but each by one goroutine at a time.
type sftpStream struct {
	io.ReadWriteCloser
	session *sftpSession

	// Used by Read.
	in       []byte // what has been received and not been looked at
	inBuffer [inSize]byte
	head     []byte // what the library reads next, a part of in
	body     int64  // bytes of the same request that follow
	err      error  // what Read returns after head
	reads    sftpReads
	order    sftpOrder

	mu      sync.Mutex
	idle    sync.Cond // signaled when pending is 0 or failed is set; its lock is mu
	pending int       // requests that the library has read and not answered
	failed  bool      // an answer could not be written
	limits  []uint32  // the numbers of those of them that ask for the limits

	// Used by Write.
	out       []byte // what has not been written to the channel
	remaining int    // bytes of the answer that is being written that are still to come
}

// inSize is the number of bytes that are received at a time, except for the data of a request to
// write: a few dozen requests to read.
const inSize = 2 << 10

// requestHead is the length of the beginning of a request that asks for the limits: length, type,
// number and name.
const requestHead = 4 + 1 + 4 + 4 + len(limitsExtension)

// newSFTPStream returns a stream over ch for the session. The caller must call reads.endBulk when the
// library has ended.
func newSFTPStream(ch io.ReadWriteCloser, session *sftpSession) *sftpStream {
	s := &sftpStream{ReadWriteCloser: ch, session: session}
	s.idle.L = &s.mu
	return s
}

// Read implements io.Reader.
func (s *sftpStream) Read(p []byte) (int, error) {
	for len(s.head) == 0 && s.body == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.err = s.next()
	}
	if len(s.head) > 0 {
		n := copy(p, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	p = p[:min(int64(len(p)), s.body)]
	n, err := copy(p, s.in), error(nil)
	if s.in = s.in[n:]; n == 0 {
		n, err = s.ReadWriteCloser.Read(p)
	}
	s.body -= int64(n)
	return n, err
}

// next receives the beginning of a request. It answers the request, or passes it to the library. If
// the client sends no more, next passes what it has received, and returns io.EOF.
func (s *sftpStream) next() error {
	length, err := s.fillHead()
	if err != nil {
		s.head, s.in = s.in, nil
		return err
	}
	s.learn()
	if len(s.in) > 4 && length > 4 && (s.in[4] == sftpRead || s.in[4] == sftpClose) {
		answered, err := s.answer(s.in[:min(length, maxReadRequest)], length)
		if answered {
			s.in = s.in[length:]
		}
		if answered || err != nil {
			return err
		}
	}
	if err := s.reads.endBulk(); err != nil { // the library's answer must not wait
		return err
	}
	if s.order.mustWait(s.in, s.session.appending.Load() > 0) {
		s.awaitIdle() // if the answers cannot be written, the library ends
	}
	n := min(int64(len(s.in)), length)
	s.head, s.in, s.body = s.in[:n], s.in[n:], length-n
	s.request(s.head)
	return nil
}

// fillHead receives as much of a request as must be seen, and returns the length of the request.
func (s *sftpStream) fillHead() (length int64, err error) {
	if err := s.fill(4); err != nil {
		return 0, err
	}
	length = 4 + int64(binary.BigEndian.Uint32(s.in))
	if length == 4 || length > 4+maxSFTPPacket { // the library does not read more of it
		return length, nil
	}
	if err := s.fill(4 + 1); err != nil {
		return length, err
	}
	switch s.in[4] {
	case sftpExtended:
		err = s.fill(int(min(length, int64(requestHead))))
	case sftpRead, sftpClose:
		err = s.fill(int(min(length, maxReadRequest)))
	case sftpWrite:
		err = s.fill(int(min(length, maxWriteHead)))
	}
	return length, err
}

// fill receives until in has n bytes, which must not be more than inSize.
func (s *sftpStream) fill(n int) error {
	for len(s.in) < n {
		if err := s.reads.endBulk(); err != nil { // before the client has to send something
			return err
		}
		if cap(s.in) < inSize {
			s.in = s.inBuffer[:copy(s.inBuffer[:], s.in)]
		}
		k, err := s.ReadWriteCloser.Read(s.in[len(s.in):inSize])
		if s.in = s.in[:len(s.in)+k]; err != nil && len(s.in) < n {
			return err
		}
	}
	return nil
}

// request counts a request that the library reads. head is its beginning.
func (s *sftpStream) request(head []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending++
	if len(head) >= requestHead && head[4] == sftpExtended &&
		binary.BigEndian.Uint32(head[9:]) == uint32(len(limitsExtension)) &&
		string(head[13:requestHead]) == limitsExtension {
		s.limits = append(s.limits, binary.BigEndian.Uint32(head[5:]))
	}
}

// Write implements io.Writer. The library writes each answer in one or two pieces, of which the
// first contains everything except the data.
func (s *sftpStream) Write(p []byte) (int, error) {
	n := len(p)
	if s.remaining == 0 && len(p) >= 9 {
		p = s.change(p)
		s.remaining = 4 + int(binary.BigEndian.Uint32(p))
	}
	if s.remaining -= len(p); s.remaining < 0 {
		s.remaining = 0
	}
	err := s.collect(p)
	if err == nil && s.remaining == 0 && s.isLast() {
		err = s.flush()
		s.out = nil // an idle session keeps no buffer
	}
	if err != nil || s.remaining == 0 {
		s.answered(err)
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// collect writes p in chunks to the channel, and keeps the rest.
func (s *sftpStream) collect(p []byte) error {
	for len(p) > 0 {
		if whole := len(p) / sftpChunk * sftpChunk; len(s.out) == 0 && whole > 0 {
			if _, err := s.ReadWriteCloser.Write(p[:whole]); err != nil {
				return err
			}
			p = p[whole:]
			continue
		}
		n := min(sftpChunk-len(s.out), len(p))
		s.out = append(s.out, p[:n]...)
		if p = p[n:]; len(s.out) == sftpChunk {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes what was kept to the channel.
func (s *sftpStream) flush() error {
	_, err := s.ReadWriteCloser.Write(s.out)
	s.out = s.out[:0]
	return err
}

// isLast reports whether the answer that is being written is that of the last request that the
// library has read.
func (s *sftpStream) isLast() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending <= 1
}

// answered counts an answer that has been written, or could not be written because of err.
func (s *sftpStream) answered(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending--
	if err != nil {
		s.failed = true
	}
	if s.pending <= 0 || s.failed {
		s.idle.Broadcast()
	}
}

// awaitIdle blocks until the library has answered all requests, and reports whether it could.
func (s *sftpStream) awaitIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pending > 0 && !s.failed {
		s.idle.Wait()
	}
	return !s.failed
}

// change returns what the client gets for an answer of the library. answer is the answer, or its
// beginning if there is data.
func (s *sftpStream) change(answer []byte) []byte {
	switch id := binary.BigEndian.Uint32(answer[5:]); answer[4] {
	case sftpVersion:
		answer = appendString(appendString(slices.Clone(answer), limitsExtension), "1")
		binary.BigEndian.PutUint32(answer, uint32(len(answer)-4))
	case sftpStatus: // the library does not know the request
		if s.asksForLimits(id) {
			return s.limitsReply(id)
		}
	}
	return answer
}

// asksForLimits reports whether the request with a number asks for the limits, and forgets it.
func (s *sftpStream) asksForLimits(id uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.limits, id)
	if i >= 0 {
		s.limits = slices.Delete(s.limits, i, i+1)
	}
	return i >= 0
}

// limitsReply returns the answer to a request for the limits.
func (s *sftpStream) limitsReply(id uint32) []byte {
	b := []byte{0, 0, 0, 1 + 4 + 4*8, sftpExtendedReply}
	b = binary.BigEndian.AppendUint32(b, id)
	for _, limit := range []int{maxSFTPPacket, maxSFTPData, maxSFTPData, s.session.maxHandles} {
		b = binary.BigEndian.AppendUint64(b, uint64(limit))
	}
	return b
}

// appendString appends a string in the form of SSH (RFC 4251).
func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
