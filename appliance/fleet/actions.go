package fleet

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim"
)

// An Outcome says what became of an action on several appliances.
type Outcome struct {
	Done []string `json:"done"` // the names of the appliances on which it was done
	// Failed says why it was not done, by the name of the appliance. Appliances that do not run are
	// left out of an action, and are not here.
	Failed map[string]string `json:"failed,omitempty"`
}

// and returns what became of o and of a later action.
func (o Outcome) and(later Outcome) Outcome {
	later.Done = append(o.Done, later.Done...)
	maps.Copy(later.Failed, o.Failed)
	return later
}

// act does something on the running ones of members, at most parallel at a time. When ctx ends, no
// more begin.
func (f *Fleet) act(ctx context.Context, members []*Member, parallel int, do func(*Member) error) Outcome {
	var running []*Member
	for _, m := range members {
		if m.State() == Running {
			running = append(running, m)
		}
	}
	errs := make(map[*Member]error)
	results := make(chan struct {
		m   *Member
		err error
	}, len(running))
	_ = f.each(running, parallel, func(m *Member) error {
		err := context.Cause(ctx)
		if err == nil {
			err = do(m)
		}
		results <- struct {
			m   *Member
			err error
		}{m, err}
		return nil
	})
	close(results)
	for r := range results {
		errs[r.m] = r.err
	}
	o := Outcome{Done: []string{}, Failed: map[string]string{}}
	for _, m := range running {
		if err := errs[m]; err != nil {
			o.Failed[m.Name] = err.Error()
		} else {
			o.Done = append(o.Done, m.Name)
		}
	}
	return o
}

// Reboot reboots the running appliances, at most parallel of them at a time; 0 means 1. The next one
// begins when one is up again. It blocks until all are up. When ctx ends, no more begin.
func (f *Fleet) Reboot(ctx context.Context, parallel int) Outcome {
	return f.act(ctx, f.members, max(parallel, 1), func(m *Member) error {
		if b := m.Box(); b != nil {
			return b.Reboot(context.WithoutCancel(ctx))
		}
		return ErrStopped
	})
}

// Reset puts the running appliances and their worlds back to the state after their start, the
// networks first. Outcome names these too.
func (f *Fleet) Reset(ctx context.Context) Outcome {
	reset := func(m *Member) error {
		if b := m.Box(); b != nil {
			return b.Reset(ctx)
		}
		return ErrStopped
	}
	networks := f.act(ctx, f.networks, 1, reset)
	return networks.and(f.act(ctx, f.members, runtime.GOMAXPROCS(0), reset))
}

// A ClockChange sets the clocks of a fleet: that of the appliance in place P of the shard to Time,
// or to its own time if Time is zero, plus Advance, plus P times Step.
type ClockChange struct {
	Time    time.Time
	Advance time.Duration
	Step    time.Duration
}

// SetClocks sets the clocks of the running appliances. With a Step, they are staggered. Networks come
// first, as if they were in place 0. Outcome names these too, unless there is nothing but a Step.
func (f *Fleet) SetClocks(ctx context.Context, c ClockChange) Outcome {
	places := map[*Member]int{}
	for i, m := range f.members {
		places[m] = i
	}
	set := func(m *Member) error {
		b := m.Box()
		if b == nil {
			return ErrStopped
		}
		shift := c.Advance + time.Duration(places[m])*c.Step
		if c.Time.IsZero() {
			return b.Advance(shift)
		}
		return b.SetTime(c.Time.Add(shift))
	}
	networks := Outcome{}
	if c.Advance != 0 || !c.Time.IsZero() {
		networks = f.act(ctx, f.networks, 1, set)
	}
	return networks.and(f.act(ctx, f.members, runtime.GOMAXPROCS(0), set))
}

// share returns so many of the appliances, spread evenly over the shard: always the same ones.
func (f *Fleet) share(share float64) []*Member {
	var list []*Member
	for i, m := range f.members {
		if math.Floor(float64(i+1)*share) > math.Floor(float64(i)*share) {
			list = append(list, m)
		}
	}
	return list
}

// PutFault makes the fault of a name what s says on a share of the appliances, from more than 0 to 1,
// and removes it from the others: see netsim.Faults.Put. The appliances are spread evenly over the
// shard, and are always the same ones. The error is one of the share; errors of the fault are those
// of Outcome.
func (f *Fleet) PutFault(ctx context.Context, name string, s netsim.FaultSpec, share float64) (Outcome, error) {
	if !(share > 0 && share <= 1) { // what is not a number is wrong too
		return Outcome{}, fmt.Errorf("share %v, expected more than 0 and at most 1", share)
	}
	chosen := map[*Member]bool{}
	for _, m := range f.share(share) {
		chosen[m] = true
	}
	var members []*Member
	for _, m := range f.members {
		if chosen[m] {
			members = append(members, m)
		} else if b := m.Box(); b != nil {
			_ = b.Faults().Delete(name) // it is fine if there is none
		}
	}
	return f.act(ctx, members, runtime.GOMAXPROCS(0), func(m *Member) error {
		b := m.Box()
		if b == nil {
			return ErrStopped
		}
		_, _, err := b.Faults().Put(name, s)
		return err
	}), nil
}

// RemoveFault removes the fault of a name from all appliances. Done names those that had it.
func (f *Fleet) RemoveFault(name string) Outcome {
	o := Outcome{Done: []string{}}
	for _, m := range f.members {
		if b := m.Box(); b != nil && b.Faults().Delete(name) == nil {
			o.Done = append(o.Done, m.Name)
		}
	}
	return o
}
