package mta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/appliance/mta/listener"
)

// state is what an administrator has suspended. It survives a restart.
type state struct {
	Listeners []string   `json:"listeners,omitempty"` // names
	Delivery  bool       `json:"delivery,omitempty"`
	WorkQueue *PauseInfo `json:"work_queue,omitempty"`
}

// A PauseInfo records the user who paused the work queue, and the reason that the user gave.
type PauseInfo struct {
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// loadState reads the file. A missing or empty one suspends nothing.
func loadState(file string) (state, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	var v state
	if err := json.Unmarshal(b, &v); err != nil {
		return state{}, fmt.Errorf("parse the file of suspended parts: %w", err)
	}
	return v, nil
}

// change changes the state and writes it to the file. If the file cannot be written, the change
// holds until the next restart; that is logged.
func (s *Server) change(f func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.state)
	b, err := json.MarshalIndent(s.state, "", "\t")
	if err == nil {
		err = atomicfile.WriteSynced(s.o.StateFile, append(b, '\n'))
	}
	if err != nil {
		s.o.Logger.Warn("the file of suspended parts cannot be written", "err", err)
	}
}

// applyState suspends what was suspended before a restart.
func (s *Server) applyState() {
	s.mu.Lock()
	v := s.state
	s.mu.Unlock()
	if len(v.Listeners) > 0 {
		s.Listener.Suspend(context.Background(), v.Listeners...) // there are no sessions to wait for
	}
	if v.Delivery {
		s.Delivery.Suspend(context.Background())
	}
	if v.WorkQueue != nil {
		s.Pipeline.Pause()
	}
}

// SuspendListeners has the named listeners refuse connections, all for none, and returns the names
// of those that did not before. It waits for their sessions, and cuts off those that are left when
// ctx ends.
func (s *Server) SuspendListeners(ctx context.Context, names ...string) []string {
	changed := s.Listener.Suspend(ctx, names...)
	s.change(func(v *state) { v.Listeners = s.suspendedListeners() })
	return changed
}

// ResumeListeners has the named listeners accept connections again, all for none, and returns the
// names of those that did not.
func (s *Server) ResumeListeners(names ...string) []string {
	changed := s.Listener.Resume(names...)
	s.change(func(v *state) { v.Listeners = s.suspendedListeners() })
	return changed
}

func (s *Server) suspendedListeners() (names []string) {
	for _, l := range s.Listeners() {
		if s.Listener.Suspended(l.Name) {
			names = append(names, l.Name)
		}
	}
	return names
}

// Listeners returns the committed listeners that administrators know of: not the one for a central
// quarantine.
func (s *Server) Listeners() []listener.Listener {
	return slices.DeleteFunc(slices.Clone(listener.Section.Get(s.o.Committed()).Listeners),
		func(l listener.Listener) bool { return l.Type == listener.Quarantine })
}

// SuspendDelivery stops deliveries, and cuts off those that are left when ctx ends. It reports
// whether they were not suspended before.
func (s *Server) SuspendDelivery(ctx context.Context) bool {
	s.change(func(v *state) { v.Delivery = true }) // before the wait, which may end with the process
	changed := s.Delivery.Suspend(ctx)
	if !s.Delivery.Suspended() { // resumed in the meantime
		s.change(func(v *state) { v.Delivery = false })
	}
	return changed
}

// ResumeDelivery takes deliveries up again. It reports whether they were suspended.
func (s *Server) ResumeDelivery() bool {
	changed := s.Delivery.Resume()
	s.change(func(v *state) { v.Delivery = false })
	return changed
}

// PauseWorkQueue has messages wait before the work queue's stages. It reports whether the work
// queue was not paused before.
func (s *Server) PauseWorkQueue(p PauseInfo) bool {
	changed := s.Pipeline.Pause()
	if changed {
		s.change(func(v *state) { v.WorkQueue = &p })
	}
	return changed
}

// ResumeWorkQueue goes on with the messages that wait. It reports whether the work queue was
// paused.
func (s *Server) ResumeWorkQueue() bool {
	changed := s.Pipeline.Resume()
	s.change(func(v *state) { v.WorkQueue = nil })
	return changed
}

// PausedBy returns by whom and why the work queue was paused, or nil if it is not paused.
func (s *Server) PausedBy() *PauseInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.WorkQueue
}

// ReceivingSuspended reports whether all listeners are suspended.
func (s *Server) ReceivingSuspended() bool {
	list := s.Listeners()
	return len(list) > 0 && len(s.suspendedListeners()) == len(list)
}

// A Condition says which parts of the mail system are at work, in the words of status.
type Condition string

// The conditions. Offline means that neither receiving nor delivery is at work. If several parts
// are suspended, the condition names the first of receiving, delivery and the work queue.
const (
	Online             Condition = "Online"
	Offline            Condition = "Offline"
	ReceivingSuspended Condition = "Receiving Suspended"
	DeliverySuspended  Condition = "Delivery Suspended"
	WorkQueuePaused    Condition = "Work Queue Paused"
)

// Condition returns the present condition.
func (s *Server) Condition() Condition {
	receiving, delivery := s.ReceivingSuspended(), s.Delivery.Suspended()
	switch {
	case receiving && delivery:
		return Offline
	case receiving:
		return ReceivingSuspended
	case delivery:
		return DeliverySuspended
	case s.Pipeline.Status().Paused:
		return WorkQueuePaused
	}
	return Online
}
