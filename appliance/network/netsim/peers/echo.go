package peers

import (
	"io"

	"github.com/esasim/esasim/appliance/network"
)

var _ = register(Kind{Name: "echo", Port: 7, New: func(c Config) Peer {
	e := &Echo{stream: stream{config: c}}
	e.serve = e.echo
	return e
}})

// An Echo sends back what it gets (RFC 862), and closes when the other side has
// no more to say.
type Echo struct{ stream }

func (*Echo) echo(c network.Conn) {
	_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}
