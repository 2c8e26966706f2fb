package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/esasim/esasim/fixtures"
)

// An address is the value of a flag such as 127.0.0.1:2222, localhost:2222 or :2222,
// which is every address.
type address struct{ netip.AddrPort }

// UnmarshalText reads the form ADDR:PORT.
func (a *address) UnmarshalText(text []byte) error {
	host, port, err := net.SplitHostPort(string(text))
	switch {
	case err != nil:
	case host == "":
		host = "::"
	case host == "localhost":
		host = "127.0.0.1"
	}
	if err == nil {
		a.AddrPort, err = netip.ParseAddrPort(net.JoinHostPort(host, port))
	}
	if err != nil {
		return fmt.Errorf("expected an address and a port, such as 127.0.0.1:2222, but got %q", text)
	}
	return nil
}

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
