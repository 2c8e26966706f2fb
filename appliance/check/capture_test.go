package check

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"
)

// pcapng returns a file with blocks, each a type and a body.
func pcapng(blocks ...[]byte) []byte { return bytes.Join(blocks, nil) }

// block returns a block of a pcapng file.
func block(kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	le := binary.LittleEndian
	b := le.AppendUint32(nil, kind)
	b = le.AppendUint32(b, uint32(len(body)+12))
	b = append(b, body...)
	return le.AppendUint32(b, uint32(len(body)+12))
}

func words(list ...uint32) (b []byte) {
	for _, v := range list {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// header is the beginning of a file of nanoseconds with the interface "Data 1", which has IP packets.
func header() []byte {
	card := words(linkRaw, 0, 6<<16|2)
	card = append(card, "Data 1\x00\x00"...)
	card = append(card, words(1<<16|9, 9, 0)...)
	return pcapng(block(blockSection, words(0x1a2b3c4d, 1, 0xffffffff, 0xffffffff)), block(blockInterface, card))
}

// ping is an IP packet with an echo request.
func ping() []byte {
	return []byte("\x45\x00\x00\x1c\x00\x01\x00\x00\x40\x01\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02" +
		"\x08\x00\x00\x00\x00\x07\x00\x01")
}

func TestReadPcapng(t *testing.T) {
	at := uint64(time.Date(2015, 6, 25, 8, 50, 3, 7, time.UTC).UnixNano())
	body := append(words(0, uint32(at>>32), uint32(at), 28, 28), ping()...)
	c, err := ReadCapture("cable.pcapng", bytes.NewReader(pcapng(header(), block(blockEnhanced, body))))
	if err != nil || len(c.Frames) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	f := c.Frames[0]
	if f.Interface != "Data 1" || f.Time.UnixNano() != int64(at) || f.String() != "ICMP 10.0.0.1 > 10.0.0.2 type 8 code 0" {
		t.Errorf("%+v %v", f, f)
	}
}

// TestCutCaptures: a last frame that is cut off is left out, and damage is reported with its place.
func TestCutCaptures(t *testing.T) {
	body := append(words(0, 0, 0, 28, 28), ping()...)
	whole := pcapng(header(), block(blockEnhanced, body), block(blockEnhanced, body))
	c, err := ReadCapture("x", bytes.NewReader(whole[:len(whole)-5]))
	if err != nil || len(c.Frames) != 1 || !c.Cut {
		t.Errorf("%+v, %v", c, err)
	}
	body[0] = 1 // there is no such interface
	_, err = ReadCapture("x", bytes.NewReader(pcapng(header(), block(blockEnhanced, body))))
	var wrong *InputError
	if !errors.As(err, &wrong) || wrong.Error() != "x: frame 1: the frame names the interface 1, which the file does not describe" {
		t.Errorf("%v", err)
	}
}

// TestCableCapture: the record knows the capture of a cable by its name.
func TestCableCapture(t *testing.T) {
	record, err := ReadRecord("record", strings.NewReader(
		`{"seq":1,"kind":"capture.cable.started","fields":{"name":"capture1","cable":"Data 1","filter":""}}`+"\n"+
			`{"seq":2,"kind":"capture.cable.ended","cause":1,"fields":{"name":"capture1","packets":0}}`+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	body := append(words(0, 0, 0, 28, 28), ping()...)
	c, err := ReadCapture("dir/capture1.pcapng", bytes.NewReader(pcapng(header(), block(blockEnhanced, body))))
	if err != nil {
		t.Fatal(err)
	}
	run := Run{Record: record, Captures: []*Capture{c}}
	found := run.Check().Contradictions
	if len(found) != 1 || found[0].Name != "captures-are-whole" || len(found[0].Witnesses) != 2 {
		t.Errorf("%+v", found)
	}
}

// TestSpans: parts of a stream are counted once, in any order and over the end of the numbers.
func TestSpans(t *testing.T) {
	var s spans
	s.add(0xfffffff0, 10)
	s.add(0xfffffffa, 10)
	s.add(0xfffffff5, 10) // seen before
	s.add(100, 10)
	s.add(0xfffffff0-20, 10)
	if n := s.length(); n != 40 {
		t.Errorf("%d bytes, want 40", n)
	}
}
