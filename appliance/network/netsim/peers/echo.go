package peers

import (
	"io"

	"github.com/esasim/esasim/appliance/network"
)

var _ = register(Kind{Name: "echo", Title: "an echo server", Port: 7, New: func(c Config) Peer {
	e := &Echo{stream: stream{config: c}}
	e.serve = e.echo
	return e
}})

// An Echo sends back the data that it receives (RFC 862), and closes the connection when the
// client does.
type Echo struct{ stream }

func (*Echo) echo(c network.Conn) {
	_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}
