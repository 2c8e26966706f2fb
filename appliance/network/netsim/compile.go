package netsim

import (
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// compileRule returns the WAN's form of a rule, which Check has accepted.
func compileRule(r *topology.Rule) wan.Rule {
	return wan.Rule{
		From: r.From, To: r.To, Host: r.Host,
		Protocol: compileProtocol(r.Protocol),
		Port:     r.Port, FromPort: r.FromPort, EitherPort: r.EitherPort,
		Direction: compileDirection(r.Direction),
		Path:      r.Path, Cable: r.Cable,
		Connections: r.Connections, SkipConnections: r.SkipConnections,
		AfterBytes: int64(r.AfterBytes), AfterRecords: r.AfterRecords,
		Action: compileAction(r.Action),
		Delay:  r.Delay, Jitter: r.Jitter, Loss: r.Loss, Rate: int64(r.Rate), Queue: int(r.Queue),
	}
}

func compileAction(word string) wan.Action {
	switch word {
	case "pass":
		return wan.Pass
	case "drop", topology.Unplug:
		return wan.Drop
	case "reset":
		return wan.Reset
	case "refuse":
		return wan.Refuse
	case "prohibit":
		return wan.Prohibit
	case "net-unreachable":
		return wan.NetUnreachable
	case "host-unreachable":
		return wan.HostUnreachable
	case "delay":
		return wan.Delay
	case "loss":
		return wan.Lose
	case "rate":
		return wan.LimitRate
	}
	panic("netsim: no such action: " + word)
}

func compileProtocol(word string) wan.Protocol {
	switch word {
	case "tcp":
		return wan.TCP
	case "udp":
		return wan.UDP
	case "icmp":
		return wan.ICMP
	}
	return wan.Any
}

func compileDirection(word string) wan.Direction {
	switch word {
	case "in":
		return wan.In
	case "out":
		return wan.Out
	}
	return wan.Both
}

// compilePaths returns the WAN's form of the paths.
func compilePaths(paths []topology.Path) []wan.Path {
	list := make([]wan.Path, len(paths))
	for i, p := range paths {
		list[i] = wan.Path{
			Name: p.Name, To: p.To, Delay: p.Delay, Jitter: p.Jitter, Loss: p.Loss, MTU: p.MTU,
			End: compileEnd(p.End),
		}
		for _, h := range p.Hops {
			list[i].Hops = append(list[i].Hops, wan.Hop(h))
		}
	}
	return list
}

func compileEnd(word string) wan.End {
	switch word {
	case topology.NetUnreachable:
		return wan.EndNetUnreachable
	case topology.HostUnreachable:
		return wan.EndHostUnreachable
	case topology.Prohibited:
		return wan.EndProhibited
	case topology.Silent:
		return wan.EndSilent
	}
	return wan.EndDeliver
}
