package netsim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
)

// newFaults returns the faults of topology lab on a clock of their own, without a world.
func newFaults(t *testing.T) (*netsim.Faults, *clock.Fake) {
	t.Helper()
	fake := clock.NewFake(time.Unix(0, 0))
	f := netsim.NewFaults(fixture(t, "lab"), fake)
	t.Cleanup(f.Close)
	return f, fake
}

// put puts a fault and returns it.
func put(t *testing.T, f *netsim.Faults, ref, text string) (netsim.Fault, bool) {
	t.Helper()
	set, created, err := f.Put(ref, netsim.FaultSpec{Rule: rule(t, text)})
	if err != nil {
		t.Fatal(err)
	}
	return set, created
}

// A fault is created once by its name. The same rule again changes nothing; another rule changes
// the fault in its place; a fault that is over begins again.
func TestPutIsIdempotent(t *testing.T) {
	f, fake := newFaults(t)
	one, created := put(t, f, "slow", `{"action": "delay", "delay": "200ms", "for": "10s"}`)
	if !created || one.ID != 1 || one.Rule.Name != "slow" {
		t.Fatalf("%+v, created %t", one, created)
	}
	put(t, f, "newer", `{"action": "drop"}`)
	fake.Advance(4 * time.Second)
	same, created := put(t, f, "slow", `{"action": "delay", "delay": "200ms", "for": "10s"}`)
	if created || same.ID != 1 || time.Duration(same.Left) != 6*time.Second {
		t.Errorf("the same rule again: %+v, created %t", same, created)
	}
	fake.Advance(10 * time.Second)
	if now, err := f.Find("slow"); err != nil || now.State != netsim.FaultOver {
		t.Errorf("after its time: %+v, %v", now, err)
	}
	if again, _ := put(t, f, "slow", `{"action": "delay", "delay": "200ms", "for": "10s"}`); again.State != netsim.FaultActing {
		t.Errorf("put when it was over: %+v", again)
	}
	other, created := put(t, f, "1", `{"action": "refuse", "protocol": "tcp"}`)
	if created || other.ID != 1 || other.Rule.Action != "refuse" || other.Rule.Name != "" {
		t.Errorf("by its number: %+v, created %t", other, created)
	}
	if list := f.List(); len(list) != 2 || list[1].ID != 1 {
		t.Errorf("the order of evaluation is %+v", list)
	}
}

