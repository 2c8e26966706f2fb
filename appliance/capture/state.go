package capture

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/appliance/files"
)

// A state is the content of the state file, which survives a restart.
type state struct {
	Settings Settings     `json:"settings"`
	Menu     MenuSettings `json:"tcpdump"`
	// Running is the name of the capture whose files are being written. If New finds one,
	// the process ended without closing them.
	Running string `json:"running,omitempty"`
}

// load reads the state file. If the file does not exist, load does nothing.
func (s *state) load(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, s); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// save replaces the state file as a whole.
func (s state) save(path string) error {
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.WriteSynced(path, append(b, '\n'))
}

// repair cuts incomplete records off the ends of a capture's files: the process may have been
// killed in the middle of a write.
func repair(store *files.Store, name string) error {
	var errs []error
	for i := range maxParts + 1 {
		path := filePath(name, i)
		if err := repairFile(store, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("repair %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

func repairFile(store *files.Store, path string) error {
	f, err := store.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < fileHeaderLen {
		return store.Remove(path) // holds nothing
	}
	complete, err := completeLength(f, info.Size())
	if err != nil || complete == info.Size() {
		return err
	}
	return store.Truncate(path, complete)
}

// completeLength returns the length of a pcap file of size bytes up to the end of its last
// complete record.
func completeLength(f io.Reader, size int64) (int64, error) {
	r := bufio.NewReaderSize(f, 1<<16)
	if _, err := r.Discard(fileHeaderLen); err != nil {
		return 0, err
	}
	length := int64(fileHeaderLen)
	for {
		h, err := r.Peek(recordHeaderLen)
		if errors.Is(err, io.EOF) {
			return length, nil
		}
		if err != nil {
			return 0, err
		}
		record := recordHeaderLen + int64(binary.LittleEndian.Uint32(h[8:]))
		if length+record > size {
			return length, nil
		}
		if _, err := r.Discard(int(record)); err != nil {
			return 0, err
		}
		length += record
	}
}
