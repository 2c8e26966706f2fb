package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "destconfig",
	Summary: "Configure limits and TLS of deliveries to a domain.",
	Help: "destconfig delete <domain>\n" +
		"destconfig print\n" +
		"destconfig clear\n\n" +
		"A destination without an entry has the limits of the default entry. A new entry begins with\n" +
		"the limits that the default entry has then.",
	Source: "public (operations, dialogue of NEW), invented (other questions, table, inline form)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Commit: true,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return destinationsInline(env)
		}
		return env.Menu(ctx, func() shell.Menu {
			list := delivery.Destinations.Get(env.Draft).List
			none := len(list) == 0
			return shell.Menu{
				Header: func() { env.Printf("\n%s\n", countOf(len(list), "entries")) },
				Items: []shell.Item{
					{Key: "NEW", Text: "Create a new entry.", Run: withEnv(env, newDestination)},
					{Key: "EDIT", Text: "Modify an entry.",
						Hidden: none, Run: withEnv(env, editDestination)},
					{Key: "DELETE", Text: "Remove an entry.",
						Hidden: none, Run: withEnv(env, deleteDestination)},
					{Key: "DEFAULT", Text: "Change the default.", Run: withEnv(env, editDefaultDestination)},
					{Key: "SETUP", Text: "Change global settings.", Run: withEnv(env, setUpDestinations)},
					{Key: "PRINT", Text: "Display all entries.",
						Run: func(context.Context) error { return printDestinations(env) }},
					{Key: "CLEAR", Text: "Remove all entries.",
						Hidden: none, Run: withEnv(env, clearDestinations)},
				},
			}
		})
	},
})

func newDestination(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Destinations, func(l *delivery.DestinationList) error {
		d := l.Default
		d.BounceProfile = ""
		if err := env.Form(ctx,
			shell.Text(&d.Domain, "Enter the domain you wish to limit.", func(domain string) error {
				if destinationIndex(*l, domain) >= 0 {
					return refusal.Newf("There is already an entry for %s.", domain)
				}
				return delivery.CheckDomain(domain)
			}),
			destinationForm(env, &d, *l),
		); err != nil {
			return err
		}
		l.List = append(l.List, d)
		return nil
	})
}

// destinationIndex returns the index of the entry that is exactly for domain, or -1.
func destinationIndex(l delivery.DestinationList, domain string) int {
	return slices.IndexFunc(l.List,
		func(d delivery.Destination) bool { return strings.EqualFold(d.Domain, domain) })
}

// destinationForm asks the questions about an entry in the order of mail.md 3.3. An answer of no
// takes the value of the default entry.
func destinationForm(
	env *shell.Env, to *delivery.Destination, l delivery.DestinationList) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		concurrency, recipients := true, to.RecipientLimit > 0
		tls, profile := to.TLS != l.Default.TLS, to.BounceProfile != ""
		yes := func(b *bool) func() bool { return func() bool { return *b } }
		err := d.Form(ctx,
			shell.YesNo(&concurrency,
				fmt.Sprintf("Do you wish to configure a concurrency limit for %s?", to.Domain)),
			func(ctx context.Context, d shell.Dialogue) error {
				if !concurrency {
					to.MaxConnections = l.Default.MaxConnections
					return nil
				}
				return shell.Number(&to.MaxConnections, fmt.Sprintf(
					"Enter the max concurrency limit for \"%s\".", to.Domain), 1, 1000)(ctx, d)
			},
			shell.YesNo(&recipients, "Do you wish to apply a recipient limit to this domain?"),
			shell.When(yes(&recipients), recipientLimitForm(to, to.Domain)),
			onlyFirst(fmt.Sprintf("Select how you want to apply the limits for %s:", to.Domain),
				"Limits for each mail exchanger are not simulated.",
				"One limit applies to the entire domain "+to.Domain,
				"Separate limit for each mail exchanger IP address"),
			enforcementField,
			shell.YesNo(&tls, "Do you wish to apply a specific TLS setting for this domain?"),
			shell.When(yes(&tls), destinationTLS(&to.TLS)),
			bounceVerificationField,
			shell.YesNo(&profile, "Do you wish to apply a specific bounce profile to this domain?"),
			shell.When(yes(&profile), bounceProfileField(env, &to.BounceProfile)),
		)
		if err != nil {
			return err
		}
		if !recipients {
			to.RecipientLimit, to.Minutes = 0, l.Default.Minutes
		}
		if !tls {
			to.TLS = l.Default.TLS
		}
		if !profile {
			to.BounceProfile = ""
		}
		return nil
	}
}

