package bench

import (
	"fmt"
	"io"
	"mime"
	"net/url"
	"strconv"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

func (s *Server) mailRoutes() []route {
	return []route{
		{"GET /mail/{server}", s.showMailbox},
		{"GET /mail/{server}/live", s.streamMailbox},
		{"POST /mail/{server}/clear", s.clearMailbox},
		{"GET /mail/{server}/{message}", s.showMessage},
		{"GET /mail/{server}/{message}/raw", s.downloadMessage},
	}
}

// maxShownMessages is the number of messages in a list; the newest ones.
const maxShownMessages = 500

// A mailboxView is the data of the page of a mailbox. The newest message is the first.
type mailboxView struct {
	Server   string
	Received int
	Dropped  int
	Messages []box.MessageSummary
	Rules    []peers.MailRuleState
	Form     string
}

// Path returns the address of the page, or of a message on it.
func (v mailboxView) Path() string { return "/mail/" + url.PathEscape(v.Server) }

func (s *Server) mailboxView(server string) (any, error) {
	m, err := s.box.Mail(server)
	if err != nil {
		return nil, err
	}
	mailbox := m.Mailbox()
	v := mailboxView{Server: server, Received: mailbox.Received, Dropped: mailbox.Dropped,
		Rules: m.Rules(), Form: s.access.form}
	for i := len(mailbox.Messages) - 1; i >= 0 && len(v.Messages) < maxShownMessages; i-- {
		v.Messages = append(v.Messages, mailbox.Messages[i])
	}
	return v, nil
}

func (s *Server) showMailbox(v *visit) error {
	server := v.PathValue("server")
	view, err := s.mailboxView(server)
	if err != nil {
		return err
	}
	return s.show(v, "mailbox.html", page{Title: "Mail at " + server, Data: view})
}

func (s *Server) streamMailbox(v *visit) error {
	return s.streamParts(v, "mailbox.html",
		func() (any, error) { return s.mailboxView(v.PathValue("server")) }, "messages")
}

func (s *Server) clearMailbox(v *visit) error {
	m, err := s.box.Mail(v.PathValue("server"))
	if err != nil {
		return err
	}
	m.Clear()
	return v.redirect("/mail/" + url.PathEscape(m.Name()))
}

// messageOf returns the message of a request.
func (s *Server) messageOf(v *visit) (m *box.MailServer, id int, err error) {
	if m, err = s.box.Mail(v.PathValue("server")); err != nil {
		return nil, 0, err
	}
	if id, err = strconv.Atoi(v.PathValue("message")); err != nil {
		return nil, 0, badRequest("%q is not the number of a message.", v.PathValue("message"))
	}
	return m, id, nil
}

// maxSource is how much of the source of a message a page shows.
const maxSource = 256 << 10

// A messageView is the data of the page of a message.
type messageView struct {
	box.MessageContent
	Server, Path, As string
	Source           string // the message as it was received, if that is asked for
	Cut              bool   // whether Source is only the beginning
}

func (s *Server) showMessage(v *visit) error {
	m, id, err := s.messageOf(v)
	if err != nil {
		return err
	}
	content, err := m.Content(id)
	if err != nil {
		return err
	}
	view := messageView{MessageContent: content, Server: m.Name(), As: v.FormValue("as"),
		Path: fmt.Sprintf("/mail/%s/%d", url.PathEscape(m.Name()), id)}
	if view.As == "source" {
		raw, err := m.Message(id)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(raw.Reader(), maxSource+1))
		if err != nil {
			return err
		}
		if view.Cut = len(text) > maxSource; view.Cut {
			text = text[:maxSource]
		}
		view.Source = string(text)
	}
	title := content.Subject
	if title == "" {
		title = fmt.Sprintf("Message %d", id)
	}
	return s.show(v, "message.html", page{Title: title, Data: view})
}

func (s *Server) downloadMessage(v *visit) error {
	m, id, err := s.messageOf(v)
	if err != nil {
		return err
	}
	raw, err := m.Message(id)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "message/rfc822")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment",
		map[string]string{"filename": fmt.Sprintf("%s-%d.eml", m.Name(), id)}))
	_, _ = io.Copy(v.w, raw.Reader()) // an error means that the client has gone
	return nil
}
