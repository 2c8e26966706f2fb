package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/pattern"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

// tlsProbeTimeout is how long a server that did not greet may take to answer TLS.
const tlsProbeTimeout = 5 * time.Second

// An smtpTest is one test of an SMTP server.
type smtpTest struct {
	host    string
	from    *netconfig.IPInterface // nil: the interface that the route uses
	message *mail.Message          // nil: test the connection only
}

// smtpPing is diagnostic > network > smtpping. It asks for a server, tests it, and prints how
// each step went. A failed test is a result, not an error.
func smtpPing(ctx context.Context, env *shell.Env) error {
	var t smtpTest
	var err error
	if t.host, err = askSMTPHost(ctx, env); err != nil {
		return err
	}
	interfaces := netconfig.Interfaces.Get(env.Appliance.Config.Committed()).List
	var names []string
	for _, i := range interfaces {
		names = append(names, i.Name)
	}
	names = append(names, "auto")
	n, err := env.Choose(ctx,
		"Select a network interface to use for the test.", len(names)-1, names...)
	if err != nil {
		return err
	}
	if n < len(interfaces) {
		t.from = &interfaces[n]
	}
	typed, err := env.Confirm(ctx, "Do you want to type in a test message to send? "+
		"If not, the connection will be\ntested but no email will be sent.", false)
	if err == nil && typed {
		t.message, err = askTestMessage(ctx, env)
	}
	if err != nil {
		return err
	}
	return t.run(ctx, env)
}

// askSMTPHost asks for the server, and offers the mail exchangers of a domain.
func askSMTPHost(ctx context.Context, env *shell.Env) (string, error) {
	host, err := env.Ask(ctx, "Enter the hostname or IP address of the SMTP server:",
		env.Appliance.Hostname(), checkSMTPHost)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host, nil
	}
	exchangers, err := env.Appliance.Resolver.LookupMX(ctx, host)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	// An empty name says that the domain accepts no mail (RFC 7505).
	exchangers = slices.DeleteFunc(exchangers, func(x resolver.MX) bool { return x.Host == "" })
	if err != nil || len(exchangers) == 0 {
		return host, nil // if the name does not resolve at all, the test reports it
	}
	instead, err := env.Confirm(ctx, "The domain you entered has MX records.\n"+
		"Would you like to select an MX host to test instead?", true)
	if err != nil || !instead {
		return host, err
	}
	choices := make([]string, len(exchangers))
	for i, x := range exchangers {
		choices[i] = fmt.Sprintf("%s (%d)", x.Host, x.Preference)
	}
	n, err := env.Choose(ctx, "Select an MX host to test.", 0, choices...)
	if err != nil {
		return "", err
	}
	return exchangers[n].Host, nil
}

var hostLabels = pattern.New(`^(?i)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*` +
	`[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.?$`)

func checkSMTPHost(s string) error {
	if _, err := netip.ParseAddr(s); err != nil && (len(s) > 253 || !hostLabels().MatchString(s)) {
		return refusal.New("The value must be a host name or an IP address.")
	}
	return nil
}

// maxTestMessage bounds the size of the text that is typed for a test message.
const maxTestMessage = 1 << 20

// askTestMessage asks for a message. Its text ends with a line that is a single full stop, or
// with Ctrl-D.
func askTestMessage(ctx context.Context, env *shell.Env) (*mail.Message, error) {
	m := &mail.Message{From: "from@example.com", Subject: "Test Message"}
	to := "to@example.com"
	if err := env.Form(ctx,
		shell.Text(&m.From, "Enter the From e-mail address:", checkMailbox),
		shell.Text(&to, "Enter the To e-mail address:", checkMailbox),
		shell.Text(&m.Subject, "Enter the Subject:", nil),
	); err != nil {
		return nil, err
	}
	m.To = []string{to}
	env.Printf("Enter the Body of the message one line at a time. " +
		"End with a \".\" on a line by itself.\n")
	var text strings.Builder
	for {
		line, err := env.Prompt(ctx, "")
		switch {
		case errors.Is(err, io.EOF), err == nil && line == ".":
			m.Text = text.String()
			return m, nil
		case err != nil:
			return nil, err
		case text.Len()+len(line) > maxTestMessage:
			return nil, refusal.New("The message is too large for a test.")
		}
		text.WriteString(line + "\n")
	}
}

var mailbox = pattern.New(`^[^\s<>@"(),:;\[\]\\]{1,64}@([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+$`)

func checkMailbox(s string) error {
	if len(s) > 254 || !mailbox().MatchString(s) {
		return refusal.New("The value must be a mail address such as user@example.com.")
	}
	return nil
}

// run tests the server and prints the result. A failed test is a refusal, so that a command line
// fails.
func (t smtpTest) run(ctx context.Context, env *shell.Env) error {
	began := clock.System().Mark()
	env.Printf("Starting SMTP test of host %s.\n", t.host)
	err := t.test(ctx, env)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		text, refused := refusal.Text(err)
		if !refused {
			return err
		}
		env.PrintWrapped(text)
	}
	elapsed := clock.System().Since(began).Seconds()
	if err != nil {
		return refusal.Newf("Test failed. Total time elapsed %.2f seconds", elapsed)
	}
	env.Printf("Test complete. Total time elapsed %.2f seconds\n", elapsed)
	return nil
}

