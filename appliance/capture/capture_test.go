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

// A wire is a network of two Ethernet interfaces and lo0, on which tests send frames.
type fakeNetwork struct {
	mu         sync.Mutex
	interfaces []network.Interface
	taps       map[*tap]network.TapConfig
	refuse     error // what Tap returns
}

type tap struct{ w *fakeNetwork }

func newWire() *fakeNetwork {
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
	if w.refuse != nil {
		return nil, w.refuse
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

// send lets a frame pass the interface.
func (w *fakeNetwork) send(ifname string, frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.taps {
		if c.Interface == ifname && (c.Match == nil || c.Match(frame, len(frame))) {
			c.Sink(network.Frame{Data: frame, WireLen: len(frame)})
		}
	}
}

func (w *fakeNetwork) tapped() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.taps)
}

// frame is a TCP segment from the port, whose data begins with n.
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

// A bench is a recorder and what it stands on.
type bench struct {
	*capture.Recorder
	t     *testing.T
	wire  *fakeNetwork
	fake  *clock.Fake
	clock *clock.Offset
	store *files.Store
	dir   string
	opts  capture.Options
}

// newBench starts a recorder whose file area has room for quota bytes.
func newBench(t *testing.T, quota int64) *bench {
	t.Helper()
	return newBenchIn(t, t.TempDir(), quota)
}

func newBenchIn(t *testing.T, dir string, quota int64) *bench {
	t.Helper()
	fake := clock.NewFake(start)
	b := &bench{t: t, wire: newWire(), fake: fake, clock: clock.NewOffset(fake), dir: dir}
	var err error
	b.store, err = files.Open(b.dir+"/files", quota, b.clock)
	if err != nil {
		t.Fatal(err)
	}
	b.opts = capture.Options{
		Net: b.wire, Files: b.store, Clock: b.clock, StateFile: b.dir + "/state/capture.json",
		Product: product.Facts{Model: "C100V", Serial: "421F6D8FB9C75E19C425-C9AEA81B2B70"},
	}
	b.open()
	t.Cleanup(func() {
		b.Close()
		b.store.Close()
	})
	return b
}

// open makes the recorder, as a restart of the appliance does.
func (b *bench) open() {
	b.t.Helper()
	r, err := capture.New(b.opts)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Recorder = r
}

