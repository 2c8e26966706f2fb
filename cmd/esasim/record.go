package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/esasim/esasim/appliance/box"
)

// A record is the file of --record.
type record struct {
	file      *os.File // nil without that flag
	recording *box.Recording
}

// startRecord begins to write the events of a box to the file of --record, which it replaces.
func (s *serve) startRecord(b *box.Box) (*record, error) {
	if s.Record == "" {
		return &record{}, nil
	}
	f, err := os.OpenFile(s.Record, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record events: %w", err)
	}
	return &record{f, b.Record(f)}, nil
}

// stop completes the file. It must be called once.
func (r *record) stop() error {
	if r.file == nil {
		return nil
	}
	return errors.Join(r.recording.Stop(), r.file.Close())
}
