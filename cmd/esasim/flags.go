package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/esasim/esasim/fixtures"
)

// A portRange is the value of a flag such as 30000-30009.
type portRange struct{ lo, hi int }

// UnmarshalText reads the form LO-HI.
func (r *portRange) UnmarshalText(text []byte) error {
	var rest string
	n, _ := fmt.Sscanf(string(text)+" .", "%d-%d %s", &r.lo, &r.hi, &rest)
	if n != 3 || rest != "." || r.lo < 1 || r.hi > 65535 || r.lo > r.hi {
		return fmt.Errorf("expected two ports in rising order, such as 30000-30009, but got %q", text)
	}
	return nil
}

// bounds are both ends, or zeros for a flag that was not given.
func (r *portRange) bounds() [2]int {
	if r == nil {
		return [2]int{}
	}
	return [2]int{r.lo, r.hi}
}

// topologyIdentity says what a data directory is marked with, and what the default
// one is called. A file's directory is told from that of a namesake in another
// folder.
func topologyIdentity(nameOrFile string) (id, dir string) {
	if slices.Contains(fixtures.Topologies(), nameOrFile) {
		return nameOrFile, nameOrFile
	}
	base := filepath.Base(nameOrFile)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	path, err := filepath.Abs(nameOrFile)
	if err != nil {
		path = nameOrFile
	}
	sum := sha256.Sum256([]byte(path))
	return "file " + base, base + "-" + hex.EncodeToString(sum[:4])
}