func (b *bench) set(change func(*capture.Settings)) {
	b.t.Helper()
	s := b.Settings()
	change(&s)
	if err := b.SetSettings(s); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) start(side capture.Side) capture.Status {
	b.t.Helper()
	s, err := b.Start(b.t.Context(), capture.Owner{Side: side})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) stop(side capture.Side) capture.Status {
	b.t.Helper()
	s, err := b.Stop(side)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// ended waits for the end that a capture comes to by itself.
func (b *bench) ended(side capture.Side) capture.Status {
	b.t.Helper()
	for {
		if s := b.Status(side); !s.Running {
			return s
		}
		if err := clock.System().Sleep(b.t.Context(), time.Millisecond); err != nil {
			b.t.Fatal("the capture does not end")
		}
	}
}

// A record is what a pcap file holds of a frame.
type record struct {
	at    time.Time
	frame []byte
	wire  int
}

// read returns the records of a file, which must hold whole ones only.
func (b *bench) read(file string) []record {
	b.t.Helper()
	content, err := fs.ReadFile(b.store, diagnostic+file)
	if err != nil {
		b.t.Fatal(err)
	}
	return records(b.t, content)
}

func records(t *testing.T, content []byte) []record {
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

// list returns the base names of the files in the directory of captures.
func (b *bench) list() []string {
	b.t.Helper()
	entries, err := b.store.ReadDir("data/pub/diagnostic")
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFramesAreWrittenAsTheyPassed(t *testing.T) {
	b := newBench(t, 0)
	began := b.start(capture.CLI)
	if began.File != firstName+".cap" || !began.Running || began.Started != start {
		t.Errorf("began as %+v", began)
	}
	sent := [][]byte{frame(25, 1, 64), frame(25, 2, 1514), frame(25, 3, 58)}
	for i, f := range sent {
		b.wire.send([]string{"Data 1", "Data 2"}[i%2], f)
		b.fake.Advance(1500 * time.Microsecond)
	}
	got := b.stop(capture.CLI)
	if got.Running || got.Packets != 3 || got.Dropped != 0 || got.Reason != capture.ByUser || got.Elapsed != 4500*time.Microsecond {
		t.Errorf("ended as %+v", got)
	}
	recs := b.read(began.File)
	if len(recs) != len(sent) {
		t.Fatalf("%d records, want %d", len(recs), len(sent))
	}
	for i, r := range recs {
		at := start.Add(time.Duration(i) * 1500 * time.Microsecond)
		if !bytes.Equal(r.frame, sent[i]) || r.wire != len(sent[i]) || !r.at.Equal(at) {
			t.Errorf("record %d: %d of %d bytes at %v, want %d at %v", i, len(r.frame), r.wire, r.at, len(sent[i]), at)
		}
	}
	if b.wire.tapped() != 0 {
		t.Error("the interfaces are still tapped")
	}
}

func TestARunningCaptureCanBeRead(t *testing.T) {
	b := newBench(t, 0)
	file := b.start(capture.CLI).File
	if n := len(b.read(file)); n != 0 {
		t.Errorf("%d records before the first frame", n)
	}
	for i := range 5 {
		b.wire.send("Data 1", frame(25, i, 64))
		s := b.Status(capture.CLI)
		if s.Packets != uint64(i+1) || s.Size != int64(24+(i+1)*80) {
			t.Errorf("status after frame %d: %d packets, %d bytes", i, s.Packets, s.Size)
		}
		if n := len(b.read(file)); n != i+1 {
			t.Errorf("%d records after frame %d", n, i)
		}
	}
}

func TestFramesAreWrittenWithoutBeingAskedFor(t *testing.T) {
	b := newBench(t, 0)
	file := b.start(capture.CLI).File
	b.wire.send("Data 1", frame(25, 1, 64))
	for len(b.read(file)) == 0 {
		if err := clock.System().Sleep(t.Context(), time.Millisecond); err != nil {
			t.Fatal("the frame is never written")
		}
	}
}

func TestStampsNeverGoBack(t *testing.T) {
	b := newBench(t, 0)
	file := b.start(capture.CLI).File
	step := func(ifname string) {
		b.wire.send(ifname, frame(25, 0, 64))
		b.fake.Advance(time.Second)
	}
	step("Data 1")
	b.clock.Set(start.Add(-time.Hour)) // settime
	step("Data 2")
	step("Data 1")
	b.clock.Set(start.Add(time.Hour))
	step("Data 1")
	b.stop(capture.CLI)
	want := []time.Duration{0, 0, time.Second, time.Hour}
	recs := b.read(file)
	if len(recs) != len(want) {
		t.Fatalf("%d records, want %d", len(recs), len(want))
	}
	for i, r := range recs {
		if got := r.at.Sub(start); got != want[i] {
			t.Errorf("record %d at %v, want %v", i, got, want[i])
		}
	}
}

func TestFilesOfTheSameSecondHaveNamesOfTheirOwn(t *testing.T) {
	b := newBench(t, 0)
	for range 3 {
		b.start(capture.CLI)
		b.stop(capture.CLI)
	}
	want := []string{firstName + ".cap", firstName + "_2.cap", firstName + "_3.cap"}
	if got := b.list(); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestNamesHaveTheAppliancesTime(t *testing.T) {
	b := newBench(t, 0)
	b.opts.Zone = func() *time.Location { return time.FixedZone("", 9*60*60) }
	b.open()
	if got, want := b.start(capture.CLI).File, "C100V-421F6D8FB9C75E19C425-C9AEA81B2B70-20150625-175003.cap"; got != want {
		t.Errorf("file %q, want %q", got, want)
	}
}

func TestATapThatIsRefusedLeavesNothing(t *testing.T) {
	b := newBench(t, 0)
	b.wire.refuse = errors.ErrUnsupported
	if _, err := b.Start(t.Context(), capture.Owner{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Start = %v", err)
	}
	if got := b.list(); len(got) != 0 {
		t.Errorf("left %q", got)
	}
	if s := b.Status(capture.CLI); s.Running {
		t.Error("a capture is said to run")
	}
}
