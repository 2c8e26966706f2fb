package mail_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// at is the address of the servers in these tests.
var at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 25)

// testTimeout is how long a test waits before it fails.
const testTimeout = 2 * time.Minute

func newHost(t *testing.T) *vnet.Host {
	h := vnet.NewHost(vnet.Options{Name: "host", LoopbackIndex: 1, Rand: entropy.Seeded(1)})
	t.Cleanup(h.Close)
	return h
}

// serve starts a mail exchanger with the given options.
func serve(t *testing.T, h *vnet.Host, options map[string]string) *peers.MailExchanger {
	t.Helper()
	kind, _ := peers.Lookup("mx")
	for name, value := range options {
		if err := kind.CheckOption(name, value); err != nil {
			t.Fatal(err)
		}
	}
	p := kind.New(peers.Config{
		Name: "mx", Transport: h, Addrs: []netip.Addr{at.Addr()}, Port: at.Port(), Options: options,
		Records: &peers.Records{Names: map[netip.Addr]string{at.Addr(): "mx.example.com"}},
		Clock:   clock.System(), Logger: slog.New(slog.DiscardHandler),
	})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p.(*peers.MailExchanger)
}

func newClient(h *vnet.Host, change func(*mail.Timeouts)) *mail.Client {
	limits := mail.DefaultTimeouts().AtMost(testTimeout)
	if change != nil {
		change(&limits)
	}
	return mail.New(mail.Options{
		Net: h, Owner: "hermes", User: "root", Timeouts: limits,
		Hello: func() string { return "esa.example.com" },
	})
}

