package check

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Bounds of a record.
const (
	maxLine   = 4 << 20  // bytes of a line
	maxEvents = 20 << 20 // lines of a record
)

// A Record is what esasim --record has written.
type Record struct {
	Name   string // of the file
	Events []*Event
}

// An Event is a line of a record.
type Event struct {
	Line   int // in the file, from 1
	Seq    uint64
	Time   time.Time
	Kind   string
	Cause  uint64 // Seq of the event that it follows from; 0: none
	Fields Fields
}

// Fields are what an event says, by the keys of its JSON form.
type Fields map[string]any

// An InputError says why a file cannot be read.
type InputError struct {
	File   string
	Where  string // such as "line 7"; "": the file as a whole
	Reason string
	err    error
}

func (e *InputError) Error() string {
	if e.Where == "" {
		return fmt.Sprintf("%s: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("%s: %s: %s", e.File, e.Where, e.Reason)
}

// Unwrap returns the error of the reader, if there was one.
func (e *InputError) Unwrap() error { return e.err }

// ReadRecord reads a record: events as JSON, one a line. The error is an *InputError. A last line
// that is cut off, as after a kill, is not an error: it is left out.
func ReadRecord(name string, r io.Reader) (*Record, error) {
	record := &Record{Name: name}
	in := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) && (len(line) == 0 || !json.Valid(line)) {
			return record, nil
		}
		where := fmt.Sprintf("line %d", n)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, &InputError{name, where, err.Error(), err}
		}
		if len(line) == 0 {
			continue
		}
		e, reason := parseEvent(line)
		if reason != "" {
			return nil, &InputError{name, where, reason, nil}
		}
		if len(record.Events) == maxEvents {
			return nil, &InputError{name, where, fmt.Sprintf("expected at most %d events", maxEvents), nil}
		}
		e.Line = n
		record.Events = append(record.Events, e)
	}
}

// readLine returns the next line without its end. With the last one, it returns io.EOF if that has
// no end.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("expected at most %d bytes in a line", maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil:
			line = line[:len(line)-1]
		}
		return line, err
	}
}

// parseEvent parses a line. reason says what is wrong with it, "" if nothing is.
func parseEvent(line []byte) (e *Event, reason string) {
	var x struct {
		Seq    *uint64         `json:"seq"`
		Time   time.Time       `json:"time"`
		Kind   string          `json:"kind"`
		Cause  uint64          `json:"cause"`
		Fields json.RawMessage `json:"fields"`
	}
	if err := json.Unmarshal(line, &x); err != nil {
		return nil, fmt.Sprintf("expected an event as a JSON object: %v", err)
	}
	if x.Seq == nil || x.Kind == "" {
		return nil, "expected an event with the keys seq and kind, as esasim --record writes it"
	}
	e = &Event{Seq: *x.Seq, Time: x.Time, Kind: x.Kind, Cause: x.Cause}
	if len(x.Fields) > 0 {
		if err := json.Unmarshal(x.Fields, &e.Fields); err != nil {
			return nil, fmt.Sprintf("expected an object with the key fields: %v", err)
		}
	}
	return e, ""
}

// text returns a text field, "" if there is none.
func (e *Event) text(key string) string {
	s, _ := e.Fields[key].(string)
	return s
}

// number returns a number field, 0 if there is none.
func (e *Event) number(key string) int64 {
	f, _ := e.Fields[key].(float64)
	return int64(f)
}

// is reports whether a boolean field is true.
func (e *Event) is(key string) bool {
	b, _ := e.Fields[key].(bool)
	return b
}

// list returns a field that is a list, nil if there is none.
func (e *Event) list(key string) []any {
	l, _ := e.Fields[key].([]any)
	return l
}

// texts returns the texts of a list.
func (e *Event) texts(key string) []string {
	var out []string
	for _, x := range e.list(key) {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// addrPort returns a field with an address and a port, the zero one if there is none.
func (e *Event) addrPort(key string) netip.AddrPort {
	a, _ := netip.ParseAddrPort(e.text(key))
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// addr returns a field with an address, which may have a port.
func (e *Event) addr(key string) netip.Addr {
	if a, err := netip.ParseAddr(e.text(key)); err == nil {
		return a.Unmap()
	}
	return e.addrPort(key).Addr()
}
