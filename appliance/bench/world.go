package bench

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim"
)

func (s *Server) worldRoutes() []route {
	return []route{
		{"GET /world", s.showWorld},
		{"GET /world/live", s.streamWorld},
		{"POST /world/clock", s.setClock},
		{"POST /world/advance", s.advanceClock},
		{"POST /world/reset", s.reset},
		{"POST /world/snapshot", s.saveSnapshot},
		{"POST /world/restore", s.restoreSnapshot},
		{"POST /world/remove", s.removeSnapshot},
		{"GET /world/snapshots/{name}", s.downloadSnapshot},
	}
}

// A worldView is the data of the page about the clock and the whole world.
type worldView struct {
	Now        time.Time
	Rate       int
	Up         bool
	Why        string // why the appliance is not up
	Since      time.Time
	Persistent bool   // a reset discards a data directory
	Done       string // what has been done
	Snapshots  []box.SnapshotInfo
	Form       string
}

// Input returns the time as a field of a form has it.
func (v worldView) Input() string { return v.Now.Format("2006-01-02T15:04:05") }

func (s *Server) worldView() (any, error) {
	v := worldView{Now: s.box.Now(), Rate: s.box.ClockRate(), Persistent: s.box.Persistent(),
		Snapshots: s.box.Snapshots(), Form: s.access.form}
	health, err := s.box.Health()
	v.Up, v.Since = err == nil, health.Since
	if err != nil {
		v.Why = err.Error()
	}
	return v, nil
}

func (s *Server) showWorld(v *visit) error {
	data, err := s.worldView()
	if err != nil {
		return err
	}
	view := data.(worldView)
	view.Done = v.FormValue("done")
	return s.show(v, "world.html", page{Title: "World", Data: view})
}

func (s *Server) streamWorld(v *visit) error {
	return s.streamParts(v, "world.html", s.worldView, "state")
}

// setTime sets the appliance's clock.
func (s *Server) setTime(t time.Time) error {
	if y := t.Year(); y < appliance.MinYear || y > appliance.MaxYear {
		return badRequest("The clock cannot be set to the year %d: expected one from %d to %d.",
			y, appliance.MinYear, appliance.MaxYear)
	}
	return s.box.SetTime(t)
}

func (s *Server) setClock(v *visit) error {
	if err := s.box.WaitSettled(v.Context()); err != nil {
		return err
	}
	text := strings.Replace(strings.TrimSpace(v.PostFormValue("time")), " ", "T", 1)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		t, err := time.ParseInLocation(layout, text, s.box.Now().Location())
		if err != nil {
			continue
		}
		if err := s.setTime(t); err != nil {
			return err
		}
		return v.redirect("/world")
	}
	return badRequest("%q is not a time: expected one such as 2026-05-17 08:30:00.", text)
}

func (s *Server) advanceClock(v *visit) error {
	if err := s.box.WaitSettled(v.Context()); err != nil {
		return err
	}
	text := strings.TrimSpace(v.PostFormValue("by"))
	d, err := time.ParseDuration(text)
	if err != nil {
		return badRequest("%q is not a time span: expected one such as 90s, 2h or -1h.", text)
	}
	if y := s.box.Now().Add(d).Year(); y < appliance.MinYear || y > appliance.MaxYear {
		return badRequest("The clock cannot be set to the year %d: expected one from %d to %d.",
			y, appliance.MinYear, appliance.MaxYear)
	}
	if err := s.box.Advance(d); err != nil {
		return err
	}
	return v.redirect("/world")
}

// reset puts the world back to the state of the start.
func (s *Server) reset(v *visit) error {
	return s.returnTo(v, "The world is as it was after the start.", s.box.Reset)
}

// returnTo puts the world back by a function, and says what is done then.
func (s *Server) returnTo(v *visit, done string, back func(context.Context) error) error {
	if s.box.Persistent() && v.PostFormValue("confirm") != "yes" {
		return badRequest("That discards configuration, files and mail of a data directory that" +
			" outlasts the simulator: tick the box to confirm that.")
	}
	if err := s.box.WaitSettled(v.Context()); err != nil {
		return err
	}
	began := clock.System().Mark()
	if err := back(v.Context()); err != nil {
		return snapshotError(err)
	}
	took := clock.System().Since(began).Round(time.Millisecond)
	text := fmt.Sprintf("%s That took %v.", done, took)
	return v.redirect("/world?" + url.Values{"done": {text}}.Encode())
}

// snapshotError translates errors of resets and snapshots.
func snapshotError(err error) error {
	var wrong *box.SnapshotError
	var missing *netsim.NotFoundError
	var conflict *netsim.ConflictError
	switch {
	case errors.As(err, &wrong):
		return badRequest("%s", wrong.Text)
	case errors.As(err, &missing), errors.As(err, &conflict):
		return err
	}
	return unavailable("%v", err)
}

func (s *Server) saveSnapshot(v *visit) error {
	name := strings.TrimSpace(v.PostFormValue("name"))
	if _, err := s.box.Snapshot(v.Context(), name); err != nil {
		return snapshotError(err)
	}
	text := fmt.Sprintf("The snapshot %s was saved.", name)
	return v.redirect("/world?" + url.Values{"done": {text}}.Encode())
}

func (s *Server) restoreSnapshot(v *visit) error {
	name := v.PostFormValue("name")
	return s.returnTo(v, fmt.Sprintf("The world is as in the snapshot %s.", name),
		func(ctx context.Context) error { return s.box.Restore(ctx, name) })
}

func (s *Server) removeSnapshot(v *visit) error {
	if err := s.box.RemoveSnapshot(v.PostFormValue("name")); err != nil {
		return err
	}
	return v.redirect("/world")
}

// downloadSnapshot sends the file of a snapshot, which esasim ctl reads again.
func (s *Server) downloadSnapshot(v *visit) error {
	name := v.PathValue("name")
	known := func(x box.SnapshotInfo) bool { return x.Name == name }
	if !slices.ContainsFunc(s.box.Snapshots(), known) {
		return refuse(http.StatusNotFound, "There is no snapshot %s.", name)
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/x-tar")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment",
		map[string]string{"filename": name + ".tar"}))
	if err := s.box.WriteSnapshot(name, v.w); err != nil {
		panic(http.ErrAbortHandler) // the client must not take the file for complete
	}
	return nil
}
