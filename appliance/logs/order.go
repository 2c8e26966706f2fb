package logs

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/esasim/esasim/appliance/atomicfile"
)

// A fileOrder is the order in which the files of a subscription were begun. The names of files,
// which contain the local time, do not tell it if the clock or its zone was set back: the hub then
// keeps an index on disk until the names tell the order again. Files are identified by their stems,
// which are their names without the status code. A fileOrder is safe for concurrent use.
type fileOrder struct {
	dir  string // of the index, on this machine; "": the order does not survive the hub
	name string // of the index

	mu      sync.Mutex
	number  map[string]uint64 // by stem; the greater number is that of the later file
	last    uint64
	indexed bool // the index exists, or must be written
}

func (o *fileOrder) index() string { return filepath.Join(o.dir, o.name) }

// load numbers the files that earlier runs have left: in the order of the index or, without one, of
// their names, the current files last. The index may be damaged: names that it lacks come last,
// names without a file are ignored.
func (o *fileOrder) load(saved, current []string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.number, o.last, o.indexed = nil, 0, false
	var indexed []string
	var err error
	if o.dir != "" && len(saved)+len(current) > 1 {
		var text []byte
		text, err = os.ReadFile(o.index())
		o.indexed = err == nil
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		indexed = strings.Split(string(text), "\n")
	}
	slices.SortFunc(saved, compareStems)
	slices.SortFunc(current, compareStems)
	byName := slices.Concat(saved, current)
	exists := map[string]bool{}
	for _, stem := range byName {
		exists[stem] = true
	}
	for _, stem := range slices.Concat(indexed, byName) {
		if exists[stem] && o.number[stem] == 0 {
			o.append(stem)
		}
	}
	return err
}

// append gives a stem the next number. mu must be held.
func (o *fileOrder) append(stem string) {
	if o.number == nil {
		o.number = map[string]uint64{}
	}
	o.last++
	o.number[stem] = o.last
}

// isEmpty reports whether no file is known.
func (o *fileOrder) isEmpty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.number) == 0
}

// add adds the file that was begun last. present are the stems of all files that exist; others are
// forgotten. The order is right even if an error is returned; it may not survive the hub then.
func (o *fileOrder) add(stem string, present []string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	exists := make(map[string]bool, len(present))
	for _, known := range present {
		exists[known] = true
	}
	maps.DeleteFunc(o.number, func(known string, _ uint64) bool { return !exists[known] })
	o.append(stem)
	if o.dir == "" {
		return nil
	}
	list := make([]string, 0, len(o.number))
	for known := range o.number {
		list = append(list, known)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(o.number[a], o.number[b]) })
	inOrder := slices.IsSortedFunc(list, compareStems)
	if inOrder && !o.indexed {
		return nil
	}
	o.indexed = !inOrder
	if inOrder {
		return os.Remove(o.index())
	}
	return atomicfile.Write(o.index(), []byte(strings.Join(list, "\n")+"\n"))
}

// compare compares the names of two files, with or without status code. The earlier file is less. A
// file that the hub did not begin is earlier than all others.
func (o *fileOrder) compare(a, b string) int {
	a, b = path.Base(stemOf(a)), path.Base(stemOf(b))
	o.mu.Lock()
	defer o.mu.Unlock()
	return cmp.Or(cmp.Compare(o.number[a], o.number[b]), compareStems(a, b))
}

// numberOf returns the number of a file, which is 0 if the hub did not begin it.
func (o *fileOrder) numberOf(name string) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.number[path.Base(stemOf(name))]
}

// compareStems compares stems by the times in them, which is the order unless the clock was set
// back.
func compareStems(a, b string) int {
	return cmp.Or(cmp.Compare(timeInName(a+currentCode), timeInName(b+currentCode)),
		cmp.Compare(a, b))
}
