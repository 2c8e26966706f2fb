package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "dig",
	Summary: "Look up a record on a DNS server.",
	Help: "dig [-s source] [-t type] [-u | -T] [@server] host [type]\n" +
		"dig [-s source] [-u | -T] [@server] -x address\n\n" +
		"  -s source  the IP interface or the IP address to send from\n" +
		"  -t type    the type of the record; -t without a type is -T\n" +
		"  -u         ask over UDP, which is the default\n" +
		"  -T         ask over TCP\n" +
		"  -x address look up the name of an address\n" +
		"  @server    the DNS server to ask; otherwise the configured ones are asked",
	Source: "public (dig -t mx example.com), dig(1) of BIND 9 (output), invented (questions)",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		var d digQuery
		var err error
		if len(env.Args) > 0 {
			err = d.parse(env)
		} else {
			err = d.ask(ctx, env)
		}
		if err != nil {
			return err
		}
		if err := d.findServer(ctx, env); err != nil {
			return err
		}
		r, err := env.Appliance.Resolver.Query(ctx, d.Query)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && r.Truncated {
			env.Printf(";; Truncated, retrying in TCP mode.\n")
		}
		env.Printf("\n; <<>> DiG 9.8.4 <<>> %s\n", strings.Join(d.commandLine, " "))
		if d.Server.IsValid() {
			env.Printf("; (1 server found)\n")
		}
		env.Printf(";; global options: +cmd\n")
		switch {
		case errors.Is(err, resolver.ErrNotFound):
			return refusal.Newf("dig: '%s' is not a legal name", d.Name)
		case err != nil:
			return refusal.Because(err, ";; connection timed out; no servers could be reached")
		}
		printResponse(env, r)
		return nil
	},
})

// A digQuery is a query as it was entered.
type digQuery struct {
	resolver.Query
	commandLine []string // the arguments that the real dig would be called with
	server      string   // as entered; "": the configured servers
	source      string   // as entered; "": the address that the route implies
}

// ask is the dialogue.
func (d *digQuery) ask(ctx context.Context, env *shell.Env) error {
	host, err := env.Ask(ctx, "Please enter the host or IP address to look up.", "", shell.Required)
	if err != nil {
		return err
	}
	if d.Type, err = askRecordType(ctx, env, host); err != nil {
		return err
	}
	d.server, err = env.Ask(ctx,
		"Please enter the DNS server to ask. Leave it blank to ask the configured servers.", "", nil)
	if err != nil {
		return err
	}
	if d.server != "" {
		d.commandLine = append(d.commandLine, "@"+d.server)
	}
	d.Name = host
	if a, err := netip.ParseAddr(host); err == nil && d.Type == "PTR" {
		d.Name = resolver.ReverseName(a)
		d.commandLine = append(d.commandLine, "-x", host)
	} else {
		d.commandLine = append(d.commandLine, "-t", d.Type, host)
	}
	return nil
}

// parse parses the inline form.
func (d *digQuery) parse(env *shell.Env) error {
	d.commandLine = env.Args
	args := env.Args
	value := func() (string, bool) {
		if len(args) < 2 {
			return "", false
		}
		args = args[1:]
		return args[0], true
	}
	udp, reverse := false, false
	notType := "" // the word after -t if it is not a type: a host, or a mistyped type
	for ; len(args) > 0; args = args[1:] {
		switch word := args[0]; {
		case word == "-s":
			d.source, _ = value()
			if !sourceNamed(env, d.source, false).IsValid() {
				return shell.InvalidArgumentf(d.source,
					"The source must be an IP interface of the appliance or one of its addresses.")
			}
		case word == "-t" && len(args) > 1 && resolver.ValidType(args[1]):
			d.Type, _ = value()
		case word == "-t", word == "-T":
			d.TCP = true
			if word == "-t" && len(args) > 1 {
				notType = args[1]
			}
		case word == "-u":
			udp = true
		case word == "-x":
			text, _ := value()
			a, err := netip.ParseAddr(text)
			if err != nil || d.Name != "" {
				return shell.InvalidArgumentf(text, "An IPv4 or IPv6 address is expected after -x.")
			}
			d.Name, reverse = resolver.ReverseName(a), true
		case strings.HasPrefix(word, "@") && len(word) > 1:
			d.server = word[1:]
		case strings.HasPrefix(word, "-"), strings.HasPrefix(word, "+"):
			return shell.InvalidArgumentf(word, "The option is not known. See: help dig.")
		case d.Type == "" && resolver.ValidType(word):
			d.Type = word
		case d.Name == "":
			d.Name = word
		case notType != "":
			return shell.InvalidArgumentf(notType, "The type after -t is not known. "+
				"Types are A, AAAA, CNAME, MX, NS, PTR, SOA, TXT and the like.")
		default:
			return shell.InvalidArgumentf(word, "Only one host is expected.")
		}
	}
	switch {
	case d.Name == "":
		return shell.InvalidArgumentf(strings.Join(env.Args, " "), "A host is expected.")
	case udp && d.TCP:
		return shell.InvalidArgumentf(strings.Join(env.Args, " "),
			"A query is sent over UDP or over TCP, not over both.")
	case reverse && d.Type != "" && !strings.EqualFold(d.Type, "PTR"):
		return shell.InvalidArgumentf(d.Type, "The record of an address's name is of the type PTR.")
	case reverse:
		d.Type = "PTR"
	case d.Type == "":
		d.Type = "A"
	}
	return nil
}

