package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/esasim/esasim/appliance/tooltest"
)

// realTopology is an appliance whose only interface is to be connected to a real network.
const realTopology = `
appliance:
  hostname: esa.example.com
  model: C100V
  serial: UPLINK-1
  version: 14.0.0-698
  ntp: []
  dns: [192.0.2.1]
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.25/24], gateway: 192.0.2.1}
`

// startOutside runs an appliance in a namespace.
func startOutside(t *testing.T, machine *tooltest.Namespace, uplink string) *program {
	t.Helper()
	return startAt(t, machine, realTopology, uplink)
}

// startAt is startOutside with another topology.
func startAt(
	t *testing.T, machine *tooltest.Namespace, topologyText, uplink string,
) *program {
	t.Helper()
	home := t.TempDir()
	file, topology := filepath.Join(home, "ready.json"), filepath.Join(home, "real.yaml")
	if err := os.WriteFile(topology, []byte(topologyText), 0o600); err != nil {
		t.Fatal(err)
	}
	own := command(t, home, "serve", "--topology", topology, "--ephemeral", "--uplink", "Data 1="+uplink, "--ready", file)
	c := machine.Command(own.Path, own.Args[1:]...)
	c.Env = own.Env
	return launch(t, home, file, c)
}

// sshOutside returns the words of ssh, or scp, in front of their arguments.
func sshOutside(program string) []string {
	return []string{"-p", "ironport", program, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR"}
}

// checkOutside uses the appliance from a machine of its network.
func checkOutside(t *testing.T, lan *tooltest.Namespace, device string) {
	t.Helper()
	lan.Run("ping", "-c", "3", "-w", "120", "192.0.2.25")
	lan.Run("arping", "-c", "1", "-w", "120", "-I", device, "192.0.2.25")
	out := lan.Run("sshpass", append(sshOutside("ssh"), "admin@192.0.2.25", "version")...)
	if !strings.Contains(out, "UPLINK-1") {
		t.Errorf("version prints\n%s", out)
	}
}

func TestApplianceOnANetworkInterfaceInNamespaces(t *testing.T) {
	tooltest.Need(t, "ping", "arping", "ssh", "sshpass")
	machine, lan := tooltest.NewNamespace(t), tooltest.NewNamespace(t)
	machine.Cable("ve0", lan, "ve1")
	lan.IP("address add 192.0.2.1/24 dev ve1")
	p := startOutside(t, machine, "packet:ve0")
	checkOutside(t, lan, "ve1")
	if !strings.Contains(p.out, "cable Data 1 to packet:ve0, connected") {
		t.Errorf("the start says\n%s", p.out)
	}
}

func TestApplianceOnATAPDeviceInNamespaces(t *testing.T) {
	tooltest.Need(t, "ping", "arping", "ssh", "sshpass")
	lan := tooltest.NewNamespace(t)
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("this machine has no TAP devices: ", err)
	}
	startOutside(t, lan, "tap:esa0")
	lan.IP("link set esa0 up")
	lan.IP("address add 192.0.2.1/24 dev esa0")
	checkOutside(t, lan, "esa0")
}

func TestApplianceInATunnelOfLinuxInNamespaces(t *testing.T) {
	tooltest.Need(t, "ping", "arping", "ssh", "sshpass", "ethtool")
	machine, lan := tooltest.NewNamespace(t), tooltest.NewNamespace(t)
	machine.Cable("ve0", lan, "ve1")
	machine.IP("address add 10.9.0.1/24 dev ve0")
	lan.IP("address add 10.9.0.2/24 dev ve1")
	lan.Link("name vx0 type vxlan id 42 remote 10.9.0.1 dstport 4789")
	lan.IP("address add 192.0.2.1/24 dev vx0")
	lan.IP("link set vx0 up")
	// The kernel leaves the checksums inside a tunnel to a card, and ve1 is none.
	lan.Run("ethtool", "-K", "vx0", "tx", "off")
	startOutside(t, machine, "vxlan:10.9.0.2:4789/42")
	checkOutside(t, lan, "vx0")
}

