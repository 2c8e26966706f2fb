package shell

import (
	"strings"
	"unicode/utf8"
)

// A keyDecoder turns the bytes that a terminal sends into the keys that x/term understands, one
// byte at a time. x/term by itself waits for more input after a byte that is not UTF-8 and after
// an escape sequence that it does not know, and it knows few of them.
//
// The keyDecoder never holds back a key: bytes that are not UTF-8 and escape sequences without a
// meaning are dropped, and the next byte begins a new key. A control character ends any sequence.
type keyDecoder struct {
	state   keyState
	params  []byte // of a control sequence
	partial []byte // the beginning of a character in UTF-8
	discard bool   // the key that has begun is dropped; WaitForKey has reported it already
	pasting bool   // between the marks that clients put around pasted text
	out     [utf8.UTFMax]byte
}

// A keyState is the kind of sequence that a keyDecoder is in.
type keyState byte

const (
	keyGround    keyState = iota // between two keys
	keyEscape                    // after ESC
	keyLoneESC                   // after an ESC with which the input ended
	keyCSI                       // after ESC [
	keyLinuxF                    // after ESC [ [, which the function keys of the Linux console send
	keySS3                       // after ESC O
	keyTwo                       // in the character that follows ESC, if it has several bytes
	keyString                    // after ESC ], ESC P or ESC _, with which strings begin
	keyStringEnd                 // in such a string
	keyStringESC                 // after ESC in such a string
)

// maxKeyParams is the number of bytes of a control sequence that are kept. A longer one has no
// meaning; it is dropped like others.
const maxKeyParams = 16

// The keys in the form that x/term reads.
var (
	editorUp        = []byte("\x1b[A")
	editorDown      = []byte("\x1b[B")
	editorRight     = []byte("\x1b[C")
	editorLeft      = []byte("\x1b[D")
	editorHome      = []byte("\x1b[H")
	editorEnd       = []byte("\x1b[F")
	editorDelete    = []byte("\x1b[3~")
	editorWordRight = []byte("\x1b[1;3C")
	editorWordLeft  = []byte("\x1b[1;3D")
	editorEraseWord = []byte{'W' & 0x1f}
)

// maxEditorKey is the length of the longest key.
const maxEditorKey = 6

const (
	escByte = 0x1b
	bell    = 0x07
)

// betweenKeys reports whether the next byte begins a key.
func (d *keyDecoder) betweenKeys() bool { return d.state == keyGround && len(d.partial) == 0 }

// endOfInput is called when no more bytes have arrived. An ESC at the end is the key Escape: of
// what arrives later, only the rest of a split control sequence belongs to it.
func (d *keyDecoder) endOfInput() {
	if d.state == keyEscape {
		d.state = keyLoneESC
	}
}

// next takes a byte and returns the key that it completes, or nil. The key must not be retained
// beyond the next call.
func (d *keyDecoder) next(b byte) []byte {
	key := d.decode(b)
	if d.discard {
		key = nil
		d.discard = !d.betweenKeys()
	}
	return key
}

func (d *keyDecoder) decode(b byte) []byte {
	if b < ' ' && b != escByte && (d.state != keyStringEnd || b != bell) {
		if d.state != keyGround || len(d.partial) > 0 {
			d.state, d.partial, d.discard = keyGround, d.partial[:0], false
		}
		return d.character(b)
	}
	switch {
	case d.state == keyString, d.state == keyStringEnd, d.state == keyStringESC:
		if d.inString(b) {
			return nil
		}
	case b == escByte:
		d.state, d.partial = keyEscape, d.partial[:0]
		return nil
	case d.state == keyEscape, d.state == keyLoneESC:
		return d.afterEscape(b)
	case d.state == keyTwo && b >= utf8.RuneSelf:
		if d.character(b); len(d.partial) == 0 {
			d.state = keyGround
		}
		return nil
	case b >= utf8.RuneSelf: // no sequence contains it
	case d.state == keyCSI:
		return d.controlSequence(b)
	case d.state == keySS3 && b >= '0' && b <= ';':
		d.keepParam(b)
		return nil
	case d.state == keySS3:
		d.state = keyGround
		return d.cursorKey(b)
	case d.state == keyLinuxF:
		d.state = keyGround
		return nil
	}
	d.state = keyGround
	return d.character(b)
}

