package netsim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// Add refuses a rule with a mistake, and names it.
func TestAddRefusesMistakes(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	for text, want := range map[string]string{
		`{}`:                                                                                    `action: "" is no action, expected drop, reset,`,
		`{"action": "burn"}`:                                                                    `action: "burn" is no action`,
		`{"action": "delay", "delay": "2h"}`:                                                    `delay: a delay of 2h0m0s, expected at most 1h0m0s`,
		`{"action": "delay", "jitter": "2h"}`:                                                   `jitter: a jitter of 2h0m0s, expected at most 1h0m0s`,
		`{"action": "drop", "after": "2562047h"}`:                                               `after: 2562047h0m0s, expected a time such as`,
		`{"action": "drop", "for": "2562047h"}`:                                                 `for: 2562047h0m0s, expected a time such as`,
		`{"action": "delay"}`:                                                                   `delay: no delay, expected one`,
		`{"action": "drop", "delay": "1s"}`:                                                     `delay: action drop has no delay`,
		`{"action": "drop", "jitter": "1s"}`:                                                    `jitter: action drop has no jitter`,
		`{"action": "loss"}`:                                                                    `loss 0, expected more than 0`,
		`{"action": "loss", "loss": "200%"}`:                                                    `loss 2, expected`,
		`{"action": "drop", "loss": 1}`:                                                         `loss: action drop has no loss`,
		`{"action": "rate"}`:                                                                    `rate: no rate`,
		`{"action": "drop", "rate": 1}`:                                                         `rate: action drop has no rate`,
		`{"action": "rate", "rate": 1, "queue": "2GiB"}`:                                        `queue: a queue of`,
		`{"action": "drop", "queue": 1}`:                                                        `queue: action drop has no queue`,
		`{"action": "drop", "to": "10.0.201.5/24"}`:                                             `to: 10.0.201.5/24 is an address in a network, expected 10.0.201.0/24`,
		`{"action": "drop", "host": "127.0.0.1"}`:                                               `host: packets for 127.0.0.1 never leave a machine`,
		`{"action": "drop", "from": "10.0.0.1", "to": "::2"}`:                                   `to: ::2/128 is of another family`,
		`{"action": "drop", "protocol": "sctp"}`:                                                `protocol: "sctp" is no protocol`,
		`{"action": "drop", "direction": "up"}`:                                                 `direction: "up" is no direction`,
		`{"action": "drop", "port": 25}`:                                                        `port 25 without a protocol`,
		`{"action": "drop", "protocol": "icmp", "from_port": 25}`:                               `from_port: port 25 without a protocol`,
		`{"action": "drop", "protocol": "tcp", "port": 25, "either_port": 25}`:                  `either_port: a port of either end and of one end`,
		`{"action": "drop", "protocol": "tcp", "after_records": -1}`:                            `after_records: -1 records`,
		`{"action": "drop", "protocol": "tcp", "connections": -1}`:                              `connections: -1 connections`,
		`{"action": "drop", "protocol": "tcp", "skip_connections": -1}`:                         `skip_connections: -1 connections`,
		`{"action": "drop", "connections": 1}`:                                                  `protocol: connections are counted in tcp and udp only`,
		`{"action": "drop", "protocol": "icmp", "skip_connections": 1}`:                         `protocol: connections are counted`,
		`{"action": "drop", "after_bytes": 1}`:                                                  `protocol: data is counted in tcp and udp only`,
		`{"action": "drop", "protocol": "tcp", "after_bytes": 1, "after_records": 1}`:           `after_records: both bytes and records`,
		`{"action": "refuse", "protocol": "tcp", "after_bytes": 1}`:                             `action: a connection that has carried data can no longer`,
		`{"action": "drop", "path": "google", "cable": "Data 1"}`:                               `cable: a path and a cable`,
		`{"action": "drop", "path": "nowhere"}`:                                                 `path: there is no path "nowhere", expected one of 10.0.201.0/24, 198.51.100.0/24, google,`,
		`{"action": "drop", "cable": "nobody"}`:                                                 `cable: nothing called "nobody" has a cable, expected one of Data 1, Data 2, Management, resolver`,
		`{"action": "drop", "cable": "google"}`:                                                 `cable: host google is behind the gateways, where there are no cables, expected its address in from, to or host`,
		`{"action": "unplug"}`:                                                                  `cable: no cable to unplug, expected one of Data 1`,
		`{"action": "unplug", "cable": "Data 1", "protocol": "tcp", "port": 25, "name": "why"}`: `action: a cable is unplugged for all packets`,
	} {
		_, err := w.Faults().Add(rule(t, text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if _, err := w.Faults().Add(topology.Rule{Action: "drop", For: -1}); err == nil {
		t.Error("Add accepts a fault that ends before it begins")
	}
	var notFound *netsim.NotFoundError
	if err := w.Faults().Remove(7); !errors.As(err, &notFound) {
		t.Errorf("Remove of a fault that does not exist: %v", err)
	}
	if got := w.Faults().List(); len(got) != 0 {
		t.Errorf("faults: %v", got)
	}
	if err := w.SetServicePort("telnet", 23); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want an error of one line", err)
	}
}

// Add accepts a fault of each action that a topology may name.
func TestAddAcceptsEveryAction(t *testing.T) {
	w := start(t, fixture(t, "minimal"))
	for _, action := range topology.Actions() {
		r := topology.Rule{Action: action}
		switch action {
		case "delay":
			r.Delay = time.Millisecond
		case "loss":
			r.Loss = 0.5
		case "rate":
			r.Rate = 1000
		case topology.Unplug:
			r.Cable = "resolver"
		}
		add(t, w, r)
	}
}
