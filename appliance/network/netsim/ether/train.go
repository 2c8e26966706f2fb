package ether

import (
	"bytes"
	"encoding/binary"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/esasim/esasim/appliance/network"
)

// A Train is a burst of TCP segments from one stack that moves through the fabric as one
// event. Taps, counters and everything else that needs separate frames get them; see the
// package documentation.
type Train struct {
	headers []byte // Ethernet, IP and TCP headers; their lengths are those of all the data
	tcp     int    // offset of the TCP header
	data    buffer.Buffer
	size    int // bytes of data in each frame; the last frame may have less
	// numbered says that the IPv4 identification of each frame is one more than that of the frame
	// before, even if the first one is 0: whatever splits the train outside numbers it so.
	numbered bool
}

// Headers returns the headers of the train: Ethernet, IP and TCP, with the length of a
// packet that has all the data. A node that takes a train and transmits it again may change
// in them what a router changes. It must update the checksum of an IPv4 header.
func (t *Train) Headers() []byte { return t.headers }

// MaxPacketLen returns the length of the longest IP packet in the train.
func (t *Train) MaxPacketLen() int { return len(t.headers) - headerLen + t.size }

// frameCount returns the number of frames.
func (t *Train) frameCount() int { return (int(t.data.Size()) + t.size - 1) / t.size }

// byteCount returns the length of all frames together.
func (t *Train) byteCount() int { return int(t.data.Size()) + t.frameCount()*len(t.headers) }

func (t *Train) release() { t.data.Release() }

// Release frees a train that a node has taken and that goes nowhere. The caller must not use t
// afterwards.
func (t *Train) Release() { t.release() }

// NewTrain returns a train with the data of a frame that is longer than frames are: a network card
// would split its data into segments of size bytes, and complete them. It returns nil unless the
// frame is an IP packet of its length with plain TCP data. The frame is copied.
func NewTrain(frame []byte, size int) *Train {
	s, ok := parseTCPSegment(frame)
	if !ok || size <= 0 {
		return nil
	}
	return &Train{
		headers: bytes.Clone(frame[:s.data]), tcp: s.tcp, size: size,
		data: buffer.MakeWithData(frame[s.data:]),
	}
}

// Len returns the length of the train as one frame.
func (t *Train) Len() int { return len(t.headers) + int(t.data.Size()) }

// TCP returns the offset of the TCP header.
func (t *Train) TCP() int { return t.tcp }

// SegmentSize returns the number of bytes of data in each segment; the last may have less.
func (t *Train) SegmentSize() int { return t.size }

// FrameCount returns the number of frames.
func (t *Train) FrameCount() int { return t.frameCount() }

// Pieces appends the parts of the train as one frame to list: the headers, whose TCP checksum is
// that of the pseudo header only, and the data. They share the train's memory: they are valid until
// Release, and must not be changed.
func (t *Train) Pieces(list [][]byte) [][]byte {
	s := tcpSegment{frame: t.headers, tcp: t.tcp, data: len(t.headers)}
	binary.BigEndian.PutUint16(t.headers[t.tcp+16:], fold(s.pseudoSum(int(t.data.Size()))))
	list = append(list, t.headers)
	views := t.data.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		if v.Size() > 0 {
			list = append(list, v.AsSlice())
		}
	}
	return list
}

// eachFrame calls f for each frame in order. f owns the frame.
func (t *Train) eachFrame(f func(v *buffer.View)) {
	size := int(t.data.Size())
	seq := binary.BigEndian.Uint32(t.headers[t.tcp+4:])
	id := binary.BigEndian.Uint16(t.headers[headerLen+4:])
	numbered := id != 0 || t.numbered
	for at := 0; at < size; at += t.size {
		k := min(t.size, size-at)
		v := buffer.NewViewSize(len(t.headers) + k)
		s := tcpSegment{frame: v.AsSlice(), tcp: t.tcp, data: len(t.headers)}
		copy(s.frame, t.headers)
		_, _ = t.data.ReadAt(s.frame[s.data:], int64(at)) // does not fail: the data is in memory
		binary.BigEndian.PutUint32(s.frame[t.tcp+4:], seq)
		seq += uint32(k)
		if s.v4() && numbered {
			binary.BigEndian.PutUint16(s.frame[headerLen+4:], id)
			id++
		}
		s.complete(at+k == size)
		f(v)
	}
}

