package box

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/pattern"
	"github.com/esasim/esasim/appliance/users"
)

// Bounds of snapshots. They are kept in memory.
const (
	MaxSnapshots     = 16
	MaxSnapshotBytes = 256 << 20 // of all snapshots
)

// A SnapshotInfo describes a snapshot.
type SnapshotInfo struct {
	Name    string    `json:"name"`
	Saved   time.Time `json:"saved"` // by the machine's clock
	Model   string    `json:"model"`
	Version string    `json:"version"` // of AsyncOS
	Files   int       `json:"files"`
	Bytes   int64     `json:"bytes"` // of the files, and of what servers have received
}

// A snapshot is the state of a box to which Restore returns. It does not change.
type snapshot struct {
	SnapshotInfo
	topology string // a digest of the topology
	files    *content
	kept     keptState
}

// A keptState is what a snapshot keeps besides files.
type keptState struct {
	World netsim.Kept          `json:"world"`
	Guard []users.KeptFailures `json:"guard"`
}

// A SnapshotSaved is the event that a snapshot was saved.
type SnapshotSaved struct{ Snapshot string }

// Kind implements events.Fields.
func (SnapshotSaved) Kind() string { return "world.snapshot" }

// A SnapshotError says what is wrong with a snapshot, or with its name.
type SnapshotError struct{ Text string }

func (e *SnapshotError) Error() string { return e.Text }

func wrongSnapshot(format string, args ...any) error {
	return &SnapshotError{fmt.Sprintf(format, args...)}
}

// snapshotName is the form of names. Only digits would look like a number.
var snapshotName = pattern.New(`^[A-Za-z_-][A-Za-z0-9._-]{0,63}$`)

// checkSnapshotName returns an error of one line if a snapshot cannot have a name.
func checkSnapshotName(name string) error {
	if !snapshotName().MatchString(name) {
		return wrongSnapshot("%q is no name of a snapshot: expected at most 64 letters, digits, hyphens,"+
			" dots and underscores, with a letter in front", name)
	}
	return nil
}

// Snapshot saves the state of world and appliance under a name, in place of an earlier snapshot of
// that name: configuration, files, logs, the mail queue, faults, stopped servers, rules of mail
// servers, what servers have received, the setting of the clock, and failed logins. Sessions and
// connections go on, and are not part of it; nor are caches, counters of the network, and loads.
// Snapshots are kept in memory until the process ends.
//
// While the appliance changes its files all the time (under a load), no consistent state can be read;
// Snapshot tries for a few seconds and then returns an error.
func (b *Box) Snapshot(ctx context.Context, name string) (SnapshotInfo, error) {
	if err := checkSnapshotName(name); err != nil {
		return SnapshotInfo{}, err
	}
	s, err := b.takeSnapshot(ctx)
	if err != nil {
		return SnapshotInfo{}, err
	}
	return b.keepSnapshot(name, s)
}

// keepSnapshot puts a snapshot among those that have a name.
func (b *Box) keepSnapshot(name string, s *snapshot) (SnapshotInfo, error) {
	s.Name = name
	if err := b.addSnapshot(name, s); err != nil {
		return SnapshotInfo{}, err
	}
	events.Publish(b.stream, 0, SnapshotSaved{name})
	return s.SnapshotInfo, nil
}

func (b *Box) addSnapshot(name string, s *snapshot) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	total := s.Bytes
	for _, x := range b.snapshots {
		if x.Name != name {
			total += x.Bytes
		}
	}
	switch old := b.snapshots[name]; {
	case old == nil && len(b.snapshots) >= MaxSnapshots:
		return netsim.Conflict(
			"there are %d snapshots, which is the limit: remove one first", MaxSnapshots)
	case total > MaxSnapshotBytes:
		return netsim.Conflict("the snapshots would have %d MiB together, and %d are the limit:"+
			" remove one first", total>>20, MaxSnapshotBytes>>20)
	}
	if b.snapshots == nil {
		b.snapshots = make(map[string]*snapshot)
	}
	b.snapshots[name] = s
	return nil
}

