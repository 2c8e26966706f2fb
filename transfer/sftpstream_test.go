package transfer

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// A recordedChannel returns requests and records each Write.
type recordedChannel struct {
	io.Reader
	writes [][]byte
}

func (c *recordedChannel) Write(p []byte) (int, error) {
	c.writes = append(c.writes, slices.Clone(p))
	return len(p), nil
}

func (c *recordedChannel) Close() error { return nil }

// lengths returns the lengths of the Writes so far.
func (c *recordedChannel) lengths() (n []int) {
	for _, w := range c.writes {
		n = append(n, len(w))
	}
	return n
}

// sftpPacket returns a packet of SFTP.
func sftpPacket(kind byte, id uint32, body ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+4+len(body)))
	b = binary.BigEndian.AppendUint32(append(b, kind), id)
	return append(b, body...)
}

func TestSFTPStreamWritesWholeChunks(t *testing.T) {
	const readDir, data = 12, 103 // the stream itself answers requests to read files
	requests := slices.Concat(sftpPacket(1, 3), sftpPacket(readDir, 1, make([]byte, 20)...),
		sftpPacket(readDir, 2, make([]byte, 20)...))
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(requests), "byte by byte": iotest.OneByteReader(bytes.NewReader(requests)),
	} {
		ch := &recordedChannel{Reader: r}
		s := newSFTPStream(ch, &sftpSession{maxHandles: 1})
		if got, err := io.ReadAll(s); !bytes.Equal(got, requests) || err != nil {
			t.Fatalf("%s: read %x, %v", name, got, err)
		}
		var want []byte
		write := func(p []byte, lengths ...int) {
			t.Helper()
			if n, err := s.Write(p); n != len(p) || err != nil {
				t.Fatalf("%s: wrote %d of %d, %v", name, n, len(p), err)
			}
			want = append(want, p...)
			if diff := cmp.Diff(lengths, ch.lengths()); diff != "" {
				t.Fatalf("%s: lengths of the writes (-want +got):\n%s", name, diff)
			}
		}
		payload := bytes.Repeat([]byte("payload"), 10000)
		answer := func(id uint32) []byte {
			head := binary.BigEndian.AppendUint32(sftpPacket(data, id), uint32(len(payload)))
			binary.BigEndian.PutUint32(head, uint32(len(head)-4+len(payload)))
			return head
		}
		write(sftpPacket(102, 0)) // waits, because there are further requests
		write(answer(1))
		write(payload, sftpChunk, sftpChunk)
		write(answer(2), sftpChunk, sftpChunk)
		write(payload, sftpChunk, sftpChunk, sftpChunk, sftpChunk, len(want)+len(payload)-4*sftpChunk)
		if !bytes.Equal(slices.Concat(ch.writes...), want) {
			t.Errorf("%s: the answers were changed", name)
		}
		if s.out != nil {
			t.Errorf("%s: an idle stream keeps a buffer", name)
		}
	}
}

func TestSFTPStreamAnswersForLimits(t *testing.T) {
	name := appendString(nil, limitsExtension)
	ch := &recordedChannel{Reader: bytes.NewReader(slices.Concat(
		sftpPacket(1, 3),
		sftpPacket(sftpExtended, 7, name...),
		sftpPacket(sftpExtended, 8, appendString(nil, "unknown@example.com")...),
		sftpPacket(sftpExtended, 9, appendString(nil, limitsExtension+"x")...),
		sftpPacket(4, 10, name...)))}
	s := newSFTPStream(ch, &sftpSession{maxHandles: 256})
	if _, err := io.ReadAll(s); err != nil {
		t.Fatal(err)
	}
	other := appendString(appendString(nil, "statvfs@openssh.com"), "2")
	var got []byte
	for _, p := range [][]byte{
		sftpPacket(sftpVersion, 3, other...),
		sftpPacket(sftpStatus, 10, 0, 0, 0, 0), sftpPacket(sftpStatus, 9, 0, 0, 0, 8),
		sftpPacket(sftpStatus, 8, 0, 0, 0, 8), sftpPacket(sftpStatus, 7, 0, 0, 0, 8),
	} {
		if n, err := s.Write(p); n != len(p) || err != nil {
			t.Fatalf("wrote %d of %d, %v", n, len(p), err)
		}
	}
	got = slices.Concat(ch.writes...)
	limits := []byte{
		0, 0, 0, 0, 0, 4, 0, 0, // 262144
		0, 0, 0, 0, 0, 3, 0xfc, 0, // 261120
		0, 0, 0, 0, 0, 3, 0xfc, 0,
		0, 0, 0, 0, 0, 0, 1, 0,
	}
	want := slices.Concat(
		sftpPacket(sftpVersion, 3, appendString(appendString(other, limitsExtension), "1")...),
		sftpPacket(sftpStatus, 10, 0, 0, 0, 0), sftpPacket(sftpStatus, 9, 0, 0, 0, 8),
		sftpPacket(sftpStatus, 8, 0, 0, 0, 8), sftpPacket(sftpExtendedReply, 7, limits...))
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}
