package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// A packetSocket opens links over sockets of a network interface (packet(7)).
type packetSocket struct{ name string }

func newPacket(name string) (opener, error) { return &packetSocket{name}, nil }

func (p *packetSocket) close() {}

func (p *packetSocket) open(ctx context.Context, waiting func(string)) (link, error) {
	// With protocol 0 nothing is received until the socket is bound.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w: esasim may not use network interfaces: give it CAP_NET_RAW, as with"+
			" setcap cap_net_raw+ep FILE or, in a container, with --user 0", err)
	}
	if err != nil {
		return nil, &fatalError{err}
	}
	n, err := waitCarrier(ctx, p.name, waiting)
	if err == nil {
		err = setUpPacketSocket(fd, n)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	l := &packetLink{file: os.NewFile(uintptr(fd), "packet:"+p.name)}
	if l.conn, err = l.file.SyscallConn(); err != nil {
		l.file.Close()
		return nil, err
	}
	l.in.initReceive(batchSize/2, offloadLen+maxOffloaded, auxiliaryLen)
	l.out.initSend(batchSize)
	l.watch = watchCarrier(n, l.interrupt)
	return l, nil
}

const (
	// maxOffloaded is the longest frame that carries the data of several segments.
	maxOffloaded = headerLen + 65535
	// auxiliaryLen is the length of a control message with the tag of a VLAN.
	auxiliaryLen = 64
	// receiveBuffer is the memory for frames that wait; the kernel allows less to most users.
	receiveBuffer = 8 << 20
)

// setUpPacketSocket prepares a socket and binds it to an interface.
func setUpPacketSocket(fd int, n *net.Interface) error {
	if n.Flags&net.FlagLoopback != 0 || len(n.HardwareAddr) != 6 {
		return &fatalError{fmt.Errorf("the network interface %s is no Ethernet", n.Name)}
	}
	for _, o := range []struct {
		option, value int
		what          string
	}{
		{unix.PACKET_AUXDATA, 1, "tags of VLANs"},
		{unix.PACKET_VNET_HDR, 1, "offloads"},
		// Neither its own frames nor those of the machine.
		{unix.PACKET_IGNORE_OUTGOING, 1, "frames of its own"},
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, o.option, o.value); err != nil {
			return &fatalError{fmt.Errorf("this system does not tell %s of frames: %w", o.what, err)}
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	all := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: n.Index}
	if err := unix.Bind(fd, all); err != nil {
		return err
	}
	m := &unix.PacketMreq{Ifindex: int32(n.Index), Type: unix.PACKET_MR_PROMISC}
	return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, m)
}

// networkOrder returns the number whose bytes in memory are those of x in network order.
func networkOrder(x uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], x)
	return binary.NativeEndian.Uint16(b[:])
}

// A packetLink moves frames through a socket.
type packetLink struct {
	file    *os.File
	conn    syscall.RawConn
	watch   *carrierWatch
	in, out messages
	bytes   []byte // of frames that are not as the socket gave them
	frames  []frame

	cannotSplit atomic.Bool // the interface has refused to
}

// accept makes the kernel drop frames to other machines than mac and groups.
func (l *packetLink) accept(mac ether.MAC) error {
	const (
		load, jumpIfSet, jumpIfEqual = unix.BPF_LD | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JSET, unix.BPF_JMP | unix.BPF_JEQ

		loadByte, loadHalf, loadWord = load | unix.BPF_B, load | unix.BPF_H, load | unix.BPF_W
	)
	be := binary.BigEndian
	filter := []unix.SockFilter{
		{Code: loadByte, K: 0},
		{Code: jumpIfSet, K: 1, Jt: 4}, // a group
		{Code: loadWord, K: 0},
		{Code: jumpIfEqual, K: be.Uint32(mac[:]), Jf: 3},
		{Code: loadHalf, K: 4},
		{Code: jumpIfEqual, K: uint32(be.Uint16(mac[4:])), Jf: 1},
		{Code: unix.BPF_RET, K: 1 << 30},
		{Code: unix.BPF_RET, K: 0},
	}
	f := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	var setErr error
	err := l.conn.Control(func(fd uintptr) {
		setErr = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, f)
	})
	return errors.Join(err, setErr)
}

