package users

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/esasim/esasim/appliance/atomicfile"
)

// A journal is the file of Logins: a line of JSON for each login and logout. It is
// opened for each line, as a thousand appliances may live in a process. What a
// crash left of the last line is dropped, and so is the oldest once there are many.
type journal struct {
	name  string
	lines int
	torn  bool // the last line has no end
}

// read returns the records, oldest first. Whoever was logged in when the program
// ended no longer is, and nobody knows since when.
func (j *journal) read() ([]Record, error) {
	b, err := os.ReadFile(j.name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []Record
	at := map[int]int{} // login -> index
	for line := range bytes.Lines(b) {
		j.lines++
		j.torn = !bytes.HasSuffix(line, []byte("\n"))
		var r Record
		if json.Unmarshal(line, &r) != nil || r.Event == "" {
			continue // a line that was torn by a crash
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

// append adds r, which replaces an earlier record of the same login. It is not
// synced: a loss of power may cost the last logins.
func (j *journal) append(r Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if j.torn {
		line = append([]byte("\n"), line...)
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
	n, err := f.Write(append(line, '\n'))
	j.torn = n > 0 && err != nil
	j.lines++
	return errors.Join(err, f.Close())
}

// rewrite replaces the file by one that holds only records.
func (j *journal) rewrite(records []Record) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // a line each
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
