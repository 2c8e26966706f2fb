package box_test

import (
	"net"
	"os/exec"
	"testing"

	"github.com/esasim/esasim/appliance/tooltest"
)

// startRelay starts Postfix with the default settings, except that it relays everything to sink, and
// returns the address that it listens on.
func startRelay(b *testing.B, sink *sink) string {
	_, port, _ := net.SplitHostPort(sink.addr())
	addr, _ := startPostfix(b, "mydestination =\nrelay_domains = example.com\nrelayhost = [127.0.0.1]:"+port+"\n")
	return addr
}

// startPostfix starts Postfix with further settings, and returns the address that it listens on and
// the name of its log.
func startPostfix(b testing.TB, settings string) (addr, log string) {
	b.Helper()
	addr = freeAddr(b)
	log = tooltest.StartPostfix(b, exec.Command, addr, settings)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr, log
		}
		if b.Context().Err() != nil {
			b.Fatal(err)
		}
	}
}

// freeAddr returns an address of the loopback interface that nothing listens on.
func freeAddr(b testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
