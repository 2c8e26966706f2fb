package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "telnet",
	Summary: "Connect to a remote host.",
	Help: "telnet [host [port]]\n\n" +
		"The default port is 25. Each line is sent when it is entered. Ctrl-] shows telnet's own\n" +
		"prompt, Ctrl-C closes the connection. Without a terminal all input is sent, and then the\n" +
		"output of the remote host is shown until it closes the connection.",
	Source: "public (questions, refusal of loopback addresses), telnet(1) of FreeBSD (other text)",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		keyboard, ok := env.Prompter.(shell.LineReader)
		if !ok {
			return refusal.New("telnet requires a session with keyboard input.")
		}
		src, host, port, err := telnetTarget(ctx, env)
		if err != nil {
			return err
		}
		addrs, err := telnetAddrs(ctx, env, src, host)
		if err != nil {
			return err
		}
		conn, err := telnetConnect(ctx, env, src, addrs, port)
		if err != nil {
			return err
		}
		env.Printf("Connected to %s.\nEscape character is '^]'.\n", host)
		t := &telnetSession{terminal: keyboard, conn: conn, screenLock: make(chan struct{}, 1)}
		return t.run(ctx)
	},
})

const telnetHostRule = "The address must be a hostname or an IPv4/IPv6 address."

// telnetTarget returns the host and the port to connect to and the address to connect from, as
// the arguments or the answers say. The address is invalid for "Auto".
func telnetTarget(ctx context.Context, env *shell.Env) (
	src netip.Addr, host string, port uint16, err error) {
	number := 25
	switch {
	case len(env.Args) > 2:
		return src, "", 0, shell.InvalidArgumentf(env.Args[2], "The arguments are a host and a port.")
	case len(env.Args) > 0:
		host = env.Args[0]
		if len(env.Args) > 1 {
			if number, err = strconv.Atoi(env.Args[1]); err != nil || number < 1 || number > 65535 {
				return src, "", 0, shell.InvalidArgumentf(env.Args[1],
					"The port must be an integer from 1 to 65535.")
			}
		}
		if !validTelnetHost(host) {
			return src, "", 0, shell.InvalidArgumentf(host, telnetHostRule)
		}
		return src, host, uint16(number), nil
	}
	src, err = askSourceAddr(ctx, env, "Please select which interface you want to telnet from.", 0)
	if err != nil {
		return src, "", 0, err
	}
	err = env.Form(ctx,
		shell.Text(&host, "Enter the remote hostname or IP address.", func(answer string) error {
			if answer != "" && !validTelnetHost(answer) {
				return refusal.New(telnetHostRule)
			}
			return shell.Required(answer)
		}),
		shell.Number(&number, "Enter the remote port.", 1, 65535))
	return src, host, uint16(number), err
}

// validTelnetHost reports whether host can be the name or address of a host other than the
// appliance itself.
func validTelnetHost(host string) bool {
	if host == "" || strings.ContainsAny(host, " \t") ||
		strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return false
	}
	a, err := netip.ParseAddr(host)
	return err != nil || !isLoopback(a)
}

// isLoopback reports whether a is an address of the machine itself: a loopback address or the
// unspecified address.
func isLoopback(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsUnspecified()
}

// telnetAddrs looks the host up. If a source address was chosen, telnetAddrs returns addresses
// of its family only.
func telnetAddrs(
	ctx context.Context, env *shell.Env, src netip.Addr, host string) ([]netip.Addr, error) {
	family := 0
	if src.Is4() {
		family = 4
	} else if src.Is6() {
		family = 6
	}
	addrs, err := env.Appliance.Resolver.Lookup(ctx, host, family)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, resolver.ErrNotFound):
		return nil, refusal.Newf("%s: hostname nor servname provided, or not known", host)
	case err != nil:
		return nil, refusal.Newf("%s: Name could not be resolved at this time", host)
	case slices.ContainsFunc(addrs, isLoopback):
		return nil, shell.InvalidArgumentf(host, telnetHostRule)
	}
	return addrs, nil
}

// telnetConnect tries the addresses in turn and returns the first connection.
func telnetConnect(
	ctx context.Context, env *shell.Env, src netip.Addr, addrs []netip.Addr, port uint16,
) (network.Conn, error) {
	for _, a := range addrs {
		env.Printf("Trying %v...\n", a)
		to := network.DialConfig{Remote: netip.AddrPortFrom(a, port), Owner: "telnet", User: "root"}
		if src.IsValid() {
			to.Local = netip.AddrPortFrom(src, 0)
		}
		dialCtx, cancel := context.WithTimeoutCause(
			ctx, env.Appliance.Timeouts.Connect, syscall.ETIMEDOUT)
		conn, err := env.Appliance.Net.Dial(dialCtx, to)
		cancel()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil, context.Cause(ctx)
		}
		if err == nil {
			return conn, nil
		}
		text := connectErrorText(err)
		if text == "" {
			return nil, fmt.Errorf("connect to %v: %w", a, err)
		}
		env.Printf("telnet: connect to address %v: %s\n", a, text)
	}
	return nil, refusal.New("telnet: Unable to connect to remote host")
}

// connectErrorText returns FreeBSD's text for a failed connection attempt, or "" for other
// errors.
func connectErrorText(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		return "Connection reset by peer"
	case errors.Is(err, syscall.ENETUNREACH): // no route, which ping calls by the same text
		return "No route to host"
	}
	if text, ok := network.ErrorText(err); ok {
		return text
	}
	return sendErrorText(err)
}
