package fleet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/users"
)

// MaxAppliances is the number of appliances that a fleet can have. Each needs a loopback address of
// its own.
const MaxAppliances = 60_000

// A File is a fleet's description. Load makes one. It does not change.
type File struct {
	Name       string
	Appliances []Spec // in the order of the file; an entry with a count is that many
	Networks   []Spec // that appliances share: see Spec.Network
}

// A Spec describes one appliance of a fleet.
type Spec struct {
	Index    int    // its place in the whole fleet, from 0
	Name     string // of lower-case letters, digits and hyphens; no other appliance has it
	HostName string // of the factory configuration
	Serial   string
	Topology string // the name or the file of its topology
	// Network is the name of the network that it shares with others; "": it has one of its own. The
	// Spec of a network has the name of the network here too.
	Network string
	kind    *kind
	joined  []string // the interfaces that join a network, if this is the network
	// addresses are those of its interfaces, by name, if they differ from those of its kind.
	addresses map[string][]netip.Prefix
}

// Doors returns the names of its doors that are open, in the order of the topology.
func (s Spec) Doors() []string { return slices.Clone(s.kind.doors) }

// A kind is what the appliances of one entry share.
type kind struct {
	topology  *topology.Topology
	blueprint *box.Blueprint
	doors     []string
}

// Sources read what a fleet's file names.
type Sources struct {
	// Topology returns the topology with that name, or in that file.
	Topology func(nameOrFile string) (*topology.Topology, error)
	// ReadFile returns the content of a file.
	ReadFile func(name string) ([]byte, error)
}

// document is the file as it is written.
type document struct {
	Name       string         `yaml:"name"`
	Networks   []networkEntry `yaml:"networks"`
	Defaults   entry          `yaml:"defaults"`
	Appliances []entry        `yaml:"appliances"`
}

type entry struct {
	Name          string                    `yaml:"name"`
	Count         int                       `yaml:"count" nonzero:"a whole number above 0"`
	Topology      string                    `yaml:"topology"`
	Network       string                    `yaml:"network"`
	HostName      string                    `yaml:"hostname"`
	Model         string                    `yaml:"model"`
	Serial        string                    `yaml:"serial"`
	Version       string                    `yaml:"version"`
	BuildDate     string                    `yaml:"build_date"`
	Addresses     map[string][]netip.Prefix `yaml:"addresses"`
	Doors         []string                  `yaml:"doors"`
	Configuration string                    `yaml:"configuration"`
	Users         []user                    `yaml:"users"`
}

type user struct {
	Name       string   `yaml:"name"`
	FullName   string   `yaml:"fullname"`
	Role       string   `yaml:"role"`
	Passphrase string   `yaml:"passphrase"`
	Keys       []string `yaml:"keys"`
}

// Load reads a fleet's file, and what it names, and checks it. file appears in messages. Errors
// about the file itself are of type *topology.Error.
func Load(file string, text []byte, s Sources) (*File, error) {
	var d document
	source, err := topology.Decode(file, text, &d)
	if err != nil {
		return nil, err
	}
	l := loader{document: d, sources: s, errorAt: source.ErrorAt}
	return l.load()
}

// Count returns the fleet of n equal appliances of a topology with the given open doors (nil: ssh),
// named NAME-1 to NAME-n.
func Count(name string, n int, topologyName string, doors []string, s Sources) (*File, error) {
	l := loader{
		document: document{Name: name, Appliances: []entry{
			{Name: name, Count: n, Topology: topologyName, Doors: doors},
		}},
		sources: s,
		errorAt: func(_, format string, args ...any) error { return fmt.Errorf(format, args...) },
	}
	return l.load()
}

// A loader makes a File of a document.
type loader struct {
	document
	sources Sources
	errorAt func(path, format string, args ...any) error

	file       File
	topologies map[string]*box.Blueprint
	networks   map[string]*sharedNetwork
	paths      []string          // of the appliances' entries
	owners     map[string]string // of names and serial numbers
}

