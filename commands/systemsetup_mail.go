package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

const smtpPort = 25

// askListeners replaces all listeners: one takes mail from the Internet, and relays that of some
// hosts unless another IP interface can have a listener for them.
func (w *setupWizard) askListeners(ctx context.Context) error {
	err := editSection(w.env, listener.Section, func(s *listener.Settings) error {
		s.Listeners = slices.DeleteFunc(s.Listeners,
			func(l listener.Listener) bool { return l.Type != listener.Quarantine })
		return nil
	})
	if err != nil {
		return err
	}
	return editSection(w.env, listener.Section, func(s *listener.Settings) error {
		if err := w.askPublicListener(ctx, s); err != nil {
			return err
		}
		w.env.Printf("\n%s\n\n", endOfPart)
		relay, err := w.env.Confirm(ctx, fmt.Sprintf(
			"Do you want to configure the %s to relay mail for internal hosts?", w.model()), true)
		if err != nil || !relay {
			return err
		}
		return w.askRelaying(ctx, s)
	})
}

// askPublicListener asks for a listener for mail from the Internet, and where that is delivered to.
func (w *setupWizard) askPublicListener(ctx context.Context, s *listener.Settings) error {
	w.env.Printf("You are now going to configure how the %s accepts mail by\n"+
		"creating a \"Listener\".\n", w.model())
	l := listener.New("", "", smtpPort, listener.Public, w.env.Appliance.Product.Version)
	limited, perHour := false, 4500
	if err := w.env.Form(ctx,
		listenerName(&l.Name, *s),
		listenerInterface(w.env, &l),
		acceptedDomains(&l.Recipients),
		func(ctx context.Context, _ shell.Dialogue) error { return w.askRoutes(ctx, l.Recipients) },
		w.reputationFilter(&l),
		shell.YesNo(&limited, "Do you want to enable rate limiting for this listener? (Rate limiting "+
			"defines the maximum number of recipients per hour you are willing to receive from a "+
			"remote host.)"),
		shell.When(func() bool { return limited }, shell.Number(&perHour,
			"Enter the maximum number of recipients per hour to accept from a remote host.", 1, 1_000_000)),
	); err != nil {
		return err
	}
	if limited {
		l.Hosts.Default.MaxRecipientsPerHour = &perHour
	}
	w.addListener(s, l)
	return nil
}

// addListener adds a listener and says so.
func (w *setupWizard) addListener(s *listener.Settings, l listener.Listener) {
	s.Listeners = append(s.Listeners, l)
	w.env.Printf("Listener %s created.\nDefaults have been set for a %s listener.\n"+
		"Use the listenerconfig->EDIT command to customize the listener.\n", l.Name, l.Type.Title())
}

// askRoutes replaces all SMTP routes by those of the accepted domains.
func (w *setupWizard) askRoutes(ctx context.Context, t listener.RecipientTable) error {
	var domains []string
	for _, e := range t.Entries {
		if !strings.EqualFold(e.Address, "ALL") && delivery.CheckRouteDomain(e.Address) == nil {
			domains = append(domains, e.Address)
		}
	}
	return editSection(w.env, delivery.Routes, func(l *delivery.RouteList) error {
		l.List = nil
		if len(domains) == 0 {
			return nil
		}
		list := strings.Join(domains, ", ")
		use, err := w.env.Confirm(ctx, "Would you like to configure SMTP routes for "+list+"?", true)
		if err != nil || !use {
			return err
		}
		var r delivery.Route
		if _, err := w.env.Ask(ctx, "Enter the destination mail server which you want mail for "+list+
			" to be delivered.\nSeparate multiple entries with commas.", "", r.SetHosts); err != nil {
			return err
		}
		for _, r.Domain = range domains {
			l.List = append(l.List, r)
		}
		return nil
	})
}

