package ether

import (
	"encoding/binary"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/esasim/esasim/appliance/network"
)

// A Train is TCP data that a stack sent as several frames in a row and that go
// their way together. Whoever has to see single frames is given them; see the
// package's comment.
type Train struct {
	head []byte // Ethernet, IP and TCP headers; their lengths are the whole's
	tcp  int    // where the TCP header is
	data buffer.Buffer
	size int // of the data of each frame; the last one may have less
}

// Head is the headers of the train: Ethernet, IP and TCP, with the length that a
// packet of all the data has. The receiver of a train that sends it on may change
// what a router changes, and has to leave an IPv4 header with its true checksum.
func (t *Train) Head() []byte { return t.head }

// MTU is the length of the longest IP packet in the train.
func (t *Train) MTU() int { return len(t.head) - headerLen + t.size }

// frames is how many there are.
func (t *Train) frames() int { return (int(t.data.Size()) + t.size - 1) / t.size }

// bytes is the length of all frames.
func (t *Train) bytes() int { return int(t.data.Size()) + t.frames()*len(t.head) }

func (t *Train) release() { t.data.Release() }

// each calls f for each frame, which f owns.
func (t *Train) each(f func(v *buffer.View)) {
	size := int(t.data.Size())
	seq := binary.BigEndian.Uint32(t.head[t.tcp+4:])
	id := binary.BigEndian.Uint16(t.head[headerLen+4:])
	for at := 0; at < size; at += t.size {
		k := min(t.size, size-at)
		v := buffer.NewViewSize(len(t.head) + k)
		s := segment{frame: v.AsSlice(), tcp: t.tcp, data: len(t.head)}
		copy(s.frame, t.head)
		_, _ = t.data.ReadAt(s.frame[s.data:], int64(at)) // from memory: it is all there
		binary.BigEndian.PutUint32(s.frame[t.tcp+4:], seq)
		seq += uint32(k)
		if s.v4() && id != 0 {
			binary.BigEndian.PutUint16(s.frame[headerLen+4:], id)
			id++
		}
		s.complete(at+k == size)
		f(v)
	}
}

// whole completes the checksum of the packet of all the data.
func (t *Train) whole() {
	s := segment{frame: t.head, tcp: t.tcp, data: len(t.head)}
	sum := s.headerSum(int(t.data.Size())) + uint32(t.data.Checksum(0))
	binary.BigEndian.PutUint16(t.head[t.tcp+16:], ^fold(sum))
}

// complete sets lengths, flags and checksums of one frame of a train.
func (s segment) complete(last bool) {
	ip := s.frame[headerLen:s.tcp]
	if s.v4() {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(s.frame)-headerLen))
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^fold(add16(ip)))
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(s.frame)-s.tcp))
	}
	if !last {
		s.frame[s.tcp+13] &^= flagPSH | flagFIN
	}
	sum := checksum.Checksum(s.frame[s.data:], 0)
	binary.BigEndian.PutUint16(s.frame[s.tcp+16:], ^fold(s.headerSum(s.len())+uint32(sum)))
}

// HandleTrains lets f, which runs on the wire's pump, take trains that arrive at
// a node. It reports whether it has sent the train on, by TransmitTrainAfter; if not, it
// has changed nothing and the node receives the frames. HandleTrains is called
// before anything is sent on the wire.
func (p *Port) HandleTrains(f func(t *Train) bool) { p.trains = f }

// TransmitTrainAfter is TransmitAfter for a train, which is not the caller's any more.
func (p *Port) TransmitTrainAfter(d time.Duration, t *Train) {
	n := t.frames()
	switch {
	case !p.Up() || t.MTU() > p.MTU():
		p.counters.txErrors.Add(uint64(n))
	case p.queued.Add(int32(n)) > txRing:
		p.queued.Add(-int32(n))
		p.counters.txDropped.Add(uint64(n))
	default:
		p.fabric.enqueueAfter(d, event{from: p, train: t})
		return
	}
	t.release()
}

// dequeueTrain is dequeue for a train.
func (p *Port) dequeueTrain(t *Train) {
	n := t.frames()
	dst := MAC(t.head[:6])
	if dst.IsMulticast() || p.vlan != 0 || p.allowRules.Load() != nil || p.cable.quality.Load().limited() {
		t.each(p.dequeue)
		t.release()
		return
	}
	p.queued.Add(-int32(n))
	p.counters.txPackets.Add(uint64(n))
	p.counters.txBytes.Add(uint64(t.bytes()))
	p.showTrain(network.Out, t)
	q := p.segment.find(dst)
	switch {
	case q == nil || q == p:
	case p.cable.quality.Load() != nil || q.cable.quality.Load() != nil:
		t.each(func(v *buffer.View) { q.propagate(p, v) })
	default:
		q.ingressTrain(t)
		return
	}
	t.release()
}

// ingressTrain is ingress for a train.
func (p *Port) ingressTrain(t *Train) {
	if !p.Up() || p.allowRules.Load() != nil || t.MTU() > p.mru() {
		t.each(p.ingress)
		t.release()
		return
	}
	p.counters.rxPackets.Add(uint64(t.frames()))
	p.counters.rxBytes.Add(uint64(t.bytes()))
	p.showTrain(network.In, t)
	if p.node == nil {
		p.fabric.merger.flush()
		p.stack.deliverTrain(t)
		return
	}
	p.receiving.Lock()
	defer p.receiving.Unlock()
	switch {
	case p.closed:
	case p.trains != nil && p.trains(t):
		return
	default:
		t.each(func(v *buffer.View) { p.deliver(v) })
	}
	t.release()
}

// showTrain gives the frames of a train to the taps.
func (p *Port) showTrain(dir network.Direction, t *Train) {
	if p.taps.Load() == nil {
		return
	}
	t.each(func(v *buffer.View) {
		p.show(dir, v.AsSlice())
		v.Release()
	})
}
