package bench

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

func (s *Server) faultRoutes() []route {
	return []route{
		{"GET /faults", s.showFaults},
		{"GET /faults/live", s.streamFaults},
		{"POST /faults/add", s.addFault},
		{"POST /faults/change", s.changeFault},
		{"POST /faults/preset", s.setPreset},
		{"POST /faults/clear", s.clearFaults},
	}
}

// A faultsView is the data of the page of the faults.
type faultsView struct {
	Presets []netsim.Preset
	Faults  []box.Breakage
	Actions []string
	Form    string
}

func (s *Server) faultsView() (any, error) {
	actions := topology.Actions()
	return faultsView{s.box.Faults().Presets(), s.box.Breakages(), actions, s.access.form}, nil
}

func (s *Server) showFaults(v *visit) error {
	view, err := s.faultsView()
	if err != nil {
		return err
	}
	return s.show(v, "faults.html", page{Title: "Faults", Data: view})
}

func (s *Server) streamFaults(v *visit) error {
	return s.streamParts(v, "faults.html", s.faultsView, "presets", "faults")
}

func (s *Server) addFault(v *visit) error {
	rule, err := ruleOf(v.PostForm)
	if err != nil {
		return err
	}
	if name := strings.TrimSpace(v.PostFormValue("name")); name != "" {
		_, _, err = s.box.Faults().Put(name, netsim.FaultSpec{Rule: rule})
	} else {
		_, err = s.box.Faults().Add(rule)
	}
	if err != nil {
		return err
	}
	return v.redirect("/faults")
}

// changeFault enables, disables or removes a fault.
func (s *Server) changeFault(v *visit) error {
	id, faults := v.PostFormValue("fault"), s.box.Faults()
	var err error
	if v.PostFormValue("do") == "remove" {
		err = faults.Delete(id)
	} else {
		_, err = faults.Update(id, func(f *netsim.FaultSpec) error {
			f.Disabled = v.PostFormValue("do") == "disable"
			return nil
		})
	}
	if err != nil {
		return err
	}
	return v.redirect("/faults")
}

func (s *Server) setPreset(v *visit) error {
	on := v.PostFormValue("on") == "yes"
	if _, err := s.box.Faults().SetPreset(v.PostFormValue("preset"), on); err != nil {
		return err
	}
	return v.redirect("/faults")
}

func (s *Server) clearFaults(v *visit) error {
	s.box.Faults().Clear()
	return v.redirect("/faults")
}

// ruleKeys are the fields of a form that are conditions of a rule.
func ruleKeys() []string {
	return []string{
		"protocol", "port", "connections", "for", "after", "after_bytes", "from", "to", "host",
		"path", "cable", "direction", "jitter",
	}
}

// amountKeys are the keys of rules that take the amount of an action.
func amountKeys() map[string]string {
	return map[string]string{"delay": "delay", "loss": "loss", "rate": "rate"}
}

// amountExamples are amounts of actions.
func amountExamples() map[string]string {
	return map[string]string{"delay": "500ms", "loss": "20%", "rate": "64k"}
}

// ruleOf returns the fault that a form describes.
func ruleOf(form url.Values) (topology.Rule, error) {
	action, amount := form.Get("action"), strings.TrimSpace(form.Get("amount"))
	fields := map[string]string{"action": action}
	for _, key := range ruleKeys() {
		if text := strings.TrimSpace(form.Get(key)); text != "" {
			fields[key] = text
		}
	}
	key, has := amountKeys()[action]
	switch {
	case has && amount == "":
		return topology.Rule{}, badRequest("The action %s needs an amount, such as %s.",
			action, amountExamples()[action])
	case has:
		fields[key] = amount
	case amount != "":
		return topology.Rule{}, badRequest(
			"The action %s has no amount: leave the field empty, or choose delay, loss or rate.", action)
	}
	return decodeRule(fields)
}

// decodeRule returns the rule with the given fields, which are written as in a topology. The error
// is a *topology.RuleError.
func decodeRule(fields map[string]string) (r topology.Rule, err error) {
	text, err := json.Marshal(fields)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}
