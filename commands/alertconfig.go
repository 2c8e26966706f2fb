package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "alertconfig",
	Summary: "Configure who receives alerts by mail.",
	Help: "A recipient receives the alerts of some classes and severities. Duplicates of an alert\n" +
		"are held back for an interval that grows, and then summarized in one mail.",
	Source: "cli.md (list, operations, classes and severities), invented (questions)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Commit: true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return env.Menu(ctx, func() shell.Menu {
			s := alert.Section.Get(env.Draft)
			none, full := len(s.Recipients) == 0, len(s.Recipients) >= alert.MaxRecipients
			return shell.Menu{
				Header: func() { printAlertSettings(env, s) },
				Items: []shell.Item{
					{Key: "NEW", Text: "Add a new email address to send alerts.",
						Hidden: full, Run: withEnv(env, newAlertRecipient)},
					{Key: "EDIT", Text: "Modify alert subscription for an email address.",
						Hidden: none, Run: withEnv(env, editAlertRecipient)},
					{Key: "DELETE", Text: "Remove an email address.",
						Hidden: none, Run: withEnv(env, deleteAlertRecipient)},
					{Key: "CLEAR", Text: "Remove all email addresses (disable alerts).",
						Hidden: none, Run: withEnv(env, clearAlertRecipients)},
					{Key: "SETUP", Text: "Configure alert settings.", Run: withEnv(env, setUpAlerts)},
					{Key: "FROM", Text: "Configure the From Address of alert emails.",
						Run: withEnv(env, chooseAlertSender)},
				},
			}
		})
	},
})

func printAlertSettings(env *shell.Env, s alert.Settings) {
	if len(s.Recipients) == 0 {
		env.Printf("No email addresses are configured: alerts are not sent.\n")
	} else {
		env.Printf("Sending alerts to:\n")
	}
	for _, r := range s.Recipients {
		env.PrintWrapped(r.Address)
		env.PrintWrapped("     Class: " + listOrAll(r.Classes) +
			" - Severities: " + listOrAll(r.Severities))
	}
	env.Printf("\nInitial number of seconds to wait before sending a duplicate alert: %d\n"+
		"Maximum number of seconds to wait before sending a duplicate alert: %d\n"+
		"Maximum number of alerts stored in the system are: %d\n\n",
		s.InitialInterval, s.MaximumInterval, s.StoredAlerts)
	if s.From == "" {
		env.Printf("Alerts will be sent using the system-default From Address.\n\n")
	} else {
		env.PrintWrapped("Alerts will be sent using the From Address " + s.From + ".\n")
	}
	if !s.AutoSupport {
		env.Printf("%s: Disabled\n", autoSupportName(env))
		return
	}
	env.Printf("%s: Enabled\n", autoSupportName(env))
	if s.AutoSupportCopy {
		env.Printf("You will receive a copy of the weekly AutoSupport reports.\n")
	} else {
		env.Printf("You will not receive a copy of the weekly AutoSupport reports.\n")
	}
}

// listOrAll lists the chosen values. An empty list stands for all of them.
func listOrAll[T ~string](list []T) string {
	if len(list) == 0 {
		return "All"
	}
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

func newAlertRecipient(ctx context.Context, env *shell.Env) error {
	return editAlerts(env, func(s *alert.Settings) error {
		var r alert.Recipient
		if err := env.Form(ctx,
			shell.Text(&r.Address,
				"Enter the email address to send alerts to, for example administrator@example.com.",
				func(address string) error {
					if s.Find(address) != nil {
						return refusal.Newf("Alerts are already sent to %s.", address)
					}
					return alert.CheckAddress(address)
				}),
			alertRecipientForm(&r),
		); err != nil {
			return err
		}
		s.Recipients = append(s.Recipients, r)
		return nil
	})
}

func editAlertRecipient(ctx context.Context, env *shell.Env) error {
	return editAlerts(env, func(s *alert.Settings) error {
		n, err := chooseAlertRecipient(ctx, env, s, "edit")
		if err != nil {
			return err
		}
		return env.Form(ctx, alertRecipientForm(&s.Recipients[n]))
	})
}

// alertRecipientForm asks which alerts a recipient receives.
func alertRecipientForm(r *alert.Recipient) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		return d.Form(ctx,
			someOrAllField(&r.Classes,
				"Choose the alert classes, with commas between them.", alert.Classes()),
			someOrAllField(&r.Severities,
				"Choose the severities, with commas between them.", alert.Severities()),
		)
	}
}

