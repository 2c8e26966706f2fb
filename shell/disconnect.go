package shell

import (
	"context"
	"io"
	"reflect"
	"sync"
	"time"
	"unsafe" // for go:linkname, and for the library's own types

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/clock"
)

// writePacket is the library's function that encrypts a packet and sends it. The library does not
// export it, nor any other way to send SSH_MSG_DISCONNECT. A test compares its signature with the
// library's source; t is a *transport.
//
//go:linkname writePacket golang.org/x/crypto/ssh.(*transport).writePacket
func writePacket(t unsafe.Pointer, packet []byte) error

// A disconnectMsg is SSH_MSG_DISCONNECT (RFC 4253, section 11.1).
type disconnectMsg struct {
	Reason   uint32 `sshtype:"1"`
	Message  string
	Language string
}

// protocolError is SSH_DISCONNECT_PROTOCOL_ERROR.
const protocolError = 2

// disconnectTimeout bounds the time in which a client takes the message that it is disconnected.
const disconnectTimeout = time.Second

// disconnect tells the client why the library closes the connection, if the client has broken the
// protocol. It is called when the library closes the connection. It does nothing before the first
// channel.
func (c *connection) disconnect() {
	c.mu.Lock()
	conn, ok := c.sshConn.(*gossh.ServerConn)
	c.mu.Unlock()
	if !ok {
		return
	}
	handshake, transport, ok := transports(conn)
	if !ok {
		return
	}
	// While mu is held, the library writes nothing. Who holds it for long writes to a client that
	// takes nothing.
	mu := (*sync.Mutex)(handshake.FieldByName("mu").Addr().UnsafePointer())
	if !lockWithin(mu, disconnectTimeout) {
		return
	}
	err := connectionError(handshake)
	text := failureText(err, conn.ClientVersion())
	if text != "" {
		c.Conn.SetWriteDeadline(clock.System().Now().Add(disconnectTimeout))
		err = writePacket(transport, gossh.Marshal(disconnectMsg{Reason: protocolError, Message: text}))
	}
	mu.Unlock()
	if text != "" && err == nil {
		c.out.finish()
		c.awaitEnd()
	}
}

// awaitEnd reads and ignores what the client still sends, until it closes its side. If the
// connection were closed while data of the client are unread, a reset would follow, and the client
// could lose the message that it is disconnected.
func (c *connection) awaitEnd() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.Conn.SetReadDeadline(clock.System().Now().Add(disconnectTimeout))
	io.Copy(io.Discard, c.Conn) //nolint:errcheck // the connection is closed next
}

// transports returns the library's *handshakeTransport of a connection as a struct, and its
// *transport. ok is false if the library does not have them where this version of it should.
func transports(conn *gossh.ServerConn) (handshake reflect.Value, transport unsafe.Pointer, ok bool) {
	v := reflect.ValueOf(conn.Conn) // *connection
	for _, field := range []string{"transport", "conn"} {
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
			return v, nil, false
		}
		handshake = v.Elem()
		if v = handshake.FieldByName(field); v.Kind() != reflect.Interface {
			return v, nil, false
		}
		v = v.Elem()
	}
	if v.Type().String() != "*ssh.transport" || handshake.Type().String() != "ssh.handshakeTransport" {
		return v, nil, false
	}
	return handshake, v.UnsafePointer(), true
}

// lockWithin locks mu if that succeeds within d, and reports whether it has.
func lockWithin(mu *sync.Mutex, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for !mu.TryLock() {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			return false
		}
	}
	return true
}

// connectionError returns the error that has ended a *handshakeTransport, nil if none has. It is
// called with the transport's mutex held.
//
// The library's reader notes its error in readError, closes incoming, and notes the error in
// writeError, in this order. Whoever finds incoming closed may therefore read readError, and closes
// the connection perhaps before writeError is set.
func connectionError(handshake reflect.Value) error {
	if err, ok := readError(handshake.FieldByName("writeError")); err != nil || !ok {
		return err
	}
	incoming := handshake.FieldByName("incoming")
	if incoming.Kind() != reflect.Chan {
		return nil
	}
	incoming = reflect.NewAt(incoming.Type(), incoming.Addr().UnsafePointer()).Elem()
	// A packet that is received here is lost, as are all others on a connection that is closed.
	if packet, received := incoming.TryRecv(); received || !packet.IsValid() {
		return nil // incoming is open
	}
	err, _ := readError(handshake.FieldByName("readError"))
	return err
}

// readError returns the value of an addressable field of type error that is not exported.
func readError(field reflect.Value) (err error, ok bool) {
	p, ok := reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Interface().(*error)
	if !ok {
		return nil, false
	}
	return *p, true
}
