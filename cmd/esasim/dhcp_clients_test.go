package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/tooltest"
)

// leasedTopology is an appliance whose only interface asks a real server for its address.
const leasedTopology = `
appliance:
  hostname: esa.example.com
  model: C100V
  serial: LEASED-1
  version: 14.0.0-698
  ntp: []
  interfaces:
    - {name: Management, device: nic0}
`

// A lease is what a real dnsmasq gives, in a namespace: address, router and name server. ssh reaches
// the appliance there, and after a restart it has the same address again.
func TestAddressFromARealDHCPServerInNamespaces(t *testing.T) {
	tooltest.Need(t, "ping", "ssh", "sshpass", "dnsmasq", "tcpdump", "tshark")
	machine, lan := tooltest.NewNamespace(t), tooltest.NewNamespace(t)
	machine.Cable("ve0", lan, "ve1")
	lan.IP("address add 192.0.2.1/24 dev ve1")
	dir := t.TempDir()
	file := filepath.Join(dir, "outside.pcap")
	dump := lan.Command("tcpdump", "-i", "ve1", "-w", file, "-U", "--immediate-mode", "-Z", "root",
		"udp", "port", "67", "or", "arp")
	startTool(t, dump)
	leases := filepath.Join(dir, "leases")
	startTool(t, lan.Command("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--interface=ve1", "--bind-interfaces",
		"--dhcp-range=192.0.2.100,192.0.2.200,255.255.255.0,2m", "--dhcp-option=option:dns-server,192.0.2.53",
		"--domain=example.com", "--dhcp-leasefile="+leases, "--no-resolv", "--no-hosts", "--no-ping",
		"--user=root"))

	home, topology := t.TempDir(), filepath.Join(dir, "leased.yaml")
	if err := os.WriteFile(topology, []byte(leasedTopology), 0o600); err != nil {
		t.Fatal(err)
	}
	data, first := filepath.Join(home, "data"), ""
	socket := "--socket=" + filepath.Join(data, "ctl.sock")
	for _, rate := range []string{"1", "60"} {
		ready := filepath.Join(dir, "ready.json")
		own := command(t, home, "serve", "--topology", topology, "--data", data,
			"--uplink", "Management=packet:ve0", "--dhcp", "Management", "--ready", ready,
			"--clock-rate", rate)
		c := machine.Command(own.Path, own.Args[1:]...)
		c.Env = own.Env
		p := launch(t, home, ready, c)
		if !strings.Contains(p.out, "dhcp  Management: ") {
			t.Errorf("the start says\n%s", p.out)
		}
		addr := awaitLease(t, leases)
		if first == "" {
			first = addr
		} else if addr != first {
			t.Errorf("after a restart the address is %s, before it was %s", addr, first)
		}
		if status, out, text := p.ctl(t, socket, "wait", "dhcp", "--since", "all", "--timeout", "2m"); status != 0 {
			t.Errorf("no lease: %s%s", out, text)
		}
		lan.Run("ping", "-c", "1", "-w", "120", addr)
		run := func(line string) string {
			return lan.Run("sshpass", append(sshOutside("ssh"), "admin@"+addr, line)...)
		}
		if out := run("version"); !strings.Contains(out, "LEASED-1") {
			t.Errorf("version prints\n%s", out)
		}
		if _, out, _ := p.ctl(t, socket, "net", "interfaces"); !strings.Contains(out, addr+"/24 (DHCP: ") ||
			rate == "1" && !strings.Contains(out, "bound") {
			t.Errorf("the interfaces are\n%s", out)
		}
		_, out, _ := p.ctl(t, socket, "net", "routes")
		const want = "0.0.0.0/0 192.0.2.1 UGS Management"
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("the routes are\n%s", out)
		}
		if rate != "1" {
			if status, out, text := p.ctl(t, socket, "wait", "dhcp.renewed", "--timeout", "2m"); status != 0 {
				t.Errorf("no renewal: %s%s", out, text)
			}
		}
		p.stop(t, os.Interrupt)
	}
	checkDHCPFrames(t, lan, file, first)
}

// startTool runs a program until the test ends.
func startTool(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
}

// awaitLease waits until dnsmasq has written a lease, and returns its address.
func awaitLease(t *testing.T, file string) string {
	t.Helper()
	for end := time.Now().Add(testTimeout); time.Now().Before(end); {
		text, _ := os.ReadFile(file)
		if f := strings.Fields(string(text)); len(f) > 3 {
			if f[3] != "esa" && f[3] != "esa.example.com" {
				t.Errorf("the server calls the appliance %q", f[3])
			}
			return f[2]
		}
		_ = clock.System().Sleep(t.Context(), 10*time.Millisecond)
	}
	t.Fatal("the server has given no address")
	return ""
}

// checkDHCPFrames has tshark read what tcpdump has captured outside.
func checkDHCPFrames(t *testing.T, lan *tooltest.Namespace, file, addr string) {
	t.Helper()
	fields := func(filter string, names ...string) []string {
		args := []string{"-r", file, "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
			"-Y", filter, "-T", "fields", "-E", "separator=|"}
		for _, n := range names {
			args = append(args, "-e", n)
		}
		out, err := lan.Command("tshark", args...).Output()
		var status *exec.ExitError
		if errors.As(err, &status) {
			t.Fatalf("tshark: %s", status.Stderr)
		}
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	}
	types := fields("dhcp", "dhcp.option.dhcp")
	// The second start asks for its address, and renews it.
	types = slices.Compact(types) // a busy machine may repeat a message
	if got := strings.Join(types, " "); !strings.HasPrefix(got, "1 2 3 5 3 5 3 5") {
		t.Errorf("the messages are %v, want DISCOVER OFFER REQUEST ACK, REQUEST ACK, REQUEST ACK", got)
	}
	for _, to := range fields("dhcp.type == 1 and ip.src == "+addr, "ip.dst") {
		if to != "192.0.2.1" {
			t.Errorf("the lease is renewed at %q", to)
		}
	}
	for _, line := range fields("dhcp.type == 1", "ip.checksum.status", "udp.checksum.status",
		"dhcp.option.hostname", "dhcp.option.request_list_item", "eth.src", "dhcp.hw.mac_addr") {
		f := strings.Split(line, "|")
		// The Ethernet address is that of the client, and its identifier.
		if len(f) != 6 || f[0] != "1" || f[1] != "1" || f[2] != "esa.example.com" ||
			f[3] != "1,28,3,15,6" || f[5] != f[4]+","+f[4] {
			t.Errorf("a frame has %q", f)
		}
	}
	if bad := fields("_ws.malformed", "frame.number"); bad[0] != "" {
		t.Errorf("malformed frames: %v", bad)
	}
}
