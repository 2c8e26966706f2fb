package config

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A record is a revision with its content.
type record struct {
	Revision
	set   map[string]*entry
	edits map[*spec]edit // the sections that the commit changed
}

// An archive keeps records by number. load may be called at any time, the other methods
// only by one commit at a time.
type archive interface {
	// save returns when r would survive a power cut.
	save(r *record) error
	load(number int) (*record, error)
	remove(number int) error
}

// A directory is an archive with a file for each record. The file with the highest number is the
// committed configuration, so the rename that creates it is the commit.
type directory struct {
	path    string
	factory *Factory
	missing bool // the directory did not exist when it was opened
}

func (d *directory) file(number int) string {
	return filepath.Join(d.path, fmt.Sprintf("%08d.xml", number))
}

// open returns the numbers of the records in ascending order. If the directory does not exist, the
// first save creates it.
func (d *directory) open() ([]int, error) {
	found, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		d.missing = true
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, f := range found {
		name, ok := strings.CutSuffix(f.Name(), ".xml")
		if n, err := strconv.Atoi(name); ok && err == nil && filepath.Base(d.file(n)) == f.Name() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func (d *directory) remove(number int) error {
	err := os.Remove(d.file(number))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// setAside renames the file of a damaged record, so that it is neither read nor overwritten.
func (d *directory) setAside(number int) error {
	return os.Rename(d.file(number), d.file(number)+".damaged")
}

func (d *directory) save(r *record) error {
	if d.missing {
		if err := os.MkdirAll(d.path, 0o700); err != nil {
			return err
		}
		d.missing = false
	}
	tmp := filepath.Join(d.path, "commit.tmp") // one name is enough: commits exclude each other
	err := writeSynced(tmp, r.bytes())
	if err == nil {
		err = os.Rename(tmp, d.file(r.Number))
	}
	if err == nil {
		if err = syncDir(d.path); err != nil {
			// After a power cut the file might be there or not. The caller will say that the commit
			// failed, so it must not be there.
			err = errors.Join(err, d.remove(r.Number))
		}
	}
	if err != nil {
		os.Remove(tmp) //nolint:errcheck // the next commit overwrites it
	}
	return err
}

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a rename in the directory survive a power cut.
func syncDir(name string) error {
	if runtime.GOOS == "windows" { // a directory cannot be synced there, and renames are journalled
		return nil
	}
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// bytes returns the content of the record's file: the revision as attributes, the sections that
// differ from the factory, the changed sections before and after the commit, and a digest. The
// digest detects a file that is damaged but still well-formed.
func (r *record) bytes() []byte {
	root := &node{Name: "commit", Attrs: []attr{
		{"number", strconv.Itoa(r.Number)},
		{"time", r.Time.UTC().Format(time.RFC3339Nano)},
		{"user", r.User},
		{"comment", r.Comment},
		{"rollback", strconv.FormatBool(r.KeepForRollback)},
	}}
	now, before, after := &node{Name: "config"}, &node{Name: "before"}, &node{Name: "after"}
	for _, s := range allSections() {
		if e := r.set[s.name]; e != nil {
			now.Children = append(now.Children, e.tree())
		}
		if e, ok := r.edits[s]; ok {
			before.Children = append(before.Children, e.was.tree())
			after.Children = append(after.Children, e.now.tree())
		}
	}
	root.Children = []*node{now, before, after}
	var b bytes.Buffer
	b.WriteString(xmlHead + "\n")
	w := bufio.NewWriter(&b)
	root.write(w, 0)
	w.Flush() //nolint:errcheck // a bytes.Buffer returns no errors
	fmt.Fprintf(&b, "%s%x -->\n", digestMark, sha256.Sum256(b.Bytes()))
	return b.Bytes()
}

const digestMark = "<!-- sha256 "

// errDamaged is in the errors of load for a record whose file is incomplete or was changed.
var errDamaged = errors.New("the file is damaged")

// verifiedContent returns the part of a file that its digest covers, or an error that wraps
// errDamaged if the digest does not match.
func verifiedContent(b []byte) ([]byte, error) {
	i := bytes.LastIndex(b, []byte(digestMark))
	if i < 0 {
		return nil, fmt.Errorf("%w: it is incomplete", errDamaged)
	}
	sum := sha256.Sum256(b[:i])
	if string(b[i:]) != digestMark+hex.EncodeToString(sum[:])+" -->\n" {
		return nil, fmt.Errorf("%w or was edited: its digest does not match", errDamaged)
	}
	return b[:i], nil
}

func (d *directory) load(number int) (*record, error) {
	name := d.file(number)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if b, err = verifiedContent(b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	root, err := parse(bytes.NewReader(b), limits{int64(len(b)), math.MaxInt, math.MaxInt})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r := &record{set: map[string]*entry{}, edits: map[*spec]edit{}}
	if r.Revision, err = revisionOf(root, number); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.fillIn(r, root); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func (d *directory) fillIn(r *record, root *node) error {
	sections := func(part string, put func(s *spec, e *entry)) error {
		list := root.child(part)
		if list == nil {
			return fmt.Errorf("<%s> is missing", part)
		}
		for _, n := range list.Children {
			s := registry[n.Name]
			if s == nil {
				return xmlErrorf(n, "unknown section <%s>", n.Name)
			}
			e, err := s.read(n, d.factory.entry(s))
			if err != nil {
				return err
			}
			put(s, e)
		}
		return nil
	}
	err := errors.Join(
		sections("config", func(s *spec, e *entry) { r.set[s.name] = e }),
		sections("before", func(s *spec, e *entry) { r.edits[s] = edit{was: e} }),
		sections("after", func(s *spec, e *entry) { r.edits[s] = edit{was: r.edits[s].was, now: e} }),
	)
	for s, e := range r.edits {
		if err == nil && (e.was == nil || e.now == nil) {
			err = fmt.Errorf("<before> and <after> do not match in <%s>", s.name)
		}
	}
	return err
}

// revision reads only the attributes of a record.
func (d *directory) revision(number int) (Revision, error) {
	f, err := os.Open(d.file(number))
	if err != nil {
		return Revision{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	dec := xml.NewDecoder(f)
	dec.CharsetReader = charset
	for {
		tok, err := dec.Token()
		if err != nil {
			return Revision{}, fmt.Errorf("%s: %w", f.Name(), err)
		}
		if start, ok := tok.(xml.StartElement); ok {
			n := &node{Name: start.Name.Local}
			for _, a := range start.Attr {
				n.Attrs = append(n.Attrs, attr{a.Name.Local, a.Value})
			}
			rev, err := revisionOf(n, number)
			if err != nil {
				return rev, fmt.Errorf("%s: %w", f.Name(), err)
			}
			return rev, nil
		}
	}
}

// revisionOf returns the attributes of a record's root, which must have the given number.
func revisionOf(n *node, number int) (Revision, error) {
	var err1 error
	if got := n.attr("number"); got != strconv.Itoa(number) {
		err1 = fmt.Errorf("the file says that it is number %q", got)
	}
	at, err2 := time.Parse(time.RFC3339Nano, n.attr("time"))
	rollback, err3 := strconv.ParseBool(n.attr("rollback"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return Revision{}, fmt.Errorf("<%s>: %w", n.Name, err)
	}
	return Revision{number, at, CommitInfo{n.attr("user"), n.attr("comment"), rollback}}, nil
}

// memory is an archive for a configuration without a directory.
type memory struct {
	mu      sync.Mutex
	records map[int]*record
}

func (m *memory) save(r *record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = map[int]*record{}
	}
	m.records[r.Number] = r
	return nil
}

func (m *memory) load(number int) (*record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[number]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("revision %d: %w", number, fs.ErrNotExist)
}

func (m *memory) remove(number int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, number)
	return nil
}
