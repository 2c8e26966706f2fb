package check

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Bounds of a capture.
const (
	maxFrameLen = 1 << 18 // bytes of a frame
	maxBlockLen = 1 << 20 // bytes of a block of a pcapng file
	maxFrames   = 50 << 20
	maxCards    = 1 << 12 // interfaces of a pcapng file
)

// Link types (LINKTYPE_...) that captures may have.
const (
	linkEthernet = 1
	linkRaw      = 101
)

// A Capture is a file with the frames that passed one or more places of the network.
type Capture struct {
	Name string // of the file
	// Interface is the interface of the appliance at which the frames were captured: "Data 1". It is
	// for the caller to set; "": the record says it for a capture of the appliance itself, and a
	// pcapng file for each frame.
	Interface string
	Frames    []*Frame
	Size      int64 // bytes of the file
	Cut       bool  // the last record is incomplete
	NextGen   bool  // the file is pcapng
}

// ReadCapture reads a file in the format pcap or pcapng with frames of Ethernet or bare IP packets.
// The error is an *InputError. A last frame that is cut off is left out.
func ReadCapture(name string, r io.Reader) (*Capture, error) {
	c := &Capture{Name: name}
	in := &counter{r: bufio.NewReaderSize(r, 1<<16)}
	magic, err := in.r.Peek(4)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, &InputError{name, "", err.Error(), err}
	case err != nil:
		return nil, &InputError{name, "", "expected a file of the format pcap or pcapng, " +
			"but the file is shorter than the header of one", nil}
	}
	read := c.readPcap
	if binary.LittleEndian.Uint32(magic) == blockSection {
		c.NextGen, read = true, c.readPcapng
	}
	err = read(in)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		c.Cut, err = true, nil
	}
	c.Size = in.n
	var own *InputError
	if err != nil && !errors.As(err, &own) {
		own = &InputError{name, fmt.Sprintf("frame %d", len(c.Frames)+1), err.Error(), err}
	}
	if own != nil {
		own.File = name
		return nil, own
	}
	return c, nil
}

// A counter counts the bytes that are read.
type counter struct {
	r *bufio.Reader
	n int64
}

// fill reads len(b) bytes. The error is io.EOF if there are none, and io.ErrUnexpectedEOF if there
// are not enough.
func (c *counter) fill(b []byte) error {
	n, err := io.ReadFull(c.r, b)
	c.n += int64(n)
	return err
}

// add adds a frame.
func (c *Capture) add(link int, at time.Time, wireLen int, card string, data []byte) error {
	if len(c.Frames) == maxFrames {
		return fmt.Errorf("expected at most %d frames", maxFrames)
	}
	f := &Frame{
		Number: len(c.Frames) + 1, Time: at, Data: data, WireLen: wireLen, Interface: card, raw: link == linkRaw,
	}
	f.decode()
	c.Frames = append(c.Frames, f)
	return nil
}

// readPcap reads a file of the format pcap.
func (c *Capture) readPcap(in *counter) error {
	var head [24]byte
	if err := in.fill(head[:]); err != nil {
		return &InputError{Reason: "expected a pcap file, but the file is shorter than the header of one"}
	}
	var order binary.ByteOrder = binary.LittleEndian
	unit := time.Microsecond
	switch order.Uint32(head[:]) {
	case 0xa1b2c3d4:
	case 0xa1b23c4d:
		unit = time.Nanosecond
	case 0xd4c3b2a1:
		order = binary.BigEndian
	case 0x4d3cb2a1:
		order, unit = binary.BigEndian, time.Nanosecond
	default:
		return &InputError{Reason: "expected a file of the format pcap or pcapng, but the file begins differently"}
	}
	link := int(order.Uint32(head[20:]) & 0xffff)
	if err := checkLink(link); err != nil {
		return err
	}
	for {
		var record [16]byte
		if err := in.fill(record[:]); err != nil {
			return endOf(err)
		}
		length := order.Uint32(record[8:])
		if length > maxFrameLen {
			return fmt.Errorf("expected at most %d bytes, but the frame has %d: the file is damaged",
				maxFrameLen, length)
		}
		data := make([]byte, length)
		if err := in.fill(data); err != nil {
			return cutOff(err)
		}
		at := time.Unix(int64(order.Uint32(record[0:])), int64(order.Uint32(record[4:]))*int64(unit))
		if err := c.add(link, at, int(order.Uint32(record[12:])), "", data); err != nil {
			return err
		}
	}
}

// checkLink returns an error for frames that cannot be read.
func checkLink(link int) error {
	if link == linkEthernet || link == linkRaw {
		return nil
	}
	return &InputError{Reason: fmt.Sprintf(
		"expected frames of Ethernet (link type 1) or IP packets (link type 101), but the link type is %d",
		link)}
}

