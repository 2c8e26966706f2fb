package commands

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "bounceconfig",
	Summary: "Configure how deliveries are retried and what bounce messages are like.",
	Help: "bounceconfig delete <profile>\n\n" +
		"A bounce profile belongs to a listener or, with destconfig, to a destination. All other mail\n" +
		"follows the profile Default. The answer Default takes the present value of that profile, and\n" +
		"in that profile the value of a new appliance.",
	Source: "public (values), mail.md 3.4 (list, operations, questions), invented (names, warnings' numbers, inline form)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Commit: true,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return bounceProfilesInline(env)
		}
		return env.Menu(ctx, func() shell.Menu {
			l := delivery.Profiles.Get(env.Draft)
			return shell.Menu{
				Header: func() {
					env.Printf("\nCurrent bounce profiles:\n")
					env.List(profileNames(l)...)
				},
				Items: []shell.Item{
					{Key: "NEW", Text: "Create a new profile.", Run: withEnv(env, newBounceProfile)},
					{Key: "EDIT", Text: "Modify a profile.", Run: withEnv(env, editBounceProfile)},
					{Key: "DELETE", Text: "Remove a profile.",
						Hidden: len(l.List) == 0, Run: withEnv(env, deleteBounceProfile)},
				},
			}
		})
	},
})

// profileNames returns the names of all profiles, Default first.
func profileNames(l delivery.ProfileList) []string {
	names := []string{"Default"}
	for _, p := range l.List {
		names = append(names, p.Name)
	}
	return names
}

func newBounceProfile(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Profiles, func(l *delivery.ProfileList) error {
		p := l.Default
		if err := env.Form(ctx,
			shell.Text(&p.Name, "Please create a name for the profile:", func(name string) error {
				if slices.ContainsFunc(profileNames(*l),
					func(o string) bool { return strings.EqualFold(o, name) }) {
					return refusal.Newf("There is already a profile with the name %s.", name)
				}
				return checkObjectName(name)
			}),
			bounceProfileForm(&p, l.Default),
		); err != nil {
			return err
		}
		l.List = append(l.List, p)
		return nil
	})
}

func editBounceProfile(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Profiles, func(l *delivery.ProfileList) error {
		n, err := chooseByName(ctx, env, "Please enter the number of the profile to edit:",
			profileNames(*l), "profile")
		if err != nil {
			return err
		}
		if n == 0 {
			return env.Form(ctx, bounceProfileForm(&l.Default, delivery.DefaultProfile()))
		}
		return env.Form(ctx, bounceProfileForm(&l.List[n-1], l.Default))
	})
}

// bounceProfileForm asks the questions about a profile. def has the values that the answer Default
// stands for.
func bounceProfileForm(p *delivery.Profile, def delivery.Profile) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		alternate := p.To != ""
		err := d.Form(ctx,
			shell.Number(&p.MaxRetries, "Please enter the maximum number of retries.", 0, 10_000),
			shell.Number(&p.MaxTime, "Please enter the maximum number of seconds a message may stay "+
				"in the queue before being hard bounced.", 0, 3_000_000),
			shell.Number(&p.FirstRetry,
				"Please enter the initial number of seconds to wait before retrying a message.", 60, 86_400),
			longestRetry(p),
			yesNoDefault(&p.Send, def.Send,
				"Do you want a message sent for each hard bounce? (Yes/No/Default)"),
			shell.When(func() bool { return p.Send },
				yesNoDefault(&p.DSN, def.DSN,
					"Do you want bounce messages to use the DSN message format? (Yes/No/Default) ")),
			delayWarnings(p, def),
			yesNoDefault(&alternate, def.To != "",
				"Do you want hard bounce and delay warning messages sent to an alternate address, "+
					"instead of the sender? (Yes/No/Default) "),
		)
		switch {
		case err != nil:
			return err
		case !alternate:
			p.To = ""
			return nil
		case p.To == "":
			p.To = def.To
		}
		return d.Form(ctx, shell.Text(&p.To,
			"Please enter the email address to send hard bounce and delay warning messages to.",
			alert.CheckAddress))
	}
}

