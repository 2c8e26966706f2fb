package scp

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// The bytes that answer a step.
const (
	OK      = 0
	Warning = 1 // a message follows; the side that answers continues
	Fatal   = 2 // a message follows; the side that answers has given up
)

// A Header is the line that precedes a file or a directory.
type Header struct {
	Dir  bool
	Size int64
	Name string
}

// ParseHeader parses "C0644 123 name" and "D0755 0 name". The caller must have checked that the
// line begins with C or D.
func ParseHeader(line string) (Header, error) {
	parts := strings.SplitN(line[1:], " ", 3)
	if len(parts) != 3 || len(parts[0]) != 4 || strings.Trim(parts[0], "01234567") != "" {
		return Header{}, errors.New("mode not delimited")
	}
	size, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || size < 0 {
		return Header{}, errors.New("size not delimited")
	}
	name := parts[2]
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return Header{}, errors.New("unexpected filename: " + name)
	}
	return Header{line[0] == 'D', size, name}, nil
}

// ParseTimes parses "T<mtime> 0 <atime> 0", where each 0 stands for microseconds, and returns
// mtime. The caller must have checked that the line begins with T.
func ParseTimes(line string) (time.Time, error) {
	parts := strings.Split(line[1:], " ")
	if len(parts) != 4 {
		return time.Time{}, errors.New("mtime.sec not delimited")
	}
	var n [4]int64
	for i, p := range parts {
		v, err := strconv.ParseInt(p, 10, 64)
		if err != nil || v < 0 || i%2 == 1 && v > 999_999 {
			return time.Time{}, errors.New("times not delimited")
		}
		n[i] = v
	}
	return time.Unix(n[0], n[1]*1000), nil
}
