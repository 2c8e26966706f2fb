package capture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/product"
)

// A fakeNetwork has two Ethernet interfaces and lo0. Tests send frames on it.
type fakeNetwork struct {
	mu         sync.Mutex
	interfaces []network.Interface
	taps       map[*tap]network.TapConfig
	tapErr     error // returned by Tap
}

type tap struct{ w *fakeNetwork }

func newFakeNetwork() *fakeNetwork {
	return &fakeNetwork{
		interfaces: []network.Interface{
			{Name: "Data 1", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.202.7/24")}},
			{Name: "Data 2"},
			{Name: "lo0", Loopback: true},
		},
		taps: map[*tap]network.TapConfig{},
	}
}

func (w *fakeNetwork) Interfaces() []network.Interface {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.interfaces)
}

func (w *fakeNetwork) Tap(c network.TapConfig) (network.Tap, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tapErr != nil {
		return nil, w.tapErr
	}
	t := &tap{w}
	w.taps[t] = c
	return t, nil
}

func (t *tap) Stats() (seen, kept uint64) { return 0, 0 }

func (t *tap) Close() error {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	delete(t.w.taps, t)
	return nil
}

// send shows a frame to the taps of the interface.
func (w *fakeNetwork) send(ifname string, frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.taps {
		if c.Interface == ifname && (c.Match == nil || c.Match(frame, len(frame))) {
			c.Sink(network.Frame{Data: frame, WireLen: len(frame)})
		}
	}
}

// tapped returns the number of taps.
func (w *fakeNetwork) tapped() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.taps)
}

// frame returns a TCP segment from the port, whose data begins with n.
func frame(port uint16, n, length int) []byte {
	f := make([]byte, max(length, 58))
	f[12], f[13] = 8, 0 // IPv4
	f[14], f[23] = 0x45, 6
	binary.BigEndian.PutUint16(f[34:], port)
	binary.BigEndian.PutUint32(f[54:], uint32(n))
	return f
}

func numberOf(f []byte) int { return int(binary.BigEndian.Uint32(f[54:])) }

var start = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)

const (
	diagnostic = "data/pub/diagnostic/"
	firstName  = "C100V-421F6D8FB9C75E19C425-C9AEA81B2B70-20150625-085003"
)

// A fixture is a recorder and the parts that it uses.
type fixture struct {
	*capture.Recorder
	t           testing.TB
	network     *fakeNetwork
	fakeClock   *clock.Fake
	offsetClock *clock.Offset
	store       *files.Store
	dir         string
	options     capture.Options
}

// newFixture makes a recorder whose file area has a quota in bytes; 0 means none.
func newFixture(t testing.TB, quota int64) *fixture {
	t.Helper()
	return newFixtureIn(t, t.TempDir(), quota)
}

func newFixtureIn(t testing.TB, dir string, quota int64) *fixture {
	t.Helper()
	fake := clock.NewFake(start)
	fx := &fixture{
		t: t, dir: dir, network: newFakeNetwork(), fakeClock: fake, offsetClock: clock.NewOffset(fake),
	}
	var err error
	fx.store, err = files.Open(fx.dir+"/files", quota, fx.offsetClock)
	if err != nil {
		t.Fatal(err)
	}
	fx.options = capture.Options{
		Net: fx.network, Files: fx.store, Clock: fx.offsetClock,
		StateFile: fx.dir + "/state/capture.json",
		Product:   product.Facts{Model: "C100V", Serial: "421F6D8FB9C75E19C425-C9AEA81B2B70"},
	}
	fx.open()
	t.Cleanup(func() {
		fx.Close()
		fx.store.Close()
	})
	return fx
}

// open makes a new recorder, as a restart of the appliance does.
func (fx *fixture) open() {
	fx.t.Helper()
	fx.Recorder = capture.New(fx.options)
}

func (fx *fixture) set(change func(*capture.Settings)) {
	fx.t.Helper()
	s := fx.Settings()
	change(&s)
	if err := fx.SetSettings(s); err != nil {
		fx.t.Fatal(err)
	}
}

func (fx *fixture) start(side capture.Side) capture.Status {
	fx.t.Helper()
	s, err := fx.Start(fx.t.Context(), capture.Owner{Side: side})
	if err != nil {
		fx.t.Fatal(err)
	}
	return s
}

func (fx *fixture) stop(side capture.Side) capture.Status {
	fx.t.Helper()
	s, err := fx.Stop(side)
	if err != nil {
		fx.t.Fatal(err)
	}
	return s
}

// awaitEnd waits until the side's capture has ended and returns its last status.
func (fx *fixture) awaitEnd(side capture.Side) capture.Status {
	fx.t.Helper()
	for {
		if s := fx.Status(side); !s.Running {
			return s
		}
		if err := clock.System().Sleep(fx.t.Context(), time.Millisecond); err != nil {
			fx.t.Fatal("the capture does not end")
		}
	}
}

// A record is one of a pcap file.
type record struct {
	at      time.Time
	frame   []byte
	wireLen int
}

// read returns the records of a file. All of them must be complete.
func (fx *fixture) read(file string) []record {
	fx.t.Helper()
	content, err := fs.ReadFile(fx.store, diagnostic+file)
	if err != nil {
		fx.t.Fatal(err)
	}
	return records(fx.t, content)
}

