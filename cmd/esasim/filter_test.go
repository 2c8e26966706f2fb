package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilterPrintsTheProgram(t *testing.T) {
	status, out, stderr := invoke("filter", "-d", "arp")
	want := "(000) ldh      [12]\n(001) jeq      #0x806           jt 2\tjf 3\n(002) ret      #262144\n(003) ret      #0\n"
	if status != 0 || out != want || stderr != "" {
		t.Errorf("status %d, %q\n%s", status, stderr, out)
	}
}

func TestFilterMarksTheSyntaxError(t *testing.T) {
	status, out, stderr := invoke("filter", "tcp", "prt", "25")
	if want := "tcp prt 25\n    ^\nesasim: syntax error\n"; status != 1 || out != "" || stderr != want {
		t.Errorf("status %d, %q %q, want %q", status, out, stderr, want)
	}
}

// pcapFile writes a capture of an ARP request, with a second frame that is cut off.
func pcapFile(t *testing.T) string {
	t.Helper()
	var b []byte
	for _, v := range []uint32{0xa1b2c3d4, 0x00040002, 0, 0, 262144, 1} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	arp := append([]byte("\xff\xff\xff\xff\xff\xff\x00\x50\x56\x0a\x02\x07\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01\x00\x50\x56\x0a\x02\x07"),
		10, 0, 202, 7, 0, 0, 0, 0, 0, 0, 10, 0, 202, 53)
	for _, n := range []int{len(arp), len(arp) / 2} {
		for _, v := range []uint32{1435222203, 250, uint32(len(arp)), uint32(len(arp))} {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		b = append(b, arp[:n]...)
	}
	file := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFilterShowsFrames(t *testing.T) {
	file := pcapFile(t)
	status, out, stderr := invoke("filter", "-r", file, "arp and host 10.0.202.53")
	if want := "     1  08:50:03.000250     42  ARP who has 10.0.202.53, tell 10.0.202.7\n"; out != want {
		t.Errorf("%q, want %q", out, want)
	}
	if status != 1 || !strings.Contains(stderr, file+": frame 2 is cut off") {
		t.Errorf("status %d, %q", status, stderr)
	}
	if _, out, _ := invoke("filter", "-r", file, "tcp"); out != "" {
		t.Errorf("tcp selects %q", out)
	}
}
