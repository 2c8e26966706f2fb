package web

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
)

// handshakeErrorText returns the number and the text with which AsyncOS logs a failed TLS
// handshake (logs.md 3.5). Both are those of its own libraries: errors of the protocol have
// OpenSSL's numbers, errors of the socket have FreeBSD's. The result is "" if this side has
// closed the connection.
func handshakeErrorText(err error) string {
	var header tls.RecordHeaderError
	var timeout net.Error
	alert, alerted := receivedAlert(err)
	switch {
	case errors.Is(err, net.ErrClosed):
		return ""
	case errors.As(err, &header) && strings.HasPrefix(string(header.RecordHeader[:]), "CONNE"):
		return clientHello23.text(155, "https proxy request")
	case errors.As(err, &header) && looksLikeHTTP(header.RecordHeader):
		return clientHello23.text(156, "http request")
	case errors.As(err, &header):
		return clientHello23.text(252, "unknown protocol")
	case alerted:
		return readBytes.text(1000+int(alert), alertText(alert))
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "(54, 'Connection reset by peer')"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return "(60, 'Operation timed out')"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "(-1, 'Unexpected EOF')"
	case strings.Contains(err.Error(), "unsupported versions"):
		return clientHello23.text(258, "unsupported protocol")
	case strings.Contains(err.Error(), "cipher suite"), strings.Contains(err.Error(), "curve"),
		strings.Contains(err.Error(), "signature algorithm"), strings.Contains(err.Error(),
			"key exchange"):
		return clientHello3.text(193, "no shared cipher")
	case strings.Contains(err.Error(), "bad record MAC"):
		return getRecord.text(281, "decryption failed or bad record mac")
	}
	return clientHello3.text(159, "length mismatch")
}

// An opensslFunction is a function of OpenSSL 1.0 that an error number names.
type opensslFunction struct {
	number int
	name   string
}

var (
	clientHello23 = opensslFunction{118, "SSL23_GET_CLIENT_HELLO"}
	clientHello3  = opensslFunction{138, "SSL3_GET_CLIENT_HELLO"}
	getRecord     = opensslFunction{143, "SSL3_GET_RECORD"}
	readBytes     = opensslFunction{148, "SSL3_READ_BYTES"}
)

// text returns an error of the function. Its number consists of that of the library SSL, of the
// function and of the reason.
func (f opensslFunction) text(reason int, text string) string {
	const library = 20
	code := library<<24 | f.number<<12 | reason
	return fmt.Sprintf("(%d, 'error:%08X:SSL routines:%s:%s')", code, code, f.name, text)
}

// receivedAlert returns the TLS alert that the client has sent, if err is caused by one.
// crypto/tls has an unexported type for it, whose kind is uint8.
func receivedAlert(err error) (alert uint8, ok bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return 0, false
	}
	v := reflect.ValueOf(op.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return uint8(v.Uint()), true
}

// alertText returns OpenSSL's text for an alert (RFC 5246, 7.2).
func alertText(alert uint8) string {
	switch alert {
	case 10:
		return "sslv3 alert unexpected message"
	case 20:
		return "sslv3 alert bad record mac"
	case 22:
		return "tlsv1 alert record overflow"
	case 40:
		return "sslv3 alert handshake failure"
	case 42:
		return "sslv3 alert bad certificate"
	case 43:
		return "sslv3 alert unsupported certificate"
	case 44:
		return "sslv3 alert certificate revoked"
	case 45:
		return "sslv3 alert certificate expired"
	case 46:
		return "sslv3 alert certificate unknown"
	case 47:
		return "sslv3 alert illegal parameter"
	case 48:
		return "tlsv1 alert unknown ca"
	case 49:
		return "tlsv1 alert access denied"
	case 50:
		return "tlsv1 alert decode error"
	case 51:
		return "tlsv1 alert decrypt error"
	case 70:
		return "tlsv1 alert protocol version"
	case 71:
		return "tlsv1 alert insufficient security"
	case 80:
		return "tlsv1 alert internal error"
	case 90:
		return "tlsv1 alert user cancelled"
	case 110:
		return "tlsv1 unsupported extension"
	case 112:
		return "tlsv1 unrecognized name"
	}
	return "reason(" + fmt.Sprint(1000+int(alert)) + ")" // as OpenSSL prints what it does not know
}