func (l *loader) load() (*File, error) {
	l.file.Name = cmp.Or(l.Name, "fleet")
	l.topologies, l.owners = map[string]*box.Blueprint{}, map[string]string{}
	for path, wrong := range map[string]bool{
		"defaults.name": l.Defaults.Name != "", "defaults.count": l.Defaults.Count != 0,
		"defaults.serial": l.Defaults.Serial != "",
	} {
		if wrong {
			return nil, l.errorAt(path, "all appliances cannot have the same %s: set it at each appliance",
				strings.TrimPrefix(path, "defaults."))
		}
	}
	if len(l.Appliances) == 0 {
		return nil, l.errorAt("appliances", "no appliance, expected at least one")
	}
	if err := l.addNetworks(); err != nil {
		return nil, err
	}
	for i, e := range l.Appliances {
		if err := l.add(fmt.Sprintf("appliances[%d]", i), e.over(l.Defaults)); err != nil {
			return nil, err
		}
	}
	return &l.file, l.assignAddresses()
}

// over returns the entry with the defaults for what it does not say.
func (e entry) over(d entry) entry {
	if e.Network == "" {
		e.Network = d.Network
	}
	if e.Network == "" { // those of a network have its topology
		e.Topology = cmp.Or(e.Topology, d.Topology, "lab")
	}
	e.HostName = cmp.Or(e.HostName, d.HostName)
	e.Model = cmp.Or(e.Model, d.Model)
	if e.Version == "" {
		e.Version = d.Version
		e.BuildDate = cmp.Or(e.BuildDate, d.BuildDate) // which is that of the version
	}
	if e.Addresses == nil {
		e.Addresses = d.Addresses
	}
	if e.Doors == nil {
		e.Doors = d.Doors
	}
	e.Configuration = cmp.Or(e.Configuration, d.Configuration)
	e.Users = append(slices.Clone(d.Users), e.Users...)
	return e
}

// add adds the appliances of an entry.
func (l *loader) add(path string, e entry) error {
	k, err := l.kindOf(path, e)
	if err != nil {
		return err
	}
	n := max(e.Count, 1)
	switch {
	case e.Name == "":
		return l.errorAt(path, "an appliance without a name, expected the key name")
	case n > 1 && e.Serial != "":
		return l.errorAt(path+".serial", "%d appliances cannot have one serial number", n)
	case n > 1 && e.HostName != "" && !strings.Contains(e.HostName, nameMark):
		return l.errorAt(path+".hostname",
			"%d appliances cannot have one host name: write %s where the name of the appliance goes, as in %[2]s.%s",
			n, nameMark, e.HostName)
	case n > 1 && e.Network != "" && e.Addresses != nil:
		return l.errorAt(path+".addresses", "%d appliances in the network %s cannot have the same addresses: "+
			"leave them out, and each gets its own", n, e.Network)
	case len(l.file.Appliances)+n > MaxAppliances:
		return l.errorAt(path+".count", "the fleet has more than %d appliances", MaxAppliances)
	}
	hostName := cmp.Or(e.HostName, nameMark+"."+k.topology.Appliance.HostName)
	for i := range n {
		s := Spec{
			Index: len(l.file.Appliances), Name: e.Name, Topology: e.Topology, Network: e.Network, kind: k,
		}
		if e.Network != "" {
			s.Topology, s.addresses = l.networks[e.Network].spec.Topology, e.Addresses
		}
		if e.Count > 0 {
			s.Name += "-" + strconv.Itoa(i+1)
		}
		if !isName(s.Name) {
			return l.errorAt(path+".name", "%q cannot be the name of an appliance: "+
				"expected at most %d lower-case letters, digits and hyphens, such as edge", s.Name, maxName)
		}
		s.HostName = strings.ReplaceAll(hostName, nameMark, s.Name)
		s.Serial = cmp.Or(e.Serial, derivedSerial(cmp.Or(e.Model, k.topology.Appliance.Model),
			l.file.Name, s.Name))
		if err := l.claim(path+".name", "the name", s.Name, s.Name); err != nil {
			return err
		}
		if err := l.claim(path+".serial", "the serial number", s.Serial, s.Name); err != nil {
			return err
		}
		l.file.Appliances = append(l.file.Appliances, s)
		l.paths = append(l.paths, path)
	}
	_, err = k.blueprint.With(l.file.Appliances[len(l.file.Appliances)-1].variant())
	return l.about(path, err)
}