// recipientLimitForm asks for the recipient limit of a domain.
func recipientLimitForm(to *delivery.Destination, domain string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		if err := d.Form(ctx, shell.Number(&to.Minutes,
			"Enter the number of minutes used to measure the recipient limit.", 1, 60)); err != nil {
			return err
		}
		present := ""
		if to.RecipientLimit > 0 {
			present = strconv.Itoa(to.RecipientLimit)
		}
		const most = 1_000_000_000
		_, err := d.Ask(ctx, fmt.Sprintf("Enter the max number of recipients per %d minutes for \"%s\".",
			to.Minutes, domain), present, func(answer string) error {
			n, err := strconv.Atoi(answer)
			if err != nil || n < 1 || n > most {
				return refusal.Newf("The value must be an integer from %d to %d.", 1, most)
			}
			to.RecipientLimit = n
			return nil
		})
		return err
	}
}

func enforcementField(ctx context.Context, d shell.Dialogue) error {
	return onlyFirst("Select how the limits will be enforced:",
		"Virtual gateways are not simulated.", "System Wide", "Per Virtual Gateway(tm)")(ctx, d)
}

func bounceVerificationField(ctx context.Context, d shell.Dialogue) error {
	return onlyNo("Do you wish to apply a specific bounce verification address tagging setting for "+
		"this domain?", "Bounce verification is not simulated.")(ctx, d)
}

func messagesPerConnection(to *delivery.Destination) shell.Field {
	return shell.Number(&to.MaxMessages,
		"Enter the max number of messages per connection.", 1, 1000)
}

// A tlsSetting is a way to use TLS, as it is called in questions and tables.
type tlsSetting struct {
	mode  delivery.TLSMode
	title string
}

func tlsSettings() []tlsSetting {
	return []tlsSetting{
		{delivery.TLSOff, "No"},
		{delivery.TLSPreferred, "Preferred"},
		{delivery.TLSRequired, "Required"},
		{delivery.TLSPreferredVerify, "Preferred (Verify)"},
		{delivery.TLSRequiredVerify, "Required (Verify)"},
	}
}

func destinationTLS(mode *delivery.TLSMode) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		settings := tlsSettings()
		titles := make([]string, len(settings))
		present := 0
		for i, s := range settings {
			titles[i] = s.title
			if s.mode == *mode {
				present = i
			}
		}
		n, err := d.Choose(ctx, "Do you want to use TLS support?", present, titles...)
		if err == nil {
			*mode = settings[n].mode
		}
		return err
	}
}

func editDestination(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Destinations, func(l *delivery.DestinationList) error {
		n, err := chooseDestination(ctx, env, *l, "edit")
		if err != nil {
			return err
		}
		return env.Form(ctx, destinationForm(env, &l.List[n], *l), messagesPerConnection(&l.List[n]))
	})
}

func deleteDestination(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Destinations, func(l *delivery.DestinationList) error {
		n, err := chooseDestination(ctx, env, *l, "delete")
		if err == nil {
			l.List = slices.Delete(l.List, n, n+1)
		}
		return err
	})
}

func chooseDestination(
	ctx context.Context, env *shell.Env, l delivery.DestinationList, verb string) (n int, err error) {
	_, err = env.Ask(ctx, "Enter the domain of the entry that you want to "+verb+".", "",
		func(domain string) error {
			if n = destinationIndex(l, domain); n < 0 {
				return refusal.Newf("The entry for %s does not exist.", visible(domain))
			}
			return nil
		})
	return n, err
}

