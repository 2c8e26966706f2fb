package commands

import (
	"strings"

	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

// This file holds what the commands share that show one destination of mail.

// recipientHostQuestion asks for the domain of a destination.
func recipientHostQuestion(domain *string) shell.Field {
	return shell.Text(domain, "Recipient host:", func(answer string) error {
		_, err := recipientHostArgument(answer)
		return err
	})
}

// recipientHostArgument returns the domain that an argument names. An address in brackets is a
// destination, too.
func recipientHostArgument(arg string) (string, error) {
	domain := strings.ToLower(arg)
	if !resolver.ValidDomain(domain) || printable(domain) != domain {
		return "", shell.InvalidArgumentf(printable(arg), "The domain is not valid.")
	}
	return domain, nil
}
