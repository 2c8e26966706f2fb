package commands

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "dnslisttest",
	Summary: "Test a DNS lookup for a DNS-based list service.",
	Help: "dnslisttest <query server> [address]\n\n" + foldHelp("The query server is the domain of "+
		"the list. Lists have an entry for testing, 127.0.0.2, which is the default. "+
		"The DNS cache is not used."),
	Source: "mail.md 3.10 (questions, results), invented (refusals)",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		q := listQuery{addr: netip.AddrFrom4([4]byte{127, 0, 0, 2})}
		if err := argumentsOrQuestions(ctx, env, q.parse, q.ask); err != nil {
			return err
		}
		name := resolver.ListName(q.addr, q.server)
		env.Printf("Querying: %s\n", name)
		r, err := env.Appliance.Resolver.Query(ctx, resolver.Query{Name: name, Type: "A"})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, resolver.ErrNotFound):
			return refusal.Newf("%s is no name that can be queried.", visible(name))
		case errors.Is(err, resolver.ErrNoServer):
			return refusal.Because(err, "Query failed: no DNS server is configured.")
		case err != nil:
			return refusal.Because(err, "Query failed: no DNS server answered.")
		case slices.ContainsFunc(r.Answer, func(r resolver.Record) bool { return r.Type == "A" }):
			env.Printf("Result: MATCHED\n")
		case r.Status == "NOERROR" || r.Status == "NXDOMAIN":
			env.Printf("Result: NOT FOUND\n")
		default:
			return refusal.Newf("Query failed: the DNS server answered %s.", r.Status)
		}
		return nil
	},
})

// A listQuery is what dnslisttest looks up.
type listQuery struct {
	server string // the domain of the list
	addr   netip.Addr
}

func (q *listQuery) ask(ctx context.Context, env *shell.Env) error {
	addr := q.addr.String()
	return env.Form(ctx,
		shell.Text(new(string), "Enter the query server name:", q.setServer),
		shell.Text(&addr, "Enter the test IP address to query for:", q.setAddr),
	)
}

func (q *listQuery) parse(env *shell.Env) error {
	switch {
	case len(env.Args) == 0:
		return shell.InvalidArgumentf("", "The name of a query server is required.")
	case len(env.Args) > 2:
		return shell.InvalidArgumentf(printable(env.Args[2]), "No more arguments are expected.")
	}
	if err := q.setServer(env.Args[0]); err != nil || len(env.Args) == 1 {
		return invalidArgument(env.Args[0], err)
	}
	return invalidArgument(env.Args[1], q.setAddr(env.Args[1]))
}

func (q *listQuery) setServer(answer string) error {
	if !resolver.ValidDomain(answer) {
		return refusal.New("The value must be the domain of a DNS list, such as mylist.example.com.")
	}
	q.server = answer
	return nil
}

func (q *listQuery) setAddr(answer string) error {
	addr, err := netip.ParseAddr(answer)
	if err != nil || addr.Zone() != "" {
		return refusal.New("The value must be an IPv4 or IPv6 address.")
	}
	q.addr = addr.Unmap()
	return nil
}