// nameMark stands for the name of an appliance in a host name.
const nameMark = "{name}"

// claim records the owner of a name or of a serial number.
func (l *loader) claim(path, what, value, owner string) error {
	key := what + " " + value
	if other, taken := l.owners[key]; taken {
		return l.errorAt(path, "%s %s belongs to %s already, expected one of its own", what, value, other)
	}
	l.owners[key] = owner
	return nil
}

// kindOf returns what the appliances of an entry share.
func (l *loader) kindOf(path string, e entry) (*kind, error) {
	base, err := l.baseOf(path, e)
	if err != nil {
		return nil, err
	}
	v := box.Variant{
		Model: e.Model, Version: e.Version, BuildDate: e.BuildDate, Addresses: e.Addresses,
	}
	if e.Configuration != "" {
		if v.Configuration, err = l.sources.ReadFile(e.Configuration); err != nil {
			return nil, l.errorAt(path+".configuration", "%v", err)
		}
	}
	for i, u := range e.Users {
		account, err := u.account()
		if err != nil {
			return nil, l.errorAt(fmt.Sprintf("%s.users[%d]", path, i), "%v", err)
		}
		v.Accounts = append(v.Accounts, account)
	}
	k := &kind{}
	if k.blueprint, err = base.With(v); err != nil {
		return nil, l.about(path, err)
	}
	k.topology = k.blueprint.Topology()
	k.doors, err = l.openDoors(path+".doors", k.topology, e.Doors)
	return k, err
}

// baseOf returns the blueprint of the topology of an entry's appliances.
func (l *loader) baseOf(path string, e entry) (*box.Blueprint, error) {
	if e.Network != "" {
		return l.joined(path, e)
	}
	base := l.topologies[e.Topology]
	if base == nil {
		t, err := l.sources.Topology(e.Topology)
		if err == nil {
			base, err = box.NewBlueprint(t)
		}
		if err != nil {
			return nil, l.about(path+".topology", err)
		}
		l.topologies[e.Topology] = base
	}
	return base, nil
}

// about returns an error with the place in the file that it is about. Errors that name a place in a
// topology keep it.
func (l *loader) about(path string, err error) error {
	if err == nil {
		return nil
	}
	return l.errorAt(path, "%v", err)
}

// openDoors returns the doors of a topology that are open: those that names says, or ssh.
func (l *loader) openDoors(path string, t *topology.Topology, names []string) ([]string, error) {
	var known, open []string
	for _, d := range t.Doors.In {
		known = append(known, d.Name)
		if slices.Contains(names, d.Name) || names == nil && d.Service == "ssh" && open == nil {
			open = append(open, d.Name)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, l.errorAt(path, "topology %s has no door %q: expected some of %s",
				t.File, name, strings.Join(known, ", "))
		}
	}
	return open, nil
}

// account returns the account of a user.
func (u user) account() (users.Account, error) {
	a := users.Account{Name: u.Name, FullName: u.FullName, Role: users.Role(u.Role), Keys: u.Keys}
	if u.Name == users.FactoryName {
		a.Role = cmp.Or(a.Role, users.Administrator)
	}
	if !slices.Contains(users.Roles(), a.Role) {
		var names []string
		for _, r := range users.Roles() {
			names = append(names, r.String())
		}
		return a, fmt.Errorf("role %q, expected one of %s", u.Role, strings.Join(names, ", "))
	}
	if err := users.CheckName(u.Name); err != nil {
		return a, err
	}
	if err := users.CheckPassphrase(u.Name, u.Passphrase); err != nil {
		return a, err
	}
	var err error
	a.Hash, err = users.HashPassphrase(u.Passphrase)
	return a, err
}
