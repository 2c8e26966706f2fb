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

// failureText describes, for the log and for the client, why a connection has failed. It returns ""
// if the client or the server has closed it, or the network has failed. clientVersion is the version
// that the client has sent, or nil.
func failureText(err error, clientVersion []byte) string {
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
		return fmt.Sprintf("the client, %s, sent other packets during a key exchange (%s), "+
			"which RFC 4253, section 7.1, forbids", clientVersion, text)
	}
	return text
}

// logFailedHandshake logs that a handshake has failed because client and server have no common
// algorithms. Other failures are either logged as failed logins, or not the doing of SSH clients.
func (r *runningServer) logFailedHandshake(conn net.Conn, err error) {
	var negotiation *gossh.AlgorithmNegotiationError
	if errors.As(err, &negotiation) {
		r.logAuthf(appliance.Information, "An SSH connection from %v failed: %s",
			addrOf(conn.RemoteAddr()), failureText(err, nil))
	}
}
