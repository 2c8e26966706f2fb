package shell

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
)

// failureText describes, for the log, why a connection has failed. It returns "" if the client or
// the server has closed it, or the network has failed.
//
// The server cannot tell the client: the library ends a connection without the message for that
// (RFC 4253, section 11.1) and offers no way to send it. Nor can the server ignore a packet that
// a client had under way when it asked for new keys (section 7.1 forbids it to be sent after the
// request, some clients do it all the same): the library reads key exchanges itself and accepts
// nothing else meanwhile.
func failureText(err error) string {
	var negotiation *gossh.AlgorithmNegotiationError
	var netErr net.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &negotiation):
		return fmt.Sprintf("no common %s: the client knows %s, the server offers %s",
			negotiation.What, strings.Join(negotiation.RequestedAlgorithms, ","),
			strings.Join(negotiation.SupportedAlgorithms, ","))
	case errors.As(err, &netErr), errors.Is(err, net.ErrClosed),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return ""
	}
	text := strings.TrimPrefix(err.Error(), "ssh: ")
	switch {
	case strings.HasPrefix(text, "disconnect, reason"):
		return "" // the client has said that it ends the connection
	case strings.HasPrefix(text, "unexpected message type"):
		return "the client sent a packet that does not belong to the key exchange it had begun"
	}
	return text
}

// logFailedHandshake logs that a handshake has failed because client and server have no common
// algorithms. Other failures are either logged as failed logins, or not the doing of SSH clients.
func (r *runningServer) logFailedHandshake(conn net.Conn, err error) {
	var negotiation *gossh.AlgorithmNegotiationError
	if errors.As(err, &negotiation) {
		r.logAuthf(appliance.Information, "An SSH connection from %v failed: %s",
			addrOf(conn.RemoteAddr()), failureText(err))
	}
}
