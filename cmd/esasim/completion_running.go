package main

import (
	"context"
	"strconv"

	"github.com/posener/complete"

	"github.com/esasim/esasim/appliance/control"
)

// askingPredictor returns a predictor that asks the running appliance that a command line names.
// Without an appliance it offers nothing.
func askingPredictor(
	line string, list func(context.Context, *control.Client) []string,
) complete.Predictor {
	return predictorOf(targetOf(line).client, list)
}

// memberPredictor returns a predictor of the appliances of the fleet that a command line names. The
// process that runs the fleet is asked, and not the appliance that --appliance names.
func memberPredictor(line string) complete.Predictor {
	return predictorOf(targetOf(line).process, func(ctx context.Context, c *control.Client) (names []string) {
		list, _ := c.Appliances(ctx)
		for _, a := range list {
			names = append(names, a.Name)
		}
		return names
	})
}

// predictorOf returns a predictor of the words that list gets from a client. Without a client it
// offers nothing.
func predictorOf(
	dial func() (*control.Client, error), list func(context.Context, *control.Client) []string,
) complete.Predictor {
	return complete.PredictFunc(func(complete.Args) []string {
		client, err := dial()
		if err != nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
		defer cancel()
		return list(ctx, client)
	})
}

// An asking function makes a predictor of what lists the words.
type asking func(list func(context.Context, *control.Client) []string) complete.Predictor

// worldPredictors returns the predictors of what the world has.
func worldPredictors(line string, running asking) map[string]complete.Predictor {
	return map[string]complete.Predictor{
		"peer": running(func(ctx context.Context, c *control.Client) (names []string) {
			peers, _ := c.Peers(ctx) // without an appliance there is nothing to offer
			for _, p := range peers {
				names = append(names, p.Name)
			}
			return names
		}),
		"mailserver": running(func(ctx context.Context, c *control.Client) []string {
			names, _ := c.MailServers(ctx)
			return names
		}),
		"message": running(func(ctx context.Context, c *control.Client) []string {
			box, _ := c.Mailbox(ctx, wordAfter(line, "show", "raw"))
			ids := []string{"last"}
			for _, m := range box.Messages {
				ids = append(ids, strconv.Itoa(m.ID))
			}
			return ids
		}),
		"mail-rule": running(func(ctx context.Context, c *control.Client) []string {
			list, _ := c.MailRules(ctx, wordAfter(line, "remove"))
			ids := []string{"all"}
			for _, r := range list {
				ids = append(ids, strconv.Itoa(r.ID))
			}
			return ids
		}),
		"fault": running(func(ctx context.Context, c *control.Client) []string {
			return append(faultRefs(ctx, c), "all")
		}),
		"fault-name": running(faultRefs),
		"snapshot":   running(snapshotNames),
		"cable":      running(cableNames),
		"capture":    running(captureNames),
		"captures":   running(captureNamesOrAll),
		"preset": running(func(ctx context.Context, c *control.Client) (names []string) {
			list, _ := c.Presets(ctx)
			for _, p := range list {
				names = append(names, p.Name)
			}
			return names
		}),
	}
}

// appliancePredictors returns the predictors of what the appliance has.
func appliancePredictors(running asking) map[string]complete.Predictor {
	return map[string]complete.Predictor{
		"log": running(func(ctx context.Context, c *control.Client) (names []string) {
			list, _ := c.Logs(ctx)
			for _, l := range list {
				names = append(names, l.Name)
			}
			return names
		}),
		"user": running(func(ctx context.Context, c *control.Client) (names []string) {
			list, _ := c.Users(ctx)
			for _, u := range list {
				names = append(names, u.Name)
			}
			return names
		}),
		"session": running(func(ctx context.Context, c *control.Client) []string {
			list, _ := c.Sessions(ctx)
			ids := []string{removeAll}
			for _, s := range list {
				ids = append(ids, strconv.Itoa(s.ID))
			}
			return ids
		}),
		"address": running(func(ctx context.Context, c *control.Client) []string {
			list, _ := c.Guard(ctx)
			addresses := []string{"all"}
			for _, a := range list {
				addresses = append(addresses, a.Address)
			}
			return addresses
		}),
	}
}

func cableNames(ctx context.Context, c *control.Client) (names []string) {
	list, _ := c.Cables(ctx)
	for _, x := range list {
		names = append(names, x.Name)
	}
	return withoutQuotes(names)
}

func captureNamesOrAll(ctx context.Context, c *control.Client) []string {
	return append(captureNames(ctx, c), "all")
}

func captureNames(ctx context.Context, c *control.Client) (names []string) {
	list, _ := c.Captures(ctx)
	for _, x := range list {
		names = append(names, x.Name)
	}
	return names
}
