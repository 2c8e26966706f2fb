package config_test

import (
	"context"
	"errors"
	"testing"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// A stubborn applier fails when the host name is "refused", and records the host names that it was
// given.
type stubborn struct{ names []string }

func (s *stubborn) Apply(_ context.Context, old, next *config.Config) error {
	name := hostname.Get(next)
	s.names = append(s.names, name)
	if name == "refused.example.com" && !config.Undoes(old, next) {
		return refusal.New("no")
	}
	return nil
}

func (s *stubborn) Done(context.Context, *config.Config, *config.Config) {
	s.names = append(s.names, "done")
}

// A change of the factory reaches the sections that no commit has set, is applied, and is no commit.
func TestEditFactory(t *testing.T) {
	applier := &stubborn{}
	s := config.NewStore(applier)
	rename := func(name string) error {
		return s.EditFactory(t.Context(), func(f *config.Factory) { hostname.SetFactory(f, name) })
	}
	if err := rename("a.example.com"); err != nil {
		t.Fatal(err)
	}
	c := s.Committed()
	if hostname.Get(c) != "a.example.com" || c.Revision() != 0 || !hostname.IsFactory(c) ||
		len(s.History()) != 0 {
		t.Errorf("the host name is %s in revision %d", hostname.Get(c), c.Revision())
	}
	if len(applier.names) != 2 || applier.names[0] != "a.example.com" || applier.names[1] != "done" {
		t.Errorf("the applier has seen %v", applier.names)
	}
	// What cannot be applied, or is not valid, changes nothing.
	applier.names = nil
	var text string
	if err := rename("refused.example.com"); err == nil {
		t.Error("a refused change succeeds")
	} else if text, _ = refusal.Text(err); text != "no" {
		t.Errorf("the refusal is %q: %v", text, err)
	}
	if n := applier.names; len(n) != 2 || n[1] != "a.example.com" {
		t.Errorf("the applier has seen %v", n)
	}
	var invalid *config.InvalidError
	if err := rename(""); !errors.As(err, &invalid) {
		t.Errorf("an invalid name: %v", err)
	}
	if err := rename("broken.example.com"); err == nil {
		t.Error("a check that fails is ignored")
	}
	if hostname.Get(s.Committed()) != "a.example.com" {
		t.Errorf("the host name is %s", hostname.Get(s.Committed()))
	}
	// A draft that began before is in conflict, as after a commit.
	d := s.NewDraft()
	hostname.Set(d, "mine.example.com")
	if err := rename("b.example.com"); err != nil {
		t.Fatal(err)
	}
	var conflict *config.ConflictError
	if _, err := s.Commit(t.Context(), d, config.CommitInfo{}); !errors.As(err, &conflict) {
		t.Errorf("a draft of before: %v", err)
	}
	// What an administrator has committed holds; a reset returns to the factory as it is then.
	d = s.NewDraft()
	hostname.Set(d, "mine.example.com")
	if _, err := s.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	if err := rename("c.example.com"); err != nil {
		t.Fatal(err)
	}
	if c := s.Committed(); hostname.Get(c) != "mine.example.com" || hostname.IsFactory(c) || c.Revision() != 1 {
		t.Errorf("the host name is %s", hostname.Get(c))
	}
	s.ResetToFactory(d)
	if _, err := s.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	if got := hostname.Get(s.Committed()); got != "c.example.com" {
		t.Errorf("after a reset the host name is %s", got)
	}
}
