package appliancetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/packets"
)

// Files returns the file area of the appliance, with names such as "data/pub/diagnostic".
func (b *Box) Files() fs.FS { return b.Appliance().Files }

// Captures returns the names of the packet captures in Files, the oldest first.
func (b *Box) Captures() []string {
	b.t.Helper()
	names, err := fs.Glob(b.Files(), "data/pub/diagnostic/*.cap")
	if err != nil {
		b.t.Fatal("appliancetest: list captures: ", err)
	}
	slices.Sort(names) // by time, which is at their ends
	return names
}

// A Packet is a decoded frame of a capture.
type Packet struct {
	gopacket.Packet
}

// Packets decodes the capture of that name, which is one of Captures. If a frame cannot be
// decoded, or has a wrong checksum, the test fails.
func (b *Box) Packets(name string) []Packet {
	b.t.Helper()
	data, err := fs.ReadFile(b.Files(), name)
	if err != nil {
		b.t.Fatal("appliancetest: read capture: ", err)
	}
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	if err != nil {
		b.t.Fatalf("appliancetest: %s: %v", path.Base(name), err)
	}
	var out []Packet
	for {
		frame, info, err := r.ReadPacketData()
		if err == io.EOF {
			return out
		}
		if err != nil {
			b.t.Fatalf("appliancetest: %s: frame %d: %v", path.Base(name), len(out)+1, err)
		}
		out = append(out, decoded(b.t, path.Base(name), len(out)+1, frame, info, layers.LayerTypeEthernet))
	}
}

// decoded decodes frame number n of a capture and checks its checksums.
func decoded(t testing.TB, name string, n int, frame []byte, info gopacket.CaptureInfo,
	first gopacket.Decoder) Packet {
	t.Helper()
	p := gopacket.NewPacket(frame, first, gopacket.Default)
	p.Metadata().CaptureInfo = info
	if e := p.ErrorLayer(); e != nil {
		t.Fatalf("appliancetest: %s: frame %d: %v", name, n, e.Error())
	}
	for _, l := range p.Layers() {
		if c, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok && p.NetworkLayer() != nil {
			if err := c.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
				t.Fatalf("appliancetest: %s: frame %d: %v", name, n, err)
			}
		}
	}
	if err, wrong := p.VerifyChecksums(); err != nil || len(wrong) > 0 {
		t.Fatalf("appliancetest: %s: frame %d: checksums %v %v", name, n, wrong, err)
	}
	return Packet{p}
}

// A Capture is a capture of a cable anywhere in the network. The appliance does not notice it: its
// own captures, which Box.Captures lists, are something else.
type Capture struct {
	box  *Box
	name string
}

// Capture starts a capture of a cable: an interface of the appliance such as "Data 1", a host such as
// "resolver", or a path. The filter is as of tcpdump and may be empty. The capture is removed when the
// test ends. If cable or filter make no sense, the test fails.
func (b *Box) Capture(cable, filter string) *Capture {
	b.t.Helper()
	state, err := b.StartCapture(packets.CaptureRequest{Cable: cable, Filter: filter})
	check(b.t, err)
	b.t.Cleanup(func() {
		var gone *netsim.NotFoundError // by a reset
		if err := b.RemoveCapture(state.Name); err != nil && !errors.As(err, &gone) {
			b.t.Error("appliancetest: ", err)
		}
	})
	return &Capture{b, state.Name}
}

// Stop ends the capture and returns its packets. If a packet cannot be decoded, or has a wrong
// checksum, the test fails.
func (c *Capture) Stop() []Packet {
	t := c.box.t
	t.Helper()
	_, err := c.box.StopCapture(c.name)
	check(t, err)
	var file bytes.Buffer
	check(t, c.box.WriteCapture(c.name, &file))
	r, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{})
	check(t, err)
	var out []Packet
	for {
		frame, info, err := r.ReadPacketData()
		if err == io.EOF {
			return out
		}
		check(t, err)
		out = append(out, decoded(t, c.name, len(out)+1, frame, info, r.LinkType()))
	}
}
