package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "nslookup",
	Summary: "Query the DNS for a host or an address.",
	Help: "nslookup [host [type]]\n\n" +
		"Types are A, AAAA, CNAME, MX, NS, PTR, SOA and TXT. If the appliance's cache has the answer,\n" +
		"no DNS server is asked. TTL is how much longer the cache keeps the record.",
	Source: "public (answer), invented (questions, refusals)",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		host, kind, err := nameToLookUp(ctx, env)
		if err != nil {
			return err
		}
		records, err := env.Appliance.Resolver.Records(ctx, host, kind)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, resolver.ErrNoRecord):
			return refusal.Newf("%s has no record of type %s.", host, kind)
		case errors.Is(err, resolver.ErrNotFound):
			return refusal.Newf("%s does not exist.", host)
		case errors.Is(err, resolver.ErrNoServer):
			return refusal.New("No DNS server is configured. Add one with dnsconfig.")
		case err != nil:
			return refusal.Because(err, "No DNS server gave an answer about %s (%s).", host, kind)
		}
		for _, r := range records {
			ttl := capture.FormatDuration(time.Duration(r.TTL) * time.Second)
			env.Printf("%s=%s TTL=%s\n", r.Type, recordText(r), ttl)
		}
		return nil
	},
})

func nameToLookUp(ctx context.Context, env *shell.Env) (host, kind string, err error) {
	if len(env.Args) > 0 {
		if err := checkHostArgument(env.Args[0]); err != nil {
			return "", "", err
		}
	}
	switch len(env.Args) {
	case 0:
		host, err = env.Ask(ctx, "Please enter the host or IP address to resolve.", "", shell.Required)
		if err == nil {
			kind, err = askRecordType(ctx, env, host)
		}
		return host, kind, err
	case 1:
		return env.Args[0], defaultRecordType(env.Args[0]), nil
	}
	kind = strings.ToUpper(env.Args[1])
	if !slices.Contains(recordTypes, kind) {
		return "", "", shell.InvalidArgumentf(env.Args[1],
			"The type must be one of %s.", strings.Join(recordTypes, ", "))
	}
	if len(env.Args) > 2 {
		return "", "", shell.InvalidArgumentf(env.Args[2], "The arguments are a host and a type.")
	}
	return env.Args[0], kind, nil
}

// recordText formats the data of a record, with names as administrators write them.
func recordText(r resolver.Record) string {
	words := strings.Fields(r.Data)
	switch r.Type {
	case "TXT":
		return r.Data
	case "MX":
		return fmt.Sprintf("%s PREF=%s", strings.TrimSuffix(words[1], "."), words[0])
	}
	for i, w := range words {
		words[i] = strings.TrimSuffix(w, ".")
	}
	return strings.Join(words, " ")
}
