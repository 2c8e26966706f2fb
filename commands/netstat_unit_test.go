package commands_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/refusal"
)

// A tableNet is a network that has the given tables and nothing else.
type tableNet struct {
	network.Network
	sockets    []network.Socket // oldest first
	routes     []network.Route
	interfaces []network.Interface
	counters   func(ifname string) network.Counters
	err        error
}

func (n tableNet) Sockets() ([]network.Socket, error) { return slices.Clone(n.sockets), n.err }
func (n tableNet) Routes() ([]network.Route, error)   { return slices.Clone(n.routes), n.err }
func (n tableNet) Interfaces() []network.Interface    { return slices.Clone(n.interfaces) }
func (n tableNet) Counters(i string) (network.Counters, error) {
	if n.err != nil {
		return network.Counters{}, n.err
	}
	return n.counters(i), nil
}

// checkNetstat checks the output of netstat with the arguments in line.
func checkNetstat(t *testing.T, net network.Network, line, want string) {
	t.Helper()
	got, err := runOnNet(t, net, nil, "netstat", strings.Fields(line)...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), got); diff != "" {
		t.Errorf("netstat %s (-want +got):\n%s", line, diff)
	}
}

func socket(proto, local, remote, state string) network.Socket {
	return network.Socket{Proto: proto, Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote), State: state}
}

func TestNetstatListsSockets(t *testing.T) { // B38
	busy := socket("tcp4", "10.0.202.7:22", "10.0.201.4:57759", "ESTABLISHED")
	busy.RecvQ, busy.SendQ = 1460, 65535
	net := tableNet{sockets: []network.Socket{
		socket("udp6", "[2001:db8:202::7]:123", "[::]:0", ""),
		socket("tcp4", "0.0.0.0:4431", "0.0.0.0:0", "LISTEN"),
		socket("udp4", "0.0.0.0:123", "0.0.0.0:0", ""),
		busy,
		socket("tcp6", "[2001:db8:202::7]:10300", "[2001:db8:4005::200e]:80", "SYN_SENT"),
		socket("tcp4", "127.0.0.1:10275", "127.0.0.1:5432", "TIME_WAIT"),
	}}
	// BSD ends the lines of UDP sockets, which have no state, with a blank.
	checkNetstat(t, net, "", `
Active Internet connections (including servers)
Proto Recv-Q Send-Q Local Address          Foreign Address        (state)
tcp4       0      0 localhost.example.com.10275 localhost.example.com.5432 TIME_WAIT
tcp4    1460  65535 10.0.202.7.22          10.0.201.4.57759       ESTABLISHED
tcp4       0      0 *.4431                 *.*                    LISTEN
udp4       0      0 *.123                  *.*                    `+"\n")
	checkNetstat(t, net, "1 -f inet6", `
Active Internet connections (including servers)
Proto Recv-Q Send-Q Local Address          Foreign Address        (state)
tcp6       0      0 2001:db8:202::7.10300  2001:db8:4005::200e.80 SYN_SENT
udp6       0      0 2001:db8:202::7.123    *.*                    `+"\n")
	checkNetstat(t, net, "1 -cf all", `
Active Internet connections (including servers)
Proto Recv-Q Send-Q Local Address          Foreign Address        (state)
tcp4       0      0 localhost.exampl.10275 localhost.exampl.5432  TIME_WAIT
tcp6       0      0 2001:db8:202::7.10300  2001:db8:4005::2.80    SYN_SENT
tcp4    1460  65535 10.0.202.7.22          10.0.201.4.57759       ESTABLISHED
tcp4       0      0 *.4431                 *.*                    LISTEN
udp4       0      0 *.123                  *.*                    
udp6       0      0 2001:db8:202::7.123    *.*                    `+"\n")
}