// longestRetry asks for the longest interval, which is at least the first one.
func longestRetry(p *delivery.Profile) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		p.MaxRetry = max(p.MaxRetry, p.FirstRetry)
		return d.Form(ctx, shell.Number(&p.MaxRetry,
			"Please enter the maximum number of seconds to wait before retrying a message.",
			p.FirstRetry, 86_400))
	}
}

// yesNoDefault asks a question to which default is an answer, too. question ends with a blank if
// one stands before the bracket.
func yesNoDefault(dst *bool, def bool, question string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		present, now := "[N]> ", *dst
		if now {
			present = "[Y]> "
		}
		_, err := d.AskOnLine(ctx, question+present, func(answer string) error {
			switch strings.ToLower(answer) {
			case "":
				now = *dst
			case "y", "yes":
				now = true
			case "n", "no":
				now = false
			case "d", "default":
				now = def
			default:
				return refusal.New("Please answer yes, no or default.")
			}
			return nil
		})
		if err == nil {
			*dst = now
		}
		return err
	}
}

// delayWarnings asks for delay warnings, and how often they are sent.
func delayWarnings(p *delivery.Profile, def delivery.Profile) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		p.WarnInterval = cmp.Or(p.WarnInterval, delivery.DefaultWarnInterval)
		p.MaxWarnings = cmp.Or(p.MaxWarnings, delivery.DefaultMaxWarnings)
		return d.Form(ctx,
			yesNoDefault(&p.Warn, def.Warn, "If a message is undeliverable after some interval, do "+
				"you want to send a delay warning message? (Yes/No/Default) "),
			shell.When(func() bool { return p.Warn },
				shell.Number(&p.WarnInterval,
					"Please enter the minimum interval in seconds between delay warning messages.",
					delivery.MinWarnInterval, delivery.MaxWarnInterval)),
			shell.When(func() bool { return p.Warn },
				shell.Number(&p.MaxWarnings,
					"Please enter the maximum number of delay warning messages to send per recipient.",
					1, delivery.MostWarnings)),
		)
	}
}

func deleteBounceProfile(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Profiles, func(l *delivery.ProfileList) error {
		n, err := chooseByName(ctx, env, "Please enter the number of the profile to delete:",
			profileNames(*l), "profile")
		if err != nil {
			return err
		}
		return removeBounceProfile(env, l, n)
	})
}

// removeBounceProfile removes the nth profile of profileNames, unless it is in use.
func removeBounceProfile(env *shell.Env, l *delivery.ProfileList, n int) error {
	if n == 0 {
		return refusal.New("The profile Default cannot be removed.")
	}
	name := l.List[n-1].Name
	for _, on := range listener.Section.Get(env.Draft).Listeners {
		if strings.EqualFold(on.BounceProfile, name) {
			return refusal.Newf("The listener %s uses the profile %s.", on.Name, name)
		}
	}
	destinations := delivery.Destinations.Get(env.Draft)
	for _, to := range append(destinations.List, destinations.Default) {
		if strings.EqualFold(to.BounceProfile, name) {
			return refusal.Newf("The destination %s uses the profile %s.", to.Domain, name)
		}
	}
	l.List = slices.Delete(l.List, n-1, n)
	return nil
}

// bounceProfilesInline executes the inline form.
func bounceProfilesInline(env *shell.Env) error {
	if len(env.Args) != 2 || !strings.EqualFold(env.Args[0], "delete") {
		return shell.InvalidArgumentf(printable(strings.Join(env.Args, " ")),
			"The arguments are delete and the name of a profile.")
	}
	name := env.Args[1]
	return editSection(env, delivery.Profiles, func(l *delivery.ProfileList) error {
		n := slices.IndexFunc(profileNames(*l), func(o string) bool { return strings.EqualFold(o, name) })
		if n < 0 {
			return shell.InvalidArgumentf(printable(name), "The profile does not exist.")
		}
		return invalidArgument(name, removeBounceProfile(env, l, n))
	})
}
