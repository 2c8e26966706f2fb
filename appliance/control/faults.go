package control

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A FaultSpec is a fault as a request describes it. In JSON it is an object with the keys of the
// rule and the key "enabled", which is true by default.
type FaultSpec struct{ netsim.FaultSpec }

// UnmarshalJSON changes the parts of the fault that data has: a rule, "enabled", or both.
func (f *FaultSpec) UnmarshalJSON(data []byte) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	if enabled, ok := keys["enabled"]; ok {
		var on bool
		if err := json.Unmarshal(enabled, &on); err != nil || bytes.Equal(enabled, []byte("null")) {
			return &topology.RuleError{Key: "enabled", Message: "expected true or false"}
		}
		f.Disabled = !on
		delete(keys, "enabled")
	}
	rest, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	return json.Unmarshal(rest, &f.Rule)
}

// MarshalJSON returns the keys of the rule, and "enabled" if the fault is disabled.
func (f FaultSpec) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(f.Rule)
	if err != nil || !f.Disabled {
		return text, err
	}
	return append(bytes.TrimSuffix(text, []byte("}")), `,"enabled":false}`...), nil
}

func (s *Server) faultRoutes() []route {
	return []route{
		{"GET /v1/faults", s.listFaults},
		{"POST /v1/faults", s.addFault},
		{"PUT /v1/faults", s.setFaults},
		{"DELETE /v1/faults", s.clearFaults},
		{"GET /v1/faults/{fault}", s.getFault},
		{"PUT /v1/faults/{fault}", s.putFault},
		{"PATCH /v1/faults/{fault}", s.patchFault},
		{"DELETE /v1/faults/{fault}", s.removeFault},
		{"GET /v1/presets", s.listPresets},
		{"GET /v1/presets/{preset}", s.getPreset},
		{"PUT /v1/presets/{preset}", s.putPreset},
		{"DELETE /v1/presets/{preset}", s.removePreset},
	}
}

func (s *Server) listFaults(*http.Request) (any, error) { return s.box.Faults().List(), nil }

func (s *Server) addFault(r *http.Request) (any, error) {
	var spec FaultSpec
	body, err := readBody(r, &spec)
	if err != nil {
		return nil, err
	}
	f, err := s.box.Faults().AddSpec(spec.FaultSpec)
	return created{f}, inBody(err, body)
}

func (s *Server) setFaults(r *http.Request) (any, error) {
	var list []FaultSpec
	body, err := readBody(r, &list)
	if err != nil {
		return nil, err
	}
	specs := make([]netsim.FaultSpec, len(list))
	for i, f := range list {
		specs[i] = f.FaultSpec
	}
	faults, err := s.box.Faults().Set(specs)
	return faults, inBody(err, body)
}

func (s *Server) clearFaults(*http.Request) (any, error) {
	s.box.Faults().Clear()
	return nil, nil
}

func (s *Server) getFault(r *http.Request) (any, error) {
	return s.box.Faults().Find(r.PathValue("fault"))
}

func (s *Server) putFault(r *http.Request) (any, error) {
	var spec FaultSpec
	body, err := readBody(r, &spec)
	if err != nil {
		return nil, err
	}
	f, isNew, err := s.box.Faults().Put(r.PathValue("fault"), spec.FaultSpec)
	if isNew {
		return created{f}, nil
	}
	return f, inBody(err, body)
}

func (s *Server) patchFault(r *http.Request) (any, error) {
	var keys map[string]json.RawMessage
	body, err := readBody(r, &keys)
	if err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, badRequest("expected a JSON object")
	}
	f, err := s.box.Faults().Update(r.PathValue("fault"), func(spec *netsim.FaultSpec) error {
		next, err := merged(*spec, keys)
		*spec = next
		return err
	})
	return f, inBody(err, body)
}

// merged returns a fault with some keys changed or, if their value is null, removed, as a JSON
// merge patch (RFC 7396) does it.
func merged(old netsim.FaultSpec, keys map[string]json.RawMessage) (netsim.FaultSpec, error) {
	text, err := json.Marshal(FaultSpec{old})
	if err != nil {
		return old, err
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &all); err != nil {
		return old, err
	}
	for key, value := range keys {
		if string(value) == "null" {
			delete(all, key)
		} else {
			all[key] = value
		}
	}
	if text, err = json.Marshal(all); err != nil {
		return old, err
	}
	var next FaultSpec
	err = json.Unmarshal(text, &next)
	return next.FaultSpec, err
}

func (s *Server) removeFault(r *http.Request) (any, error) {
	return nil, s.box.Faults().Delete(r.PathValue("fault"))
}

func (s *Server) listPresets(*http.Request) (any, error) { return s.box.Faults().Presets(), nil }

func (s *Server) getPreset(r *http.Request) (any, error) {
	return s.box.Faults().Preset(r.PathValue("preset"))
}

func (s *Server) putPreset(r *http.Request) (any, error) {
	return s.box.Faults().SetPreset(r.PathValue("preset"), true)
}

func (s *Server) removePreset(r *http.Request) (any, error) {
	_, err := s.box.Faults().SetPreset(r.PathValue("preset"), false)
	return nil, err
}