// findServer looks up the server that was entered, if any, and sets the address to send from.
func (d *digQuery) findServer(ctx context.Context, env *shell.Env) error {
	d.Source = sourceNamed(env, d.source, false)
	if d.server == "" {
		return nil
	}
	addrs, err := env.Appliance.Resolver.Lookup(ctx, d.server, 0)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return refusal.Newf("dig: couldn't get address for '%s': not found", d.server)
	}
	d.Server = addrs[0]
	d.Source = sourceNamed(env, d.source, d.Server.Is6())
	if d.Source.IsValid() && d.Source.Is6() != d.Server.Is6() {
		return refusal.Newf("dig: %s has no address of the family of %v", d.source, d.Server)
	}
	return nil
}

// sourceNamed returns the address of the IP interface with that name. If the interface has
// both, v6 decides between its IPv4 and its IPv6 address. name may also be an address of the
// appliance. In all other cases sourceNamed returns an invalid address.
func sourceNamed(env *shell.Env, name string, v6 bool) netip.Addr {
	a, _ := netip.ParseAddr(name)
	for _, i := range netconfig.Interfaces.Get(env.Appliance.Config.Committed()).List {
		addr6 := i.IPv6.Addr()
		switch {
		case a.IsValid() && (a == i.IPv4 || a == addr6):
			return a
		case !strings.EqualFold(name, i.Name):
		case addr6.IsValid() && (v6 || !i.IPv4.IsValid()):
			return addr6
		default:
			return i.IPv4
		}
	}
	return netip.Addr{}
}

// printResponse prints the answer of a server.
func printResponse(env *shell.Env, r *resolver.Response) {
	env.Printf(";; Got answer:\n;; ->>HEADER<<- opcode: %s, status: %s, id: %d\n",
		r.Opcode, r.Status, r.ID)
	env.Printf(";; flags: %s; QUERY: 1, ANSWER: %d, AUTHORITY: %d, ADDITIONAL: %d\n",
		strings.Join(r.Flags, " "), len(r.Answer), len(r.Authority), len(r.Additional))
	env.Printf("\n;; QUESTION SECTION:\n%s\n",
		tabbed(";"+r.Question.Name, "", r.Question.Class, r.Question.Type))
	for _, s := range []struct {
		title   string
		records []resolver.Record
	}{{"ANSWER", r.Answer}, {"AUTHORITY", r.Authority}, {"ADDITIONAL", r.Additional}} {
		if len(s.records) == 0 {
			continue
		}
		env.Printf("\n;; %s SECTION:\n", s.title)
		for _, rr := range s.records {
			env.Printf("%s\n", tabbed(rr.Name, fmt.Sprint(rr.TTL), rr.Class, rr.Type, rr.Data))
		}
	}
	transport := ""
	if r.TCP {
		transport = " (TCP)"
	}
	env.Printf("\n;; Query time: %d msec\n;; SERVER: %v#%d(%[2]v)%[4]s\n",
		r.Took.Milliseconds(), r.Server.Addr(), r.Server.Port(), transport)
	env.Printf(";; WHEN: %s\n;; MSG SIZE  rcvd: %d\n\n",
		env.Appliance.Now().Format("Mon Jan _2 15:04:05 2006"), r.Size)
}

// tabbed separates fields with tabs. The first field is 24 columns wide, the others are 8. A
// field that is wider than its column is followed by a blank.
func tabbed(fields ...string) string {
	var line strings.Builder
	at, stop := 0, 0
	for i, f := range fields {
		if i > 0 {
			if stop += 8; i == 1 {
				stop = 24
			}
			if tabs := stop/8 - at/8; tabs > 0 {
				line.WriteString(strings.Repeat("\t", tabs))
				at = stop
			} else if f != "" {
				line.WriteByte(' ')
				at++
			}
		}
		line.WriteString(f)
		at += len(f)
	}
	return line.String()
}
