package box

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/network"
)

// Health describes an appliance that is up.
type Health struct {
	Since    time.Time       `json:"since"` // when it came up, by its clock and in its zone
	Services []ServiceHealth `json:"services"`
}

// ServiceHealth describes a service of the appliance that doors can lead to.
type ServiceHealth struct {
	Name      string           `json:"name"`      // ssh, ftp, http, https or smtp, as in topologies
	Listening []netip.AddrPort `json:"listening"` // in the world; none if no interface offers it
}

// services are the services that doors can lead to.
func services() []struct {
	name string
	port daemon.Port
} {
	return []struct {
		name string
		port daemon.Port
	}{
		{"ssh", daemon.SSHPort()},
		{"ftp", daemon.FTPPort()},
		{"http", daemon.HTTPPort()},
		{"https", daemon.HTTPSPort()},
		{"smtp", daemon.Port{Addrs: listener.Addrs}},
	}
}

// Health reports how the appliance is right now; it does not wait for a reboot. The error
// says why the appliance is not up, or which service does not listen at an address at
// which the configuration offers it.
func (b *Box) Health() (Health, error) {
	b.mu.Lock()
	s, pressed, action := b.instance, b.powerDone, b.powerAction
	b.mu.Unlock()
	if s == nil {
		return Health{}, errors.New("the appliance has not been started")
	}
	select {
	case <-b.done:
		return Health{}, errors.New("the appliance is shut down")
	default:
	}
	if pressed != nil {
		select {
		case <-pressed:
		default:
			if action == appliance.Shutdown {
				return Health{}, errors.New("the appliance is shutting down")
			}
			return Health{}, errors.New("the appliance is rebooting")
		}
	}
	if b.off() != nil {
		return Health{}, ErrOff
	}
	return s.health()
}

// health compares the sockets that are open with the configuration.
func (i *instance) health() (Health, error) {
	a := i.appliance
	for {
		committed := a.Config.Committed()
		sockets, err := a.Net.Sockets()
		if err != nil {
			return Health{}, fmt.Errorf("list the appliance's sockets: %w", err)
		}
		list, err := checkServices(committed, sockets)
		if err == nil {
			return Health{Since: a.Started().In(a.Zone()), Services: list}, nil
		}
		if a.Config.Committed() == committed { // otherwise a commit has happened in between
			return Health{}, err
		}
	}
}

// checkServices returns the addresses at which a configuration offers each service. It
// returns an error if no socket listens at one of them.
func checkServices(v config.View, sockets []network.Socket) (list []ServiceHealth, err error) {
	for _, service := range services() {
		want := append([]netip.AddrPort{}, service.port.Addrs(v)...) // never nil, for JSON
		for _, at := range want {
			listens := func(s network.Socket) bool { return s.State == "LISTEN" && s.Local == at }
			if !slices.ContainsFunc(sockets, listens) {
				return nil, fmt.Errorf("the service %s does not listen on %v", service.name, at)
			}
		}
		list = append(list, ServiceHealth{service.name, want})
	}
	return list, nil
}