// inString takes a byte of a string, with which a terminal answers a query. It reports false if
// there is no string: ESC ] and its like are then a key of two bytes.
func (d *keyDecoder) inString(b byte) bool {
	switch {
	case d.state == keyString && b == escByte:
		d.state = keyEscape
	case d.state == keyString:
		if !isDigit(b) && b != '>' && b != '!' && b != 'G' {
			return false
		}
		d.state = keyStringEnd
	case b == escByte:
		d.state = keyStringESC
	case b == bell, b == '\\' && d.state == keyStringESC:
		d.state = keyGround
	default:
		d.state = keyStringEnd
	}
	return true
}

// afterEscape takes the byte after ESC.
func (d *keyDecoder) afterEscape(b byte) []byte {
	alone := d.state == keyLoneESC
	d.params = d.params[:0]
	d.state = keyGround
	switch {
	case b == '[':
		d.state = keyCSI
	case b == 'O':
		d.state = keySS3
	case alone:
		d.discard = false
		return d.character(b)
	case b == ']', b == 'P', b == '_':
		d.state = keyString
	case b >= utf8.RuneSelf:
		if d.character(b); len(d.partial) > 0 {
			d.state = keyTwo
		}
	case b == 'b':
		return editorWordLeft
	case b == 'f':
		return editorWordRight
	case b == 0x7f:
		return editorEraseWord
	}
	return nil
}

// controlSequence takes a byte after ESC [.
func (d *keyDecoder) controlSequence(b byte) []byte {
	switch {
	case b == '[' && len(d.params) == 0:
		d.state = keyLinuxF
	case b == '$' && len(d.params) > 0 && isDigit(d.params[0]): // rxvt: with Shift
		d.state = keyGround
		return d.numberedKey()
	case b < '@':
		d.keepParam(b)
	case b == '~', b == '^', b == '@': // rxvt: ^ with Control, @ with both
		d.state = keyGround
		return d.numberedKey()
	default:
		d.state = keyGround
		return d.cursorKey(b)
	}
	return nil
}

func (d *keyDecoder) keepParam(b byte) {
	if len(d.params) < maxKeyParams {
		d.params = append(d.params, b)
	}
}

// numberedKey returns the key of a sequence such as ESC [ 4 ~.
func (d *keyDecoder) numberedKey() []byte {
	number, _, _ := strings.Cut(string(d.params), ";")
	switch number {
	case "1", "7":
		return editorHome
	case "4", "8":
		return editorEnd
	case "3":
		return editorDelete
	case "200":
		d.pasting = true
	case "201":
		d.pasting = false
	}
	return nil
}

// cursorKey returns the key of a sequence such as ESC [ A, ESC O A or ESC [ 1 ; 5 C. rxvt sends
// lower-case letters with a modifier.
func (d *keyDecoder) cursorKey(final byte) []byte {
	params := string(d.params)
	if strings.HasPrefix(params, "?") || strings.HasPrefix(params, ">") {
		return nil // the answer to a query
	}
	const shift = "2"
	_, modifier, _ := strings.Cut(params, ";")
	byWord := modifier != "" && modifier != "1" && modifier != shift
	switch final {
	case 'A', 'a':
		return editorUp
	case 'B', 'b':
		return editorDown
	case 'C', 'c':
		if byWord || final == 'c' {
			return editorWordRight
		}
		return editorRight
	case 'D', 'd':
		if byWord || final == 'd' {
			return editorWordLeft
		}
		return editorLeft
	case 'H':
		return editorHome
	case 'F':
		return editorEnd
	}
	return nil
}

// character takes a byte of a character that is not part of a sequence. Of pasted text, control
// characters other than Enter are dropped.
func (d *keyDecoder) character(b byte) []byte {
	if b < utf8.RuneSelf {
		d.partial = d.partial[:0]
		if d.pasting && (b < ' ' || b == 0x7f) && b != '\r' && b != '\n' {
			return nil
		}
		d.out[0] = b
		return d.out[:1]
	}
	d.partial = append(d.partial, b)
	for len(d.partial) > 0 && utf8.FullRune(d.partial) {
		r, size := utf8.DecodeRune(d.partial)
		n := copy(d.out[:], d.partial[:size])
		d.partial = append(d.partial[:0], d.partial[size:]...)
		if r != utf8.RuneError && r >= 0xa0 { // x/term stops at RuneError; below are controls
			return d.out[:n]
		}
	}
	return nil
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }
