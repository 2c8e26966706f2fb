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
	sftpStatus        = 101
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
// with two changes:
//
//   - It adds OpenSSH's extension limits@openssh.com, which the library does not have: a client that
//     asks for the limits may read and write maxSFTPData bytes at a time, in place of 32 KiB.
//   - It writes whole packets of SSH. The library writes the few bytes before the data of an answer
//     separately, and each Write of a channel is at least one packet of SSH. While the client awaits
//     further data, the end of an answer waits for the answer after it, which the library writes
//     without waiting for anything but the file.
//
// Read and Write may be called at the same time, but each by one goroutine at a time.
type sftpStream struct {
	io.ReadWriteCloser
	maxHandles int

	// Used by Read.
	head   []byte // the first bytes of the request that is read, up to requestHead
	unread int    // bytes of that request that follow head

	mu      sync.Mutex
	pending int      // requests that have been read and not been answered
	limits  []uint32 // the numbers of those of them that ask for the limits

	// Used by Write.
	out       []byte // what has not been written to the channel
	remaining int    // bytes of the answer that is being written that are still to come
}

// requestHead is the length of the beginning of a request that asks for the limits: length, type,
// number and name.
const requestHead = 4 + 1 + 4 + 4 + len(limitsExtension)

// Read implements io.Reader.
func (s *sftpStream) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	s.observe(p[:n])
	return n, err
}

// observe follows where requests begin and end.
func (s *sftpStream) observe(b []byte) {
	for len(b) > 0 {
		if s.unread > 0 {
			n := min(s.unread, len(b))
			b, s.unread = b[n:], s.unread-n
		} else {
			n := min(s.headLen()-len(s.head), len(b))
			s.head = append(s.head, b[:n]...)
			if b = b[n:]; len(s.head) < s.headLen() {
				continue
			}
			s.unread = 4 + int(binary.BigEndian.Uint32(s.head)) - len(s.head)
		}
		if s.unread <= 0 {
			s.request(s.head)
			s.head, s.unread = s.head[:0], 0
		}
	}
}

// headLen returns the length that head must have.
func (s *sftpStream) headLen() int {
	if len(s.head) < 4 {
		return 4
	}
	n := binary.BigEndian.Uint32(s.head)
	return int(min(4+uint64(n), uint64(requestHead)))
}

// request counts a request that has been read. head is its beginning.
func (s *sftpStream) request(head []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending++
	if len(head) == requestHead && head[4] == sftpExtended &&
		binary.BigEndian.Uint32(head[9:]) == uint32(len(limitsExtension)) &&
		string(head[13:]) == limitsExtension {
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
	if err := s.collect(p); err != nil {
		return 0, err
	}
	if s.remaining > 0 || s.answered() > 0 {
		return n, nil
	}
	err := s.flush()
	s.out = nil // an idle session keeps no buffer
	return n, err
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

// answered counts an answer, and returns the number of requests that have not been answered.
func (s *sftpStream) answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending--
	return s.pending
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
	for _, limit := range []int{maxSFTPPacket, maxSFTPData, maxSFTPData, s.maxHandles} {
		b = binary.BigEndian.AppendUint64(b, uint64(limit))
	}
	return b
}

// appendString appends a string in the form of SSH (RFC 4251).
func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