func TestNetstatListsListenQueues(t *testing.T) { // B41, B54
	queue := func(proto, local string, now, half, most int, workers ...string) network.Socket {
		s := socket(proto, local, "0.0.0.0:0", "LISTEN")
		s.QLen, s.IncQLen, s.MaxQLen, s.Workers = now, half, most, workers
		return s
	}
	net := tableNet{sockets: []network.Socket{
		queue("tcp4", "127.0.0.1:5432", 0, 0, 208),
		queue("tcp4", "10.0.202.7:22", 16, 3, 10),
		queue("tcp4", "0.0.0.0:4431", 0, 0, 50, "nobody", "nobody"),
		socket("tcp4", "10.0.202.7:22", "10.0.201.4:57759", "ESTABLISHED"),
		queue("tcp6", "[2001:db8:202:1::7]:25", 0, 0, 50),
	}}
	checkNetstat(t, net, "4", `
Current listen queue sizes (qlen/incqlen/maxqlen)
Proto Listen         Local Address
tcp4  16/3/10        10.0.202.7.22
tcp4  0/0/208        localhost.exampl.5432
`)
	checkNetstat(t, net, "4 -n -f all", `
Current listen queue sizes (qlen/incqlen/maxqlen)
Proto Listen         Local Address
tcp6  0/0/50         2001:db8:202:1::.25
tcp4  16/3/10        10.0.202.7.22
tcp4  0/0/208        127.0.0.1.5432
`)
}