// someOrAllField asks for some of the values, or for all of them, which it stores as an empty
// list.
func someOrAllField[T ~string](dst *[]T, question string, values []T) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		const all = "All"
		chosen := *dst
		if len(chosen) == 0 {
			chosen = []T{all}
		}
		choices := slices.Concat([]T{all}, values)
		if err := d.Form(ctx, shell.SomeOf(&chosen, question, choices...)); err != nil {
			return err
		}
		if slices.Contains(chosen, all) || len(chosen) == len(values) {
			chosen = nil
		}
		*dst = chosen
		return nil
	}
}

func deleteAlertRecipient(ctx context.Context, env *shell.Env) error {
	return editAlerts(env, func(s *alert.Settings) error {
		n, err := chooseAlertRecipient(ctx, env, s, "remove")
		if err != nil {
			return err
		}
		s.Recipients = slices.Delete(s.Recipients, n, n+1)
		return nil
	})
}

func clearAlertRecipients(ctx context.Context, env *shell.Env) error {
	return editAlerts(env, func(s *alert.Settings) error {
		sure, err := env.Confirm(ctx,
			"Are you sure you want to remove all email addresses? Alerts will not be sent.", false)
		if sure {
			s.Recipients = nil
		}
		return err
	})
}

// chooseAlertRecipient asks for one of the recipients in s and returns its index.
func chooseAlertRecipient(
	ctx context.Context, env *shell.Env, s *alert.Settings, verb string) (int, error) {
	var names []string
	for _, r := range s.Recipients {
		names = append(names, r.Address)
	}
	return env.Choose(ctx,
		"Enter the number of the email address you wish to "+verb+".", -1, names...)
}

func setUpAlerts(ctx context.Context, env *shell.Env) error {
	return editAlerts(env, func(s *alert.Settings) error {
		return env.Form(ctx,
			shell.Number(&s.InitialInterval,
				"Enter the initial number of seconds to wait before sending a duplicate alert. "+
					"With 0 every duplicate is sent at once.", 0, alert.MaxInterval),
			shell.When(func() bool { return s.InitialInterval > 0 }, maximumIntervalField(s)),
			shell.YesNo(&s.AutoSupport, fmt.Sprintf("Do you want to enable %s, "+
				"which sends a copy of all alerts and a weekly report to %s?",
				autoSupportName(env), alert.VendorAddress)),
			shell.When(func() bool { return s.AutoSupport }, shell.YesNo(&s.AutoSupportCopy,
				"Do you want to receive a copy of the weekly AutoSupport reports?")),
			shell.Number(&s.StoredAlerts,
				"Enter the maximum number of alerts to store in the system.", 1, alert.MaxStored),
		)
	})
}

// maximumIntervalField asks for the maximum interval, which is at least the initial one.
func maximumIntervalField(s *alert.Settings) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		s.MaximumInterval = max(s.MaximumInterval, s.InitialInterval)
		return d.Form(ctx, shell.Number(&s.MaximumInterval,
			"Enter the maximum number of seconds to wait before sending a duplicate alert.",
			s.InitialInterval, alert.MaxInterval))
	}
}

func chooseAlertSender(ctx context.Context, env *shell.Env) error {
	return editAlerts(env, func(s *alert.Settings) error {
		def := 0
		if s.From != "" {
			def = 1
		}
		n, err := env.Choose(ctx, "Choose the From Address of alert emails.", def,
			"The system default: alert@"+env.Appliance.Hostname(), "Another address")
		if err != nil {
			return err
		}
		if n == 0 {
			s.From = ""
			return nil
		}
		return env.Form(ctx, shell.Text(&s.From, "Enter the From Address.", alert.CheckAddress))
	})
}
