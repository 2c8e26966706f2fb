package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/tooltest"
)

// ethernetScript is an expect script. It uses all menus of etherconfig and adds an IP
// interface on the new VLAN. On connections that are opened after the commit, it captures a
// long answer and a ping into the VLAN (B46, B47).
const ethernetScript = `
set timeout 120
proc want {text} {
    expect {
        -ex $text {}
        timeout { send_user "\nwant: $text\n"; exit 1 }
        eof     { send_user "\nended, want: $text\n"; exit 1 }
    }
}
proc type {prompt text} {
    want $prompt
    send "$text\r"
}
proc login {args} {
    global command spawn_id
    eval spawn -noecho $command $args
    want "assword:"
    send "ironport\r"
}
set command [lrange $argv 0 end]
login
type "example.com> " "etherconfig"
type "\[\]> " "media"
type "- EDIT - Edit an ethernet interface.\r\n\[\]> " "edit"
type "wish to edit.\r\n\[\]> " "Management"
type "7. 1000baseTX full-duplex\r\n\[1\]> " "5"
want "(100baseTX full-duplex: <1000baseT full-duplex>)"
type "\[\]> " ""
type "\[\]> " "vlan"
type "- NEW - Create a new VLAN.\r\n\[\]> " "new"
type "(Ex: \"34\"):\r\n\[\]> " "12"
type "3. Management\r\n\[1\]> " "1"
want "1. VLAN   12 (Data 1)"
type "\[\]> " ""
type "\[\]> " "loopback"
type "- ENABLE - Enable Loopback Interface.\r\n\[\]> " "enable"
type "- DISABLE - Disable Loopback Interface.\r\n\[\]> " ""
type "\[\]> " "mtu"
type "\[\]> " "edit"
type "\[\]> " "1"
type "value for the Data 1 interface.\r\n\[\]> " "1200"
want "1. Data 1 mtu 1200"
type "\[\]> " ""
type "\[\]> " "multicast"
type "- ACCEPT - Accept ARP replies with a multicast address.\r\n\[\]> " "accept"
want "will be accepted."
type "\[\]> " ""
type "\[\]> " ""
type "example.com> " "interfaceconfig"
type "\[\]> " "new"
type "\[\]> " "Lab"
type "\[Y\]> " ""
type "\[\]> " "10.0.12.7"
type "\[24\]> " ""
type "\[N\]> " ""
type "4. VLAN 12\r\n5. Loopback\r\n\[1\]> " "VLAN 12"
type "\[example.com\]> " ""
for {set i 0} {$i < 7} {incr i} { type "\[N\]> " "" }
want "(10.0.12.7/24 on VLAN 12: example.com)"
type "\[\]> " ""
type "example.com> " "commit \"Ethernet\" N"
type "example.com> " "exit"
expect eof

login
type "example.com> " "packetcapture"
type "\[\]> " "start"
want "Success - Packet Capture has started"
type "\[\]> " ""
set capturing $spawn_id
login showconfig
expect eof
set spawn_id $capturing
type "example.com> " "ping 10.0.12.5"
want "PING 10.0.12.5"
want "icmp_seq=1 ttl=64"
send "\003"
type "example.com> " "packetcapture"
type "\[\]> " "stop"
want "Success - Packet Capture has stopped"
type "\[\]> " ""
type "example.com> " "exit"
expect eof
`

// tshark reads the VLAN tags, and no frame is longer than the MTU allows.
func TestEthernetWithRealClients(t *testing.T) {
	tooltest.Need(t, "expect", "ssh", "sshpass", "scp", "tshark")
	p := start(t, t.TempDir(), "--ephemeral")
	dir := t.TempDir()
	script := filepath.Join(dir, "story")
	if err := os.WriteFile(script, []byte(ethernetScript), 0o600); err != nil {
		t.Fatal(err)
	}
	execute(t, dir, "", "expect", append(append([]string{"-f", script, "ssh", "-o", "PubkeyAuthentication=no"}, sshArgs(p, "-p")...), "admin@127.0.0.1")...)
	execute(t, dir, "", "sshpass", withPassphrase(append(append([]string{"scp"}, sshArgs(p, "-P")...), "admin@127.0.0.1:/data/pub/captures/*.cap", "vlan.cap")...)...)

	for filter, least := range map[string]int{
		"arp.opcode == 1 && arp.dst.proto_ipv4 == 10.0.12.5": 1,
		"arp.opcode == 2 && arp.src.proto_ipv4 == 10.0.12.5": 1,
		"icmp.type == 8 && ip.dst == 10.0.12.5":              2,
		"icmp.type == 0 && ip.src == 10.0.12.5":              2,
	} {
		tags := strings.Fields(execute(t, dir, "", "tshark", "-r", "vlan.cap", "-Y", filter, "-T", "fields", "-e", "vlan.id"))
		if len(tags) < least || slices.ContainsFunc(tags, func(id string) bool { return id != "12" }) {
			t.Errorf("the frames of %q have the VLAN IDs %q", filter, tags)
		}
	}
	longest := 0
	for _, text := range strings.Fields(execute(t, dir, "", "tshark", "-r", "vlan.cap", "-Y", "tcp", "-T", "fields", "-e", "frame.len")) {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, n)
	}
	if longest > 1214 || longest < 1100 {
		t.Errorf("the longest frame has %d bytes, want almost 1214", longest)
	}
	if offers := execute(t, dir, "", "tshark", "-r", "vlan.cap", "-Y", "tcp.flags.syn == 1 && ip.src == 10.0.202.7", "-T", "fields", "-e", "tcp.options.mss_val"); strings.TrimSpace(offers) != "1160" {
		t.Errorf("the appliance offers segments of %q bytes, want 1160", offers)
	}
}