// The frames that a capture of the appliance has, and those that tcpdump sees outside, are the same.
func TestCapturesInsideAndOutsideAreEqualInNamespaces(t *testing.T) {
	tooltest.Need(t, "ping", "ssh", "scp", "sshpass", "tcpdump", "ethtool")
	machine, lan := tooltest.NewNamespace(t), tooltest.NewNamespace(t)
	machine.Cable("ve0", lan, "ve1")
	off := strings.Fields("tx off rx off sg off tso off gso off gro off")
	machine.Run("ethtool", append([]string{"-K", "ve0"}, off...)...)
	lan.Run("ethtool", append([]string{"-K", "ve1"}, off...)...)
	lan.IP("address add 192.0.2.1/24 dev ve1")
	startOutside(t, machine, "packet:ve0")
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside.pcap")
	dump := lan.Command("tcpdump", "-i", "ve1", "-w", outside, "-U", "--immediate-mode", "-B", "65536", "-Z", "root", "host", "192.0.2.25")
	var said bytes.Buffer
	dump.Stderr = &said
	if err := dump.Start(); err != nil {
		t.Fatal(err)
	}
	run := func(line string) string {
		return lan.Run("sshpass", append(sshOutside("ssh"), "admin@192.0.2.25", line)...)
	}
	for end := time.Now().Add(testTimeout); ; { // tcpdump listens when it has seen something
		lan.Run("ping", "-c", "1", "-w", "120", "192.0.2.25")
		if fi, err := os.Stat(outside); err == nil && fi.Size() > 24 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("tcpdump sees nothing")
		}
	}
	session := lan.Command("sshpass", append(sshOutside("ssh"), "admin@192.0.2.25")...)
	in, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	text, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "packetcapture start\n")
	waitForText(t, text, "started")
	lan.Run("ping", "-c", "3", "-s", "1400", "-w", "120", "192.0.2.25")
	run("showconfig")
	io.WriteString(in, "packetcapture stop\n")
	waitForText(t, text, "stopped")
	in.Close()
	io.Copy(io.Discard, text)
	session.Wait()
	lan.Run("sshpass", append(sshOutside("scp"), "admin@192.0.2.25:/data/pub/diagnostic/*.cap", filepath.Join(dir, "inside.pcap"))...)
	inside := frames(t, filepath.Join(dir, "inside.pcap"))
	last := []byte(inside[len(inside)-1])
	for end := time.Now().Add(testTimeout); ; { // tcpdump writes late
		text, err := os.ReadFile(outside)
		if err != nil || time.Now().After(end) {
			t.Fatalf("tcpdump does not see the last frame of the capture: %v", err)
		}
		if bytes.Contains(text, last) {
			break
		}
	}
	dump.Process.Signal(os.Interrupt)
	dump.Wait()
	if !strings.Contains(said.String(), "0 packets dropped by kernel") {
		t.Skipf("tcpdump has lost frames: %s", said.String())
	}
	out := frames(t, outside)
	for _, from := range []string{"\xc0\x00\x02\x19", "\xc0\x00\x02\x01"} {
		sent := func(f string) bool { return len(f) >= 34 && f[12:14] == "\x08\x00" && f[26:30] == from }
		own, all := pick(inside, sent), pick(out, sent)
		at := slices.Index(all, own[0])
		switch {
		case len(own) < 20:
			t.Errorf("the capture has %d frames from % x only", len(own), from)
		case at < 0 || len(all) < at+len(own) || !slices.Equal(all[at:at+len(own)], own):
			t.Errorf("the %d frames from % x are not those outside", len(own), from)
		}
	}
}

// waitForText reads until a text has been read.
func waitForText(t *testing.T, r io.Reader, want string) {
	t.Helper()
	var all []byte
	b := make([]byte, 1)
	for !strings.Contains(string(all), want) {
		if _, err := r.Read(b); err != nil {
			t.Fatalf("%v after %q, want %q", err, all, want)
		}
		all = append(all, b...)
	}
}

func pick(all []string, f func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !f(s) })
}

// frames returns the frames of a file.
func frames(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(data))
	}
}
