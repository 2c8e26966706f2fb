package vnet_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// Machines whose delay never ends during a test.
var (
	patientBSD   = &vnet.Personality{ACKDelay: time.Hour}
	patientLinux = &vnet.Personality{ACKDelay: time.Hour, DelaysAnswersOnly: true}
)

// A conversation is a connection between machines with personalities.
type conversation struct {
	t         *testing.T
	port      *ether.Port // of the machine that accepts
	service   netip.AddrPort
	near, far network.Conn
	nearHost  *vnet.Host
	listener  network.Listener
	seen      *segments // at port
}

// converse connects a machine to another one.
func converse(t *testing.T, near, far *vnet.Personality) *conversation {
	t.Helper()
	return converseWithMTU(t, near, far, 1500)
}

// converseWithMTU is converse for a far machine with a certain MTU.
func converseWithMTU(t *testing.T, near, far *vnet.Personality, mtu int) *conversation {
	t.Helper()
	fabric := ether.NewFabric(ether.Options{})
	t.Cleanup(fabric.Close)
	lan := fabric.NewSegment("lan")
	a := personalityHost(t, lan, 1, near, 1500, "10.0.202.7/24")
	b := personalityHost(t, lan, 2, far, mtu, "10.0.202.8/24")
	c := &conversation{
		t: t, port: b.Port("Data 1"), service: netip.MustParseAddrPort("10.0.202.8:25"), nearHost: a,
	}
	c.seen = recordSegments(c.port)
	var err error
	if c.listener, err = b.Listen(t.Context(), network.ListenConfig{Addr: c.service}); err != nil {
		t.Fatal(err)
	}
	c.near, c.far = c.connect()
	return c
}

func (c *conversation) connect() (near, far network.Conn) {
	c.t.Helper()
	near, err := c.nearHost.Dial(c.t.Context(), network.DialConfig{Remote: c.service})
	if err != nil {
		c.t.Fatal(err)
	}
	far, err = c.listener.AcceptConn()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, x := range []network.Conn{near, far} {
		if err := x.SetDeadline(clock.System().Now().Add(timeout)); err != nil {
			c.t.Fatal(err)
		}
	}
	return near, far
}

// personalityHost returns a machine on lan.
func personalityHost(
	t *testing.T, lan *ether.Segment, n byte, p *vnet.Personality, mtu int, addrs ...string,
) *vnet.Host {
	t.Helper()
	h := vnet.NewHost(vnet.Options{
		Name: fmt.Sprint(n), Rand: entropy.Seeded(1),
		Personalities: map[netip.Addr]*vnet.Personality{{}: p},
	})
	t.Cleanup(h.Close)
	c := vnet.InterfaceConfig{
		Name: "Data 1", Device: "nic1", Index: 1, Segment: lan, MAC: mac(n), MTU: mtu,
	}
	for _, a := range addrs {
		c.Addrs = append(c.Addrs, netip.MustParsePrefix(a))
	}
	if err := h.AddInterface(c); err != nil {
		t.Fatal(err)
	}
	return h
}

// timeLimit returns a context for one wait.
func (c *conversation) timeLimit() context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), timeout)
	c.t.Cleanup(cancel)
	return ctx
}

// write lets one end write a text, and the other one read it.
func (c *conversation) write(from, to network.Conn, text string) {
	c.t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(to, b); err != nil || string(b) != text {
		c.t.Fatalf("read %q, %v, want %q", b, err, text)
	}
}

// acknowledged waits until n bytes that an end has written have been acknowledged.
func (c *conversation) acknowledged(end network.Conn, n int64) {
	c.t.Helper()
	if err := end.AwaitAcknowledged(c.timeLimit(), n); err != nil {
		c.t.Fatalf("%d of %d bytes are acknowledged: %v", end.Acknowledged(), n, err)
	}
}

// end closes the connection from both ends, the near one first.
func (c *conversation) end() {
	c.t.Helper()
	for _, x := range [][2]network.Conn{{c.near, c.far}, {c.far, c.near}} {
		if err := x[0].CloseWrite(); err != nil {
			c.t.Fatal(err)
		}
		if b, err := io.ReadAll(struct{ io.Reader }{x[1]}); err != nil || len(b) > 0 {
			c.t.Fatalf("read %q, %v at the end", b, err)
		}
	}
	c.near.Close()
	c.far.Close()
}

