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

// A state is what survives a restart.
type state struct {
	Settings Settings     `json:"settings"`
	Menu     MenuSettings `json:"tcpdump"`
	// Running is the name of the capture whose files are being written. Where New
	// finds one, the program ended without closing them.
	Running string `json:"running,omitempty"`
}

// load reads the state file; one that does not exist leaves s as it is.
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

// mend cuts half a record off the end of the files of a capture that was killed: a
// write can be torn when the process dies in the middle of it.
func repair(store *files.Store, name string) error {
	var errs []error
	for i := range maxParts + 1 {
		path := filePath(name, i)
		if err := repairFile(store, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("mend %s: %w", path, err))
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
	whole, err := completeLength(f, info.Size())
	if err != nil || whole == info.Size() {
		return err
	}
	return store.Truncate(path, whole)
}

// wholeLength is the length of a pcap file of size bytes up to its last whole record.
func completeLength(f io.Reader, size int64) (int64, error) {
	r := bufio.NewReaderSize(f, 1<<16)
	if _, err := r.Discard(fileHeaderLen); err != nil {
		return 0, err
	}
	whole := int64(fileHeaderLen)
	for {
		h, err := r.Peek(recordHeaderLen)
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		length := recordHeaderLen + int64(binary.LittleEndian.Uint32(h[8:]))
		if whole+length > size {
			return whole, nil
		}
		if _, err := r.Discard(int(length)); err != nil {
			return 0, err
		}
		whole += length
	}
}
