package box

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/users"
)

// The file of a snapshot is a tar archive (POSIX, not compressed) with these entries, in this order:
//
//	manifest.json   a snapshotManifest
//	state.json      a keptState: faults, rules of mail servers, what servers have received, and
//	                failed logins
//	files/...       the appliance's directory: directories, each before what it contains, and
//	                regular files, with their permissions, except for those of isOwn
//
// It contains keys and digests of passphrases, as the appliance's directory does.

// Names in the file of a snapshot.
const (
	manifestEntry = "manifest.json"
	stateEntry    = "state.json"
	filesPrefix   = "files/"
)

// Bounds of the file of a snapshot.
const (
	snapshotFormat  = "esasim-snapshot"
	snapshotVersion = 1
	maxManifest     = 64 << 10
	maxState        = 128 << 20 // what servers have received, as JSON
	maxEntries      = 100_000
	// MaxSnapshotFile is the greatest size of the file of a snapshot.
	MaxSnapshotFile = MaxContent + maxState + maxEntries*1024
)

// A snapshotManifest says what a snapshot is of, and what is in its file.
type snapshotManifest struct {
	Format   string    `json:"format"` // snapshotFormat
	Number   int       `json:"format_version"`
	Saved    time.Time `json:"saved"`
	Model    string    `json:"model"`
	Version  string    `json:"version"`
	Topology string    `json:"topology"` // SHA-256 of the topology's content
	Entries  int       `json:"entries"`  // below files/
	Bytes    int64     `json:"bytes"`    // of the regular files
	Digest   string    `json:"digest"`   // see contentDigest
}

// A contentDigest is a SHA-256 over state.json and the entries below files/, with their names, modes
// and lengths.
type contentDigest struct{ hash.Hash }

func newContentDigest() contentDigest { return contentDigest{sha256.New()} }

func (d contentDigest) add(name string, mode fs.FileMode, text []byte) {
	fmt.Fprintf(d, "%q %v %d\n", name, mode, len(text))
	d.Write(text)
}

func (d contentDigest) String() string { return hex.EncodeToString(d.Sum(nil)) }

// WriteSnapshot writes the file of a snapshot. The error is a *netsim.NotFoundError, or that of w.
func (b *Box) WriteSnapshot(name string, w io.Writer) error {
	s, err := b.snapshotOf(name)
	if err != nil {
		return err
	}
	if err := s.write(w); err != nil {
		return fmt.Errorf("write the snapshot %s: %w", name, err)
	}
	return nil
}

func (s *snapshot) write(w io.Writer) error {
	state, err := json.Marshal(s.kept)
	if err != nil {
		return err
	}
	digest := newContentDigest()
	digest.add(stateEntry, 0o600, state)
	for _, f := range s.files.all() {
		digest.add(f.name, f.mode, f.text)
	}
	manifest, err := json.MarshalIndent(snapshotManifest{
		Format: snapshotFormat, Number: snapshotVersion, Saved: s.Saved, Model: s.Model,
		Version: s.Version, Topology: s.topology, Entries: len(s.files.dirs) + len(s.files.files),
		Bytes: s.files.bytes(), Digest: digest.String(),
	}, "", "  ")
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(w)
	out := tar.NewWriter(buffered)
	put := func(name string, mode fs.FileMode, text []byte) {
		h := &tar.Header{Name: name, Mode: int64(mode.Perm()), Size: int64(len(text)), ModTime: s.Saved}
		if h.Typeflag = tar.TypeReg; mode.IsDir() {
			h.Typeflag, h.Name = tar.TypeDir, name+"/"
		}
		if err == nil {
			err = out.WriteHeader(h)
		}
		if err == nil {
			_, err = out.Write(text)
		}
	}
	put(manifestEntry, 0o600, manifest)
	put(stateEntry, 0o600, state)
	for _, f := range s.files.all() {
		put(filesPrefix+f.name, f.mode, f.text)
	}
	return errors.Join(err, out.Close(), buffered.Flush())
}