func (l *packetLink) interrupt() { _ = l.file.SetDeadline(longAgo) }

func (l *packetLink) receive() ([]frame, error) {
	for {
		var n int
		var err error
		waitErr := l.conn.Read(func(fd uintptr) bool {
			n, err = l.in.receive(int(fd))
			return err != unix.EAGAIN //nolint:errorlint // a system call returns it bare
		})
		if err == nil {
			err = waitErr
		}
		if err != nil {
			return nil, l.watch.reason(err)
		}
		if frames := l.finish(n); len(frames) > 0 {
			return frames, nil
		}
	}
}

// finish returns the frames of the first n messages, with the tags that they had on the cable. A
// frame that is cut off is returned empty, which is invalid.
func (l *packetLink) finish(n int) []frame {
	l.bytes, l.frames = l.bytes[:0], l.frames[:0]
	for i := range n {
		b, truncated := l.in.message(i)
		if truncated || len(b) < offloadLen {
			l.frames = append(l.frames, frame{})
			continue
		}
		f := frame{bytes: b[offloadLen:], offload: parseOffload(b)}
		if kind, tag, ok := l.in.tag(i); ok && len(f.bytes) >= headerLen {
			l.addTagged(f, kind, tag)
			continue
		}
		l.frames = append(l.frames, f)
	}
	if cap(l.bytes) > maxQueuedBytes {
		l.bytes = nil
	}
	return l.frames
}

// addTagged adds the frames that a card makes of f, with the tag of a VLAN.
func (l *packetLink) addTagged(f frame, kind, tag uint16) {
	ok := f.offload.finish(f.bytes, func(b []byte) {
		start := len(l.bytes)
		l.bytes = appendTagged(l.bytes, b, kind, tag)
		// The memory of earlier frames stays as it is if the slice grows.
		l.frames = append(l.frames, frame{bytes: l.bytes[start:len(l.bytes):len(l.bytes)]})
	})
	if !ok {
		l.frames = append(l.frames, frame{})
	}
}

// send drops what the interface does not take, for example because it is longer than its MTU.
func (l *packetLink) send(frames []frame) error {
	for len(frames) > 0 {
		n := l.out.fill(frames)
		sent, err := 0, error(nil)
		waitErr := l.conn.Write(func(fd uintptr) bool {
			sent, err = l.out.send(int(fd), n)
			return err != unix.EAGAIN //nolint:errorlint // a system call returns it bare
		})
		l.out.forget()
		switch {
		case waitErr != nil:
			return l.watch.reason(waitErr)
		case errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
			return l.watch.reason(err)
		case err != nil:
			sent = 1 // the first one is lost
			if frames[0].offload.kind != gsoNone && errors.Is(err, unix.EINVAL) {
				l.cannotSplit.Store(true)
			}
		}
		frames = frames[sent:]
	}
	return nil
}

// lost implements lossy.
func (l *packetLink) lost() (n uint64) {
	_ = l.conn.Control(func(fd uintptr) { // fails if the link is closed
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			n = uint64(s.Drops)
		}
	})
	return n
}

// sendIsPrompt implements prompt: an interface that does not transmit loses its carrier.
func (l *packetLink) sendIsPrompt() {}

// splits implements splitting. Data is split by the interface only if it does that for the machine
// too: the kernel numbers the packets.
func (l *packetLink) splits() int {
	if l.cannotSplit.Load() {
		return 0
	}
	return int(l.watch.splits.Load())
}

func (l *packetLink) close() {
	l.interrupt()
	l.watch.stop()
	l.file.Close()
}

// messages are the arguments of recvmmsg and sendmmsg.
type messages struct {
	headers  []messageHeader
	vectors  []unix.Iovec
	buffers  [][]byte
	controls [][]byte
	// Of the messages that are sent:
	offloads [][offloadLen]byte
	pieces   [][]byte // memory
}

