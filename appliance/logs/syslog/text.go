package syslog

import (
	"strconv"
	"unicode/utf8"
)

// maxText bounds the text of a line in bytes. A longer text is cut and ends in "...".
const maxText = 64 << 10

// Line returns a text as one line of printable characters: control characters, and bytes that are
// not UTF-8, are escaped as Go and Python escape them in string literals. A text that is one line
// already is returned as it is. Files and servers get the same line.
func Line(text string) string {
	if len(text) <= maxText && firstEscaped(text) == len(text) {
		return text
	}
	return string(appendLine(make([]byte, 0, len(text)+16), text))
}

// firstEscaped returns the index of the first byte of text that must be escaped, or its length.
func firstEscaped(text string) int {
	for i := 0; i < len(text); {
		if c := text[i]; c >= ' ' && c < 0x7f {
			i++
			continue
		}
		n := printableLength(text[i:])
		if n == 0 {
			return i
		}
		i += n
	}
	return len(text)
}

// printableLength returns the length of the first character of text in bytes, or 0 if it must be
// escaped.
func printableLength(text string) int {
	r, n := utf8.DecodeRuneInString(text)
	if text[0] < ' ' || text[0] == 0x7f || r == utf8.RuneError && n == 1 || !strconv.IsPrint(r) {
		return 0
	}
	return n
}

// appendLine appends a text as Line returns it.
func appendLine(b []byte, text string) []byte {
	cut := ""
	if len(text) > maxText {
		n := maxText
		for n > maxText-utf8.UTFMax && !utf8.RuneStart(text[n]) {
			n--
		}
		text, cut = text[:n], "..."
	}
	for text != "" {
		n := firstEscaped(text)
		b = append(b, text[:n]...)
		if text = text[n:]; text == "" {
			break
		}
		_, n = utf8.DecodeRuneInString(text)
		b = appendEscaped(b, text[:n])
		text = text[n:]
	}
	return append(b, cut...)
}

func appendEscaped(b []byte, char string) []byte {
	switch char {
	case "\n":
		return append(b, `\n`...)
	case "\r":
		return append(b, `\r`...)
	case "\t":
		return append(b, `\t`...)
	}
	const digits = "0123456789abcdef"
	for i := range len(char) {
		b = append(b, '\\', 'x', digits[char[i]>>4], digits[char[i]&15])
	}
	return b
}
