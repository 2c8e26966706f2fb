package commands

import (
	"context"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/shell"
)

// recordTypes are those that nslookup and dig offer.
var recordTypes = []string{"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "TXT"}

// askRecordType asks for a type of records; that of an address's name is offered where
// host is an address.
func askRecordType(ctx context.Context, env *shell.Env, host string) (string, error) {
	n, err := env.Choose(ctx, "Choose the type of the query.", slices.Index(recordTypes, defaultRecordType(host)), recordTypes...)
	if err != nil {
		return "", err
	}
	return recordTypes[n], nil
}

// usualType is what one mostly wants to know of a host: of an address its name.
func defaultRecordType(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return "PTR"
	}
	return "A"
}