// expect compares the segments after the handshake with want, one a line: a direction, the flags
// except for ACK and PSH, and the data. It waits until there are as many.
func (c *conversation) expect(want ...string) {
	c.t.Helper()
	var got []string
	for ctx := c.timeLimit(); ; {
		got = nil
		for _, s := range c.seen.list()[3:] {
			words := []string{"<"}
			if s.DstPort == 25 {
				words[0] = ">"
			}
			for _, f := range []struct {
				set  bool
				name string
			}{{s.FIN, "FIN"}, {s.RST, "RST"}, {s.SYN, "SYN"}, {len(s.Payload) > 0, string(s.Payload)}} {
				if f.set {
					words = append(words, f.name)
				}
			}
			got = append(got, strings.Join(words, " "))
		}
		if len(got) >= len(want) || clock.System().Sleep(ctx, time.Millisecond) != nil {
			break
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		c.t.Errorf("segments (-want +got):\n%s", d)
	}
}

// A machine that answers acknowledges with the answer. Linux begins to delay when it has answered
// once. A FIN is acknowledged at once.
func TestAnswersAcknowledge(t *testing.T) {
	c := converse(t, patientLinux, patientBSD)
	for i := range 3 {
		c.write(c.near, c.far, fmt.Sprint("question ", i))
		c.write(c.far, c.near, fmt.Sprint("answer ", i))
	}
	c.end()
	c.expect(
		"> question 0", "< answer 0", ">",
		"> question 1", "< answer 1",
		"> question 2", "< answer 2",
		"> FIN", "<", "< FIN", ">",
	)
}

// The second segment without an answer is acknowledged at once.
func TestSecondSegmentIsAcknowledged(t *testing.T) {
	c := converse(t, patientLinux, patientBSD)
	for i := range int64(3) {
		c.write(c.near, c.far, "1")
		c.write(c.near, c.far, "2")
		c.acknowledged(c.near, 2*i+2)
	}
	c.end()
	c.expect("> 1", "> 2", "<", "> 1", "> 2", "<", "> 1", "> 2", "<", "> FIN", "<", "< FIN", ">")
}

// Two segments that arrive together are acknowledged at once, even if together they have no more
// data than the machine could send in one.
func TestSecondSegmentOfATrainIsAcknowledged(t *testing.T) {
	c := converseWithMTU(t, patientLinux, patientBSD, 600)
	const first, second = 520, 380
	text := strings.Repeat("x", first+second)
	var want []string
	for i := range int64(3) {
		c.write(c.near, c.far, text)
		c.acknowledged(c.near, (i+1)*int64(len(text)))
		want = append(want, "> "+text[:first], "> "+text[:second], "<")
	}
	c.expect(want...)
}

// A segment that is not answered is acknowledged after the delay.
func TestDelayedAcknowledgement(t *testing.T) {
	const delay = 30 * time.Millisecond
	c := converse(t, patientLinux, &vnet.Personality{ACKDelay: delay})
	for i := range int64(3) {
		begun := clock.System().Mark()
		c.write(c.near, c.far, "1")
		c.acknowledged(c.near, i+1)
		if d := clock.System().Since(begun); d < delay {
			t.Errorf("acknowledged after %v", d)
		}
	}
	c.end()
	c.expect("> 1", "<", "> 1", "<", "> 1", "<", "> FIN", "<", "< FIN", ">")
}

// Linux acknowledges at once what it does not answer.
func TestLinuxDelaysAnswersOnly(t *testing.T) {
	c := converse(t, patientBSD, patientLinux)
	for i := range int64(3) {
		c.write(c.near, c.far, "1")
		c.acknowledged(c.near, i+1)
	}
	c.end()
	c.expect("> 1", "<", "> 1", "<", "> 1", "<", "> FIN", "<", "< FIN", ">")
}

// A lost segment is reported at once, and so is its arrival.
func TestLossIsAcknowledgedAtOnce(t *testing.T) {
	c := converse(t, patientLinux, patientBSD)
	c.write(c.near, c.far, "a")
	c.write(c.far, c.near, "b")
	first := true
	remove := c.port.AllowOnly(func(dir network.Direction, _ []byte) bool {
		lost := first && dir == network.In
		first = first && !lost
		return !lost
	})
	for _, text := range []string{"lost", "late"} {
		if _, err := io.WriteString(c.near, text); err != nil {
			t.Fatal(err)
		}
	}
	c.acknowledged(c.near, 9)
	remove()
	c.expect("> a", "< b", ">", "> late", "<", "> lost", "<")
}

// A connection that has been reset acknowledges nothing, although an acknowledgement was due.
func TestNoAcknowledgementAfterAReset(t *testing.T) {
	c := converse(t, patientLinux, patientBSD)
	c.write(c.near, c.far, "1")
	c.near.Abort()
	if _, err := c.far.Read(make([]byte, 1)); err == nil {
		t.Error("read after a reset")
	}
	c.far.Close()
	c.near, c.far = c.connect()
	c.expect("> 1", "> RST", "> SYN", "< SYN", ">")
}

// A machine that closes a connection acknowledges with its FIN.
func TestFINAcknowledges(t *testing.T) {
	c := converse(t, patientLinux, patientBSD)
	c.write(c.near, c.far, "1")
	c.far.Close()
	c.acknowledged(c.near, 1)
	c.near.Close()
	c.expect("> 1", "< FIN", ">", "> FIN", "<")
}

// Thousands of connections that are only begun, as in a scan of ports, leave those that programs use
// as they are.
func TestManyBegunConnections(t *testing.T) {
	c := converse(t, patientLinux, patientBSD)
	const batch = 100
	for i := range 50 * batch {
		if err := c.nearHost.SendFrame("Data 1", beginning(uint16(i))); err != nil {
			t.Fatal(err)
		}
		if i%batch == batch-1 {
			c.connect() // waits until the frames have arrived
		}
	}
	c.seen = recordSegments(c.port)
	c.connect()
	c.write(c.near, c.far, "question")
	c.write(c.far, c.near, "answer")
	c.end()
	c.expect("> question", "< answer", ">", "> FIN", "<", "< FIN", ">")
}

// beginning returns a SYN to the far machine, for an address that it does not have.
func beginning(port uint16) []byte {
	b := gopacket.NewSerializeBuffer()
	to, from := mac(2), mac(1)
	ip := &layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP,
		SrcIP: net.IPv4(10, 0, 202, 7), DstIP: net.IPv4(10, 0, 202, 99),
	}
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true},
		&layers.Ethernet{SrcMAC: from[:], DstMAC: to[:], EthernetType: layers.EthernetTypeIPv4},
		ip, &layers.TCP{SrcPort: layers.TCPPort(port), DstPort: 25, SYN: true})
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}