// The approaches to filtering by reputation, with the scores below which mail is rejected and
// throttled [convention].
var reputationApproaches = []struct {
	name               string
	rejected, accepted string
}{
	{"Conservative", "-4.0", "-2.0"},
	{"Moderate", "-3.0", "-1.0"},
	{"Aggressive", "-2.0", "-0.5"},
}

// reputationFilter asks whether clients are judged by their reputation, and how strictly.
func (w *setupWizard) reputationFilter(l *listener.Listener) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		if err := d.Form(ctx, shell.YesNo(&l.SenderBase, "Would you like to enable filtering based on "+
			"SenderBase Reputation Scores (SBRS) for this listener?")); err != nil || !l.SenderBase {
			return err
		}
		var names []string
		for _, a := range reputationApproaches {
			names = append(names, a.name)
		}
		n, err := d.Choose(ctx, "Please choose an approach to filtering by reputation:", 1, names...)
		if err != nil {
			return err
		}
		a := reputationApproaches[n]
		scores := map[string]string{
			"BLOCKED":   "sbrs[-10.0:" + a.rejected + "]",
			"THROTTLED": "sbrs[" + a.rejected + ":" + a.accepted + "]",
			"ACCEPTED":  "sbrs[" + a.accepted + ":10.0]",
		}
		for g := range l.Hosts.Groups {
			group := &l.Hosts.Groups[g]
			for e := range group.Entries {
				if score, ok := scores[group.Policy]; ok && group.Entries[e].Host != "sbrs[none]" {
					group.Entries[e].Host = score
				}
			}
		}
		return nil
	}
}

// askRelaying asks whose mail is relayed to anybody. If an IPv4 address has no listener yet, a
// private listener can be made for it. Otherwise the hosts become a sender group of the public one.
func (w *setupWizard) askRelaying(ctx context.Context, s *listener.Settings) error {
	free := slices.ContainsFunc(netconfig.Interfaces.Get(w.env.Draft).List,
		func(i netconfig.IPInterface) bool {
			l := listener.Listener{Interface: i.Name, Port: smtpPort}
			return i.IPv4.IsValid() && portInUse(w.env, l, *s) == nil
		})
	if !free {
		return w.env.Form(ctx, relayHosts(&s.Listeners[len(s.Listeners)-1].Hosts))
	}
	l := listener.New("", "", smtpPort, listener.Private, w.env.Appliance.Product.Version)
	if err := w.env.Form(ctx,
		listenerName(&l.Name, *s),
		listenerInterface(w.env, &l),
		listenerPort(w.env, &l, *s),
		relayHosts(&l.Hosts),
	); err != nil {
		return err
	}
	w.addListener(s, l)
	return nil
}

// askAlerts replaces the recipients of alerts.
func (w *setupWizard) askAlerts(ctx context.Context) error {
	w.env.Printf("You will now configure system alerts.\n")
	return editAlerts(w.env, func(s *alert.Settings) error {
		var present []string
		for _, r := range s.Recipients {
			present = append(present, r.Address)
		}
		var addresses []string
		if _, err := w.env.Ask(ctx, "Please enter the email address(es) to send alerts.\n"+
			"(Ex: \"administrator@example.com\")\nSeparate multiple addresses with commas.",
			strings.Join(present, ", "), func(answer string) (err error) {
				if addresses, err = parseAddresses(answer); len(addresses) > alert.MaxRecipients {
					err = refusal.Newf("At most %d addresses can receive alerts.", alert.MaxRecipients)
				}
				return err
			}); err != nil {
			return err
		}
		s.Recipients = nil
		for _, address := range addresses {
			if s.Find(address) == nil {
				s.Recipients = append(s.Recipients, alert.Recipient{Address: address})
			}
		}
		return w.env.Form(ctx, shell.YesNo(&s.AutoSupport, fmt.Sprintf(
			"Would you like to enable %s, which sends system alerts and weekly status reports to %s?",
			autoSupportName(w.env), alert.VendorAddress)))
	})
}
