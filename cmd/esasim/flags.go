package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/fixtures"
)

// An address is the value of a flag such as 127.0.0.1:2222, localhost:2222 or :2222. The
// last one stands for every address of this machine.
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

// bounds returns both ends, or zeros if the flag was not given.
func (r *portRange) bounds() [2]int {
	if r == nil {
		return [2]int{}
	}
	return [2]int{r.lo, r.hi}
}

// An ipv4 is the value of a flag such as 192.0.2.1.
type ipv4 struct{ netip.Addr }

// UnmarshalText reads an IPv4 address.
func (a *ipv4) UnmarshalText(text []byte) (err error) {
	if a.Addr, err = netip.ParseAddr(string(text)); err != nil || !a.Is4() {
		return fmt.Errorf("expected an IPv4 address, such as 192.0.2.1, but got %q", text)
	}
	return nil
}

// A clockRate is the value of --clock-rate; 0 if the flag was not given.
type clockRate int

// UnmarshalText reads a whole number.
func (r *clockRate) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > box.MaxClockRate {
		return fmt.Errorf("expected a whole number from 1 to %d, but got %q", box.MaxClockRate, text)
	}
	*r = clockRate(n)
	return nil
}

// A logLevel is the value of a flag such as info.
type logLevel struct{ slog.Level }

// UnmarshalText reads the name of a level.
func (l *logLevel) UnmarshalText(text []byte) error {
	if err := l.Level.UnmarshalText(text); err != nil {
		return fmt.Errorf("expected debug, info, warn or error, but got %q", text)
	}
	return nil
}

// dataDirName returns the mark of a data directory that belongs to a topology, and the
// name of the directory that it has by default. The names of files with equal names in
// different folders differ.
func dataDirName(nameOrFile string) (mark, name string) {
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
