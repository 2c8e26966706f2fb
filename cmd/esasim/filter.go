package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

type filter struct {
	Read string   `short:"r" predictor:"file" placeholder:"FILE" help:"Print the frames of a pcap file that match."`
	Dump bool     `short:"d" help:"Print the compiled program, as tcpdump -d does."`
	Expr []string `arg:"" optional:"" help:"A filter in the language of tcpdump. None matches every frame."`
}

// Help is shown by esasim filter --help.
func (filter) Help() string {
	return "Without -r and -d the expression is only checked."
}

func (c filter) Run(t stdio) error {
	expr := strings.Join(c.Expr, " ")
	f, err := pcapfilter.Compile(expr, pcapfilter.Options{LookupHost: refuseNames})
	var wrong *pcapfilter.SyntaxError
	if errors.As(err, &wrong) {
		fmt.Fprintf(t.err, "%s\n%s\n", wrong.Expr, wrong.Caret())
		return errors.New(wrong.Reason())
	}
	if err != nil {
		return err
	}
	if c.Dump {
		fmt.Fprint(t.out, f.String())
	}
	if c.Read == "" {
		return nil
	}
	file, err := os.Open(c.Read)
	if err != nil {
		return fmt.Errorf("read frames: %w", err)
	}
	defer file.Close()
	if err := showMatches(t.out, bufio.NewReader(file), f); err != nil {
		return fmt.Errorf("%s: %w", c.Read, err)
	}
	return nil
}

// refuseNames resolves no host name: a filter for an appliance elsewhere must not be
// compiled with the addresses that this machine's name servers return.
func refuseNames(name string) ([]netip.Addr, error) {
	return nil, fmt.Errorf("unknown host '%s': expected an address", name)
}

// maxFrame bounds the length of a frame that is read, so that a damaged file cannot make the
// program allocate more.
const maxFrame = 1 << 20

// showMatches prints a line for each frame of a pcap file that f selects.
func showMatches(w io.Writer, r io.Reader, f *pcapfilter.Filter) error {
	var head [24]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return errors.New("expected a pcap file, but the file is shorter than the header of one")
	}
	var order binary.ByteOrder = binary.LittleEndian
	unit := time.Microsecond
	switch binary.LittleEndian.Uint32(head[:]) {
	case 0xa1b2c3d4:
	case 0xa1b23c4d:
		unit = time.Nanosecond
	case 0xd4c3b2a1:
		order = binary.BigEndian
	case 0x4d3cb2a1:
		order, unit = binary.BigEndian, time.Nanosecond
	case 0x0a0d0d0a:
		return errors.New("expected a pcap file, but this is a pcapng file: editcap -F pcap converts it")
	default:
		return errors.New("expected a pcap file, but the file begins differently")
	}
	if link := order.Uint32(head[20:]) & 0xffff; link != 1 {
		return fmt.Errorf("expected Ethernet frames (link type 1), but the file has link type %d", link)
	}
	for n := 1; ; n++ {
		var record [16]byte
		if _, err := io.ReadFull(r, record[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("frame %d is cut off", n)
		}
		captured, wire := order.Uint32(record[8:]), order.Uint32(record[12:])
		if captured > maxFrame {
			return fmt.Errorf("frame %d has %d bytes, expected at most %d: the file is damaged",
				n, captured, maxFrame)
		}
		frame := make([]byte, captured)
		if _, err := io.ReadFull(r, frame); err != nil {
			return fmt.Errorf("frame %d is cut off", n)
		}
		if f.Match(frame, int(wire)) {
			fraction := int64(order.Uint32(record[4:])) * int64(unit)
			at := time.Unix(int64(order.Uint32(record[0:])), fraction).UTC()
			fmt.Fprintf(w, "%6d  %s  %5d  %s\n", n, at.Format("15:04:05.000000"), wire, summary(frame))
		}
	}
}

// summary describes a frame in a line: its protocol, source and destination.
func summary(f []byte) string {
	if len(f) < 14 {
		return "not an Ethernet frame"
	}
	etherType, body := binary.BigEndian.Uint16(f[12:]), f[14:]
	switch {
	case etherType == 0x0800 && len(body) >= 20:
		head := int(body[0]&15) * 4
		src, dst := ipv4At(body, 12), ipv4At(body, 16)
		if binary.BigEndian.Uint16(body[6:])&0x1fff != 0 || head > len(body) {
			return fmt.Sprintf("IP %v > %v, a later fragment of protocol %d", src, dst, body[9])
		}
		return "IP " + transport(body[9], src, dst, body[head:])
	case etherType == 0x86dd && len(body) >= 40:
		src, dst := netip.AddrFrom16([16]byte(body[8:])), netip.AddrFrom16([16]byte(body[24:]))
		return "IP6 " + transport(body[6], src, dst, body[40:])
	case etherType == 0x0806 && len(body) >= 28 && body[7] == 1:
		return fmt.Sprintf("ARP who has %v, tell %v", ipv4At(body, 24), ipv4At(body, 14))
	case etherType == 0x0806 && len(body) >= 28:
		return fmt.Sprintf("ARP %v is at %v", ipv4At(body, 14), net.HardwareAddr(body[8:14]))
	}
	return fmt.Sprintf("%v > %v, type 0x%04x",
		net.HardwareAddr(f[6:12]), net.HardwareAddr(f[0:6]), etherType)
}

// ipv4At returns the address at an offset of b.
func ipv4At(b []byte, offset int) netip.Addr { return netip.AddrFrom4([4]byte(b[offset:])) }

// transport describes the content of an IP packet.
func transport(protocol byte, src, dst netip.Addr, body []byte) string {
	name := map[byte]string{6: "TCP", 17: "UDP", 132: "SCTP"}[protocol]
	switch {
	case name != "" && len(body) >= 4:
		from := netip.AddrPortFrom(src, binary.BigEndian.Uint16(body))
		to := netip.AddrPortFrom(dst, binary.BigEndian.Uint16(body[2:]))
		return fmt.Sprintf("%v > %v %s", from, to, name)
	case (protocol == 1 || protocol == 58) && len(body) >= 2:
		return fmt.Sprintf("%v > %v ICMP type %d code %d", src, dst, body[0], body[1])
	}
	return fmt.Sprintf("%v > %v protocol %d", src, dst, protocol)
}
