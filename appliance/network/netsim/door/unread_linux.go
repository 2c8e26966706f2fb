package door

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// The request and the answer of sock_diag(7) about one TCP socket, in bytes.
const (
	diagFamily      = 20 // SOCK_DIAG_BY_FAMILY
	diagRequestSize = 56 // struct inet_diag_req_v2
	diagStateOffset = 1  // of idiag_state in struct inet_diag_msg
	diagPeerOffset  = 6  // of idiag_dport
	diagQueueOffset = 56 // of idiag_rqueue
)

// unreadByPeer returns how many bytes the peer of c has received and its process has not read. The
// peer must be a socket of this machine, in the same network namespace.
func unreadByPeer(c *net.TCPConn) (int, error) {
	local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	// The kernel answers before Sendto returns.
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(fd, diagRequest(remote, local), 0, kernel); err != nil {
		return 0, err
	}
	var answer [512]byte
	n, _, err := unix.Recvfrom(fd, answer[:], unix.MSG_DONTWAIT)
	if err != nil {
		return 0, err
	}
	return parseDiag(answer[:n], local.Port())
}

// unacknowledged returns how many of the bytes written to c its peer has not acknowledged.
func unacknowledged(c *net.TCPConn) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n, errors.Join(failed, err)
}

// addrPort returns the address of a TCP connection, without the IPv6 form of an IPv4 address.
func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// diagRequest returns the netlink message that asks for the socket that has the given addresses.
func diagRequest(own, peer netip.AddrPort) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+diagRequestSize)
	e := binary.NativeEndian
	e.PutUint32(b[0:], uint32(len(b)))
	e.PutUint16(b[4:], diagFamily)
	e.PutUint16(b[6:], unix.NLM_F_REQUEST)
	r := b[unix.NLMSG_HDRLEN:]
	r[0], r[1] = unix.AF_INET, unix.IPPROTO_TCP
	if own.Addr().Is6() {
		r[0] = unix.AF_INET6
	}
	e.PutUint32(r[4:], ^uint32(0)) // states: all
	id := r[8:]
	binary.BigEndian.PutUint16(id[0:], own.Port())
	binary.BigEndian.PutUint16(id[2:], peer.Port())
	copy(id[4:], own.Addr().AsSlice())
	copy(id[20:], peer.Addr().AsSlice())
	e.PutUint64(id[40:], ^uint64(0)) // no cookie
	return b
}

// parseDiag returns the length of the receive queue in an answer. If the connection's socket does not
// exist any more, the kernel answers with that of the listener, which has no peer.
func parseDiag(b []byte, peer uint16) (int, error) {
	e := binary.NativeEndian
	if len(b) < unix.NLMSG_HDRLEN+4 {
		return 0, errors.ErrUnsupported
	}
	body := b[unix.NLMSG_HDRLEN:]
	switch {
	case e.Uint16(b[4:]) == unix.NLMSG_ERROR:
		return 0, syscall.Errno(-int32(e.Uint32(body)))
	case e.Uint16(b[4:]) != diagFamily, len(body) < diagQueueOffset+4:
		return 0, errors.ErrUnsupported
	case body[diagStateOffset] == unix.BPF_TCP_CLOSE,
		binary.BigEndian.Uint16(body[diagPeerOffset:]) != peer:
		return 0, syscall.ENOENT
	}
	return int(e.Uint32(body[diagQueueOffset:])), nil
}
