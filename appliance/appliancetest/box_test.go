package appliancetest_test

import (
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A capture contains what the sessions did while it ran: their own TCP segments, the DNS query,
// the ARP exchange with the name server, the echo requests and replies.
func TestCaptureOfTwoSessions(t *testing.T) {
	t.Parallel()
	box := appliancetest.Start(t)
	first, second := box.Login(), box.Login()
	first.Type("packetcapture")
	first.Expect("[]> ")
	first.Type("start")
	first.Expect("Success - Packet Capture has started")
	first.Expect("[]> ")

	second.Type("ping google.com")
	second.Expect("icmp_seq=1")
	second.Keys("\x03")
	second.Expect("0.0% packet loss")
	second.Expect("> ")

	first.Type("stop")
	first.Expect("Success - Packet Capture has stopped")
	names := box.Captures()
	if len(names) != 1 {
		t.Fatalf("captures: %q", names)
	}
	var ssh, query, arp, request, reply int
	packets := box.Packets(names[0])
	for i, p := range packets {
		if i > 0 && p.Metadata().Timestamp.Before(packets[i-1].Metadata().Timestamp) {
			t.Errorf("frame %d is older than the frame before it", i+1)
		}
		if tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); ok && (tcp.SrcPort == 22 || tcp.DstPort == 22) {
			ssh++
		}
		if dns, ok := p.Layer(layers.LayerTypeDNS).(*layers.DNS); ok && !dns.QR && strings.EqualFold(string(dns.Questions[0].Name), "google.com") {
			query++
		}
		if a, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok && a.Operation == layers.ARPRequest {
			arp++
		}
		if icmp, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok {
			switch icmp.TypeCode.Type() {
			case layers.ICMPv4TypeEchoRequest:
				request++
			case layers.ICMPv4TypeEchoReply:
				reply++
			}
		}
	}
	if ssh < 10 || query < 1 || arp < 1 || request < 2 || reply != request {
		t.Errorf("%d frames: %d of ssh, %d DNS queries, %d ARP requests, %d echo requests, %d replies", len(packets), ssh, query, arp, request, reply)
	}
}

// A fault of the option Faults applies from the start, and only to packets that match it.
func TestFaults(t *testing.T) {
	t.Parallel()
	box := appliancetest.Start(t, appliancetest.Faults(topology.Rule{Path: "google", Action: "host-unreachable"}))
	s := box.Login()
	s.Type("ping google.com")
	s.Expect("Destination Host Unreachable")
	s.Keys("\x03")
	s.Expect("100.0% packet loss")
	s.Type("ping 10.0.201.5")
	s.Expect("icmp_seq=0 ttl=63")
	s.Keys("\x03")
	s.Expect(" 0.0% packet loss")
}

func TestBoxesAreIndependent(t *testing.T) {
	t.Parallel()
	one, two := appliancetest.Start(t), appliancetest.Start(t)
	one.Exec(`sethostname one.example.com; commit "a name" N`)
	if name := one.Appliance().Hostname(); name != "one.example.com" {
		t.Errorf("the host name of the first is %s", name)
	}
	if name := two.Appliance().Hostname(); name != "example.com" {
		t.Errorf("the host name of the second is %s", name)
	}
}

// A second box with the same directory has the configuration and files of the first one.
func TestRestartKeepsConfigurationAndFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Run("before", func(t *testing.T) {
		box := appliancetest.Start(t, appliancetest.Dir(dir))
		box.Exec(`sethostname kept.example.com; commit "a name" N; saveconfig y 1`)
	})
	box := appliancetest.Start(t, appliancetest.Dir(dir))
	if name := box.Appliance().Hostname(); name != "kept.example.com" {
		t.Errorf("after a restart the host name is %s", name)
	}
	again := box.Login()
	again.Type("reboot 5")
	if last := again.Wait(); !strings.Contains(last, "Closing CLI connection.") {
		t.Errorf("at a reboot the session prints %q", last)
	}
	if out := box.Exec("last"); !strings.Contains(out, "reboot") {
		t.Errorf("last does not show the reboot:\n%s", out)
	}
}

// Every door listens on a free port, whatever the topology says, and no door is required.
func TestDoorsOfTopologyText(t *testing.T) {
	t.Parallel()
	const topology = `
appliance:
  hostname: mail.example.com
  model: C100V
  serial: 000000000001-0000001
  version: 14.0.0-698
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.25/24], gateway: 192.0.2.1}
hosts:
  - {name: client, addresses: [198.51.100.7]}
doors:
  in:
    - {name: ssh, listen: "127.0.0.1:2222", interface: Data 1, service: ssh}
    - {name: second, listen: "127.0.0.1:2223", interface: Data 1, service: ssh}
  seen_as:
    - {from: 0.0.0.0/0, as: 198.51.100.7}
`
	for range 2 { // at the same time
		box := appliancetest.Start(t, appliancetest.TopologyText(topology))
		if out := box.Exec("whoami"); !strings.Contains(out, "Username: admin") {
			t.Errorf("whoami:\n%s", out)
		}
		if box.FTPAddr != "" || box.SSHAddr == box.DoorAddrs()["second"].String() {
			t.Errorf("ssh %s, ftp %q, doors %v", box.SSHAddr, box.FTPAddr, box.DoorAddrs())
		}
	}
}

// A session that reboots the appliance with a grace of 0 seconds still receives the notice before
// it ends.
func TestImmediateRebootEndsSessionsOrderly(t *testing.T) {
	t.Parallel()
	box := appliancetest.Start(t)
	for range 20 {
		s := box.Login()
		s.Type("reboot 0")
		if last := s.Wait(); !strings.Contains(last, "Closing CLI connection.") {
			t.Errorf("the session ends with %q", last)
		}
	}
}