// endOf returns nil for the end of a file.
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// cutOff returns io.ErrUnexpectedEOF for the end of a file.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Types of the blocks of a pcapng file.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockSimple    = 3
	blockEnhanced  = 6
)

// A card is an interface that a pcapng file describes.
type card struct {
	name string
	link int
	unit float64 // seconds of a unit of its timestamps
}

// A section is a part of a pcapng file.
type section struct {
	order binary.ByteOrder
	cards []card
}

// readPcapng reads a file of the format pcapng.
func (c *Capture) readPcapng(in *counter) error {
	s := section{order: binary.LittleEndian}
	for {
		kind, body, err := s.block(in)
		if err != nil || body == nil {
			return endOf(err)
		}
		switch kind {
		case blockInterface:
			err = s.addCard(body)
		case blockEnhanced:
			err = c.addEnhanced(&s, body)
		case blockSimple:
			err = c.addSimple(&s, body)
		}
		if err != nil {
			return err
		}
	}
}

// block returns the next block, without its lengths.
func (s *section) block(in *counter) (kind uint32, body []byte, err error) {
	var head [8]byte
	if err := in.fill(head[:]); err != nil {
		return 0, nil, err
	}
	kind = s.order.Uint32(head[:])
	if kind == blockSection {
		magic, err := in.r.Peek(4)
		if err != nil {
			return 0, nil, cutOff(err)
		}
		*s = section{order: binary.LittleEndian}
		if binary.BigEndian.Uint32(magic) == 0x1a2b3c4d {
			s.order = binary.BigEndian
		}
	}
	length := s.order.Uint32(head[4:])
	if length < 12 || length > maxBlockLen || length%4 != 0 {
		return 0, nil, fmt.Errorf("expected a block of 12 to %d bytes, but it has %d: the file is damaged",
			maxBlockLen, length)
	}
	body = make([]byte, length-8)
	if err := in.fill(body); err != nil {
		return 0, nil, cutOff(err)
	}
	return kind, body[:length-12], nil
}

// addCard adds the interface that a block describes.
func (s *section) addCard(b []byte) error {
	if len(b) < 8 || len(s.cards) == maxCards {
		return errors.New("the block of an interface is too short, or there are too many")
	}
	x := card{link: int(s.order.Uint16(b)), unit: 1e-6}
	if err := checkLink(x.link); err != nil {
		return err
	}
	for b = b[8:]; len(b) >= 4; {
		code, length := s.order.Uint16(b), int(s.order.Uint16(b[2:]))
		if length > len(b)-4 || code == 0 {
			break
		}
		value := b[4 : 4+length]
		switch {
		case code == 2: // if_name
			x.name = strings.TrimRight(string(value), "\x00")
		case code == 9 && length == 1: // if_tsresol
			x.unit = unitOf(value[0])
		}
		b = b[min(len(b), 4+(length+3)/4*4):]
	}
	s.cards = append(s.cards, x)
	return nil
}

// unitOf returns the seconds of a unit of timestamps, from the value of if_tsresol.
func unitOf(v byte) float64 {
	base := 10.0
	if v&0x80 != 0 {
		base = 2
	}
	unit := 1.0
	for range v & 0x7f {
		unit /= base
	}
	return unit
}

// addEnhanced adds the frame of an Enhanced Packet Block.
func (c *Capture) addEnhanced(s *section, b []byte) error {
	if len(b) < 20 {
		return errors.New("the block of a frame is too short")
	}
	at := uint64(s.order.Uint32(b[4:]))<<32 | uint64(s.order.Uint32(b[8:]))
	return c.addBlock(s, s.order.Uint32(b), at, s.order.Uint32(b[12:]), s.order.Uint32(b[16:]), b[20:])
}

// addSimple adds the frame of a Simple Packet Block, which has no time.
func (c *Capture) addSimple(s *section, b []byte) error {
	if len(b) < 4 {
		return errors.New("the block of a frame is too short")
	}
	wireLen := s.order.Uint32(b)
	return c.addBlock(s, 0, 0, min(wireLen, uint32(len(b)-4)), wireLen, b[4:])
}

// addBlock adds the first length bytes of data as a frame.
func (c *Capture) addBlock(s *section, number uint32, at uint64, length, wireLen uint32, data []byte) error {
	if int64(number) >= int64(len(s.cards)) {
		return fmt.Errorf("the frame names the interface %s, which the file does not describe",
			strconv.Itoa(int(number)))
	}
	if int64(length) > int64(len(data)) || length > maxFrameLen {
		return fmt.Errorf("the frame has %d bytes, but its block is shorter: the file is damaged", length)
	}
	x := s.cards[number]
	perSecond := uint64(1/x.unit + 0.5)
	when := time.Unix(int64(at/max(perSecond, 1)), int64(float64(at%max(perSecond, 1))*x.unit*1e9+0.5))
	return c.add(x.link, when, int(wireLen), x.name, data[:length:length])
}
