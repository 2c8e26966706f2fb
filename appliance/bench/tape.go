package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"sync"

	"github.com/esasim/esasim/appliance/dissect"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/packets"
)

// Bounds of tapes.
const (
	maxTapes     = 8
	maxTapeBytes = 8 << 20
)

// A tape records what a watch shows, in memory, so that a page can list packets, show one, and
// follow a connection. It is full after maxTapeBytes, and then records no more.
type tape struct {
	id     int
	cable  netsim.Cable
	filter string
	cancel context.CancelFunc // ends the recording

	mu      sync.Mutex
	file    []byte // in the pcap format, with Ethernet frames; bytes are only appended
	packets int
	lost    uint64
	ended   string        // why the recording has ended; "" while it goes on
	changed chan struct{} // closed at the next change
}

// Lengths of Ethernet headers and of the headers of the pcap format.
const (
	etherHeader = 14
	fileHeader  = 24
)

// newTape returns a tape with the header of a file.
func newTape(id int, cable netsim.Cable, filter string, cancel context.CancelFunc) *tape {
	t := &tape{id: id, cable: cable, filter: filter, cancel: cancel, changed: make(chan struct{})}
	t.put32(0xa1b23c4d, 2|4<<16, 0, 0, 1<<18, 1) // nanoseconds; LINKTYPE_ETHERNET
	return t
}

func (t *tape) put32(values ...uint32) {
	for _, v := range values {
		t.file = binary.LittleEndian.AppendUint32(t.file, v)
	}
}

// record records packets until the watch ends or the tape is full.
func (t *tape) record(ctx context.Context, w *packets.Watch) {
	defer w.Close()
	for p := range w.Packets(ctx) {
		if !t.add(p) {
			t.end("The recording is full.")
			return
		}
	}
	t.end("The recording was stopped.")
}

// add appends a packet. It returns false if the tape is full.
func (t *tape) add(p packets.Packet) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	var header []byte
	if t.cable.Link == netsim.RawLink { // package dissect reads Ethernet frames
		header = make([]byte, etherHeader)
		binary.BigEndian.PutUint16(header[12:], 0x0800)
		if len(p.Data) > 0 && p.Data[0]>>4 == 6 {
			binary.BigEndian.PutUint16(header[12:], 0x86dd)
		}
	}
	if len(t.file)+len(p.Data)+len(header)+16 > maxTapeBytes {
		return false
	}
	t.put32(uint32(p.Time.Unix()), uint32(p.Time.Nanosecond()),
		uint32(len(header)+len(p.Data)), uint32(len(header)+p.Length))
	t.file = append(append(t.file, header...), p.Data...)
	t.packets++
	t.lost += p.Dropped
	t.notify()
	return true
}

// notify is called with mu held.
func (t *tape) notify() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *tape) end(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = why
	t.notify()
}

// A tapeState is a tape at one moment.
type tapeState struct {
	file    []byte
	packets int
	lost    uint64
	ended   string
	changed <-chan struct{}
}

func (t *tape) state() tapeState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return tapeState{t.file, t.packets, t.lost, t.ended, t.changed}
}

// open returns what is recorded as a capture, with its index. old is an earlier index of the tape,
// or nil.
func (s tapeState) open(ctx context.Context, old *dissect.Index) (
	*dissect.Capture, *dissect.Index, error) {
	c, err := dissect.Open(bytes.NewReader(s.file), int64(len(s.file)))
	if err != nil {
		return nil, nil, err
	}
	index, err := c.Scan(ctx, nil, old)
	return c, index, err
}

// pcap returns the recording as a file of the cable's own type.
func (s tapeState) pcap(link netsim.CableLink) []byte {
	if link != netsim.RawLink {
		return s.file
	}
	const raw = 101 // LINKTYPE_RAW
	out := bytes.Clone(s.file[:fileHeader])
	binary.LittleEndian.PutUint32(out[20:], raw)
	for rest := s.file[fileHeader:]; len(rest) >= 16; {
		n := binary.LittleEndian.Uint32(rest[8:])
		out = append(out, rest[:8]...)
		out = binary.LittleEndian.AppendUint32(out, n-etherHeader)
		out = binary.LittleEndian.AppendUint32(out, binary.LittleEndian.Uint32(rest[12:])-etherHeader)
		out = append(out, rest[16+etherHeader:16+n]...)
		rest = rest[16+n:]
	}
	return out
}

// startTape begins to record a cable.
func (s *Server) startTape(cable, filter string) (*tape, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tapes) >= maxTapes {
		return nil, refuse(http.StatusConflict, "There are %d recordings: remove one first.", maxTapes)
	}
	if s.stopped {
		return nil, unavailable("The bench stops.")
	}
	ctx, cancel := context.WithCancel(s.requests)
	w, err := s.box.Watch(ctx, cable, filter)
	if err != nil {
		cancel()
		var wrong *packets.Error
		if errors.As(err, &wrong) {
			return nil, badRequest("%s", wrong.Text)
		}
		return nil, err
	}
	s.lastTape++
	t := newTape(s.lastTape, w.Cable(), w.Filter(), cancel)
	s.tapes = append(s.tapes, t)
	s.active.Go(func() { t.record(ctx, w) })
	return t, nil
}