// editDefaultDestination asks the questions that make sense without a domain.
func editDefaultDestination(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Destinations, func(l *delivery.DestinationList) error {
		d := &l.Default
		recipients := d.RecipientLimit > 0
		err := env.Form(ctx,
			shell.Number(&d.MaxConnections, "Enter the default maximum concurrency limit.", 1, 1000),
			messagesPerConnection(d),
			shell.YesNo(&recipients, "Do you wish to apply a recipient limit by default?"),
			shell.When(func() bool { return recipients }, recipientLimitForm(d, "Default")),
			enforcementField,
			destinationTLS(&d.TLS),
		)
		if err == nil && !recipients {
			d.RecipientLimit = 0
		}
		return err
	})
}

// setUpDestinations asks for what holds for all destinations: the certificate that servers are
// shown if they ask for one, and the alerts.
func setUpDestinations(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Destinations, func(l *delivery.DestinationList) error {
		certificate := l.Certificate != ""
		err := env.Form(ctx,
			shell.YesNo(&certificate,
				"Do you want to show a certificate to servers that ask for one?"),
			shell.When(func() bool { return certificate }, func(ctx context.Context, d shell.Dialogue) error {
				err := certificateField(env, &l.Certificate)(ctx, d)
				l.Certificate = cmp.Or(l.Certificate, tlsconfig.Demo)
				return err
			}),
			shell.YesNo(&l.AlertTLS,
				"Do you want to send an alert when a required TLS connection fails?"),
		)
		if !certificate {
			l.Certificate = ""
		}
		return err
	})
}

func printDestinations(env *shell.Env) error {
	l := delivery.Destinations.Get(env.Draft)
	t := shell.Table{Headings: []string{
		"Domain", "Concurrency", "Messages", "Recipients", "TLS", "Bounce Profile",
	}}
	slices.SortFunc(l.List, func(a, b delivery.Destination) int { return cmp.Compare(a.Domain, b.Domain) })
	for _, d := range append(l.List, l.Default) {
		recipients := "No limit"
		if d.RecipientLimit > 0 {
			recipients = fmt.Sprintf("%d in %d minutes", d.RecipientLimit, d.Minutes)
		}
		tls := ""
		for _, s := range tlsSettings() {
			if s.mode == d.TLS {
				tls = s.title
			}
		}
		t.Add(cmp.Or(d.Domain, "(Default)"), strconv.Itoa(d.MaxConnections),
			strconv.Itoa(d.MaxMessages), recipients, tls, cmp.Or(d.BounceProfile, "(Default)"))
	}
	t.Print(env)
	return nil
}

func clearDestinations(ctx context.Context, env *shell.Env) error {
	sure, err := env.Confirm(ctx, "Are you sure you want to remove all entries?", false)
	if err != nil || !sure {
		return err
	}
	return removeAllDestinations(env)
}

func removeAllDestinations(env *shell.Env) error {
	return editSection(env, delivery.Destinations, func(l *delivery.DestinationList) error {
		l.List = nil
		return nil
	})
}

// destinationsInline executes the inline form.
func destinationsInline(env *shell.Env) error {
	verb, args := strings.ToLower(env.Args[0]), env.Args[1:]
	takes, ok := map[string]int{"delete": 1, "print": 0, "clear": 0}[verb]
	switch {
	case !ok:
		return shell.InvalidArgumentf(printable(env.Args[0]),
			"The operation must be delete, print or clear.")
	case len(args) != takes:
		return shell.InvalidArgumentf(printable(strings.Join(env.Args, " ")),
			"The operation %s takes %d arguments.", verb, takes)
	}
	switch verb {
	case "print":
		return printDestinations(env)
	case "clear":
		return removeAllDestinations(env)
	}
	return editSection(env, delivery.Destinations, func(l *delivery.DestinationList) error {
		n := destinationIndex(*l, args[0])
		if n < 0 {
			return shell.InvalidArgumentf(printable(args[0]), "The entry does not exist.")
		}
		l.List = slices.Delete(l.List, n, n+1)
		return nil
	})
}
