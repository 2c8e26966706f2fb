package appliancetest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/fixtures"
)

// User and Passphrase are those of the factory account.
const (
	User       = "admin"
	Passphrase = "ironport"
)

// loopback stands for any free port of this machine.
var loopback = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)

// waitTimeout bounds waits. A test that succeeds does not reach it.
const waitTimeout = time.Minute

// A Box is an appliance that runs for one test, with its simulated network.
type Box struct {
	*box.Box
	SSHAddr string // HOST:PORT on this machine, of the door called "ssh"; "" if there is none
	FTPAddr string // of the door called "ftp"

	t      testing.TB
	client *ssh.Client // nil before the first session
	faults []topology.Rule
}

// startOptions are the values that options change.
type startOptions struct {
	box.Options
	faults []topology.Rule
}

// An Option changes how Start builds a box.
type Option func(*startOptions) error

// Faults adds faults before the appliance boots. Box.Fault adds one while it runs.
func Faults(rules ...topology.Rule) Option {
	return func(o *startOptions) error { o.faults = append(o.faults, rules...); return nil }
}

// Topology selects a built-in topology. The default is "lab".
func Topology(name string) Option {
	return func(o *startOptions) error {
		file, data, ok := fixtures.Topology(name)
		if !ok {
			return fmt.Errorf("there is no topology %q: expected one of %s",
				name, strings.Join(fixtures.Topologies(), ", "))
		}
		var err error
		o.Topology, err = box.LoadTopology(file, data)
		return err
	}
}

// TopologyText sets a topology of the test's own, in YAML.
func TopologyText(yaml string) Option {
	return func(o *startOptions) (err error) {
		o.Topology, err = box.LoadTopology("topology", []byte(yaml))
		return err
	}
}

// Clock sets the clock for wall time and for the appliance's own timers. With a clock.Fake, a
// wait of an hour takes no time: see Box.Advance. The default is the clock of the machine.
func Clock(c clock.Clock) Option {
	return func(o *startOptions) error { o.Clock = c; return nil }
}

// Seed makes random numbers repeatable: MAC addresses, ports, sequence numbers.
func Seed(n uint64) Option {
	return func(o *startOptions) error { o.Entropy = entropy.Seeded(n); return nil }
}

// Dir keeps the appliance's data in a directory of the caller, so that a second box can
// continue with it after the first one has stopped. The default is a temporary directory.
func Dir(dir string) Option {
	return func(o *startOptions) error { o.Dir = dir; return nil }
}

// Limits sets how failed logins are slowed down and blocked.
func Limits(l users.Limits) Option {
	return func(o *startOptions) error { o.Limits = l; return nil }
}

// Timeouts sets how long the appliance waits for answers of the network. Zero fields are the
// defaults.
func Timeouts(t appliance.Timeouts) Option {
	return func(o *startOptions) error { o.Timeouts = t; return nil }
}

// HostKey sets the host key of the SSH daemon. By default all boxes have the same one.
func HostKey(k crypto.Signer) Option {
	return func(o *startOptions) error { o.HostKey = k; return nil }
}

// Start boots an appliance and stops it when the test t ends. If the appliance does not start,
// the test fails.
func Start(t testing.TB, options ...Option) *Box {
	t.Helper()
	o := startOptions{Options: box.Options{
		HostKey:   ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		DoorAddrs: map[string]netip.AddrPort{},
		Logger:    slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}}
	for _, option := range append([]Option{Topology("lab")}, options...) {
		if err := option(&o); err != nil {
			t.Fatal("appliancetest:", err)
		}
	}
	for _, d := range o.Topology.Doors.In {
		o.DoorAddrs[d.Name] = loopback
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.KeepEvents = events.DefaultKept
	inner, err := box.New(o.Options)
	if err != nil {
		t.Fatal("appliancetest:", err)
	}
	b := &Box{Box: inner, t: t, faults: o.faults}
	if err := b.addFaults(); err != nil {
		t.Fatal("appliancetest:", err)
	}
	if err := inner.Start(t.Context()); err != nil {
		t.Fatal("appliancetest:", err)
	}
	t.Cleanup(b.stop)
	for name, addr := range inner.DoorAddrs() {
		switch name {
		case "ssh":
			b.SSHAddr = addr.String()
		case "ftp":
			b.FTPAddr = addr.String()
		}
	}
	return b
}

func (b *Box) stop() {
	if b.client != nil {
		b.client.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		b.t.Error("appliancetest: stop:", err)
	}
}

// A testLog writes the simulator's log to the log of the test.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// Dial opens an SSH connection for an account. The caller closes it.
func (b *Box) Dial(user, passphrase string) (*ssh.Client, error) {
	return ssh.Dial("tcp", b.SSHAddr, &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.Password(passphrase)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // the server is in this process
		Timeout:         waitTimeout,
	})
}

// newSession opens a session on the connection that all sessions and commands of the factory
// account share. After a reboot it opens a new connection.
func (b *Box) newSession() *ssh.Session {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), waitTimeout)
	defer cancel()
	err := b.WaitSettled(ctx)
	if err == nil && b.client != nil {
		if s, err := b.client.NewSession(); err == nil {
			return s
		}
		b.client.Close()
	}
	if err == nil {
		b.client, err = b.Dial(User, Passphrase)
	}
	if err != nil {
		b.t.Fatal("appliancetest: log in:", err)
	}
	s, err := b.client.NewSession()
	if err != nil {
		b.t.Fatal("appliancetest: open a session:", err)
	}
	return s
}

// Exec runs a command line as "ssh admin@esa COMMAND" does, and returns its output. If the
// exit status is not 0, the test fails.
func (b *Box) Exec(command string) string {
	b.t.Helper()
	s := b.newSession()
	defer s.Close()
	out, err := s.CombinedOutput(command)
	if err != nil {
		b.t.Fatalf("appliancetest: %s: %v\n%s", command, err, out)
	}
	return string(out)
}

// Files returns the file area of the appliance, with names such as "data/pub/diagnostic".
func (b *Box) Files() fs.FS { return b.Appliance().Files }

// Captures returns the names of the packet captures in Files, the oldest first.
func (b *Box) Captures() []string {
	b.t.Helper()
	names, err := fs.Glob(b.Files(), "data/pub/diagnostic/*.cap")
	if err != nil {
		b.t.Fatal("appliancetest: list captures:", err)
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
		b.t.Fatal("appliancetest: read capture:", err)
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