func dial(t *testing.T, c *mail.Client) *mail.Conn {
	t.Helper()
	conn, err := c.Dial(t.Context(), mail.Route{Remote: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// hello connects and returns a connection on which a transaction can begin.
func hello(t *testing.T, c *mail.Client) *mail.Conn {
	t.Helper()
	conn := dial(t, c)
	if _, err := conn.Greeting(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

// converse performs all steps from the greeting to QUIT. It returns the first error.
func converse(ctx context.Context, conn *mail.Conn) error {
	for _, step := range []func() (mail.Reply, error){
		func() (mail.Reply, error) { return conn.Greeting(ctx) },
		func() (mail.Reply, error) { return conn.Hello(ctx) },
		func() (mail.Reply, error) { return conn.Mail(ctx, "from@example.com", mail.MailParams{}) },
		func() (mail.Reply, error) { return conn.Rcpt(ctx, "to@example.com") },
		func() (mail.Reply, error) { return conn.Data(ctx) },
		func() (mail.Reply, error) {
			return conn.Body(ctx, strings.NewReader("Subject: Test Message\n\ntest\n"))
		},
		func() (mail.Reply, error) { return conn.Quit(ctx) },
	} {
		if _, err := step(); err != nil {
			return err
		}
	}
	return nil
}

func TestMessageArrivesUnchanged(t *testing.T) {
	h := newHost(t)
	mx := serve(t, h, nil)
	conn := hello(t, newClient(h, nil))
	const text = "Subject: dots\n\n.\n..\n.hidden\nQUIT\nno dot\nGr\u00fc\u00dfe"
	to := []string{"a@example.com", "b@example.com"}
	got, err := conn.Send(t.Context(), mail.Envelope{From: "from@example.com", To: to},
		[]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range got {
		if d.To != to[i] || d.Err != nil || d.Reply.Code != 250 {
			t.Errorf("delivery %d is %+v", i, d)
		}
	}
	mails := mx.Messages()
	if len(mails) != 1 {
		t.Fatalf("%d messages arrived", len(mails))
	}
	m := mails[0]
	if want := strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"; string(m.Data()) != want {
		t.Errorf("arrived as %q, want %q", m.Data(), want)
	}
	if m.From != "from@example.com" || m.Hello != "esa.example.com" || m.TLS || !cmp.Equal(m.To, to) {
		t.Errorf("the envelope is %+v", m)
	}
}

func TestErrorHasStepAndReplyOfRefusal(t *testing.T) {
	for _, test := range []struct {
		option, answer string
		step           mail.Step
		reply          mail.Reply
	}{
		{"connect", "554 no", mail.Greeting, mail.Reply{Code: 554, Text: "no"}},
		{"connect", "421 4.3.2 later", mail.Greeting, mail.Reply{Code: 421, Enhanced: "4.3.2", Text: "later"}},
		{"ehlo", "450 4.3.0 busy", mail.Ehlo, mail.Reply{Code: 450, Enhanced: "4.3.0", Text: "busy"}},
		{"mail", "451 4.7.1 try again", mail.MailFrom, mail.Reply{Code: 451, Enhanced: "4.7.1", Text: "try again"}},
		{"rcpt", "450 4.2.0 greylisted", mail.RcptTo, mail.Reply{Code: 450, Enhanced: "4.2.0", Text: "greylisted"}},
		{"rcpt", "550 5.1.1 nobody", mail.RcptTo, mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "nobody"}},
		{"data", "452 full", mail.Data, mail.Reply{Code: 452, Text: "full"}},
		{"end", "554 5.6.0 spam", mail.Body, mail.Reply{Code: 554, Enhanced: "5.6.0", Text: "spam"}},
		{"end", "451 5.6.0 another class", mail.Body, mail.Reply{Code: 451, Text: "5.6.0 another class"}},
	} {
		t.Run(test.option+" "+test.answer, func(t *testing.T) {
			h := newHost(t)
			mx := serve(t, h, map[string]string{test.option: test.answer})
			err := converse(t.Context(), dial(t, newClient(h, nil)))
			var e *mail.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Step != test.step || e.Err != nil || !cmp.Equal(e.Reply, test.reply) {
				t.Errorf("got %+v", e)
			}
			if temporary := test.reply.Code < 500; e.Temporary() != temporary {
				t.Errorf("Temporary() = %v", !temporary)
			}
			if n := len(mx.Messages()); n != 0 {
				t.Errorf("%d messages were accepted", n)
			}
		})
	}
}

func TestHELOIfEHLOIsUnknown(t *testing.T) {
	h := newHost(t)
	mx := serve(t, h, map[string]string{"ehlo": "502 5.5.1 what?"})
	conn := hello(t, newClient(h, nil))
	if conn.Extended() {
		t.Error("Extended is true for a server that knows HELO only")
	}
	if _, err := conn.Send(t.Context(), mail.Envelope{From: "", To: []string{"to@example.com"}}, []byte("Gr\u00fc\u00dfe")); err != nil {
		t.Fatal(err)
	}
	if n := len(mx.Messages()); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
}

func TestNeitherEHLONorHELO(t *testing.T) {
	h := newHost(t)
	serve(t, h, map[string]string{"ehlo": "502 what?", "helo": "550 go away"})
	var e *mail.Error
	if err := converse(t.Context(), dial(t, newClient(h, nil))); !errors.As(err, &e) || e.Step != mail.Helo || e.Reply.Code != 550 {
		t.Errorf("got %v", err)
	}
}

func TestSTARTTLS(t *testing.T) {
	h := newHost(t)
	mx := serve(t, h, map[string]string{"require_tls": "on"})
	conn := hello(t, newClient(h, nil))
	var e *mail.Error
	if _, err := conn.Mail(t.Context(), "a@example.com", mail.MailParams{}); !errors.As(err, &e) || e.Reply.Code != 530 {
		t.Errorf("without TLS: %v", err)
	}
	if _, err := conn.StartTLS(t.Context(), &tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, again := conn.Extension("STARTTLS"); again {
		t.Error("STARTTLS is offered within TLS")
	}
	if _, err := conn.Send(t.Context(), mail.Envelope{From: "a@example.com", To: []string{"b@example.com"}}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if m := mx.Messages(); len(m) != 1 || !m[0].TLS {
		t.Errorf("got %+v", m)
	}
}

func TestSTARTTLSNotOffered(t *testing.T) {
	h := newHost(t)
	serve(t, h, map[string]string{"starttls": "off"})
	if _, err := hello(t, newClient(h, nil)).StartTLS(t.Context(), &tls.Config{}); !errors.Is(err, mail.ErrNoTLS) {
		t.Errorf("got %v", err)
	}
}

func TestCertificateIsVerifiedByCallersConfig(t *testing.T) {
	h := newHost(t)
	serve(t, h, nil)
	var unknown *tls.CertificateVerificationError
	if _, err := hello(t, newClient(h, nil)).StartTLS(t.Context(), &tls.Config{ServerName: "mx.example.com"}); !errors.As(err, &unknown) {
		t.Errorf("got %v", err)
	}
}

func TestServerClosesConnection(t *testing.T) {
	for answered, step := range map[string]mail.Step{"1": mail.MailFrom, "2": mail.RcptTo, "3": mail.Data, "4": mail.Quit} {
		h := newHost(t)
		serve(t, h, map[string]string{"close": answered})
		err := converse(t.Context(), dial(t, newClient(h, nil)))
		var e *mail.Error
		if !errors.As(err, &e) || e.Step != step || !errors.Is(err, mail.ErrClosed) || !e.Temporary() {
			t.Errorf("after %s commands: %v", answered, err)
		}
	}
}

func TestServerWithImplicitTLS(t *testing.T) {
	h := newHost(t)
	serve(t, h, map[string]string{"tls": "implicit"})
	client := newClient(h, func(limits *mail.Timeouts) { limits.Greeting = 50 * time.Millisecond })
	var e *mail.Error
	if _, err := dial(t, client).Greeting(t.Context()); !errors.As(err, &e) || !e.Timeout() || e.Step != mail.Greeting {
		t.Errorf("the greeting does not time out: %v", err)
	}
	if !newClient(h, nil).SpeaksTLS(t.Context(), mail.Route{Remote: at}) {
		t.Error("SpeaksTLS returns false")
	}
}

func TestPlainServerDoesNotSpeakTLS(t *testing.T) {
	h := newHost(t)
	serve(t, h, nil)
	if newClient(h, nil).SpeaksTLS(t.Context(), mail.Route{Remote: at}) {
		t.Error("SpeaksTLS returns true")
	}
}

func TestConnectionRefused(t *testing.T) {
	h := newHost(t)
	_, err := newClient(h, nil).Dial(t.Context(), mail.Route{Remote: at})
	var e *mail.Error
	if !errors.As(err, &e) || e.Step != mail.Connect || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

func TestMessageTooLarge(t *testing.T) {
	h := newHost(t)
	serve(t, h, map[string]string{"size": "1000"})
	client := newClient(h, nil)
	var e *mail.Error
	if _, err := hello(t, client).Mail(t.Context(), "a@example.com", mail.MailParams{Size: 2000}); !errors.As(err, &e) || e.Reply.Code != 552 {
		t.Errorf("with SIZE: %v", err)
	}
	conn := hello(t, client)
	for _, step := range []func() (mail.Reply, error){
		func() (mail.Reply, error) {
			return conn.Mail(t.Context(), "a@example.com", mail.MailParams{})
		},
		func() (mail.Reply, error) { return conn.Rcpt(t.Context(), "b@example.com") },
		func() (mail.Reply, error) { return conn.Data(t.Context()) },
	} {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Body(t.Context(), strings.NewReader(strings.Repeat("a line\n", 30_000))); !errors.As(err, &e) || e.Step != mail.Body || e.Reply.Code != 552 {
		t.Errorf("without SIZE: %v", err)
	}
}

func TestOneRecipientIsRefused(t *testing.T) {
	h := newHost(t)
	mx := serve(t, h, map[string]string{"rcpt": "550 5.1.1 nobody", "times": "1"})
	conn := hello(t, newClient(h, nil))
	got, err := conn.Send(t.Context(), mail.Envelope{
		From: "a@example.com", To: []string{"b@example.com", "c@example.com"},
	}, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Err == nil || got[0].Reply.Code != 550 || got[1].Err != nil || got[1].Reply.Code != 250 {
		t.Errorf("got %+v", got)
	}
	if m := mx.Messages(); len(m) != 1 || !cmp.Equal(m[0].To, []string{"c@example.com"}) {
		t.Errorf("arrived: %+v", m)
	}
}

func TestConnectionIsUsableAfterAllRecipientsAreRefused(t *testing.T) {
	h := newHost(t)
	mx := serve(t, h, map[string]string{"rcpt": "550 5.1.1 nobody", "times": "2"})
	conn := hello(t, newClient(h, nil))
	e := mail.Envelope{From: "a@example.com", To: []string{"b@example.com", "c@example.com"}}
	got, err := conn.Send(t.Context(), e, []byte("x"))
	if err == nil || got[0].Err == nil || got[1].Err == nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := conn.Send(t.Context(), e, []byte("y")); err != nil {
		t.Fatal(err)
	}
	if n := len(mx.Messages()); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
}

// Many servers close the connection after a refusal: the refusal is the result.
func TestRefusalCountsIfServerClosesAfterIt(t *testing.T) {
	h := newHost(t)
	serve(t, h, map[string]string{"rcpt": "550 5.1.1 nobody", "close": "3"})
	_, err := hello(t, newClient(h, nil)).Send(t.Context(),
		mail.Envelope{From: "a@example.com", To: []string{"b@example.com"}}, []byte("x"))
	var e *mail.Error
	if !errors.As(err, &e) || e.Reply.Code != 550 || e.Temporary() {
		t.Errorf("got %v", err)
	}
}

func TestEndlessLineIsRefused(t *testing.T) {
	h := newHost(t)
	serve(t, h, nil)
	got, err := hello(t, newClient(h, nil)).Send(t.Context(),
		mail.Envelope{From: "a@example.com", To: []string{"b@example.com"}},
		[]byte(strings.Repeat("x", 2<<20)))
	var e *mail.Error
	if !errors.As(err, &e) || e.Step != mail.Body || got[0].Err == nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAddressCannotInjectCommands(t *testing.T) {
	h := newHost(t)
	serve(t, h, nil)
	conn := hello(t, newClient(h, nil))
	if _, err := conn.Mail(t.Context(), "a@example.com>\r\nRCPT TO:<b@example.com", mail.MailParams{}); err == nil {
		t.Error("accepted as a sender")
	}
	if _, err := conn.Rcpt(t.Context(), "a@example.com\r\nDATA"); err == nil {
		t.Error("accepted as a recipient")
	}
	if _, err := conn.Quit(t.Context()); err != nil {
		t.Errorf("something was sent to the server: %v", err)
	}
}

func TestSocketBelongsToHermes(t *testing.T) {
	h := newHost(t)
	serve(t, h, nil)
	conn := hello(t, newClient(h, nil))
	sockets, err := h.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sockets {
		if s.Remote == at {
			if s.Owner != "hermes" || s.User != "root" || s.Local.String() != conn.LocalAddr().String() {
				t.Errorf("the socket is %+v", s)
			}
			return
		}
	}
	t.Error("no socket leads to the server")
}

func TestStepReturnsCauseOfContext(t *testing.T) {
	cause := errors.New("cause")
	h := newHost(t)
	serveScript(t, h, "")
	c := newClient(h, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	conn := dial(t, c)
	go cancel(cause)
	if _, err := conn.Greeting(ctx); !errors.Is(err, cause) {
		t.Errorf("a step that waits returns %v", err)
	}
	if _, err := conn.Hello(ctx); !errors.Is(err, cause) {
		t.Errorf("a step after the end returns %v", err)
	}
	if _, err := c.Dial(ctx, mail.Route{Remote: at}); !errors.Is(err, cause) {
		t.Errorf("Dial after the end returns %v", err)
	}
}

// serveScript starts a server that sends a text to each client. If the text ends in "<close>",
// the server then closes the connection; otherwise it discards what the client sends.
func serveScript(t *testing.T, h *vnet.Host, text string) {
	t.Helper()
	l, err := h.Listen(t.Context(), network.ListenConfig{Addr: at})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.AcceptConn()
			if err != nil {
				return
			}
			sent, closes := strings.CutSuffix(text, "<close>")
			io.WriteString(c, sent)
			if closes {
				c.Close()
				continue
			}
			go func() {
				io.Copy(io.Discard, c)
				c.Close()
			}()
		}
	}()
}

func TestInvalidGreetings(t *testing.T) {
	for text, want := range map[string]error{
		"hello\r\n":                           mail.ErrMalformed,
		"22\r\n":                              mail.ErrMalformed,
		"220_x\r\n":                           mail.ErrMalformed,
		"120 wait\r\n":                        mail.ErrMalformed,
		"220-one\r\n250 two\r\n":              mail.ErrMalformed,
		"354 go ahead\r\n":                    mail.ErrUnexpected,
		strings.Repeat("x", 10_000) + "\r\n":  mail.ErrMalformed,
		strings.Repeat("220-more\r\n", 1000):  mail.ErrMalformed,
		"\x15\x03\x01\x00\x02\x02\x0a<close>": mail.ErrTLSOnly,
		"220 the line does not end<close>":    mail.ErrClosed,
		"220-one\r\n<close>":                  mail.ErrClosed,
		"<close>":                             mail.ErrClosed,
	} {
		h := newHost(t)
		serveScript(t, h, text)
		if _, err := dial(t, newClient(h, nil)).Greeting(t.Context()); !errors.Is(err, want) {
			t.Errorf("%.30q: %v, want %v", text, err, want)
		}
	}
}

func TestGreetingOfSeveralLines(t *testing.T) {
	h := newHost(t)
	serveScript(t, h, "220-mx.example.com ESMTP\r\n220-\r\n220 No spam here.\r\n")
	got, err := dial(t, newClient(h, nil)).Greeting(t.Context())
	if want := (mail.Reply{Code: 220, Text: "mx.example.com ESMTP\n\nNo spam here."}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTextBeforeHandshakeIsRejected(t *testing.T) {
	h := newHost(t)
	serveScript(t, h, "220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go ahead\r\n250 injected\r\n")
	if _, err := hello(t, newClient(h, nil)).StartTLS(t.Context(), &tls.Config{InsecureSkipVerify: true}); !errors.Is(err, mail.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

func TestSilentServerTimesOut(t *testing.T) {
	h := newHost(t)
	serveScript(t, h, "220 mx\r\n")
	conn := dial(t, newClient(h, func(limits *mail.Timeouts) {
		limits.Command = 50 * time.Millisecond
	}))
	if _, err := conn.Greeting(t.Context()); err != nil {
		t.Fatal(err)
	}
	var e *mail.Error
	if _, err := conn.Hello(t.Context()); !errors.As(err, &e) || e.Step != mail.Ehlo || !e.Timeout() {
		t.Errorf("got %v", err)
	}
}

func TestMessage(t *testing.T) {
	m := mail.Message{
		From: "a@example.com", To: []string{"b@example.com", "c@example.com"},
		Subject: "Gr\u00fc\u00dfe\nBcc: d@example.com",
		Date:    time.Date(2015, 6, 25, 1, 50, 3, 0, time.FixedZone("", -7*3600)), ID: "1@example.com",
		Text: "one\n\ntwo",
	}
	want := "Date: Thu, 25 Jun 2015 01:50:03 -0700\r\nFrom: a@example.com\r\nTo: b@example.com, c@example.com\r\n" +
		"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe=0ABcc:_d@example.com?=\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\none\r\n\r\ntwo\r\n"
	if diff := cmp.Diff(want, string(m.Bytes())); diff != "" {
		t.Error(diff)
	}
}

func TestMessageWithAttachment(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 10)
	m := mail.Message{
		From: "a@example.com", To: []string{"b@example.com"}, Subject: "s", Text: "see",
		Date:       time.Date(2015, 6, 25, 1, 50, 3, 0, time.UTC),
		Attachment: &mail.Attachment{Name: "c.xml", Type: "application/xml", Data: data},
	}
	want := "Date: Thu, 25 Jun 2015 01:50:03 +0000\r\nFrom: a@example.com\r\nTo: b@example.com\r\n" +
		"Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_end_of_part\"\r\n\r\n" +
		"--=_end_of_part\r\nContent-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" +
		"see\r\n\r\n--=_end_of_part\r\nContent-Type: application/xml\r\n" +
		"Content-Disposition: attachment; filename=c.xml\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2\r\n" +
		"Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OQ==\r\n\r\n--=_end_of_part--\r\n"
	if diff := cmp.Diff(want, string(m.Bytes())); diff != "" {
		t.Error(diff)
	}
}

func TestLongLinesAreBroken(t *testing.T) {
	for text, want := range map[string][]int{
		strings.Repeat("x", 998):                                 {998},
		strings.Repeat("x", 2000):                                {998, 998, 4},
		strings.Repeat("x", 900) + " " + strings.Repeat("y", 98): {900, 98},
		strings.Repeat("ü", 600):                                 {998, 202},
	} {
		_, body, _ := strings.Cut(string(mail.Message{Text: text}.Bytes()), "\r\n\r\n")
		var got []int
		for line := range strings.SplitSeq(strings.TrimSuffix(body, "\r\n"), "\r\n") {
			got = append(got, len(line))
			if !strings.Contains(text, line) {
				t.Errorf("%q is broken within a character", line)
			}
		}
		if !cmp.Equal(got, want) {
			t.Errorf("%.10q: lines of %v bytes, want %v", text, got, want)
		}
	}
}
