package mail

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/resolver"
)

// A permanentError is an error that a later attempt would have too.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// attempt makes one attempt: it tries the exchangers of the recipient's domain in their order,
// each at all of its addresses, until one accepts the message or refuses it with a permanent
// code. Unless the error is a permanentError, a later attempt may succeed.
func (n *Internal) attempt(ctx context.Context, d *delivery) error {
	m := d.message
	n.o.Log(n.o.AttemptLevel,
		fmt.Sprintf("Internal SMTP system attempting to send a message to %s "+
			"with subject '%s' (attempt #%d).", m.To, m.Subject, d.attempt))
	domain := m.To[strings.LastIndexByte(m.To, '@')+1:]
	hosts, err := n.exchangers(ctx, domain)
	if err != nil {
		if ctx.Err() == nil {
			n.warn("Failed to find a mail exchanger of %s for recipient %s: %s.",
				domain, m.To, lookupFailureText(err))
		}
		return err
	}
	var last error
	for _, host := range hosts {
		addrs, err := n.o.Resolver.Lookup(ctx, host, 0)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			n.warn("Failed to find the address of host %s for recipient %s: %s.",
				host, m.To, lookupFailureText(err))
			last = err
			continue
		}
		for _, a := range addrs {
			at := netip.AddrPortFrom(a, smtpPort)
			if last = n.deliver(ctx, at, m); last == nil || ctx.Err() != nil {
				return last
			}
			n.warn("Failed to send message to host %v for recipient %s: %s.",
				at, m.To, failureText(last))
			if isPermanentRefusal(last) {
				return &permanentError{last}
			}
		}
	}
	return last
}

func (n *Internal) warn(format string, a ...any) {
	n.o.Log(logs.Warning, "Internal SMTP Error: "+fmt.Sprintf(format, a...))
}

// exchangers returns the hosts that accept a domain's mail, in the order in which they are to be
// tried (RFC 5321, 5.1): those of equal preference in random order. A domain without an MX
// record is its own exchanger.
func (n *Internal) exchangers(ctx context.Context, domain string) ([]string, error) {
	list, err := n.o.Resolver.LookupMX(ctx, domain)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, resolver.ErrNoRecord):
		return []string{domain}, nil
	case errors.Is(err, resolver.ErrNotFound):
		return nil, &permanentError{err}
	case err != nil:
		return nil, err
	}
	list = slices.Clone(list)
	for i := range list { // swap each with a random one of the later ones of its preference
		end := i + 1
		for end < len(list) && list[end].Preference == list[i].Preference {
			end++
		}
		j := i + n.o.Rand.IntN(end-i)
		list[i], list[j] = list[j], list[i]
	}
	var hosts []string
	for _, x := range list {
		if x.Host != "" {
			hosts = append(hosts, x.Host)
		}
	}
	if hosts == nil {
		return nil, &permanentError{errNullMX}
	}
	return hosts, nil
}

// errNullMX means that the domain has the null MX of RFC 7505.
var errNullMX = errors.New("the domain accepts no mail")

// deliver sends a message to one server.
func (n *Internal) deliver(ctx context.Context, at netip.AddrPort, m InternalMessage) error {
	conn, err := n.o.Client.Dial(ctx, Route{Remote: at})
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Greeting(ctx); err != nil {
		return err
	}
	if _, err := conn.Hello(ctx); err != nil {
		return err
	}
	_, err = conn.Send(ctx, Envelope{From: m.From, To: []string{m.To}}, m.Data)
	var e *Error
	if err == nil || errors.As(err, &e) && e.Err == nil {
		bounded, cancel := context.WithTimeout(ctx, quitTimeout)
		defer cancel()
		_, _ = conn.Quit(bounded) // the server has replied to the message already
	}
	return err
}

// isPermanentRefusal reports whether a server refused this message with a permanent code. A
// server that refuses the connection or EHLO may be the wrong one, or have a problem: the next
// one is tried.
func isPermanentRefusal(err error) bool {
	var e *Error
	return errors.As(err, &e) && !e.Temporary() && e.Step != Greeting && e.Step != Ehlo &&
		e.Step != Helo
}

// failureText returns the reason why a server did not accept a message, as the mail log shows it
// (logs.md 4.4).
func failureText(err error) string {
	var e *Error
	switch {
	case errors.As(err, &e) && e.Reply.Code != 0:
		want := "2"
		if e.Step == Data {
			want = "3"
		}
		return fmt.Sprintf(`Unexpected SMTP response "%d", `+
			`expecting code starting with "%s", response was [%s]`,
			e.Reply.Code, want, e.Reply.quotedLines())
	case e != nil && e.Step != Connect && e.Timeout():
		return fmt.Sprintf("Timed out waiting for the server in step %s", e.Step)
	case errors.Is(err, ErrClosed), errors.Is(err, syscall.EPIPE):
		return "Connection closed by the server"
	case errors.Is(err, syscall.ECONNRESET):
		return "Connection reset by peer"
	case errors.Is(err, ErrTLSOnly), errors.Is(err, ErrMalformed):
		return "The server does not speak SMTP"
	}
	if text, ok := network.ErrorText(err); ok {
		return text
	}
	return "Connection failed"
}

// quotedLines returns the lines of a reply as the log quotes them.
func (r Reply) quotedLines() string {
	var quoted []string
	for line := range strings.SplitSeq(r.Text, "\n") {
		if r.Enhanced != "" {
			line = r.Enhanced + " " + line
		}
		quoted = append(quoted, "'"+strings.ReplaceAll(line, "'", `\'`)+"'")
	}
	return strings.Join(quoted, ", ")
}

// lookupFailureText returns the reason why a look-up failed.
func lookupFailureText(err error) string {
	switch {
	case errors.Is(err, errNullMX):
		return "The domain accepts no mail"
	case errors.Is(err, resolver.ErrNotFound):
		return "No such host or domain"
	case errors.Is(err, resolver.ErrNoServer):
		return "No DNS server is configured"
	case errors.Is(err, resolver.ErrNoAnswer):
		return "No DNS server answered"
	}
	return "The DNS look-up failed"
}
