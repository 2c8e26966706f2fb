package queue

import (
	"encoding/binary"
	"io"
	"log/slog"
	"sync"
)

// The counters of identifiers.
const (
	midCounter = iota
	icidCounter
	dcidCounter
	numCounters
)

const (
	idsName  = "ids"
	idsMagic = "esaqids1"
	// idBlock is how many identifiers are reserved at once. A crash skips the unused ones.
	idBlock = 1000
	// idGap is skipped if the file of the counters is unreadable, in addition to what the log
	// knows to be used.
	idGap = 1_000_000
	// maxID is far more than what can be used up, and leaves room for gaps.
	maxID = 1 << 62
	// The file has two slots, which are written in turn, so that one is valid whatever happens
	// to the other. They are in different blocks of the disk.
	idSlotSize = 8 + 8 + 8*numCounters + 4
	idSlotStep = 4096
	// idRetry is how many identifiers are handed out after a failed reservation before the next
	// one is tried.
	idRetry = 64
)

// counters hands out identifiers. Those below limit are reserved: a restart begins there.
type counters struct {
	dir *directory
	log *slog.Logger

	mu      sync.Mutex
	file    File                // nil until the first reservation
	version uint64              // of the newest valid slot; odd versions are in the second slot
	used    [numCounters]uint64 // the latest identifier that was handed out
	limit   [numCounters]uint64 // the greatest identifier that is reserved
}

// next returns the next identifier of a counter.
func (c *counters) next(counter int) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used[counter] >= c.limit[counter] {
		var limit [numCounters]uint64
		for i := range limit {
			limit[i] = c.used[i] + idBlock
		}
		if err := c.store(limit); err != nil {
			c.log.Error("queue: identifiers could not be reserved; a crash may reuse some", "err", err)
			c.limit[counter] = c.used[counter] + idRetry
		}
	}
	c.used[counter]++
	return c.used[counter]
}

// last returns the latest identifiers.
func (c *counters) last() (mid, icid, dcid uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used[midCounter], c.used[icidCounter], c.used[dcidCounter]
}

// limits returns the greatest identifiers that may have been handed out.
func (c *counters) limits() [numCounters]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limit
}

// close gives the unused identifiers back. If the disk does not allow that, the next start skips
// them, which is logged.
func (c *counters) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used != c.limit {
		if err := c.store(c.used); err != nil {
			c.log.Warn("queue: unused identifiers could not be given back", "err", err)
		}
	}
	if c.file != nil {
		c.file.Close() // it has been synced
		c.file = nil
	}
}

// store makes limits durable. The caller holds mu.
func (c *counters) store(limit [numCounters]uint64) error {
	created := false
	if c.file == nil {
		f, err := c.dir.fs.Open(c.dir.join(idsName))
		if err != nil {
			created = true
			f, err = c.dir.create(c.dir.join(idsName))
		}
		if err != nil {
			return err
		}
		c.file = f
	}
	b := binary.LittleEndian.AppendUint64([]byte(idsMagic), c.version+1)
	for _, v := range limit {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, checksum(b))
	_, err := c.file.WriteAt(b, int64((c.version+1)%2)*idSlotStep)
	if err == nil {
		err = c.file.Sync()
	}
	if err == nil && created {
		err = c.dir.sync()
	}
	if err != nil {
		// After a failed sync the kernel may take the block for clean: open the file again and
		// write the same slot again next time.
		c.file.Close()
		c.file = nil
		return err
	}
	c.version++
	c.limit = limit
	return nil
}

// load reads the file of the counters; ok reports whether it has a valid slot.
func (c *counters) load() (ok bool, err error) {
	f, err := c.dir.fs.Open(c.dir.join(idsName))
	if err != nil {
		return false, err
	}
	defer f.Close()
	for slot := range uint64(2) {
		var b [idSlotSize]byte
		if _, err := f.ReadAt(b[:], int64(slot)*idSlotStep); err == io.EOF {
			continue
		} else if err != nil {
			return false, err
		}
		version := binary.LittleEndian.Uint64(b[8:])
		sum := binary.LittleEndian.Uint32(b[idSlotSize-4:])
		if string(b[:8]) != idsMagic || sum != checksum(b[:idSlotSize-4]) || version%2 != slot ||
			version <= c.version {
			continue
		}
		ok, c.version = true, version
		for i := range c.limit {
			c.limit[i] = min(binary.LittleEndian.Uint64(b[16+8*i:]), maxID)
		}
	}
	c.used = c.limit
	return ok, nil
}
