package control_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/packets"
	"github.com/esasim/esasim/appliance/tooltest"
)

func ping(t *testing.T, b *box.Box, to string) {
	t.Helper()
	_, err := b.Appliance().Net.Ping(within(t), network.PingRequest{Dst: netip.MustParseAddr(to), DataSize: 56})
	if err != nil {
		t.Fatal(err)
	}
}

// A capture is started, read, stopped and removed over the API, and requests that make no sense are
// refused with the field that is wrong.
func TestCaptures(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	cables, err := c.Cables(ctx)
	if err != nil || cables[0].Name != "Data 1" || cables[0].Link != netsim.EthernetLink {
		t.Fatal(cables, err)
	}
	if list, err := c.Captures(ctx); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	x, err := c.StartCapture(ctx, packets.CaptureRequest{
		Cable: "google", Filter: "icmp", MaxPackets: 2, Duration: netsim.Duration(time.Hour),
	})
	if err != nil || x.Name != "capture1" || !x.Running {
		t.Fatalf("%+v, %v", x, err)
	}
	ping(t, b, "216.58.194.206")
	if x, err = c.StopCapture(ctx, "capture1"); err != nil || x.Packets != 2 || x.Running {
		t.Errorf("%+v, %v", x, err)
	}
	var file bytes.Buffer
	if err := c.CaptureFile(ctx, "capture1", &file); err != nil || int64(file.Len()) != x.Size {
		t.Errorf("%d bytes, want %d, %v", file.Len(), x.Size, err)
	}
	if shown, err := c.Capture(ctx, "capture1"); err != nil || shown != x {
		t.Errorf("%+v, %v", shown, err)
	}
	if err := c.RemoveCapture(ctx, "capture1"); err != nil {
		t.Error(err)
	}
	if err := c.RemoveCapture(ctx, "capture1"); !refusedWith(err, 404) {
		t.Error(err)
	}
	if err := c.CaptureFile(ctx, "capture1", io.Discard); !refusedWith(err, 404) {
		t.Error(err)
	}
	client := socketClient(t, socket)
	for _, bad := range []struct{ method, path, body, want string }{
		{"POST", "/v1/captures", `{"cable": "nic9"}`, `"field": "cable"`},
		{"POST", "/v1/captures", `{"cable": "Data 1", "filter": "tcp and"}`, `"field": "filter"`},
		{"POST", "/v1/captures", `{"cable": "Data 1", "name": "7"}`, `"field": "name"`},
		{"POST", "/v1/captures", `{"cable": "Data 1", "duration": "x"}`, `expected a time such as`},
		{"GET", "/v1/live", "", `"field": "cable"`},
		{"GET", "/v1/live?cable=google&filter=ether+host+1:2:3:4:5:6", "", `"field": "filter"`},
	} {
		if status, text := sendRequest(t, client, bad.method, "http://esasim"+bad.path, bad.body); status != 400 || !strings.Contains(text, bad.want) {
			t.Errorf("%s %s: %d %s", bad.method, bad.body, status, text)
		}
	}
	if _, err := c.StartCapture(ctx, packets.CaptureRequest{Name: "x", Cable: "Data 1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.StartCapture(ctx, packets.CaptureRequest{Name: "x", Cable: "Data 1"}); !refusedWith(err, 409) {
		t.Error(err)
	}
	if _, err := c.Reset(ctx, false); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Captures(ctx); err != nil || len(list) != 0 {
		t.Error("after a reset: ", list, err)
	}
}

// Each packet is sent when it has passed; the stream goes on after a reset.
func TestLive(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c := dialControl(t, "unix", socket)
	ctx, cancel := context.WithCancel(within(t))
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := c.Live(ctx, "Data 1", "icmp", w)
		w.CloseWithError(io.EOF)
		ended <- err
	}()
	file, err := pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		ping(t, b, "10.0.202.53")
		for range 2 {
			if data, _, err := file.ReadPacketData(); err != nil || len(data) != 98 {
				t.Fatal(len(data), err)
			}
		}
		if n == 0 {
			if err := b.Reset(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("the stream has ended by itself")
	}
}

// tshark reads live packets and has nothing to complain of: a query at the resolver, a ping on both
// sides of a gateway, and a frame that a fault drops.
func TestLiveWithTshark(t *testing.T) {
	tooltest.Need(t, "tshark")
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c := dialControl(t, "unix", socket)
	if _, err := b.World().Faults().Set([]netsim.FaultSpec{{Rule: topology.Rule{
		Action: "drop", To: netip.MustParsePrefix("10.0.201.5/32"), Protocol: "udp", Port: 9,
	}}}); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		cable string
		want  []string
	}{
		{"resolver", []string{"arp ", "arp ", "dns tshark.example.com 0", "dns tshark.example.com 1"}},
		{"Data 1", []string{"icmp 64", "icmp 56", "udp 64"}},
		{"path/google", []string{"icmp 63", "icmp 57"}},
		{"server", nil},
	} {
		t.Run(x.cable, func(t *testing.T) {
			filter := "udp port 53 or arp host 10.0.202.53"
			if x.cable != "resolver" {
				filter = "icmp or udp port 9"
			}
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(within(t), "tshark", "-n", "-l", "-r", "-",
				"-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=\t",
				"-e", "_ws.col.Protocol", "-e", "ip.ttl", "-e", "dns.qry.name", "-e", "dns.flags.response", "-e", "_ws.expert.message")
			cmd.Stdin = r
			var complaints bytes.Buffer
			cmd.Stderr = &complaints
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			r.Close()
			began := make(chan struct{}, 1)
			go func() {
				c.Live(ctx, x.cable, filter, &notingWriter{w, began})
				w.Close()
			}()
			<-began
			useNetwork(t, b)
			lines := bufio.NewScanner(out)
			for _, want := range x.want {
				if !lines.Scan() {
					t.Fatalf("tshark ends before %q: %s", want, complaints.String())
				}
				field := strings.Split(lines.Text()+"\t\t\t\t", "\t")
				got := strings.ToLower(field[0]) + " " + field[1]
				if field[2] != "" {
					got = "dns " + field[2] + " " + field[3]
				}
				if got != want && !(want == "arp " && strings.HasPrefix(got, "arp")) || field[4] != "" {
					t.Errorf("%q, want %q", lines.Text(), want)
				}
			}
			cancel()
			for lines.Scan() {
				t.Errorf("one more: %q", lines.Text())
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			for line := range strings.Lines(complaints.String()) {
				if !strings.HasPrefix(line, "Running as user") {
					t.Error("tshark says: ", line)
				}
			}
		})
	}
}

// useNetwork sends the packets that TestLiveWithTshark waits for.
func useNetwork(t *testing.T, b *box.Box) {
	t.Helper()
	a := b.Appliance()
	if _, err := a.Net.FlushNeighbors(); err != nil {
		t.Fatal(err)
	}
	a.Resolver.Flush()
	if _, err := a.Resolver.Lookup(within(t), "tshark.example.com", 4); err == nil {
		t.Error("there is a host tshark")
	}
	ping(t, b, "216.58.194.206")
	conn, err := a.Net.ListenPacket(within(t), network.DialConfig{Remote: netip.MustParseAddrPort("10.0.201.5:9"), Owner: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
}

// A notingWriter tells when the first bytes are written.
type notingWriter struct {
	io.Writer
	began chan struct{}
}

func (w *notingWriter) Write(p []byte) (int, error) {
	select {
	case w.began <- struct{}{}:
	default:
	}
	return w.Writer.Write(p)
}
