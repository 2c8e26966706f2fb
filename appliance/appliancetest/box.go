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
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/fixtures"
)

// User and Passphrase are the factory account's.
const (
	User       = "admin"
	Passphrase = "ironport"
)

// loopback is any free port of this machine's.
var loopback = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)

// patience is for failing only: what comes, comes at once.
const patience = 30 * time.Second

// A Box is a running appliance of a test's own.
type Box struct {
	*box.Box
	SSHAddr string // real, of the door called "ssh"
	FTPAddr string // real, of the door called "ftp"; "" if the topology has none

	t      testing.TB
	client *ssh.Client // nil until it is needed
}

// settings are what options change.
type settings struct {
	box.Options
	faults []topology.Rule
}

// An Option is something other than the default.
type Option func(*settings) error

// Faults are there before the appliance boots. Box.Fault sets one while it runs.
func Faults(rules ...topology.Rule) Option {
	return func(o *settings) error { o.faults = append(o.faults, rules...); return nil }
}

// Topology chooses a built-in topology. The default is "lab".
func Topology(name string) Option {
	return func(o *settings) error {
		file, data, ok := fixtures.Topology(name)
		if !ok {
			return fmt.Errorf("there is no topology %q", name)
		}
		var err error
		o.Topology, err = box.LoadTopology(file, data)
		return err
	}
}

// TopologyText is a topology of the test's own, in YAML.
func TopologyText(yaml string) Option {
	return func(o *settings) (err error) {
		o.Topology, err = box.LoadTopology("topology", []byte(yaml))
		return err
	}
}

// Clock gives wall time and the appliance's own waits; clock.NewFake makes an
// hour's wait last no time. The default is the machine's.
func Clock(c clock.Clock) Option {
	return func(o *settings) error { o.Clock = c; return nil }
}

// Seed makes chance repeat itself: MAC addresses, ports, sequence numbers.
func Seed(n uint64) Option {
	return func(o *settings) error { o.Entropy = entropy.Seeded(n); return nil }
}

// Dir keeps the appliance's data in a directory of the caller's, so that a second
// box can go on with it once the first is stopped.
func Dir(dir string) Option {
	return func(o *settings) error { o.Dir = dir; return nil }
}

// Limits are how failed logins are slowed down and blocked.
func Limits(l users.Limits) Option {
	return func(o *settings) error { o.Limits = l; return nil }
}

// Timeouts bound what the appliance waits for on the network. Zeros are the defaults.
func Timeouts(t appliance.Timeouts) Option {
	return func(o *settings) error { o.Timeouts = t; return nil }
}

// HostKey is the SSH daemon's. The default is the same for all boxes.
func HostKey(k crypto.Signer) Option {
	return func(o *settings) error { o.HostKey = k; return nil }
}

// Start boots an appliance and stops it when the test ends.
func Start(t testing.TB, options ...Option) *Box {
	t.Helper()
	o := settings{Options: box.Options{
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
	inner, err := box.New(o.Options)
	if err != nil {
		t.Fatal("appliancetest:", err)
	}
	for _, r := range o.faults {
		if _, err := inner.Faults().Add(r); err != nil {
			t.Fatal("appliancetest:", err)
		}
	}
	if err := inner.Start(t.Context()); err != nil {
		t.Fatal("appliancetest:", err)
	}
	b := &Box{Box: inner, t: t}
	t.Cleanup(b.end)
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

func (b *Box) end() {
	if b.client != nil {
		b.client.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		b.t.Error("appliancetest: stop:", err)
	}
}

// testLog writes the program's log to the test's.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// Dial opens an SSH connection of its own for an account.
func (b *Box) Dial(user, passphrase string) (*ssh.Client, error) {
	return ssh.Dial("tcp", b.SSHAddr, &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.Password(passphrase)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // the box is this process's own
		Timeout:         patience,
	})
}

// open opens a channel on the connection that sessions and commands of the factory
// account share. After a reboot it connects anew.
func (b *Box) open() *ssh.Session {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
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

// Exec runs a command line as "ssh admin@esa COMMAND" does and returns its output.
// An exit status other than 0 fails the test.
func (b *Box) Exec(command string) string {
	b.t.Helper()
	s := b.open()
	defer s.Close()
	out, err := s.CombinedOutput(command)
	if err != nil {
		b.t.Fatalf("appliancetest: %s: %v\n%s", command, err, out)
	}
	return string(out)
}

// Files is the appliance's file area: "data/pub/diagnostic/...".
func (b *Box) Files() fs.FS { return b.Appliance().Files }

// Captures are the names of the packet captures, the oldest first.
func (b *Box) Captures() []string {
	b.t.Helper()
	names, err := fs.Glob(b.Files(), "data/pub/diagnostic/*.cap")
	if err != nil {
		b.t.Fatal("appliancetest: list captures:", err)
	}
	slices.Sort(names) // their names end in the time
	return names
}

// A Packet is a frame of a capture, decoded.
type Packet struct {
	gopacket.Packet
}

// Packets decodes a capture; name is as Captures returns it. A frame that does not
// decode, or a wrong checksum, fails the test.
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
			b.t.Fatalf("appliancetest: %s: frame %d: checksums %v %v", path.Base(name), len(out)+1, wrong, err)
		}
		out = append(out, Packet{p})
	}
}
