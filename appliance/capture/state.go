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
	"path"
	"strings"

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

// loadState returns the content of the state file. If the file does not exist or is empty, and
// after an error, it returns factory.
func loadState(path string, factory state) (state, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return factory, nil
	}
	if err != nil {
		return factory, err
	}
	s := factory
	s.Settings = s.Settings.clone() // Unmarshal reuses lists
	err = json.Unmarshal(b, &s)
	if err == nil {
		err = s.Settings.check()
	}
	if err == nil && s.Running != "" && !validCaptureName(s.Running) {
		err = fmt.Errorf("%.40q is not the name of a capture", s.Running)
	}
	if err != nil {
		return factory, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// validCaptureName reports whether name can be that of a capture's files, without ".cap".
func validCaptureName(name string) bool {
	return fs.ValidPath(filePath(name, maxParts)) && !strings.Contains(name, "/")
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
		file := filePath(name, i)
		if err := repairFile(store, file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("repair %s: %w", file, err))
		}
	}
	return errors.Join(errs...)
}

// repairAll is repair for all stored captures.
func repairAll(store *files.Store) error {
	entries, err := store.ReadDir(files.Diagnostic)
	errs := []error{err}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), ".cap") {
			continue
		}
		name := path.Join(files.Diagnostic, e.Name())
		if err := repairFile(store, name); err != nil {
			errs = append(errs, fmt.Errorf("repair %s: %w", name, err))
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