// complete sets lengths, flags and checksums of one frame of a train. last tells whether it
// is the last one.
func (s tcpSegment) complete(last bool) {
	s.setLengths()
	if !last {
		s.frame[s.tcp+13] &^= flagPSH | flagFIN
	}
	sum := checksum.Checksum(s.frame[s.data:], 0)
	binary.BigEndian.PutUint16(s.frame[s.tcp+16:], ^fold(s.headerSum(s.len())+uint32(sum)))
}

// setLengths sets the lengths in the headers of IP, and their checksum.
func (s tcpSegment) setLengths() {
	ip := s.frame[headerLen:s.tcp]
	if !s.v4() {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(s.frame)-s.tcp))
		return
	}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(s.frame)-headerLen))
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], ^fold(add16(ip)))
}

// HandleTrains makes the port of a node call f for each train that is delivered. f runs on
// the pump and reports whether it has taken the train, with TransmitTrainAfter or Release.
// If f returns false it must not have changed the train, and the node receives the frames
// one by one. HandleTrains must be called before anything is transmitted on the segment.
func (p *Port) HandleTrains(f func(t *Train) bool) { p.handleTrain = f }

// TransmitTrainAfter transmits a train once d has passed. The caller must not use t
// afterwards.
func (p *Port) TransmitTrainAfter(d time.Duration, t *Train) {
	n := t.frameCount()
	switch {
	case !p.Up() || t.MaxPacketLen() > p.MTU():
		p.counters.txErrors.Add(uint64(n))
	case p.queued.Add(int32(n)) > txRingSize:
		p.queued.Add(-int32(n))
		p.counters.txDropped.Add(uint64(n))
	default:
		p.fabric.enqueueAfter(d, event{from: p, train: t})
		return
	}
	t.release()
}

// dequeueTrain is dequeue, egress and forward for a train. It owns t.
func (p *Port) dequeueTrain(t *Train) {
	n := t.frameCount()
	dst := MAC(t.headers[:6])
	if dst.IsMulticast() || p.vlan != 0 || p.allowRules.Load() != nil ||
		p.cable.quality.Load().isLimited() {
		t.eachFrame(p.dequeue)
		t.release()
		return
	}
	p.queued.Add(-int32(n))
	p.counters.txPackets.Add(uint64(n))
	p.counters.txBytes.Add(uint64(t.byteCount()))
	q := p.segment.findPort(dst)
	t.numbered = t.numbered || q != nil && q.uplink != nil
	p.showTrainToTaps(network.Out, t)
	switch {
	case q == nil || q == p || !q.uplink.isFor(p) || !p.uplink.isFor(q):
	case p.cable.quality.Load() != nil || q.cable.quality.Load() != nil:
		t.eachFrame(func(v *buffer.View) { q.propagate(p, v) })
	default:
		q.ingressTrain(t)
		return
	}
	t.release()
}

// ingressTrain is ingress and deliver for a train. It owns t.
func (p *Port) ingressTrain(t *Train) {
	if !p.Up() || p.allowRules.Load() != nil || t.MaxPacketLen() > p.mru() {
		t.eachFrame(p.ingress)
		t.release()
		return
	}
	p.counters.rxPackets.Add(uint64(t.frameCount()))
	p.counters.rxBytes.Add(uint64(t.byteCount()))
	p.showTrainToTaps(network.In, t)
	if p.receive == nil {
		p.fabric.merger.flush()
		p.link.deliverTrain(t)
		return
	}
	p.receiving.Lock()
	defer p.receiving.Unlock()
	switch {
	case p.closed:
	case p.handleTrain != nil && p.handleTrain(t):
		return
	default:
		t.eachFrame(func(v *buffer.View) { p.deliver(v) })
	}
	t.release()
}

// showTrainToTaps shows the frames of a train to the port's taps.
func (p *Port) showTrainToTaps(dir network.Direction, t *Train) {
	if p.taps.Load() == nil {
		return
	}
	t.eachFrame(func(v *buffer.View) {
		p.showToTaps(dir, v.AsSlice())
		v.Release()
	})
}
