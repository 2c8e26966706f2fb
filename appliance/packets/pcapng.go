package packets

import (
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/esasim/esasim/appliance/network/netsim"
)

// A FileWriter writes packets of one cable as a pcapng file: with nanoseconds, directions, the name of
// the cable, and comments where packets are missing or the appliance was restarted.
type FileWriter struct{ out *pcapgo.NgWriter }

// NewFileWriter writes the head of a file to w. snapLen is the number of bytes that are kept of each
// packet; 0: all.
func NewFileWriter(w io.Writer, cable netsim.Cable, filter string, snapLen int) (*FileWriter, error) {
	link := layers.LinkTypeEthernet
	if cable.Link == netsim.RawLink {
		link = layers.LinkTypeRaw
	}
	out, err := pcapgo.NewNgWriterInterface(w,
		pcapgo.NgInterface{
			Name: cable.Name, Description: cable.Description, Filter: filter, LinkType: link,
			TimestampResolution: 9, SnapLength: uint32(snapLen),
		},
		pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "esasim"}})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("write the head of a capture: %w", err)
	}
	return &FileWriter{out}, nil
}

// Write writes a packet. When it returns, the whole packet has been handed to the underlying writer.
func (f *FileWriter) Write(p Packet) error {
	flags := pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionInbound}
	if p.Direction == "out" {
		flags.Direction = pcapgo.NgEpbFlagDirectionOutbound
	}
	o := pcapgo.NgPacketOptions{Flags: &flags}
	if p.Dropped > 0 {
		o.DropCount = &p.Dropped
		o.Comments = append(o.Comments, fmt.Sprintf("%d packets before this one are missing", p.Dropped))
	}
	if p.Rebooted {
		o.Comments = append(o.Comments, "the appliance was restarted before this packet")
	}
	err := f.out.WritePacketWithOptions(gopacket.CaptureInfo{
		Timestamp: p.Time, CaptureLength: len(p.Data), Length: p.Length,
	}, p.Data, o)
	if err == nil {
		err = f.out.Flush()
	}
	return err
}

// finish writes how many packets were captured and lost.
func (f *FileWriter) finish(began, ended time.Time, captured, dropped uint64) error {
	err := f.out.WriteInterfaceStats(0, pcapgo.NgInterfaceStatistics{
		LastUpdate: ended, StartTime: began, EndTime: ended,
		PacketsReceived: captured, PacketsDropped: dropped,
	})
	if err == nil {
		err = f.out.Flush()
	}
	return err
}

// blockOverhead is the greatest number of bytes in a file besides a packet's data: of its block and
// its options, and of the statistics at the end.
const blockOverhead = 400