func TestNetstatListsInterfaces(t *testing.T) { // B39
	net := tableNet{
		interfaces: []network.Interface{
			{Name: "Data 1", Device: "nic1", Index: 2, MTU: 1500, Up: true, MAC: []byte{0, 0x50, 0x56, 10, 2, 7},
				Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.202.7/24"), netip.MustParsePrefix("2001:db8:202:77::7/64")}},
			{Name: "Data 2", Device: "nic2", Index: 3, MTU: 9000, MAC: []byte{0, 0x50, 0x56, 10, 3, 7}},
			{Name: "Loopback", Device: "lo1", Index: 6, MTU: 16384, Up: true, Loopback: true},
		},
		counters: func(ifname string) network.Counters {
			if ifname != "Data 1" {
				return network.Counters{}
			}
			return network.Counters{
				RxPackets: 110624529, RxErrors: 1, RxDropped: 22, RxBytes: 117062552515,
				TxPackets: 122028093, TxErrors: 3, TxDropped: 44, TxBytes: 30126949890, Collisions: 5,
			}
		},
	}
	checkNetstat(t, net, "2 -bdInic1", `
Name    Mtu Network       Address              Ipkts Ierrs Idrop     Ibytes    Opkts Oerrs     Obytes  Coll  Drop
Data 1    - 10.0.202.0    10.0.202.7        110624529     -     - 117062552515 122028093     - 30126949890     -     -
`)
	checkNetstat(t, net, "2", `
Name    Mtu Network       Address              Ipkts Ierrs Idrop    Opkts Oerrs  Coll
Data 1    - 10.0.202.0    10.0.202.7        110624529     -     - 122028093     -     -
Data 2* 9000 <Link#3>      00:50:56:0a:03:07        0     0     0        0     0     0
Loopback 16384 <Link#6>      lo1                      0     0     0        0     0     0
`)
	checkNetstat(t, net, "2 -dI nic1 -f all", `
Name    Mtu Network       Address              Ipkts Ierrs Idrop    Opkts Oerrs  Coll  Drop
Data 1 1500 <Link#2>      00:50:56:0a:02:07 110624529     1    22 122028093     3     5    44
Data 1    - 10.0.202.0    10.0.202.7        110624529     -     - 122028093     -     -     -
Data 1    - 2001:db8:202: 2001:db8:202:77:: 110624529     -     - 122028093     -     -     -
`)
	checkNetstat(t, net, "2 -W -f inet6 -I nic1", `
Name    Mtu Network       Address              Ipkts Ierrs Idrop    Opkts Oerrs  Coll
Data 1    - 2001:db8:202:77::/64 2001:db8:202:77::7 110624529     -     - 122028093     -     -
`)
}

// The prefix length is shown unless the zero octets of the address imply it.
func TestNetstatListsRoutes(t *testing.T) { // B40
	route := func(dst, gateway, flags, ifname string) network.Route {
		r := network.Route{Dst: netip.MustParsePrefix(dst), Link: 2, Interface: ifname, Flags: flags}
		if gateway != "" {
			r.Gateway = netip.MustParseAddr(gateway)
		}
		return r
	}
	net := tableNet{routes: []network.Route{
		route("0.0.0.0/0", "10.0.202.1", "UGS", "Data 1"),
		route("10.0.0.0/8", "10.0.202.1", "UGS", "Data 1"),
		route("10.0.202.0/24", "", "U", "Data 1"),
		route("10.0.202.7/32", "", "UHS", "lo0"),
		route("10.0.203.128/25", "10.0.202.2", "UGS", "Data 1"),
		route("127.0.0.1/32", "", "UH", "lo0"),
		route("172.16.0.0/12", "10.0.202.2", "UGS", "Data 1"),
		route("192.0.2.0/23", "10.0.202.2", "UGS", "Data 1"),
		route("::/0", "2001:db8:202:7777::1", "UGS", "Data 1"),
		route("::1/128", "", "UH", "lo0"),
		route("2001:db8:202:7777::/64", "", "U", "Data 1"),
	}}
	checkNetstat(t, net, "3", `
Routing tables

Internet:
Destination        Gateway            Flags      Netif Expire
default            10.0.202.1         UGS         Data 1
10.0.0.0           10.0.202.1         UGS         Data 1
10.0.202.0         link#2             U           Data 1
10.0.202.7         link#2             UHS         lo0
10.0.203.128/25    10.0.202.2         UGS         Data 1
localhost.example. link#2             UH          lo0
172.16.0.0/12      10.0.202.2         UGS         Data 1
192.0.2.0/23       10.0.202.2         UGS         Data 1
`)
	checkNetstat(t, net, "3 -nf all", `
Routing tables

Internet:
Destination        Gateway            Flags      Netif Expire
default            10.0.202.1         UGS         Data 1
10.0.0.0/8         10.0.202.1         UGS         Data 1
10.0.202.0/24      link#2             U           Data 1
10.0.202.7         link#2             UHS         lo0
10.0.203.128/25    10.0.202.2         UGS         Data 1
127.0.0.1          link#2             UH          lo0
172.16.0.0/12      10.0.202.2         UGS         Data 1
192.0.2.0/23       10.0.202.2         UGS         Data 1

Internet6:
Destination                       Gateway                       Flags      Netif Expire
default                           2001:db8:202:7777::1          UGS         Data 1
::1                               link#2                        UH          lo0
2001:db8:202:7777::/64            link#2                        U           Data 1
`)
	checkNetstat(t, net, "3 -f inet6", `
Routing tables

Internet6:
Destination        Gateway            Flags      Netif Expire
default            2001:db8:202:7777: UGS         Data 1
localhost.example. link#2             UH          lo0
2001:db8:202:7777: link#2             U           Data 1
`)
	checkNetstat(t, net, "3 -W -f inet6", `
Routing tables

Internet6:
Destination            Gateway              Flags      Netif Expire
default                2001:db8:202:7777::1 UGS         Data 1
localhost.example.com  link#2               UH          lo0
2001:db8:202:7777::/64 link#2               U           Data 1
`)
}

// The value of each reading is the square of its number, so that differences and totals are
// not the same. At the fourth reading the counters have been reset.
func TestNetstatShowsRates(t *testing.T) { // B42
	reading := uint64(0)
	net := tableNet{
		interfaces: []network.Interface{{Name: "Data 1", Device: "nic1"}, {Name: "lo0", Device: "lo0", Loopback: true}},
		counters: func(ifname string) network.Counters {
			if ifname == "lo0" {
				return network.Counters{}
			}
			reading++
			n := reading * reading
			if reading == 4 {
				n = 2
			}
			return network.Counters{
				RxPackets: n, RxErrors: 2 * n, RxDropped: 3 * n, RxBytes: 4000 * n,
				TxPackets: 5 * n, TxErrors: 6 * n, TxBytes: 7000 * n, Collisions: 8 * n, TxDropped: 9 * n,
			}
		},
	}
	checkNetstat(t, net, "5 -w 60 -q 3 -I nic1", `
            input           nic1           output
   packets  errs idrops      bytes    packets  errs      bytes colls drops
         3     6     9      12000         15    18      21000    24    27
         5    10    15      20000         25    30      35000    40    45
         2     4     6       8000         10    12      14000    16    18
`)
	reading = 10
	checkNetstat(t, net, "5 -q1", `
            input        (Total)           output
   packets  errs idrops      bytes    packets  errs      bytes colls drops
        23    46    69      92000        115   138     161000   184   207
`)
}

func TestNetstatTrafficRepeatsHeadingsAndEndsWithoutTerminal(t *testing.T) {
	net := tableNet{
		interfaces: []network.Interface{{Name: "Data 1", Device: "nic1"}},
		counters:   func(string) network.Counters { return network.Counters{} },
	}
	for line, want := range map[string]int{"5": 2 + 10, "5 -q 20": 2 + 20, "5 -q 41": 3*2 + 41} {
		got, err := runOnNet(t, net, nil, "netstat", strings.Fields(line)...)
		if lines := strings.Count(got, "\n"); err != nil || lines != want {
			t.Errorf("netstat %s prints %d lines, want %d: %v\n%s", line, lines, want, err, got)
		}
	}
}

// boxWithoutDNS starts a box whose DNS server is unplugged.
func boxWithoutDNS(t *testing.T, lookupTimeout time.Duration) *appliancetest.Box {
	t.Helper()
	return appliancetest.Start(t,
		appliancetest.Faults(topology.Rule{Action: "unplug", Cable: "resolver"}),
		appliancetest.Timeouts(appliance.Timeouts{Lookup: lookupTimeout}))
}

func TestNetstatShowsAddressesIfDNSIsSilent(t *testing.T) {
	got := boxWithoutDNS(t, 20*time.Millisecond).Exec("netstat 1")
	if want := " 10.0.202.7.10273       96.17.177.18.80        TIME_WAIT\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}

func TestInterruptEndsNetstatLookups(t *testing.T) {
	s := boxWithoutDNS(t, time.Hour).Login()
	s.Type("netstat 1")
	s.Keys("\x03")
	if said := s.Expect("example.com> "); strings.Contains(said, "Active") {
		t.Errorf("after Ctrl-C:\n%s", said)
	}
}

func TestNetstatOnNetworkWithoutTables(t *testing.T) {
	net := tableNet{err: fmt.Errorf("no: %w", errors.ErrUnsupported), interfaces: []network.Interface{{Name: "Data 1"}}}
	for i := range 5 {
		_, err := runOnNet(t, net, nil, "netstat", fmt.Sprint(i+1))
		if _, ok := refusal.Text(err); !ok {
			t.Errorf("netstat %d: %v, want a refusal", i+1, err)
		}
	}
}

// BenchmarkNetstat lists 10,000 sockets, from the SSH command line to the last row.
func BenchmarkNetstat(b *testing.B) {
	box := appliancetest.Start(b)
	box.Exec("version") // opens the connections that the first session causes
	net := box.Appliance().Net
	addr := netip.MustParseAddrPort("10.0.202.7:2525")
	l, err := net.Listen(b.Context(), network.ListenConfig{Addr: addr, Backlog: 50})
	if err != nil {
		b.Fatal(err)
	}
	for range 5000 { // the appliance has both ends
		if _, err := net.Dial(b.Context(), network.DialConfig{Remote: addr}); err != nil {
			b.Fatal(err)
		}
		if _, err := l.AcceptConn(); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if rows := strings.Count(box.Exec("netstat 1 -n"), "ESTABLISHED"); rows < 10000 {
			b.Fatal(rows, " rows")
		}
	}
}
