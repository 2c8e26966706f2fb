package topology

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/pattern"
)

var (
	mailAddress = pattern.New(`^[^\s@<>(),:;"\\]{0,64}@([^\s@<>(),:;"\\]+)$`)
	headerName  = pattern.New(`^[!-9;-~]+$`)
)

// traffic checks the mail that hosts send by themselves.
func (c *checker) traffic() error {
	t := &c.Traffic
	for _, name := range slices.Sorted(maps.Keys(t.Groups)) {
		at := "traffic.groups." + name
		if strings.Contains(name, "@") || len(t.Groups[name]) == 0 {
			return c.errorf(at, "group %q has %d addresses, expected a name without @ and at least one address",
				name, len(t.Groups[name]))
		}
		for i, a := range t.Groups[name] {
			if err := checkMailAddress(a); err != nil {
				return c.errorf(index(at, i, ""), "%v", err)
			}
		}
	}
	seen := map[string]bool{}
	for i, f := range t.Flows {
		at := func(key string) string { return index("traffic.flows", i, key) }
		if seen[f.Name] {
			return c.errorf(at(".name"), "a second flow %q, expected a name of its own", f.Name)
		}
		seen[f.Name] = true
		if err := c.checkFlow(t.WithAddresses(f), at); err != nil {
			return err
		}
	}
	for i, o := range t.Outages {
		at := func(key string) string { return index("traffic.outages", i, key) }
		switch {
		case !c.hasServer(o.Server):
			return c.errorf(at(".server"), "no server is called %q, expected the name of a service", o.Server)
		case o.For <= 0 || o.For >= 24*time.Hour:
			return c.errorf(at(".for"), "an outage of %v, expected more than 0 and less than 24h", o.For)
		}
	}
	return nil
}

// CheckFlow reports what is wrong with a flow that was made for this topology, without groups. Its
// text is one line.
func (t *Topology) CheckFlow(f Flow) error {
	c := &checker{Topology: t}
	return c.checkFlow(f, func(key string) string { return strings.TrimPrefix(key, ".") })
}

// checkFlow checks a flow in which no groups are left. at returns the path of a key.
func (c *checker) checkFlow(f Flow, at func(string) string) error {
	errorf := c.errorf
	if errorf == nil { // of CheckFlow
		errorf = func(path, format string, args ...any) error {
			return fmt.Errorf("%s: %s", path, oneLine(fmt.Sprintf(format, args...)))
		}
	}
	if len(f.From) == 0 {
		return errorf(at(".from"), "no host sends, expected at least one")
	}
	for i, name := range f.From {
		if c.FindHost(name) == nil {
			return errorf(at(index(".from", i, "")), "no host is called %q, expected the name of a host", name)
		}
	}
	if len(f.To) == 0 {
		return errorf(at(".to"), "no recipients, expected at least one address")
	}
	for key, list := range map[string][]string{
		".senders": f.Senders, ".to": f.To, ".bad_to": f.BadTo, ".down_to": f.DownTo,
	} {
		for _, a := range list {
			if err := checkMailAddress(a); err != nil && !(key == ".senders" && a == "<>") {
				return errorf(at(key), "%v", err)
			}
		}
	}
	if key, err := f.checkNumbers(); err != nil {
		return errorf(at(key), "%v", err)
	}
	return nil
}

// checkNumbers returns the key of a field that is out of range, and what was expected.
func (f *Flow) checkNumbers() (key string, err error) {
	switch weights := 0; {
	case (f.Rate > 0) == (len(f.Rates) > 0):
		return ".rate", errors.New("expected either rate or rates, and more than 0")
	case f.Recipients.Max > MaxRecipients:
		return ".recipients", fmt.Errorf("%d recipients, expected at most %d", f.Recipients.Max, MaxRecipients)
	case f.Size < 0 || f.Size > MaxMessageSize:
		return ".size", fmt.Errorf("%d bytes, expected at most 100MiB", f.Size)
	case f.PerConnection < 0 || f.PerConnection > MaxPerConnection:
		return ".per_connection", fmt.Errorf("%d messages, expected 1 to %d", f.PerConnection, MaxPerConnection)
	case f.Down > 0 && len(f.DownTo) == 0:
		return ".down_to", errors.New("no addresses, expected those whose servers do not answer")
	case f.Bad+f.Down > 1:
		return ".bad", fmt.Errorf("bad and down are %g together, expected at most 1", f.Bad+f.Down)
	default:
		for kind, weight := range f.Kinds {
			if !slices.Contains(MessageKinds(), kind) || weight < 0 || weight > 1_000_000 {
				return ".kinds", fmt.Errorf("%q with the weight %d, expected one of %s with a weight from 0",
					kind, weight, flowKinds())
			}
			weights += weight
		}
		if len(f.Kinds) > 0 && weights == 0 {
			return ".kinds", errors.New("every weight is 0, expected one above")
		}
	}
	for key, share := range map[string]float64{".bad": f.Bad, ".down": f.Down, ".tls": f.TLS} {
		if !(share >= 0 && share <= 1) {
			return key, fmt.Errorf("%g, expected a share from 0 to 1, or 100%%", share)
		}
	}
	for name, value := range f.Headers {
		if !headerName().MatchString(name) || strings.ContainsAny(value, "\r\n\x00") {
			return ".headers", fmt.Errorf("%q is no line of a header, expected a name and one line", name)
		}
	}
	for _, subject := range f.Subjects {
		if strings.ContainsAny(subject, "\r\n\x00") {
			return ".subjects", errors.New("a subject has several lines, expected one")
		}
	}
	return "", nil
}

// checkMailAddress returns an error unless a is an address, or a domain with an @ before it.
func checkMailAddress(a string) error {
	m := mailAddress().FindStringSubmatch(a)
	if m == nil || !isDomainName(m[1]) {
		return fmt.Errorf("%s is no mail address, expected one such as joe@example.com, or @example.com",
			strconv.Quote(a))
	}
	return nil
}
