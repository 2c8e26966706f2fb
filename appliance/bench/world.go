package bench

import (
	"fmt"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
)

func (s *Server) worldRoutes() []route {
	return []route{
		{"GET /world", s.showWorld},
		{"GET /world/live", s.streamWorld},
		{"POST /world/clock", s.setClock},
		{"POST /world/advance", s.advanceClock},
		{"POST /world/reset", s.reset},
	}
}

// A worldView is the data of the page about the clock and the whole world.
type worldView struct {
	Now        time.Time
	Rate       int
	Up         bool
	Why        string // why the appliance is not up
	Since      time.Time
	Persistent bool // a reset discards a data directory
	Done       string
	Form       string
}

// Input returns the time as a field of a form has it.
func (v worldView) Input() string { return v.Now.Format("2006-01-02T15:04:05") }

func (s *Server) worldView() (any, error) {
	v := worldView{Now: s.box.Now(), Rate: s.box.ClockRate(), Persistent: s.box.Persistent(),
		Form: s.access.form}
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
	if s.box.Persistent() && v.PostFormValue("confirm") != "yes" {
		return badRequest("A reset discards configuration, files and mail of a data directory that" +
			" outlasts the simulator: tick the box to confirm that.")
	}
	if err := s.box.WaitSettled(v.Context()); err != nil {
		return err
	}
	began := clock.System().Mark()
	if err := s.box.Reset(v.Context()); err != nil {
		return unavailable("%v", err)
	}
	took := clock.System().Since(began).Round(time.Millisecond)
	return v.redirect("/world?done=" + fmt.Sprint(took))
}
