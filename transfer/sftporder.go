package transfer

import "encoding/binary"

// maxWriteHead is the number of bytes of a request to write that are looked at: length, type,
// number, a handle of the library, which is short, offset and length of the data.
const maxWriteHead = 64

// An sftpOrder decides which requests wait until the library has answered all earlier ones. SFTP
// demands the results of requests that are executed in the order in which they were sent. The
// library executes requests to read and to write in eight goroutines, and all others in a ninth:
// data that OpenSSH's reput appends would be in the file in another order, and a client that writes
// a place again could find the older data there.
//
// Requests to write wait unless each begins where the one before it ends, or behind that. These are
// those of a put, which come close one after another.
type sftpOrder struct {
	unordered bool   // the library may be reading or writing
	handle    string // what the last request wrote to, or "" if it was no request to write
	end       uint64 // where the data of that request ends
}

// mustWait reports whether a request must wait, and takes it as the last one. request is its
// beginning. appending says that there are open files to whose ends all data goes.
func (o *sftpOrder) mustWait(request []byte, appending bool) bool {
	kind := byte(0)
	if len(request) > 4 {
		kind = request[4]
	}
	last := *o
	if kind != sftpWrite {
		*o = sftpOrder{unordered: kind == sftpRead}
		return last.unordered
	}
	handle, from, end := writeSpan(request)
	*o = sftpOrder{unordered: true, handle: handle, end: end}
	follows := handle != "" && handle == last.handle && from >= last.end
	return appending || !follows
}

// writeSpan returns the handle and the part of the file of a request to write. The handle is "" if
// it is not all within request, or the part is none that a file can have.
func writeSpan(request []byte) (handle string, from, end uint64) {
	if len(request) < 13 {
		return "", 0, 0
	}
	n, rest := int64(binary.BigEndian.Uint32(request[9:])), request[13:]
	if n+8+4 > int64(len(rest)) {
		return "", 0, 0
	}
	from = binary.BigEndian.Uint64(rest[n:])
	end = from + uint64(binary.BigEndian.Uint32(rest[n+8:]))
	if end < from {
		return "", 0, 0
	}
	return string(rest[:n]), from, end
}
