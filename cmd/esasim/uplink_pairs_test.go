package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/tooltest"
)

// pairTopology is one of two appliances that share a wire. Its door leads to that wire.
func pairTopology(serial string, addr int) string {
	return fmt.Sprintf(`
appliance:
  hostname: esa%[2]d.example.com
  model: C100V
  serial: %[1]s
  version: 14.0.0-698
  ntp: []
  dns: [192.0.2.1]
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.%[2]d/24], gateway: 192.0.2.1}
hosts:
  - {name: far, addresses: [203.0.113.5]}
doors:
  seen_as:
    - {from: 0.0.0.0/0, as: 203.0.113.5}
  in:
    - {name: ssh, listen: "127.0.0.1:0", interface: Data 1, service: ssh}
`, serial, addr)
}

// startHere is startAt on this machine.
func startHere(t *testing.T, topologyText, uplink string) *program {
	t.Helper()
	home := shortHome(t)
	file, topology := filepath.Join(home, "ready.json"), filepath.Join(home, "real.yaml")
	if err := os.WriteFile(topology, []byte(topologyText), 0o600); err != nil {
		t.Fatal(err)
	}
	c := command(t, home, "serve", "--topology", topology, "--ephemeral", "--uplink", "Data 1="+uplink, "--ready", file)
	return launch(t, home, file, c)
}

// checkReaches connects an appliance with the SSH server of another one, as soon as it is there.
func checkReaches(t *testing.T, p *program, to string) {
	t.Helper()
	eventually(t, p, "no connection with "+to, func() bool {
		_, out, _ := p.ctl(t, "run", "--socket", p.ready.Socket, "telnet "+to+" 22")
		return strings.Contains(out, "Connected to "+to)
	})
}

// Two processes share a wire through a socket, and tell that their doors to it are off.
func TestTwoProcessesOnASocket(t *testing.T) {
	for _, kind := range []string{"stream", "datagrams"} {
		t.Run(kind, func(t *testing.T) {
			dir := shortHome(t)
			one, two := "unix:"+filepath.Join(dir, "one"), "unix:"+filepath.Join(dir, "one")
			if kind == "datagrams" {
				one += ",dgram=" + filepath.Join(dir, "two")
				two = "unix:" + filepath.Join(dir, "two") + ",dgram=" + filepath.Join(dir, "one")
			}
			a := startHere(t, pairTopology("PAIR-A", 25), one)
			b := startHere(t, pairTopology("PAIR-B", 26), two)
			eventually(t, a, "there is no carrier", func() bool { return a.connected(t) && b.connected(t) })
			checkReaches(t, a, "192.0.2.26")
			checkReaches(t, b, "192.0.2.25")
			for _, p := range []*program{a, b} {
				if !strings.Contains(p.out, "ssh   off: ") || len(p.ready.Addresses) != 0 {
					t.Errorf("doors %v; the start says\n%s", p.ready.Addresses, p.out)
				}
			}
		})
	}
}

// Two processes on two machines share a wire through a tunnel between the machines, which does not
// mind that their cable is pulled.
func TestTwoMachinesInATunnelInNamespaces(t *testing.T) {
	one, two := tooltest.NewNamespace(t), tooltest.NewNamespace(t)
	one.Cable("ve0", two, "ve1")
	one.IP("address add 10.9.0.1/24 dev ve0")
	two.IP("address add 10.9.0.2/24 dev ve1")
	a := startAt(t, one, pairTopology("PAIR-A", 25), "vxlan:10.9.0.2:4789/42")
	b := startAt(t, two, pairTopology("PAIR-B", 26), "vxlan:10.9.0.1:4789/42")
	checkReaches(t, a, "192.0.2.26")
	checkReaches(t, b, "192.0.2.25")
	two.IP("link set ve1 down")
	two.IP("link set ve1 up")
	checkReaches(t, a, "192.0.2.26")
}

// A packet socket needs one capability, and no superuser.
func TestOnlyCapNetRawInNamespaces(t *testing.T) {
	tooltest.Need(t, "ping", "arping", "ssh", "sshpass", "setpriv")
	machine, lan := tooltest.NewNamespace(t), tooltest.NewNamespace(t)
	machine.Cable("ve0", lan, "ve1")
	lan.IP("address add 192.0.2.1/24 dev ve1")
	p := startAsNobody(t, machine, "packet:ve0", "+net_raw")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65534\t65534", "CapEff:\t0000000000002000", "CapBnd:\t0000000000002000"} {
		if !bytes.Contains(status, []byte(want)) {
			t.Errorf("the process has no %q:\n%s", want, status)
		}
	}
	checkOutside(t, lan, "ve1")
}

// startAsNobody starts an appliance as a user with few capabilities.
func startAsNobody(t *testing.T, machine *tooltest.Namespace, uplink, capabilities string) *program {
	t.Helper()
	home, err := os.MkdirTemp("", "esa") // other users cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	file, topology, binary := filepath.Join(home, "ready.json"), filepath.Join(home, "real.yaml"), filepath.Join(home, "esasim")
	c := command(t, home, "serve", "--topology", topology, "--ephemeral", "--uplink", "Data 1="+uplink, "--ready", file)
	for _, err := range []error{
		os.WriteFile(topology, []byte(realTopology), 0o644), copyProgram(binary, c.Path), os.Chown(home, 65534, 65534),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	words := append([]string{
		"--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", "-all," + capabilities,
		"--ambient-caps", "-all," + capabilities, "--bounding-set", "-all," + capabilities, "--no-new-privs", binary,
	}, c.Args[1:]...)
	own := machine.Command("setpriv", words...)
	own.Env, own.Dir = c.Env, home
	return launch(t, home, file, own)
}

// copyProgram copies a program to where other users may run it.
func copyProgram(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// refusalTime limits the wait for a refusal, which takes a minute at most. It only matters for tests
// that fail.
const refusalTime = 3 * time.Minute

// An appliance does not start if a machine of its network has its address or its MAC.
func TestAddressesOfOthersAreRefusedInNamespaces(t *testing.T) {
	machine, lan := tooltest.NewNamespace(t), tooltest.NewNamespace(t)
	machine.Cable("ve0", lan, "ve1")
	refused := func(text string) string {
		home := t.TempDir()
		topology := filepath.Join(home, "real.yaml")
		if err := os.WriteFile(topology, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		own := command(t, home, "serve", "--topology", topology, "--ephemeral", "--uplink", "Data 1=packet:ve0,probe_time=1m")
		c := machine.Command(own.Path, own.Args[1:]...)
		c.Env = own.Env
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), refusalTime)
		defer cancel()
		keep := context.AfterFunc(ctx, func() { _ = c.Process.Kill() })
		if err := c.Wait(); !keep() || err == nil {
			t.Errorf("it starts:\n%s", &out)
		}
		return out.String()
	}
	lan.IP("address add 192.0.2.25/24 dev ve1")
	if out := refused(realTopology); !strings.Contains(out, "has the address 192.0.2.25 of the appliance") {
		t.Errorf("the kernel has the address:\n%s", out)
	}
	lan.IP("address flush dev ve1")
	startAt(t, lan, realTopology, "packet:ve1")
	if out := refused(realTopology); !strings.Contains(out, "another machine has the MAC address") {
		t.Errorf("another process has the MAC:\n%s", out)
	}
	if out := refused(strings.Replace(realTopology, "UPLINK-1", "UPLINK-2", 1)); !strings.Contains(out, "has the address 192.0.2.25 of the appliance") {
		t.Errorf("another process has the address:\n%s", out)
	}
}
