package shell

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// A clientHello extracts two facts from the first bytes that a client sends: its version and, if it
// is a program in Go, the types of host keys that it knows.
//
// Go's SSH library prefers RSA to all other types, whatever key its user has in known_hosts. If a
// server offers more than one host key, the library takes this for a changed key. Therefore such a
// client is offered the server's first key only, if it knows the type of that key. Other clients
// prefer the type that they know from known_hosts, and are offered all keys.
type clientHello struct {
	// The following fields belong to the goroutine that reads the connection.
	buf  []byte // what has arrived
	done bool

	firstKey string        // the type of the server's first key
	known    chan struct{} // closed when onlyFirst is final
	// onlyFirst says that the client is to be offered the first key only.
	onlyFirst bool
}

// goVersion begins the version of clients that use Go's SSH library.
const goVersion = "SSH-2.0-Go"

// maxHello is the largest number of bytes that are kept. It is more than a client in Go sends.
const maxHello = 16 << 10

func newClientHello(firstKey string) *clientHello {
	return &clientHello{firstKey: firstKey, known: make(chan struct{})}
}

// observe is called with what has been read from the connection, and with the error of reading.
func (h *clientHello) observe(b []byte, err error) {
	if h.done {
		return
	}
	h.buf = append(h.buf, b...)
	types, complete := helloHostKeyTypes(h.buf)
	if complete || err != nil || len(h.buf) > maxHello {
		h.onlyFirst = slices.Contains(types, h.firstKey)
		h.done, h.buf = true, nil
		close(h.known)
	}
}

// prefersFirstKey reports whether only the server's first key is to be offered. It blocks until a
// client in Go has sent its list of types, which it does without waiting for the server, or until
// the connection has ended.
func (h *clientHello) prefersFirstKey() bool {
	<-h.known
	return h.onlyFirst
}

// helloHostKeyTypes returns the types of host keys in the first packet of a client in Go (RFC 4253,
// section 7.1). complete reports whether nothing more needs to be read.
func helloHostKeyTypes(b []byte) (types []string, complete bool) {
	version, packet, found := bytes.Cut(b, []byte("\n"))
	if !found {
		n := min(len(b), len(goVersion))
		return nil, string(b[:n]) != goVersion[:n]
	}
	if !strings.HasPrefix(string(version), goVersion) {
		return nil, true
	}
	const cookieEnd = 4 + 1 + 1 + 16 // length, padding length, type of message, cookie
	if len(packet) < cookieEnd {
		return nil, false
	}
	lists := packet[cookieEnd:]
	for range 2 { // of key exchanges, of host keys
		if len(lists) < 4 {
			return nil, false
		}
		n := int(binary.BigEndian.Uint32(lists))
		if n > maxHello {
			return nil, true
		}
		if len(lists) < 4+n {
			return nil, false
		}
		types, lists = strings.Split(string(lists[4:4+n]), ","), lists[4+n:]
	}
	return types, true
}
