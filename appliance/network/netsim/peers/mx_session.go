package peers

import (
	"errors"
	"io"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

func (x *MailExchanger) newSession(c *smtp.Conn) (smtp.Session, error) {
	s := &mailSession{x: x, conn: c, proxy: c.Conn().(*smtpProxy)}
	s.proxy.session = s
	if x.behavior.user != "" {
		return authSession{s}, nil
	}
	return s, nil
}

// A mailSession implements smtp.Session for one connection.
type mailSession struct {
	x     *MailExchanger
	conn  *smtp.Conn
	proxy *smtpProxy
	user  string // that has logged in
	from  *string
	to    []string
}

// Reset discards the transaction.
func (s *mailSession) Reset() { s.from, s.to = nil, nil }

// Logout does nothing.
func (*mailSession) Logout() error { return nil }

// Mail starts a transaction, unless a rule refuses the sender.
func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from, s.to = &from, nil
	err := s.judge(topology.StageMAIL, nil)
	if err != nil {
		s.Reset()
	}
	return err
}

// Rcpt adds a recipient, unless a rule refuses it.
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.judge(topology.StageRCPT, []string{to}); err != nil {
		return err
	}
	s.to = append(s.to, to)
	return nil
}

// Data reads the message and stores it, unless a rule refuses it.
func (s *mailSession) Data(r io.Reader) error {
	text, err := s.x.mail.receive(r)
	if err != nil {
		return err
	}
	if err := s.judge(topology.StageEnd, s.to); err != nil {
		s.x.mail.release(text.room())
		return err
	}
	s.x.store(newMessage(Message{
		Time: s.x.config.Clock.Now(), Client: s.proxy.client, Hello: s.conn.Hostname(),
		TLS: s.proxy.secure, User: s.user, From: *s.from, To: s.to,
	}, text))
	return nil
}

// moment returns the place of the session in the conversation, for rules.
func (s *mailSession) moment(stage string, recipients []string) mailMoment {
	return mailMoment{stage: stage, sender: s.from, recipients: recipients}
}

// errRule is the reply of go-smtp's server if a rule demands another one, which the proxy sends
// in its place.
var errRule = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.NoEnhancedCode, Message: "rule"}

// judge returns an error if rules demand anything but a good reply.
func (s *mailSession) judge(stage string, recipients []string) error {
	v := s.x.evaluate(s.proxy, s.moment(stage, recipients))
	s.proxy.wait += v.delay
	switch {
	case v.cut != "":
		s.proxy.cut(v.cut)
	case v.reply.Code != 0:
		s.proxy.instead = &v.reply
	default:
		return nil
	}
	return errRule
}

// An authSession is a mailSession of a server that knows a user.
type authSession struct{ *mailSession }

// AuthMechanisms returns the mechanisms that EHLO offers.
func (authSession) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth starts a login.
func (s authSession) Auth(mechanism string) (sasl.Server, error) {
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error {
			return s.logIn(user, password)
		}), nil
	case sasl.Login:
		return &loginServer{logIn: s.logIn}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// logIn checks the options user and password.
func (s authSession) logIn(user, password string) error {
	if b := &s.x.behavior; user != b.user || password != b.password {
		return smtp.ErrAuthFailed
	}
	s.user = user
	return nil
}

// A loginServer is the server's side of the mechanism LOGIN (draft-murchison-sasl-login-00), of
// which go-sasl has the client only.
type loginServer struct {
	logIn func(user, password string) error
	asked int // questions
	user  string
}

var errLoginOver = errors.New("the login is over")

// Next implements sasl.Server. The first response is nil unless the client has sent the user's
// name with its command.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if l.asked == 0 && response == nil {
		l.asked++
		return []byte("Username:"), false, nil
	}
	switch l.asked {
	case 0, 1:
		l.asked, l.user = 2, string(response)
		return []byte("Password:"), false, nil
	case 2:
		l.asked++
		return nil, true, l.logIn(l.user, string(response))
	}
	return nil, false, errLoginOver
}
