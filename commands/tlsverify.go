package commands

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "tlsverify",
	Summary: "Test a TLS connection to a mail server and verify its certificate.",
	Help: "tlsverify <domain> <host>[:<port>]\n\n" +
		"The certificate must be signed by an authority that certconfig trusts, and be for the domain,\n" +
		"for the host, or for the name of the host's address. If the host is the domain, the domain's\n" +
		"mail servers are tested, as DNS or smtproutes name them.",
	Source: "mail.md 3.10 (questions, lines of success), invented (lines of failure)",
	Since:  product.Version{Major: 7},
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		domain, target := "", ""
		switch len(env.Args) {
		case 0:
			err := env.Form(ctx,
				shell.Text(&domain, "Enter the TLS domain to verify against:", delivery.CheckDomain),
				func(ctx context.Context, d shell.Dialogue) error {
					target = domain
					return d.Form(ctx, shell.Text(&target, "Enter the destination host to connect to.  Append the "+
						"port (example.com:26) if you are not connecting on port 25:", func(s string) error {
						_, _, err := splitTarget(s)
						return err
					}))
				})
			if err != nil {
				return err
			}
		case 2:
			domain, target = env.Args[0], env.Args[1]
			if err := delivery.CheckDomain(domain); err != nil {
				return invalidArgument(domain, err)
			}
			if _, _, err := splitTarget(target); err != nil {
				return invalidArgument(target, err)
			}
		default:
			return shell.InvalidArgumentf(printable(strings.Join(env.Args, " ")),
				"The arguments are a domain and a host.")
		}
		return verifyTLS(ctx, env, domain, target)
	},
})

// splitTarget returns the host and the port in an answer such as mx.example.com:26.
func splitTarget(s string) (host string, port uint16, err error) {
	bad := refusal.New("The value must be a host name or an address, optionally with a port: " +
		"mx.example.com:26.")
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String(), 25, nil
	}
	host, number, hasPort := strings.Cut(s, ":")
	port = 25
	if hasPort {
		var text string
		if host, text, err = net.SplitHostPort(s); err != nil {
			return "", 0, bad
		}
		n, err := strconv.ParseUint(text, 10, 16)
		if errors.Is(err, strconv.ErrRange) || err == nil && n == 0 {
			return "", 0, refusal.New("The port must be a number from 1 to 65535.")
		}
		if err != nil {
			return "", 0, bad
		}
		port, number = uint16(n), ""
	}
	if _, err := netip.ParseAddr(host); err != nil && delivery.CheckDomain(host) != nil || number != "" {
		return "", 0, bad
	}
	return host, port, nil
}

// verifyTLS tests the hosts one after the other until one succeeds.
func verifyTLS(ctx context.Context, env *shell.Env, domain, target string) error {
	hosts, err := tlsHosts(ctx, env, domain, target)
	if err != nil {
		return err
	}
	succeeded := false
	for _, h := range hosts {
		if err := verifyHost(ctx, env, domain, h); err == nil {
			env.Printf("TLS connection to %v succeeded.\nTLS successfully connected to %s.\n",
				h.Addr.Addr(), printable(h.Name))
			succeeded = true
			break
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		} else if text, ok := refusal.Text(err); ok {
			env.PrintWrapped(text)
		} else {
			return err
		}
		env.Printf("TLS connection to %v failed.\n", h.Addr.Addr())
	}
	if !succeeded {
		env.Printf("TLS failed to verify for %s.\n", printable(target))
	}
	env.Printf("TLS verification completed.\n")
	return nil
}

// tlsHosts returns the hosts that an answer means.
func tlsHosts(
	ctx context.Context, env *shell.Env, domain, target string) ([]delivery.Host, error) {
	name, port, err := splitTarget(target)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(target, domain) {
		hosts, err := env.Appliance.MTA.Delivery.Hosts(ctx, domain)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			return nil, refusal.Because(err, "The mail servers of %s cannot be found.", domain)
		}
		return hosts, nil
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return []delivery.Host{{Name: name, Addr: netip.AddrPortFrom(a, port)}}, nil
	}
	addrs, err := env.Appliance.Resolver.Lookup(ctx, name, 0)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, resolver.ErrNotFound):
		return nil, refusal.Newf("Unable to resolve '%s'.", name)
	case err != nil:
		return nil, refusal.Newf("Unable to resolve '%s'. No DNS server answered.", name)
	}
	var hosts []delivery.Host
	for _, a := range addrs {
		hosts = append(hosts, delivery.Host{Name: name, Addr: netip.AddrPortFrom(a, port)})
	}
	return hosts, nil
}

// verifyHost connects to a host, starts TLS and verifies the certificate. If that fails, it returns
// a refusal that says how.
func verifyHost(ctx context.Context, env *shell.Env, domain string, h delivery.Host) error {
	server := env.Appliance.MTA.Delivery
	env.Printf("Connecting to %v on port %d.\n", h.Addr.Addr(), h.Addr.Port())
	conn, err := env.Appliance.Mail.Dial(ctx, mail.Route{
		Remote:     h.Addr,
		Local:      delivery.SourceAddr(env.Appliance.Config.Committed(), h.Addr.Addr()),
		MaxTimeout: smtpStepTimeout,
	})
	if err != nil {
		return refusal.Because(err, "%s", connectFailureText(err))
	}
	defer conn.Close()
	local := conn.LocalAddr().String()
	if addr, err := netip.ParseAddrPort(local); err == nil {
		local = addr.Addr().Unmap().String()
	}
	env.Printf("Connected to %v from interface %s.\nChecking TLS connection.\n", h.Addr.Addr(), local)
	if _, err = conn.Greeting(ctx); err == nil {
		_, err = conn.Hello(ctx)
	}
	if err != nil {
		return smtpFailure(conn, err)
	}
	config, err := server.TLSConfig(h)
	if err != nil {
		return err
	}
	if _, err = conn.StartTLS(ctx, config); err != nil {
		return startTLSFailure(conn, err)
	}
	state, _ := conn.TLS()
	env.Printf("TLS connection established: protocol %s, cipher %s.\nVerifying peer certificate.\n",
		tlsconfig.ProtocolName(state.Version), tlsconfig.CipherName(state.CipherSuite))
	name, err := server.Verify(ctx, state, domain, h)
	if len(state.PeerCertificates) > 0 {
		env.Printf("Verifying certificate common name %s.\n",
			printable(tlsconfig.CommonName(state.PeerCertificates[0])))
	}
	var failed *tlsconfig.VerifyError
	if errors.As(err, &failed) {
		_, _ = conn.Quit(ctx) // the reply does not matter
		return refusal.Newf("Certificate verification failed: %s.", failed.Reason)
	}
	if err != nil {
		return err
	}
	env.Printf("TLS certificate match %s\nTLS certificate verified.\n", printable(name))
	_, _ = conn.Quit(ctx) // the reply does not matter
	return context.Cause(ctx)
}

// startTLSFailure returns a refusal that says why TLS did not start.
func startTLSFailure(conn *mail.Conn, err error) error {
	var e *mail.Error
	switch text, alert := tlsconfig.Alert(err); {
	case errors.Is(err, mail.ErrNoTLS):
		return refusal.Because(err, "The server does not offer STARTTLS.")
	case alert:
		return refusal.Because(err, "The TLS handshake failed: %s.", text)
	case errors.As(err, &e) && e.Reply.Code >= 400:
		return smtpFailure(conn, err)
	}
	return refusal.Because(err, "The TLS handshake failed.")
}
