package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/esasim/esasim/appliance/atomicfile"
)

// saved is the content of the file of the lifetime counters.
type saved struct {
	Lifetime  map[string]uint64 `json:"lifetime"`
	AtReset   map[string]uint64 `json:"at_reset"`
	LastReset time.Time         `json:"last_reset"`
}

func newSaved(lifetime, atReset tally, lastReset time.Time) saved {
	values := func(t tally) map[string]uint64 {
		m := map[string]uint64{}
		for c, n := range t {
			if n > 0 {
				m[keys[c]] = n
			}
		}
		return m
	}
	return saved{values(lifetime), values(atReset), lastReset}
}

// tallies returns the content in the form in which a Set keeps it. Unknown names are ignored.
func (v saved) tallies() (lifetime, atReset tally, lastReset time.Time) {
	for c, key := range keys {
		lifetime[c], atReset[c] = v.Lifetime[key], v.AtReset[key]
	}
	return lifetime, atReset, v.LastReset
}

// load reads the file. A missing or empty one has no counters.
func load(file string) (saved, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return saved{}, nil
	}
	if err != nil {
		return saved{}, err
	}
	var v saved
	if err := json.Unmarshal(b, &v); err != nil {
		return saved{}, fmt.Errorf("read counters: %w", err)
	}
	return v, nil
}

func (v saved) write(file string) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return fmt.Errorf("write counters: %w", err)
	}
	if err := atomicfile.WriteSynced(file, append(b, '\n')); err != nil {
		return fmt.Errorf("write counters: %w", err)
	}
	return nil
}