// test looks the server up, connects and sends the commands. If a step fails, test returns a
// refusal that says so.
func (t smtpTest) test(ctx context.Context, env *shell.Env) error {
	routes, err := t.routes(ctx, env)
	if err != nil {
		return err
	}
	var conn *mail.Conn
	var route mail.Route
	for i, r := range routes {
		if conn, err = env.Appliance.Mail.Dial(ctx, r); err == nil {
			route = r
			break
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		text := fmt.Sprintf("Unable to connect to %v.\n%s", r.Remote.Addr(), connectFailureText(err))
		if i == len(routes)-1 {
			return refusal.Because(err, "%s", text)
		}
		env.PrintWrapped(text)
	}
	defer conn.Close()
	env.Printf("Connection to %v succeeded.\n", route.Remote.Addr())
	if _, err := conn.Greeting(ctx); err != nil {
		var e *mail.Error
		route.MaxTimeout = tlsProbeTimeout
		if errors.As(err, &e) && e.Timeout() && env.Appliance.Mail.SpeaksTLS(ctx, route) {
			return refusal.Because(err, "The server does not greet: it speaks TLS only.")
		}
		return smtpFailure(conn, err)
	}
	return t.sendCommands(ctx, env, conn)
}

// routes returns a route to each address of the server, IPv4 first.
func (t smtpTest) routes(ctx context.Context, env *shell.Env) ([]mail.Route, error) {
	addrs, err := env.Appliance.Resolver.Lookup(ctx, t.host, 0)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, resolver.ErrNotFound):
		return nil, refusal.Newf("Unable to resolve '%s'.", t.host)
	case errors.Is(err, resolver.ErrNoServer):
		return nil, refusal.Newf("Unable to resolve '%s'. No DNS server is configured.", t.host)
	case err != nil:
		return nil, refusal.Newf("Unable to resolve '%s'. No DNS server answered.", t.host)
	}
	var routes []mail.Route
	for _, a := range addrs {
		r := mail.Route{Remote: netip.AddrPortFrom(a, 25), MaxTimeout: smtpStepTimeout}
		if t.from != nil {
			r.Local = t.from.IPv4
			if a.Is6() {
				r.Local = t.from.IPv6.Addr()
			}
			if !r.Local.IsValid() {
				continue
			}
		}
		routes = append(routes, r)
	}
	if _, err := netip.ParseAddr(t.host); err != nil {
		resolved := addrs[0]
		if len(routes) > 0 {
			resolved = routes[0].Remote.Addr()
		}
		env.Printf("Resolved '%s' to %v.\n", t.host, resolved)
	}
	if len(routes) == 0 {
		return nil, refusal.Newf(
			"Unable to connect to %v.\nThe interface %s has no address of this family.",
			addrs[0], t.from.Name)
	}
	return routes, nil
}

// sendCommands sends the commands that follow the greeting.
func (t smtpTest) sendCommands(ctx context.Context, env *shell.Env, conn *mail.Conn) error {
	succeeded := func(step mail.Step) { env.Printf("Command %s succeeded.\n", step) }
	if _, err := conn.Hello(ctx); err != nil {
		return smtpFailure(conn, err)
	}
	if conn.Extended() {
		env.Printf("Command EHLO succeeded\n")
	} else {
		succeeded(mail.Helo)
	}
	if t.message == nil {
		_, _ = conn.Quit(ctx) // the reply does not matter
		return context.Cause(ctx)
	}
	m := t.message
	m.Date = env.Appliance.Now()
	m.ID = fmt.Sprintf("%x.%x@%s", m.Date.UnixNano(),
		env.Appliance.Entropy.Stream("smtpping").Uint64(), env.Appliance.Hostname())
	data := m.Bytes()
	eightBit := slices.ContainsFunc(data, func(b byte) bool { return b > 127 })
	for _, s := range []struct {
		step mail.Step
		send func() (mail.Reply, error)
	}{
		{mail.MailFrom, func() (mail.Reply, error) {
			return conn.Mail(ctx, m.From, mail.MailParams{Size: int64(len(data)), EightBit: eightBit})
		}},
		{mail.RcptTo, func() (mail.Reply, error) { return conn.Rcpt(ctx, m.To[0]) }},
		{mail.Data, func() (mail.Reply, error) { return conn.Data(ctx) }},
	} {
		if _, err := s.send(); err != nil {
			var e *mail.Error
			if errors.As(err, &e) && e.Err == nil { // the server refused the command
				_, _ = conn.Quit(ctx) // the reply does not matter
			}
			return smtpFailure(conn, err)
		}
		succeeded(s.step)
	}
	if _, err := conn.Body(ctx, strings.NewReader(string(data))); err != nil {
		return smtpFailure(conn, err)
	}
	env.Printf("Message body accepted.\n")
	_, _ = conn.Quit(ctx) // the reply does not matter
	return context.Cause(ctx)
}
