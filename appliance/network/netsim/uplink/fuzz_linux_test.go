package uplink_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/network/netsim/uplink"
)

// FuzzFramesFromOutside gives a world whatever a packet socket could receive. What the machine gets
// are frames: no longer than frames are, and not cut off.
func FuzzFramesFromOutside(f *testing.F) {
	header := func(flags, kind byte, size, start, distance uint16) string {
		h := offload(flags, kind, size, start, distance)
		return string(h[:])
	}
	tcp := string(tcpFrame(2500))
	f.Add([]byte(header(1, 1, 1000, 34, 16) + tcp))
	f.Add([]byte(header(1, 1, 1, 34, 16) + string(tcpFrame(10))))
	f.Add([]byte(header(1, 0, 0, 34, 16) + string(tcpFrame(100))))
	f.Add([]byte(header(1, 5, 100, 34, 6) + strings.Replace(tcp, "\x40\x06", "\x40\x11", 1)))
	f.Add([]byte(header(0, 0, 0, 0, 0) + string(frame(mac(1), mac(9), "plain"))))
	f.Add([]byte(header(0, 0, 0, 0, 0) + string(mac(1).String())))
	f.Add([]byte(header(1, 4, 0xffff, 0xffff, 0xffff) + tcp))
	var received [][]byte
	path := filepath.Join(f.TempDir(), "cable")
	a := newWorld(f, 1, 1, "unix:"+path)
	a.keep = func(frame []byte) { received = append(received, frame) }
	connect(f, a, path)
	f.Fuzz(func(t *testing.T, message []byte) {
		received = nil
		fabric := a.machine.Fabric()
		fabric.Hold()
		a.up.Deliver(message)
		fabric.Release()
		for _, frame := range received {
			if len(frame) < 14 || len(frame) > 14+4+uplink.MaxMTU || [6]byte(frame[:6]) != mac(1) && frame[0]&1 == 0 {
				t.Errorf("the machine gets a frame of %d bytes: % x", len(frame), frame[:min(len(frame), 60)])
			}
		}
	})
}