func records(t testing.TB, content []byte) []record {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if r.LinkType() != layers.LinkTypeEthernet || r.Snaplen() != 262144 {
		t.Fatalf("link type %v and snap length %d, want Ethernet and 262144", r.LinkType(), r.Snaplen())
	}
	var out []record
	for {
		data, info, err := r.ReadPacketData()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("record %d: %v", len(out), err)
		}
		out = append(out, record{info.Timestamp.UTC(), data, info.Length})
	}
}

// list returns the base names of the files in the captures' directory.
func (fx *fixture) list() []string {
	fx.t.Helper()
	entries, err := fx.store.ReadDir("data/pub/diagnostic")
	if err != nil {
		fx.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFramesAreRecordedUnchanged(t *testing.T) {
	fx := newFixture(t, 0)
	began := fx.start(capture.CLI)
	if began.File != firstName+".cap" || !began.Running || began.Started != start {
		t.Errorf("began as %+v", began)
	}
	sent := [][]byte{frame(25, 1, 64), frame(25, 2, 1514), frame(25, 3, 58)}
	for i, f := range sent {
		fx.network.send([]string{"Data 1", "Data 2"}[i%2], f)
		fx.fakeClock.Advance(1500 * time.Microsecond)
	}
	got := fx.stop(capture.CLI)
	if got.Running || got.Packets != 3 || got.Dropped != 0 || got.Reason != capture.ByUser ||
		got.Elapsed != 4500*time.Microsecond {
		t.Errorf("ended as %+v", got)
	}
	recs := fx.read(began.File)
	if len(recs) != len(sent) {
		t.Fatalf("%d records, want %d", len(recs), len(sent))
	}
	for i, r := range recs {
		at := start.Add(time.Duration(i) * 1500 * time.Microsecond)
		if !bytes.Equal(r.frame, sent[i]) || r.wireLen != len(sent[i]) || !r.at.Equal(at) {
			t.Errorf("record %d: %d of %d bytes at %v, want %d at %v",
				i, len(r.frame), r.wireLen, r.at, len(sent[i]), at)
		}
	}
	if fx.network.tapped() != 0 {
		t.Error("the interfaces are still tapped")
	}
}

func TestRunningCaptureCanBeRead(t *testing.T) {
	fx := newFixture(t, 0)
	file := fx.start(capture.CLI).File
	if n := len(fx.read(file)); n != 0 {
		t.Errorf("%d records before the first frame", n)
	}
	for i := range 5 {
		fx.network.send("Data 1", frame(25, i, 64))
		s := fx.Status(capture.CLI)
		if s.Packets != uint64(i+1) || s.Size != int64(24+(i+1)*80) {
			t.Errorf("status after frame %d: %d packets, %d bytes", i, s.Packets, s.Size)
		}
		if n := len(fx.read(file)); n != i+1 {
			t.Errorf("%d records after frame %d", n, i)
		}
	}
}

func TestFramesAreWrittenAfterADelay(t *testing.T) {
	fx := newFixture(t, 0)
	file := fx.start(capture.CLI).File
	fx.network.send("Data 1", frame(25, 1, 64))
	for len(fx.read(file)) == 0 {
		if err := clock.System().Sleep(t.Context(), time.Millisecond); err != nil {
			t.Fatal("the frame is never written")
		}
	}
}

func TestTimestampsNeverDecrease(t *testing.T) {
	fx := newFixture(t, 0)
	file := fx.start(capture.CLI).File
	step := func(ifname string) {
		fx.network.send(ifname, frame(25, 0, 64))
		fx.fakeClock.Advance(time.Second)
	}
	step("Data 1")
	fx.offsetClock.Set(start.Add(-time.Hour)) // settime
	step("Data 2")
	step("Data 1")
	fx.offsetClock.Set(start.Add(time.Hour))
	step("Data 1")
	fx.stop(capture.CLI)
	want := []time.Duration{0, 0, time.Second, time.Hour}
	recs := fx.read(file)
	if len(recs) != len(want) {
		t.Fatalf("%d records, want %d", len(recs), len(want))
	}
	for i, r := range recs {
		if got := r.at.Sub(start); got != want[i] {
			t.Errorf("record %d at %v, want %v", i, got, want[i])
		}
	}
}

func TestFilesOfTheSameSecondHaveDifferentNames(t *testing.T) {
	fx := newFixture(t, 0)
	for range 3 {
		fx.start(capture.CLI)
		fx.stop(capture.CLI)
	}
	want := []string{firstName + ".cap", firstName + "_2.cap", firstName + "_3.cap"}
	if got := fx.list(); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestFileNamesUseTheAppliancesTimeZone(t *testing.T) {
	fx := newFixture(t, 0)
	fx.options.Zone = func() *time.Location { return time.FixedZone("", 9*60*60) }
	fx.open()
	const want = "C100V-421F6D8FB9C75E19C425-C9AEA81B2B70-20150625-175003.cap"
	if got := fx.start(capture.CLI).File; got != want {
		t.Errorf("file %q, want %q", got, want)
	}
}

func TestFailedTapLeavesNoFile(t *testing.T) {
	fx := newFixture(t, 0)
	fx.network.tapErr = errors.ErrUnsupported
	if _, err := fx.Start(t.Context(), capture.Owner{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Start = %v", err)
	}
	if got := fx.list(); len(got) != 0 {
		t.Errorf("left %q", got)
	}
	if s := fx.Status(capture.CLI); s.Running {
		t.Error("Status says that a capture runs")
	}
}
