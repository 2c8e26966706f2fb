package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/shell"
)

// Answers that stand for everything.
const (
	anyValue = "any"
	allOf    = "All"
)

// setUpCapture asks for the settings in the order of B12 and B13. They need no commit.
func setUpCapture(ctx context.Context, env *shell.Env) error {
	recorder := env.Appliance.Captures
	s := recorder.Settings()
	stop, timed := !s.KeepNewest, s.Duration > 0
	if err := env.Form(ctx,
		shell.Number(&s.SizeMB,
			fmt.Sprintf("Enter the maximum size of the capture file in MB (%d to %d).",
				capture.MinSizeMB, capture.MaxSizeMB), capture.MinSizeMB, capture.MaxSizeMB),
		shell.YesNo(&stop, "Stop the capture at this size (otherwise the oldest packets make room)?"),
		shell.YesNo(&timed, "Limit the duration of the capture?"),
		shell.When(func() bool { return timed }, captureDuration(&s)),
		captureInterfaces(&s, recorder.Interfaces()),
		captureFilter(&s, recorder),
	); err != nil {
		return err
	}
	s.KeepNewest = !stop
	if !timed {
		s.Duration = 0
	}
	if err := recorder.SetSettings(s); err != nil {
		return filterRefusal(err)
	}
	env.Printf("Success - Packet Capture settings have been changed\n")
	if recorder.Status(capture.CLI).Running {
		env.PrintWrapped("The capture in progress keeps the settings it was started with.")
	}
	return nil
}

func captureDuration(s *capture.Settings) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		def := ""
		if s.Duration > 0 {
			def = capture.FormatDuration(s.Duration)
		}
		const question = "Enter how long the capture should run, as in 120s, 5m 30s or 4h."
		_, err := d.Ask(ctx, question, def, func(answer string) error {
			v, err := capture.ParseDuration(answer)
			if err != nil {
				return err
			}
			s.Duration = v
			return nil
		})
		return err
	}
}

func captureInterfaces(s *capture.Settings, names []string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		picked := s.Interfaces
		if len(picked) == 0 {
			picked = []string{allOf}
		}
		err := d.Form(ctx, shell.SomeOf(&picked,
			"Choose the interfaces to capture on, with commas between them.", append(names, allOf)...))
		if err != nil {
			return err
		}
		if s.Interfaces = picked; slices.Contains(picked, allOf) {
			s.Interfaces = nil
		}
		return nil
	}
}

func captureFilter(s *capture.Settings, recorder *capture.Recorder) shell.Field {
	kinds := []capture.FilterKind{capture.NoFilter, capture.Predefined, capture.Custom}
	return func(ctx context.Context, d shell.Dialogue) error {
		i, err := d.Choose(ctx, "Choose the filter.", slices.Index(kinds, s.Filter.Kind),
			"No Filters",
			"Predefined Filters (ports, client addresses, server addresses)",
			"Custom Filter in the syntax of tcpdump")
		if err != nil {
			return err
		}
		f := &s.Filter
		f.Kind = kinds[i]
		switch f.Kind {
		case capture.Predefined:
			return d.Form(ctx,
				captureList(&f.Ports, "Enter the ports (TCP unless /udp is added, as in 53/udp; "+
					"53/any is both), with commas between them, or \"any\".", capture.ParsePorts),
				captureList(&f.Clients, "Enter the IP addresses of clients, "+
					"with commas between them, or \"any\".", capture.ParseAddrs),
				captureList(&f.Servers, "Enter the IP addresses of servers, "+
					"with commas between them, or \"any\".", capture.ParseAddrs))
		case capture.Custom:
			return d.Form(ctx, shell.Text(&f.Expression, "Enter the filter.", func(answer string) error {
				if answer == "" {
					return shell.Required(answer)
				}
				tried := *s
				tried.Filter.Expression = answer
				return filterRefusal(recorder.Check(tried))
			}))
		}
		return nil
	}
}

// captureList asks for a list of ports or addresses to which the capture is limited. The answer
// "any" removes the limit.
func captureList[T any](dst *[]T, question string, parse func(string) ([]T, error)) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		def := anyValue
		if len(*dst) > 0 {
			items := make([]string, len(*dst))
			for i, v := range *dst {
				items[i] = fmt.Sprint(v)
			}
			def = strings.Join(items, ", ")
		}
		var list []T
		_, err := d.Ask(ctx, question, def, func(answer string) (err error) {
			if strings.EqualFold(answer, anyValue) {
				list = nil
				return nil
			}
			list, err = parse(answer)
			return err
		})
		if err == nil {
			*dst = list
		}
		return err
	}
}
