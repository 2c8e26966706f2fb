package check

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// A LogFile is a file of a log subscription.
type LogFile struct {
	Name  string
	Lines []string
}

// maxLogLines bounds the lines of a log file.
const maxLogLines = 20 << 20

// ReadLog reads a log file. The error is an *InputError.
func ReadLog(name string, r io.Reader) (*LogFile, error) {
	f := &LogFile{Name: name}
	in := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := readLine(in)
		if len(line) > 0 || err == nil {
			f.Lines = append(f.Lines, string(line))
		}
		switch {
		case errors.Is(err, io.EOF):
			return f, nil
		case err == nil && len(f.Lines) > maxLogLines:
			err = fmt.Errorf("expected at most %d lines", maxLogLines)
		}
		if err != nil {
			return nil, &InputError{name, fmt.Sprintf("line %d", len(f.Lines)+1), err.Error(), err}
		}
	}
}

// A FetchedFile is a file that was fetched from the appliance or stored on it.
type FetchedFile struct {
	Name   string
	SHA256 string // in hexadecimal digits
	Size   int64
}

// ReadFetched computes the hash of a file. The error is an *InputError.
func ReadFetched(name string, r io.Reader) (*FetchedFile, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return nil, &InputError{name, "", err.Error(), err}
	}
	return &FetchedFile{name, hex.EncodeToString(h.Sum(nil)), n}, nil
}
