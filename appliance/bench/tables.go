package bench

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/network"
)

func (s *Server) tableRoutes() []route {
	return []route{
		{"GET /tables", s.showTables},
		{"GET /tables/live", s.streamTables},
	}
}

// A countersView is the counters of an interface.
type countersView struct {
	Name string
	network.Counters
}

// A tablesView is the data of the page of the appliance's tables.
type tablesView struct {
	Sockets   []network.Socket
	Neighbors []network.Neighbor
	Routes    []network.Route
	Counters  []countersView
}

func (s *Server) tablesView() (any, error) {
	net := s.box.Appliance().Net
	var v tablesView
	var errs [3]error
	v.Sockets, errs[0] = net.Sockets()
	v.Neighbors, errs[1] = net.Neighbors()
	v.Routes, errs[2] = net.Routes()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(v.Sockets, func(a, b network.Socket) int { // listeners come last
		return cmp.Compare(strings.Count(a.State, "LISTEN"), strings.Count(b.State, "LISTEN"))
	})
	for _, i := range net.Interfaces() {
		c, err := net.Counters(i.Name)
		if err != nil {
			return nil, err
		}
		v.Counters = append(v.Counters, countersView{i.Name, c})
	}
	return v, nil
}

func (s *Server) showTables(v *visit) error {
	view, err := s.tablesView()
	if err != nil {
		return err
	}
	return s.show(v, "tables.html", page{Title: "Tables", Wide: true, Data: view})
}

func (s *Server) streamTables(v *visit) error {
	return s.streamParts(v, "tables.html", s.tablesView, "sockets", "neighbors", "routes", "counters")
}
