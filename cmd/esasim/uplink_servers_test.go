package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/uplink"
	"github.com/esasim/esasim/appliance/tooltest"
)

// realServers is an appliance that uses the servers of a real network, by the names that its DNS
// server gives them. All three logs have the same records.
const realServers = `
appliance:
  hostname: esa.example.com
  model: C100V
  serial: UPLINK-1
  version: 14.0.0-698
  ntp: []
  dns: [192.0.2.1]
  relays: [192.0.2.1]
  logs:
    - {name: over_tcp, server: logs.real.example, port: 514, protocol: tcp, buffer: 1MiB}
    - {name: over_udp, server: logs.real.example, port: 514, protocol: udp}
    - {name: over_tls, server: logs.real.example, port: 6514, protocol: tls, buffer: 1MiB}
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.25/24], gateway: 192.0.2.1}
`

// A realLAN is a network with a DNS server, a syslog server and a mail server.
type realLAN struct {
	t       *testing.T
	ns      *tooltest.Namespace
	dir     string
	mailbox string
	syslog  *exec.Cmd
}

// newRealLAN starts the servers at 192.0.2.1 in a namespace.
func newRealLAN(t *testing.T, ns *tooltest.Namespace) *realLAN {
	t.Helper()
	l := &realLAN{t: t, ns: ns, dir: t.TempDir()}
	l.startDNS()
	l.writeCertificate()
	l.startSyslog()
	mailbox, err := os.MkdirTemp("", "esasim-mailbox") // Postfix's users cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(mailbox) })
	if err := os.Chmod(mailbox, 0o777); err != nil {
		t.Fatal(err)
	}
	l.mailbox = mailbox
	tooltest.StartPostfix(t, ns.Command, "192.0.2.1:25", "mydestination =\nvirtual_mailbox_domains = real.example\n"+
		"virtual_mailbox_maps = static:joe/\nvirtual_mailbox_base = "+mailbox+"\n"+
		"virtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n")
	return l
}

// run starts a server that ends with the test, and waits until it listens on a port.
func (l *realLAN) run(port string, name string, args ...string) *exec.Cmd {
	l.t.Helper()
	c := l.ns.Command(name, args...)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	l.wait(name+" does not listen", func() bool {
		return strings.Contains(l.ns.Run("ss", "-lntuH", "sport", "=", port), ":")
	})
	return c
}

func (l *realLAN) wait(what string, ok func() bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), testTimeout)
	defer cancel()
	for !ok() {
		if clock.System().Sleep(ctx, 20*time.Millisecond) != nil {
			l.t.Fatal(what)
		}
	}
}

func (l *realLAN) write(name, text string) string {
	l.t.Helper()
	file := filepath.Join(l.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return file
}

func (l *realLAN) startDNS() {
	l.t.Helper()
	conf := l.write("unbound.conf", `
server:
  interface: 192.0.2.1
  access-control: 192.0.2.0/24 allow
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  directory: "`+l.dir+`"
  local-zone: "." static
  local-data: "real.example. MX 10 mail.real.example."
  local-data: "mail.real.example. A 192.0.2.1"
  local-data: "logs.real.example. A 192.0.2.1"
  local-data-ptr: "192.0.2.1 mail.real.example"
remote-control:
  control-enable: no
`)
	l.run("53", "unbound", "-d", "-c", conf)
}

// writeCertificate writes the files of the syslog server for TLS.
func (l *realLAN) writeCertificate() {
	l.t.Helper()
	l.ns.Run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=logs.real.example",
		"-keyout", filepath.Join(l.dir, "key.pem"), "-out", filepath.Join(l.dir, "cert.pem"))
}

func (l *realLAN) startSyslog() {
	l.t.Helper()
	conf := l.write("rsyslog.conf", fmt.Sprintf(`
global(workDirectory="%[1]s" defaultNetstreamDriverCAFile="%[1]s/cert.pem"
  defaultNetstreamDriverCertFile="%[1]s/cert.pem" defaultNetstreamDriverKeyFile="%[1]s/key.pem")
module(load="imudp")
module(load="imptcp")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="raw" type="string" string="%%rawmsg%%\n")
input(type="imudp" port="514")
input(type="imptcp" port="514")
input(type="imtcp" port="6514")
action(type="omfile" file="%[1]s/records" template="raw")
`, l.dir))
	l.syslog = l.run("6514", "rsyslogd", "-n", "-f", conf, "-i", filepath.Join(l.dir, "rsyslog.pid"), "-C")
}

func (l *realLAN) restartSyslog() {
	l.t.Helper()
	l.syslog.Process.Kill()
	l.syslog.Wait()
	l.startSyslog()
}

// send sends mail to the appliance, and returns when the appliance has delivered it and each log has
// the record of it.
func (l *realLAN) send(subject string) {
	l.t.Helper()
	l.ns.Run("swaks", "--server", "192.0.2.25", "--from", subject+"@real.example", "--to", "joe@real.example",
		"--header", "Subject: "+subject, "--timeout", "120s")
	l.wait("the message "+subject+" has not arrived", func() bool {
		files, _ := filepath.Glob(filepath.Join(l.mailbox, "joe", "new", "*"))
		for _, f := range files {
			text, _ := os.ReadFile(f) // a file that is moved meanwhile is looked at again
			if bytes.Contains(text, []byte("Subject: "+subject)) && bytes.Contains(text, []byte("by esa.example.com")) {
				return true
			}
		}
		return false
	})
	for _, name := range []string{"over_tcp", "over_udp", "over_tls"} {
		l.wait("the record of "+subject+" has not arrived "+name, func() bool {
			text, _ := os.ReadFile(filepath.Join(l.dir, "records"))
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, name) && strings.Contains(line, "From: <"+subject+"@real.example>") {
					return true
				}
			}
			return false
		})
	}
}

// connected reports whether the only uplink has a carrier.
func (p *program) connected(t *testing.T) bool {
	t.Helper()
	_, out, stderr := p.ctl(t, "net", "uplinks", "--json", "--socket", p.ready.Socket)
	var list []uplink.State
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		t.Fatal(err, out, stderr)
	}
	return list[0].Connected
}

// The appliance uses the DNS server, the mail server and the syslog server of its network, and goes
// on after the cable was pulled and the syslog server was started again.
func TestRealServersInNamespaces(t *testing.T) {
	tooltest.Need(t, "ssh", "sshpass", "unbound", "rsyslogd", "openssl", "swaks", "ss")
	machine, lan := tooltest.NewNamespace(t), tooltest.NewNamespace(t)
	machine.Cable("ve0", lan, "ve1")
	lan.IP("address add 192.0.2.1/24 dev ve1")
	l := newRealLAN(t, lan)
	p := startAt(t, machine, realServers, "packet:ve0")
	ask := append(sshOutside("ssh"), "admin@192.0.2.25", "nslookup mail.real.example")
	if out := lan.Run("sshpass", ask...); !strings.Contains(out, "A=192.0.2.1 ") {
		t.Errorf("nslookup prints\n%s", out)
	}
	l.send("first")

	lan.IP("link set ve1 down")
	l.wait("there is still a carrier", func() bool { return !p.connected(t) })
	l.restartSyslog()
	lan.IP("link set ve1 up")
	l.wait("there is no carrier", func() bool { return p.connected(t) })
	l.send("second")
}