// all returns directories and files as the file of a snapshot has them: each directory before what it
// contains, with slashes in names. Symbolic links are left out; the appliance makes none.
func (c *content) all() []contentFile {
	list := slices.Clone(c.dirs)
	for _, f := range c.files {
		if f.link == "" {
			list = append(list, f)
		}
	}
	for i := range list {
		list[i].name = filepath.ToSlash(list[i].name)
		list[i].mode = list[i].mode & (fs.ModeDir | fs.ModePerm)
	}
	return list
}

// ReadSnapshot reads the file of a snapshot and keeps it under a name, in place of an earlier one of
// that name. The file is checked as a whole before that. If it is damaged, too large, or of another
// model, version or topology, the error is a *SnapshotError and nothing changes.
func (b *Box) ReadSnapshot(name string, r io.Reader) (SnapshotInfo, error) {
	if err := checkSnapshotName(name); err != nil {
		return SnapshotInfo{}, err
	}
	s, err := readSnapshot(r)
	if err != nil {
		return SnapshotInfo{}, err
	}
	b.power.Lock() // so that a world runs
	err = b.checkSnapshot(s)
	b.power.Unlock()
	if err != nil {
		return SnapshotInfo{}, err
	}
	return b.keepSnapshot(name, s)
}

// checkSnapshot returns an error if this box cannot return to a snapshot. It is called with power held.
func (b *Box) checkSnapshot(s *snapshot) error {
	if !b.started || b.stopped {
		return wrongSnapshot("the simulator does not run: a snapshot cannot be checked")
	}
	i := b.current()
	product := i.appliance.Product
	switch {
	case s.Model != product.Model || s.Version != product.Version.String():
		return wrongSnapshot("the snapshot is of a %s with AsyncOS %s: expected one of a %s with AsyncOS %s",
			s.Model, s.Version, product.Model, product.Version)
	case s.topology != b.topologyDigest():
		return wrongSnapshot("the snapshot is of another topology: expected one with the content of %s",
			path.Base(filepath.ToSlash(b.o.Topology.File)))
	}
	if err := i.world.CheckKept(s.kept.World); err != nil {
		return wrongSnapshot("the snapshot makes no sense: %v", err)
	}
	return nil
}

// readSnapshot reads the file of a snapshot. The error is a *SnapshotError, or that of r.
func readSnapshot(r io.Reader) (*snapshot, error) {
	limited := &io.LimitedReader{R: r, N: MaxSnapshotFile + 1}
	in := tar.NewReader(bufio.NewReader(limited))
	x := &snapshotReader{in: in, digest: newContentDigest()}
	s, err := x.read()
	if err == nil {
		err = x.readEnd()
	}
	if limited.N <= 0 {
		return nil, wrongSnapshot("the snapshot is larger than %d MiB, which is the limit", MaxSnapshotFile>>20)
	}
	var wrong *SnapshotError
	switch {
	case err == nil:
		return s, nil
	case errors.As(err, &wrong):
		return nil, err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, tar.ErrHeader),
		errors.Is(err, tar.ErrFieldTooLong), errors.Is(err, tar.ErrInsecurePath):
		return nil, wrongSnapshot("the file is no snapshot, or only a part of one: %v", err)
	}
	return nil, fmt.Errorf("read a snapshot: %w", err)
}

// A snapshotReader reads the entries of an archive.
type snapshotReader struct {
	in     *tar.Reader
	digest contentDigest
	left   int64 // bytes that regular files may still have
	dirs   map[string]bool
	names  map[string]bool
	files  content
}

