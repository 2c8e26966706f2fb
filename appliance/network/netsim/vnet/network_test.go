package vnet_test

import (
	"net/netip"
	"testing"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/esasim/esasim/appliance/network/networktest"
)

// Two hosts on one segment fulfil the contract of package network.
func TestNetwork(t *testing.T) {
	networktest.Run(t, func(t *testing.T) networktest.Fixture {
		fabric := ether.NewFabric(ether.Options{})
		t.Cleanup(fabric.Close)
		lan := fabric.NewSegment("lan")
		host := func(name string, m, arp ether.MAC, addrs ...string) *vnet.Host {
			h := vnet.NewHost(vnet.Options{Name: name, LoopbackIndex: 4, Rand: entropy.Seeded(1)})
			t.Cleanup(h.Close)
			var prefixes []netip.Prefix
			for _, a := range addrs {
				prefixes = append(prefixes, netip.MustParsePrefix(a))
			}
			err := h.AddInterface(vnet.InterfaceConfig{
				Name:    "Data 1",
				Device:  "nic1",
				Index:   2,
				Segment: lan,
				MAC:     m,
				ARPMAC:  arp,
				Addrs:   prefixes,
			})
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		host("cluster", mac(9), ether.MAC{3, 0xbf, 10, 0, 202, 9}, "10.0.202.9/24")
		return networktest.Fixture{
			Net:       host("esa", mac(1), ether.MAC{}, "10.0.202.7/24", "2001:db8:202::7/64"),
			Peer:      host("peer", mac(2), ether.MAC{}, "10.0.202.8/24", "2001:db8:202::8/64"),
			Interface: "Data 1",
			Addr:      netip.MustParseAddr("10.0.202.7"), PeerAddr: netip.MustParseAddr("10.0.202.8"),
			Addr6: netip.MustParseAddr("2001:db8:202::7"), PeerAddr6: netip.MustParseAddr("2001:db8:202::8"),
			Missing: netip.MustParseAddr("10.0.202.99"), Cluster: netip.MustParseAddr("10.0.202.9"),
		}
	})
}