// Names are refused if they could be taken for numbers, or are no names, and so are references
// that are not clear.
func TestNamesOfFaults(t *testing.T) {
	f, _ := newFaults(t)
	drop := netsim.FaultSpec{Rule: topology.Rule{Action: "drop"}}
	for name, want := range map[string]string{
		"":                      "name: no name",
		"17":                    "name: there is no fault 17, and a name for a new one has something else than digits",
		"a\nb":                  "name: a name with control characters",
		strings.Repeat("é", 65): "name: a name of 65 characters, expected at most 64",
	} {
		var mistake *topology.RuleError
		if _, _, err := f.Put(name, drop); !errors.As(err, &mistake) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
	named := netsim.FaultSpec{Rule: topology.Rule{Name: "b", Action: "drop"}}
	if _, _, err := f.Put("a", named); err == nil || !strings.Contains(err.Error(), `"b" is not the name in the path`) {
		t.Errorf("another name in the rule: %v", err)
	}
	for range 2 {
		if _, err := f.AddSpec(named); err != nil {
			t.Fatal(err)
		}
	}
	var conflict *netsim.ConflictError
	if err := f.Delete("b"); !errors.As(err, &conflict) || !strings.Contains(err.Error(), `expected one of the numbers 2, 1`) {
		t.Errorf("two faults of one name: %v", err)
	}
	if err := f.Delete("2"); err != nil {
		t.Error(err)
	}
	if err := f.Delete("b"); err != nil {
		t.Error(err)
	}
	var missing *netsim.NotFoundError
	if err := f.Delete("b"); !errors.As(err, &missing) {
		t.Errorf("deleted again: %v", err)
	}
}

// A disabled fault applies to nothing, and begins from scratch when it is enabled.
func TestDisabledFault(t *testing.T) {
	f, fake := newFaults(t)
	put(t, f, "slow", `{"action": "delay", "delay": "1s", "for": "10s"}`)
	disable := func(disabled bool) netsim.Fault {
		t.Helper()
		now, err := f.Update("slow", func(s *netsim.FaultSpec) error { s.Disabled = disabled; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	fake.Advance(9 * time.Second)
	if now := disable(true); now.State != netsim.FaultDisabled || now.Left != 0 {
		t.Errorf("disabled: %+v", now)
	}
	fake.Advance(time.Hour)
	if now := disable(false); now.State != netsim.FaultActing || time.Duration(now.Left) != 10*time.Second {
		t.Errorf("enabled: %+v", now)
	}
	if _, err := f.Update("slow", func(s *netsim.FaultSpec) error { s.Rule.Delay = 0; return nil }); err == nil {
		t.Error("an update with a mistake is accepted")
	}
	if now, err := f.Find("slow"); err != nil || now.Rule.Delay != time.Second {
		t.Errorf("after the mistake: %+v, %v", now, err)
	}
}

// A set replaces all faults as a whole; those that stay keep their numbers and times.
func TestSetReplacesAllFaults(t *testing.T) {
	f, fake := newFaults(t)
	put(t, f, "goes", `{"action": "drop"}`)
	put(t, f, "stays", `{"action": "delay", "delay": "1s", "for": "10s"}`)
	fake.Advance(time.Second)
	specs := func(texts ...string) (list []netsim.FaultSpec) {
		for _, text := range texts {
			list = append(list, netsim.FaultSpec{Rule: rule(t, text)})
		}
		return list
	}
	_, err := f.Set(specs(`{"action": "drop"}`, `{"action": "loss", "loss": 2}`))
	var mistake *topology.RuleError
	if !errors.As(err, &mistake) || mistake.Key != "[1].loss" || len(f.List()) != 2 {
		t.Errorf("a mistake: %v, %d faults", err, len(f.List()))
	}
	list, err := f.Set(specs(`{"action": "refuse"}`, `{"name": "stays", "action": "delay", "delay": "1s", "for": "10s"}`))
	if err != nil || len(list) != 2 || list[0].ID != 3 || list[1].ID != 2 || time.Duration(list[1].Left) != 9*time.Second {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := f.Set(make([]netsim.FaultSpec, topology.MaxRules+1)); err == nil || !strings.Contains(err.Error(), "expected at most 256") {
		t.Errorf("too many: %v", err)
	}
	f.Restore()
	if list := f.List(); len(list) != 0 {
		t.Errorf("restored: %+v", list)
	}
}

// The rules of every preset are accepted in every topology of the program, and can be added twice
// and removed.
func TestPresets(t *testing.T) {
	for _, name := range fixtures.Topologies() {
		f := netsim.NewFaults(fixture(t, name), nil)
		defer f.Close()
		before := len(f.List())
		for _, p := range f.Presets() {
			var ids []int
			for range 2 {
				on, err := f.SetPreset(p.Name, true)
				if err != nil || !on.Active || len(on.Rules) == 0 {
					t.Fatalf("%s: %s: %+v, %v", name, p.Name, on, err)
				}
				first, err := f.Find(on.Rules[0].Name)
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, first.ID)
				if list := f.List(); list[0].ID != first.ID || len(list) != before+len(p.Rules) {
					t.Errorf("%s: %s: faults %+v", name, p.Name, list)
				}
			}
			if ids[0] != ids[1] {
				t.Errorf("%s: %s: the second time made another fault", name, p.Name)
			}
			if off, err := f.SetPreset(p.Name, false); err != nil || off.Active || len(f.List()) != before {
				t.Errorf("%s: %s: %+v, %v", name, p.Name, off, err)
			}
		}
		var missing *netsim.NotFoundError
		if _, err := f.SetPreset("no-such", true); !errors.As(err, &missing) {
			t.Errorf("an unknown preset: %v", err)
		}
	}
}
