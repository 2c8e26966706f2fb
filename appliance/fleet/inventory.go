package fleet

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/users"
)

// An Appliance is what an inventory says of an appliance.
type Appliance struct {
	Name     string `json:"name"`
	State    State  `json:"state"`
	Error    string `json:"error,omitempty"` // why the last start failed
	Topology string `json:"topology"`
	HostName string `json:"hostname"` // that is committed: see Member.CurrentHostName
	Model    string `json:"model"`
	Version  string `json:"version"`
	Serial   string `json:"serial"`
	User     string `json:"user"`              // of the factory account
	HostKey  string `json:"hostKey,omitempty"` // as ssh-keygen -l prints it; while it runs
	Network  string `json:"network,omitempty"` // that it shares with others
	// Doors are the real addresses of the open doors, by name.
	Doors map[string]netip.AddrPort `json:"doors"`
}

// A Network is what an inventory says of a network that appliances share.
type Network struct {
	Name       string   `json:"name"`
	State      State    `json:"state"`
	Error      string   `json:"error,omitempty"` // why the last start failed
	Topology   string   `json:"topology"`
	Interfaces []string `json:"interfaces"` // with which appliances have joined it
	Appliances []string `json:"appliances"` // their names, whether they run or not
}

// NetworkInventory returns what there is of the networks, in the order of the file.
func (f *Fleet) NetworkInventory() []Network {
	list := make([]Network, len(f.networks))
	for i, n := range f.networks {
		a := n.Describe()
		list[i] = Network{
			Name: n.Name, State: a.State, Error: a.Error, Topology: n.Topology,
			Interfaces: n.joined, Appliances: []string{},
		}
		for _, m := range f.members {
			if m.Network == n.Name {
				list[i].Appliances = append(list[i].Appliances, m.Name)
			}
		}
	}
	return list
}

// Inventory returns what there is of the appliances of the shard, in the order of the file.
func (f *Fleet) Inventory() []Appliance {
	list := make([]Appliance, len(f.members))
	for i, m := range f.members {
		list[i] = m.Describe()
	}
	return list
}

// Describe returns what an inventory says of the appliance.
func (m *Member) Describe() Appliance {
	state, b := m.current()
	a := Appliance{
		Name: m.Name, State: state, Topology: m.Topology, HostName: m.CurrentHostName(), Model: m.Model(),
		Version: m.Version(), Serial: m.Serial, User: users.FactoryName, Doors: m.DoorAddrs(), Network: m.Network,
	}
	if err := m.Err(); err != nil {
		a.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if b != nil {
		a.HostKey = b.HostKeyFingerprint()
	}
	return a
}

// A Format is a form of an inventory.
type Format string

// The forms of an inventory.
const (
	JSON      Format = "json"
	CSV       Format = "csv"
	Ansible   Format = "ansible"    // an inventory in INI form
	Oxidized  Format = "oxidized"   // router.db of the csv source: name:address:model:port
	SSHConfig Format = "ssh_config" // of OpenSSH
)

// Formats returns all forms.
func Formats() []Format { return []Format{JSON, CSV, Ansible, Oxidized, SSHConfig} }

// FormatOf returns the form of the inventory in a file with that name, by its last element:
// *.json, *.csv, *.ini, *.db or *ssh_config. ok is false for other names.
func FormatOf(file string) (f Format, ok bool) {
	switch base := path.Base(file); {
	case strings.HasSuffix(base, ".json"):
		return JSON, true
	case strings.HasSuffix(base, ".csv"):
		return CSV, true
	case strings.HasSuffix(base, ".ini"):
		return Ansible, true
	case strings.HasSuffix(base, ".db"):
		return Oxidized, true
	case strings.HasSuffix(base, "ssh_config"):
		return SSHConfig, true
	}
	return "", false
}

// WriteInventory writes an inventory. Forms that tell a program where to log in leave out appliances
// that do not run or have no SSH door. Only JSON has the networks, which may be nil.
func WriteInventory(w io.Writer, f Format, fleet string, list []Appliance, networks []Network) error {
	out := bufio.NewWriter(w)
	var err error
	switch f {
	case JSON:
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(struct {
			Fleet      string      `json:"fleet"`
			Networks   []Network   `json:"networks,omitempty"`
			Appliances []Appliance `json:"appliances"`
		}{fleet, networks, list})
	case CSV:
		err = writeCSV(out, list)
	case Ansible:
		writeAnsible(out, list)
	case Oxidized:
		for _, a := range list {
			if ssh, ok := a.sshDoor(); ok {
				fmt.Fprintf(out, "%s:%s:asyncos:%d\n", a.Name, ssh.Addr(), ssh.Port())
			}
		}
	case SSHConfig:
		for _, a := range list {
			if ssh, ok := a.sshDoor(); ok {
				fmt.Fprintf(out, "Host %s\n  HostName %s\n  Port %d\n  User %s\n  HostKeyAlias %[1]s\n\n",
					a.Name, ssh.Addr(), ssh.Port(), a.User)
			}
		}
	default:
		err = fmt.Errorf("there is no form %q of an inventory: expected one of %v", f, Formats())
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

// sshDoor returns the address of the SSH door of an appliance that runs.
func (a Appliance) sshDoor() (addr netip.AddrPort, ok bool) {
	addr, ok = a.Doors["ssh"]
	if addr.Addr().IsUnspecified() { // every address: loopback is one
		addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port())
	}
	return addr, ok && a.State == Running
}

// writeCSV writes a table with a line of titles. Each door that an appliance of the fleet has is a
// column.
func writeCSV(w io.Writer, list []Appliance) error {
	names := map[string]bool{}
	for _, a := range list {
		for name := range a.Doors {
			names[name] = true
		}
	}
	doors := slices.Sorted(maps.Keys(names))
	out := csv.NewWriter(w)
	title := []string{"name", "state", "hostname", "model", "version", "serial", "topology", "user"}
	rows := [][]string{append(title, doors...)}
	for _, a := range list {
		row := []string{a.Name, string(a.State), a.HostName, a.Model, a.Version, a.Serial, a.Topology, a.User}
		for _, door := range doors {
			cell := ""
			if addr, ok := a.Doors[door]; ok {
				cell = addr.String()
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write the inventory: %w", err)
	}
	return nil
}

func writeAnsible(w io.Writer, list []Appliance) {
	fmt.Fprintln(w, "[esa]")
	for _, a := range list {
		if ssh, ok := a.sshDoor(); ok {
			fmt.Fprintf(w, "%s ansible_host=%s ansible_port=%d ansible_user=%s esa_model=%s esa_version=%s esa_serial=%s\n",
				a.Name, ssh.Addr(), ssh.Port(), a.User, a.Model, a.Version, a.Serial)
		}
	}
}