// A messageHeader is a struct mmsghdr.
type messageHeader struct {
	unix.Msghdr
	length uint32
}

// initReceive makes room for n messages of size bytes, and for control messages.
func (m *messages) initReceive(n, size, control int) {
	m.headers = make([]messageHeader, n)
	m.vectors = make([]unix.Iovec, n)
	for i := range m.headers {
		m.buffers = append(m.buffers, make([]byte, size))
		m.controls = append(m.controls, make([]byte, control))
		v := &m.vectors[i]
		v.Base = &m.buffers[i][0]
		v.SetLen(size)
		m.headers[i].Iov = v
		m.headers[i].SetIovlen(1)
		m.headers[i].Control = &m.controls[i][0]
	}
}

// initSend makes room for n messages.
func (m *messages) initSend(n int) {
	m.headers = make([]messageHeader, n)
	m.vectors = make([]unix.Iovec, 0, 4*n+maxPieces) // 4: the offload, headers, and two of data
	m.offloads = make([][offloadLen]byte, n)
}

// receive receives messages that have arrived and returns their number.
func (m *messages) receive(fd int) (int, error) {
	for i := range m.headers {
		m.headers[i].SetControllen(len(m.controls[i]))
	}
	return m.call(unix.SYS_RECVMMSG, fd, len(m.headers))
}

// fill takes the first frames to send and returns their number.
func (m *messages) fill(frames []frame) int {
	m.vectors = m.vectors[:0] // which never grow: the headers refer to them
	for i, f := range frames[:min(len(frames), len(m.headers))] {
		m.pieces = append(m.pieces[:0], m.offloads[i][:])
		if f.train != nil {
			m.pieces = f.train.Pieces(m.pieces)
		} else {
			m.pieces = append(m.pieces, f.bytes)
		}
		start := len(m.vectors)
		if start+len(m.pieces) > cap(m.vectors) {
			return i
		}
		f.offload.put(m.offloads[i][:])
		for _, p := range m.pieces {
			v := unix.Iovec{Base: &p[0]}
			v.SetLen(len(p))
			m.vectors = append(m.vectors, v)
		}
		m.headers[i].Iov = &m.vectors[start]
		m.headers[i].SetIovlen(len(m.pieces))
	}
	return min(len(frames), len(m.headers))
}

// send sends the first n messages and returns the number of those that were sent.
func (m *messages) send(fd, n int) (int, error) { return m.call(unix.SYS_SENDMMSG, fd, n) }

// forget lets go of the frames that fill has taken.
func (m *messages) forget() {
	clear(m.vectors)
	clear(m.pieces)
}

func (m *messages) call(trap uintptr, fd, n int) (int, error) {
	for {
		r, _, errno := unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&m.headers[0])),
			uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// message returns a message that was received. truncated tells that it was longer.
func (m *messages) message(i int) (b []byte, truncated bool) {
	h := &m.headers[i]
	return m.buffers[i][:h.length], h.Flags&unix.MSG_TRUNC != 0
}

// tag returns the tag of a VLAN that the kernel has taken out of a frame, and its type.
func (m *messages) tag(i int) (kind, tag uint16, ok bool) {
	h := &m.headers[i]
	b := m.controls[i][:h.Controllen]
	if len(b) < unix.CmsgLen(int(unsafe.Sizeof(unix.TpacketAuxdata{}))) {
		return 0, 0, false
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	if c.Level != unix.SOL_PACKET || c.Type != unix.PACKET_AUXDATA {
		return 0, 0, false
	}
	a := (*unix.TpacketAuxdata)(unsafe.Pointer(&b[unix.CmsgLen(0)]))
	if a.Status&unix.TP_STATUS_VLAN_VALID == 0 {
		return 0, 0, false
	}
	kind = typeVLAN
	if a.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		kind = a.Vlan_tpid
	}
	return kind, a.Vlan_tci, true
}
