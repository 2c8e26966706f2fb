package box_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
)

// Boxes that share a blueprint share no state: a commit in one changes no other.
func TestBoxesShareBlueprint(t *testing.T) {
	_, data, _ := fixtures.Topology("lab")
	topo, err := box.LoadTopology("lab", data)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := box.NewBlueprint(topo)
	if err != nil {
		t.Fatal(err)
	}
	var boxes []*box.Box
	for range 2 {
		b, err := box.New(box.Options{
			Blueprint: plan, Dir: t.TempDir(), NoDoors: true,
			HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := b.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		boxes = append(boxes, b)
	}
	first, second := boxes[0].Appliance(), boxes[1].Appliance()
	d := first.Config.NewDraft()
	netconfig.Hostname.Set(d, "other.example.com")
	interfaces := netconfig.Interfaces.Get(d)
	interfaces.List[0].Name = "Changed"
	if _, err := first.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	if first.Hostname() != "other.example.com" || second.Hostname() != "example.com" {
		t.Errorf("host names %s and %s", first.Hostname(), second.Hostname())
	}
	if got := netconfig.Interfaces.Get(second.Config.Committed()).List[0].Name; got != "Data 1" {
		t.Errorf("an interface of the other box is called %s", got)
	}
	if first.Zone() != second.Zone() {
		t.Error("the boxes have loaded the time zone twice")
	}
}

func TestBlueprintOfTopologyWithMistake(t *testing.T) {
	_, data, _ := fixtures.Topology("lab")
	topo, err := box.LoadTopology("lab", data)
	if err != nil {
		t.Fatal(err)
	}
	topo.Hosts[1].Name = topo.Hosts[0].Name
	var mistake *topology.Error
	if _, err := box.NewBlueprint(topo); !errors.As(err, &mistake) {
		t.Errorf("error %v, want one about the second host", err)
	}
}

// A prepared form is used for the text of which it was made, without checks, and for no other.
func TestPreparedBlueprint(t *testing.T) {
	_, data, _ := fixtures.Topology("lab")
	topo, err := box.LoadTopology("lab", data)
	if err != nil {
		t.Fatal(err)
	}
	topo.Appliance.HostName = "prepared.example.com"
	prepared := topo.Prepared(data)
	for name, x := range map[string]struct {
		text     []byte
		hostName string
	}{
		"of this text":    {data, "prepared.example.com"},
		"of another text": {append(data[:len(data):len(data)], '\n'), "example.com"},
	} {
		plan, err := box.PreparedBlueprint("lab", x.text, prepared)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := plan.Topology().Appliance.HostName; got != x.hostName {
			t.Errorf("%s: host name %s, want %s", name, got, x.hostName)
		}
	}
	var mistake *topology.Error
	if _, err := box.LoadBlueprint("lab", append(data[:len(data):len(data)], "other: 1\n"...)); !errors.As(err, &mistake) {
		t.Errorf("error %v, want one about an unknown key", err)
	}
}
