package appliancetest

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
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
		p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
		p.Metadata().CaptureInfo = info
		if e := p.ErrorLayer(); e != nil {
			b.t.Fatalf("appliancetest: %s: frame %d: %v", path.Base(name), len(out)+1, e.Error())
		}
		for _, l := range p.Layers() {
			if c, ok := l.(interface {
				SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
			}); ok && p.NetworkLayer() != nil {
				if err := c.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
					b.t.Fatalf("appliancetest: %s: frame %d: %v", path.Base(name), len(out)+1, err)
				}
			}
		}
		if err, wrong := p.VerifyChecksums(); err != nil || len(wrong) > 0 {
			b.t.Fatalf("appliancetest: %s: frame %d: checksums %v %v", path.Base(name), len(out)+1,
				wrong, err)
		}
		out = append(out, Packet{p})
	}
}
