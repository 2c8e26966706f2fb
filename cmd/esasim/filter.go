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
	"time"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

type filter struct {
	Read string   `short:"r" predictor:"file" placeholder:"FILE" help:"Show the frames of a pcap file that match."`
	Dump bool     `short:"d" help:"Print the compiled program, as tcpdump -d does."`
	Expr []string `arg:"" optional:"" help:"A filter in tcpdump's language."`
}

// Help is shown by esasim filter --help.
func (filter) Help() string {
	return "Without -r the expression is checked only. With -d its program is printed."
}

func (c filter) Run(t terminal) error {
	expr := ""
	for i, word := range c.Expr {
		if i > 0 {
			expr += " "
		}
		expr += word
	}
	f, err := pcapfilter.Compile(expr, pcapfilter.Options{LookupHost: hostTable})
	var wrong *pcapfilter.SyntaxError
	if errors.As(err, &wrong) {
		fmt.Fprintf(t.err, "%s\n%s\n", wrong.Expr, wrong.Caret())
		return wrong
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

// hostTable knows no names: a filter for an appliance elsewhere must not ask this
// machine's name servers.
func hostTable(name string) ([]netip.Addr, error) {
	return nil, fmt.Errorf("unknown host '%s'", name)
}

// showMatches prints a line for each frame of a pcap file that f selects.
func showMatches(w io.Writer, r io.Reader, f *pcapfilter.Filter) error {
	var head [24]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return errors.New("expected a pcap file, but it is shorter than its header")
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
		return errors.New("expected a pcap file, but it is a pcapng file: editcap -F pcap converts it")
	default:
		return errors.New("expected a pcap file, but it begins differently")
	}
	if link := order.Uint32(head[20:]) & 0xffff; link != 1 {
		return fmt.Errorf("expected Ethernet frames (link type 1), but they are of link type %d", link)
	}
	for n := 1; ; n++ {
		var record [16]byte
		if _, err := io.ReadFull(r, record[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("frame %d is cut off", n)
		}
		captured, wire := order.Uint32(record[8:]), order.Uint32(record[12:])
		if captured > 1<<20 {
			return fmt.Errorf("frame %d would have %d bytes", n, captured)
		}
		frame := make([]byte, captured)
		if _, err := io.ReadFull(r, frame); err != nil {
			return fmt.Errorf("frame %d is cut off", n)
		}
		if f.Match(frame, int(wire)) {
			at := time.Unix(int64(order.Uint32(record[0:])), int64(order.Uint32(record[4:]))*int64(unit)).UTC()
			fmt.Fprintf(w, "%6d  %s  %5d  %s\n", n, at.Format("15:04:05.000000"), wire, summary(frame))
		}
	}
}

// summary says whence and whereto, as far as the frame tells.
func summary(f []byte) string {
	if len(f) < 14 {
		return "not an Ethernet frame"
	}
	kind, body := binary.BigEndian.Uint16(f[12:]), f[14:]
	switch {
	case kind == 0x0800 && len(body) >= 20:
		head := int(body[0]&15) * 4
		src, dst := netip.AddrFrom4([4]byte(body[12:])), netip.AddrFrom4([4]byte(body[16:]))
		if binary.BigEndian.Uint16(body[6:])&0x1fff != 0 || head > len(body) {
			return fmt.Sprintf("IP %v > %v, a later fragment of protocol %d", src, dst, body[9])
		}
		return "IP " + transport(body[9], src, dst, body[head:])
	case kind == 0x86dd && len(body) >= 40:
		return "IP6 " + transport(body[6], netip.AddrFrom16([16]byte(body[8:])), netip.AddrFrom16([16]byte(body[24:])), body[40:])
	case kind == 0x0806 && len(body) >= 28 && body[7] == 1:
		return fmt.Sprintf("ARP who has %v, tell %v", netip.AddrFrom4([4]byte(body[24:])), netip.AddrFrom4([4]byte(body[14:])))
	case kind == 0x0806 && len(body) >= 28:
		return fmt.Sprintf("ARP %v is at %v", netip.AddrFrom4([4]byte(body[14:])), net.HardwareAddr(body[8:14]))
	}
	return fmt.Sprintf("%v > %v, type 0x%04x", net.HardwareAddr(f[6:12]), net.HardwareAddr(f[0:6]), kind)
}

func transport(protocol byte, src, dst netip.Addr, body []byte) string {
	name := map[byte]string{6: "TCP", 17: "UDP", 132: "SCTP"}[protocol]
	switch {
	case name != "" && len(body) >= 4:
		return fmt.Sprintf("%v > %v %s", netip.AddrPortFrom(src, binary.BigEndian.Uint16(body)), netip.AddrPortFrom(dst, binary.BigEndian.Uint16(body[2:])), name)
	case (protocol == 1 || protocol == 58) && len(body) >= 2:
		return fmt.Sprintf("%v > %v ICMP type %d code %d", src, dst, body[0], body[1])
	}
	return fmt.Sprintf("%v > %v protocol %d", src, dst, protocol)
}