func (x *snapshotReader) read() (*snapshot, error) {
	text, err := x.entry(manifestEntry, maxManifest)
	if err != nil {
		return nil, err
	}
	var m snapshotManifest
	switch err := decodeStrictly(text, &m); {
	case err != nil || m.Format != snapshotFormat:
		return nil, wrongSnapshot("the file is no snapshot: its manifest is another one")
	case m.Number != snapshotVersion:
		return nil, wrongSnapshot("the snapshot has format %d: expected %d; this program is older or newer"+
			" than the one that saved it", m.Number, snapshotVersion)
	case m.Entries < 0 || m.Entries > maxEntries || m.Bytes < 0 || m.Bytes > MaxContent:
		return nil, wrongSnapshot("the snapshot has %d files with %d bytes: expected at most %d with %d MiB",
			m.Entries, m.Bytes, maxEntries, MaxContent>>20)
	}
	if text, err = x.entry(stateEntry, maxState); err != nil {
		return nil, err
	}
	x.digest.add(stateEntry, 0o600, text)
	s := &snapshot{topology: m.Topology}
	if err := decodeStrictly(text, &s.kept); err != nil {
		return nil, wrongSnapshot("the snapshot's state cannot be read: %v", err)
	}
	if err := users.CheckKept(s.kept.Guard); err != nil {
		return nil, wrongSnapshot("the snapshot makes no sense: %v", err)
	}
	x.left, x.dirs, x.names = m.Bytes, map[string]bool{".": true}, make(map[string]bool)
	for range m.Entries {
		if err := x.readFile(); err != nil {
			return nil, err
		}
	}
	if x.left != 0 || x.digest.String() != m.Digest {
		return nil, wrongSnapshot("the snapshot is damaged: its content is not what its manifest says")
	}
	s.SnapshotInfo = SnapshotInfo{
		Saved: m.Saved, Model: m.Model, Version: m.Version,
		Files: len(x.files.files), Bytes: m.Bytes + int64(len(text)),
	}
	s.files = &x.files
	return s, nil
}

// readEnd returns an error unless the archive ends here.
func (x *snapshotReader) readEnd() error {
	switch h, err := x.in.Next(); {
	case err == io.EOF:
		return nil
	case err != nil:
		return err
	default:
		return wrongSnapshot("the snapshot has an entry %q too many", h.Name)
	}
}

// entry returns the content of the next entry, which must have a name.
func (x *snapshotReader) entry(name string, limit int64) ([]byte, error) {
	h, err := x.in.Next()
	switch {
	case err != nil:
		return nil, err
	case h.Name != name || h.Typeflag != tar.TypeReg:
		return nil, wrongSnapshot("the file is no snapshot: it has %q where %s is expected", h.Name, name)
	case h.Size > limit:
		return nil, wrongSnapshot("%s has %d bytes: expected at most %d", name, h.Size, limit)
	}
	return io.ReadAll(x.in)
}

// readFile reads the next directory or file of the appliance.
func (x *snapshotReader) readFile() error {
	h, err := x.in.Next()
	if err != nil {
		return err
	}
	name, below := strings.CutPrefix(h.Name, filesPrefix)
	f := contentFile{mode: fs.FileMode(h.Mode) & fs.ModePerm}
	switch h.Typeflag {
	case tar.TypeDir:
		name, f.mode = strings.TrimSuffix(name, "/"), f.mode|fs.ModeDir
	case tar.TypeReg:
	default:
		return wrongSnapshot("the snapshot has an entry %q that is neither a file nor a directory", h.Name)
	}
	local := filepath.IsLocal(filepath.FromSlash(name)) && name == path.Clean(name) && name != "." &&
		!strings.Contains(name, "\x00") && !strings.Contains(name, `\`)
	switch {
	case !below || !local || isOwn(name) || x.names[name] || !x.dirs[path.Dir(name)]:
		return wrongSnapshot("the snapshot has an entry %q, which is not one that a snapshot can have", h.Name)
	case h.Size > x.left:
		return wrongSnapshot("the snapshot is damaged: its content is not what its manifest says")
	}
	if f.text, err = io.ReadAll(x.in); err != nil {
		return err
	}
	x.left -= int64(len(f.text))
	x.names[name] = true
	x.digest.add(name, f.mode, f.text)
	f.name = filepath.FromSlash(name)
	if f.mode.IsDir() {
		x.dirs[name] = true
		x.files.dirs = append(x.files.dirs, f)
		return nil
	}
	x.files.files = append(x.files.files, f)
	return nil
}

// decodeStrictly decodes a JSON value that has no unknown keys and nothing after it.
func decodeStrictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something after the value")
	}
	return nil
}
