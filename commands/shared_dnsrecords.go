package commands

import (
	"context"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/shell"
)

// recordTypes are the types of DNS records that nslookup and dig offer.
var recordTypes = []string{"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "TXT"}

// askRecordType asks for a type of DNS records. The default depends on host.
func askRecordType(ctx context.Context, env *shell.Env, host string) (string, error) {
	def := slices.Index(recordTypes, defaultRecordType(host))
	n, err := env.Choose(ctx, "Choose the type of the query.", def, recordTypes...)
	if err != nil {
		return "", err
	}
	return recordTypes[n], nil
}

// defaultRecordType returns PTR if host is an address, and A if it is a name.
func defaultRecordType(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return "PTR"
	}
	return "A"
}