// takeSnapshot reads the state of a box that runs.
func (b *Box) takeSnapshot(ctx context.Context) (*snapshot, error) {
	if err := b.WaitSettled(ctx); err != nil {
		return nil, err
	}
	b.power.Lock()
	defer b.power.Unlock()
	if !b.started || b.stopped {
		return nil, netsim.ErrStopped
	}
	if b.off() != nil {
		return nil, ErrOff
	}
	i := b.current()
	if err := i.appliance.Sync(ctx); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	const attempts = 200
	for range attempts {
		before, err := i.keep()
		if err != nil {
			return nil, err
		}
		files, err := readStable(ctx, b.o.Dir)
		switch {
		case errors.Is(err, errChanging):
			continue
		case errors.Is(err, errTooLarge):
			return nil, netsim.Conflict("%v, which is the limit of a snapshot", err)
		case err != nil:
			return nil, fmt.Errorf("snapshot: read the files: %w", err)
		}
		after, err := i.keep()
		if err != nil {
			return nil, err
		}
		if size, same := sameState(before, after); same {
			return b.newSnapshot(files, after, size), nil
		}
	}
	return nil, netsim.Conflict("the appliance changes its files all the time: no snapshot can be saved" +
		" under this load")
}

// keep returns what a snapshot keeps besides files.
func (i *instance) keep() (keptState, error) {
	world, err := i.world.Keep()
	return keptState{world, i.appliance.Guard.Keep()}, err
}

// sameState reports whether two states are equal, except for the ages of failed logins, and returns
// their size.
func sameState(x, y keptState) (size int64, same bool) {
	a, err := json.Marshal(x.World)
	b, err2 := json.Marshal(y.World)
	return int64(len(a)), err == nil && err2 == nil && bytes.Equal(a, b) && len(x.Guard) == len(y.Guard)
}

func (b *Box) newSnapshot(files *content, kept keptState, size int64) *snapshot {
	product := b.current().appliance.Product
	return &snapshot{
		SnapshotInfo: SnapshotInfo{
			Saved: clock.System().Now().UTC().Truncate(time.Millisecond),
			Model: product.Model, Version: product.Version.String(),
			Files: len(files.files), Bytes: files.bytes() + size,
		},
		topology: b.topologyDigest(), files: files, kept: kept,
	}
}

// topologyDigest returns a digest of what the topology says, whatever its file is called.
func (b *Box) topologyDigest() string {
	t := *b.o.Topology
	t.File = ""
	text, err := json.Marshal(t)
	if err != nil { // does not happen: a topology is data
		text = []byte(err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Snapshots returns the snapshots in the order of their names.
func (b *Box) Snapshots() []SnapshotInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]SnapshotInfo, 0, len(b.snapshots))
	for _, s := range b.snapshots {
		list = append(list, s.SnapshotInfo)
	}
	slices.SortFunc(list, func(x, y SnapshotInfo) int { return strings.Compare(x.Name, y.Name) })
	return list
}

// snapshotOf returns a snapshot by its name. The error is a *netsim.NotFoundError.
func (b *Box) snapshotOf(name string) (*snapshot, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.snapshots[name]; s != nil {
		return s, nil
	}
	return nil, netsim.NotFound("there is no snapshot %q", name)
}

// RemoveSnapshot forgets a snapshot. The error is a *netsim.NotFoundError.
func (b *Box) RemoveSnapshot(name string) error {
	if _, err := b.snapshotOf(name); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.snapshots, name)
	return nil
}

// Restore is Reset to the state that a snapshot has saved. The error is a *netsim.NotFoundError, or
// that of Reset.
func (b *Box) Restore(ctx context.Context, name string) error {
	s, err := b.snapshotOf(name)
	if err != nil {
		return err
	}
	return b.resetTo(ctx, s)
}
