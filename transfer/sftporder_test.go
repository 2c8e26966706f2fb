package transfer

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"testing"
	"testing/synctest"
)

// sftpWriteTo returns a request to write n bytes at off.
func sftpWriteTo(handle string, off uint64, n int) []byte {
	body := binary.BigEndian.AppendUint64(appendString(nil, handle), off)
	return sftpPacket(sftpWrite, 9, appendString(body, string(make([]byte, n)))...)
}

// TestSFTPOrder: the library gets a second request before it has answered the first one only if the
// order in which it executes them does not matter.
func TestSFTPOrder(t *testing.T) {
	const fstat, fsetstat, readDir = 8, 10, 12
	other := func(kind byte) []byte { return sftpPacket(kind, 9, appendString(nil, "1")...) }
	write := func(off uint64, n int) []byte { return sftpWriteTo("1", off, n) }
	for label, x := range map[string]struct {
		first, second []byte
		appending     int32
		wait          bool
	}{
		"a put":                 {write(0, 5000), write(5000, 5000), 0, false},
		"a gap":                 {write(0, 10), write(20, 10), 0, false},
		"the same place again":  {write(0, 10), write(0, 10), 0, true},
		"a part of it again":    {write(0, 10), write(9, 10), 0, true},
		"another file":          {write(0, 10), sftpWriteTo("2", 10, 10), 0, true},
		"appended":              {write(0, 10), write(10, 10), 1, true},
		"no such place":         {write(1<<64-5, 10), write(1<<64-5, 10), 0, true},
		"a long handle":         {sftpWriteTo(string(make([]byte, 80)), 0, 1), write(0, 1), 0, true},
		"truncated":             {sftpPacket(sftpWrite, 9), sftpPacket(sftpWrite, 9), 0, true},
		"written, then size":    {write(0, 10), other(fstat), 0, true},
		"written, then closed":  {write(0, 10), other(sftpClose), 0, true},
		"cut, then written":     {other(fsetstat), write(0, 10), 0, true},
		"two that are no files": {other(readDir), other(readDir), 0, false},
	} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				session := &sftpSession{maxHandles: 1}
				session.appending.Store(x.appending)
				all := slices.Concat(x.first, x.second)
				s := newSFTPStream(&recordedChannel{Reader: bytes.NewReader(all)}, session)
				var got bytes.Buffer
				done := make(chan error, 1)
				go func() {
					_, err := io.Copy(&got, s)
					done <- err
				}()
				synctest.Wait() // the stream ends, or waits for the answer
				if waits := got.Len() == len(x.first); waits != x.wait {
					t.Errorf("the library has %d bytes, the first request has %d: waits: %v, want %v",
						got.Len(), len(x.first), waits, x.wait)
				}
				if _, err := s.Write(sftpPacket(sftpStatus, 9, 0, 0, 0, 0)); err != nil {
					t.Error(err)
				}
				if err := <-done; err != nil || !bytes.Equal(got.Bytes(), all) {
					t.Errorf("the library has %x, %v; want %x", got.Bytes(), err, all)
				}
			})
		})
	}
}
