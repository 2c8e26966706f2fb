package commands

import (
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/shell"
)

const (
	maxSeconds = 86400
	maxCount   = 1_000_000
)

// netstatFlags are the flags of each table.
var netstatFlags = map[int]string{
	activeSockets:  "ncWf",
	interfaceState: "bdWIf",
	routingTables:  "ncWf",
	listenQueues:   "ncWf",
	packetTraffic:  "wqI",
}

// parse parses the inline form. Without arguments the table is the first one.
func (n *netstatQuery) parse(args []string) error {
	if len(args) == 0 {
		n.setTable(activeSockets)
		return nil
	}
	table, err := strconv.Atoi(args[0])
	if err != nil || table < activeSockets || table > packetTraffic {
		return shell.InvalidArgumentf(args[0],
			"The first argument must be an integer from %d to %d: the information to display.",
			activeSockets, packetTraffic)
	}
	n.setTable(table)
	for rest := args[1:]; len(rest) > 0; {
		arg := rest[0]
		rest = rest[1:]
		if len(arg) < 2 || arg[0] != '-' {
			return shell.InvalidArgumentf(arg, "After the number only flags are expected: %s.", n.flagList())
		}
		for letters := arg[1:]; letters != ""; {
			flag := letters[:1]
			letters = letters[1:]
			if !strings.Contains(netstatFlags[table], flag) {
				return shell.InvalidArgumentf(
					"-"+flag, "The flags of netstat %d are %s.", table, n.flagList())
			}
			if !strings.Contains("fIwq", flag) {
				n.switchOn(flag)
				continue
			}
			value := letters
			letters = ""
			if value == "" && len(rest) > 0 {
				value, rest = rest[0], rest[1:]
			}
			if err := n.setValue(flag, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *netstatQuery) flagList() string {
	return "-" + strings.Join(strings.Split(netstatFlags[n.table], ""), ", -")
}

// switchOn sets a flag without value.
func (n *netstatQuery) switchOn(flag string) {
	switch flag {
	case "n":
		n.numeric = true
	case "W":
		n.wide = true
	case "c":
		n.wide = false
	case "b":
		n.bytes = true
	case "d":
		n.drops = true
	}
}

// setValue sets a flag that takes a value. The value is empty if none was given.
func (n *netstatQuery) setValue(flag, value string) error {
	switch flag {
	case "f":
		return n.setFamily(value)
	case "I":
		return n.setInterface(value)
	case "w":
		return setNumber(&n.seconds, value, maxSeconds, "The flag -w needs the seconds between two lines")
	default:
		return setNumber(&n.count, value, maxCount, "The flag -q needs the number of lines")
	}
}

func (n *netstatQuery) setFamily(value string) error {
	families := []string{inet}
	if supportsIPv6(n.env) {
		families = append(families, inet6)
	}
	if n.table == interfaceState {
		families = append(families, linkLevel)
	}
	families = append(families, allFamilies)
	if !slices.Contains(families, value) {
		last := len(families) - 1
		return shell.InvalidArgumentf(value, "The flag -f needs an address family: %s or %s.",
			strings.Join(families[:last], ", "), families[last])
	}
	n.family = value
	return nil
}

func (n *netstatQuery) setInterface(value string) error {
	var names []string
	for _, i := range n.env.Appliance.Net.Interfaces() {
		if strings.EqualFold(value, i.Name) || strings.EqualFold(value, i.Device) {
			n.iface = i.Name
			return nil
		}
		names = append(names, i.Name)
	}
	return shell.InvalidArgumentf(value, "The flag -I needs an interface: %s.",
		strings.Join(names, ", "))
}

// setNumber parses a number from 1 to most. requirement is the beginning of the refusal.
func setNumber(dst *int, value string, most int, requirement string) error {
	v, err := strconv.Atoi(value)
	if err != nil || v < 1 || v > most {
		return shell.InvalidArgumentf(value, "%s, an integer from 1 to %d.", requirement, most)
	}
	*dst = v
	return nil
}
