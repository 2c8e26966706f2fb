package bench

import (
	"encoding/json"
	"net/url"
	"slices"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

func (s *Server) serverRoutes() []route {
	return []route{
		{"GET /servers", s.showServers},
		{"GET /servers/live", s.streamServers},
		{"POST /servers/switch", s.switchServer},
		{"GET /servers/of/{name...}", s.showServer},
		{"GET /servers/live-of/{name...}", s.streamServer},
	}
}

// maxShownRecords is the number of syslog records that a page shows; the newest ones.
const maxShownRecords = 500

// A serverView describes a simulated server.
type serverView struct {
	netsim.Server
	Mail   string // the name of the mail server, if it is one
	Taken  string // what it has received, in short
	Syslog *peers.SyslogReport
	Lost   int    // records that are not shown
	JSON   string // the report of any other server
	Form   string
}

// Path returns the address of the page of the server.
func (v serverView) Path() string { return "/servers/of/" + v.Name }

// Live returns the address of the stream of that page.
func (v serverView) Live() string { return "/servers/live-of/" + v.Name }

// MailPath returns the address of the mailbox.
func (v serverView) MailPath() string { return "/mail/" + url.PathEscape(v.Mail) }

func (s *Server) serverViewOf(x netsim.Server) serverView {
	v := serverView{Server: x, Form: s.access.form}
	if x.Type == peers.MailKind {
		for _, name := range s.box.World().MailServers() {
			if name == x.Name || name == x.Host {
				v.Mail = name
			}
		}
	}
	switch r := x.Report.(type) {
	case nil:
	case peers.SyslogReport:
		v.Taken = plural(r.Taken, "record")
		if n := len(r.Records) - maxShownRecords; n > 0 {
			v.Lost, r.Records = n, r.Records[n:]
		}
		v.Syslog = &r
	case peers.MessageReport:
		v.Taken = plural(r.Taken, "message")
	default:
		text, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			v.JSON = string(text)
		}
	}
	return v
}

// A serversView is the data of the list of servers.
type serversView struct {
	Servers []serverView
	Form    string
}

func (s *Server) serversView() (any, error) {
	view := serversView{Form: s.access.form}
	for _, x := range s.box.World().Servers() {
		view.Servers = append(view.Servers, s.serverViewOf(x))
	}
	return view, nil
}

func (s *Server) showServers(v *visit) error {
	view, err := s.serversView()
	if err != nil {
		return err
	}
	return s.show(v, "servers.html", page{Title: "Servers", Data: view})
}

func (s *Server) streamServers(v *visit) error {
	return s.streamParts(v, "servers.html", s.serversView, "servers")
}

// switchServer starts or stops a server.
func (s *Server) switchServer(v *visit) error {
	if err := s.box.WaitSettled(v.Context()); err != nil {
		return err
	}
	name, w := v.PostFormValue("server"), s.box.World()
	var err error
	if v.PostFormValue("do") == "start" {
		err = w.StartServer(v.Context(), name)
	} else {
		err = w.StopServer(name)
	}
	if err != nil {
		return err
	}
	back := v.PostFormValue("back")
	if !slices.Contains([]string{"/servers", "/servers/of/" + name}, back) {
		back = "/servers"
	}
	return v.redirect((&url.URL{Path: back}).String())
}

func (s *Server) showServer(v *visit) error {
	x, err := s.box.World().Server(v.PathValue("name"))
	if err != nil {
		return err
	}
	return s.show(v, "server.html", page{Title: x.Name, Data: s.serverViewOf(x)})
}

func (s *Server) streamServer(v *visit) error {
	return s.streamParts(v, "server.html", func() (any, error) {
		x, err := s.box.World().Server(v.PathValue("name"))
		return s.serverViewOf(x), err
	}, "server")
}
