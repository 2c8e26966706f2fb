package users

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/esasim/esasim/appliance/atomicfile"
)

// A journal is the file that keeps the history of logins: a line of JSON for each login and each
// logout. The file is opened for each write, because a process may run thousands of appliances.
// Lines that are incomplete or damaged are skipped.
type journal struct {
	name  string
	lines int
	torn  bool // the last line is incomplete
	// damaged is the number of lines that read has skipped, except for an incomplete last one.
	damaged int
}

// read returns the last maxRecords records, oldest first. Logins that were open when the process
// ended are not open any more; the time of their end is unknown.
func (j *journal) read() ([]Record, error) {
	b, err := os.ReadFile(j.name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []Record
	at := map[int]int{} // indices in all by the number of the login
	for line := range bytes.Lines(b) {
		j.lines++
		j.torn = !bytes.HasSuffix(line, []byte("\n"))
		var r Record
		if json.Unmarshal(line, &r) != nil || !r.valid() {
			if !j.torn { // a crash leaves a last line that is incomplete
				j.damaged++
			}
			continue
		}
		r.Open = false
		if i, ok := at[r.ID]; ok && r.Event == LoggedIn {
			all[i] = r
			continue
		}
		if r.Event == LoggedIn {
			at[r.ID] = len(all)
		}
		all = append(all, r)
	}
	return slices.Clone(all[max(0, len(all)-maxRecords):]), nil
}

// valid reports whether r may have been written by append.
func (r Record) valid() bool {
	switch r.Event {
	case LoggedIn, Rebooted, ShutDown:
		return r.ID >= 0 && r.ID < math.MaxInt32
	}
	return false
}

// append adds records. Each replaces an earlier record of the same login. The file is not synced: a
// loss of power may lose the last records.
func (j *journal) append(records []Record) error {
	var lines bytes.Buffer
	if j.torn {
		lines.WriteByte('\n')
	}
	enc := json.NewEncoder(&lines) // writes a line for each record
	for _, r := range records {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(j.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(j.name), 0o700); err == nil {
			f, err = os.OpenFile(j.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		}
	}
	if err != nil {
		return err
	}
	n, err := f.Write(lines.Bytes())
	j.torn = n > 0 && err != nil
	j.lines += len(records)
	return errors.Join(err, f.Close())
}

// rewrite replaces the file by one that holds these records only.
func (j *journal) rewrite(records []Record) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // writes a line for each record
	for _, r := range records {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	if err := atomicfile.WriteSynced(j.name, b.Bytes()); err != nil {
		return err
	}
	j.lines, j.torn = len(records), false
	return nil
}
