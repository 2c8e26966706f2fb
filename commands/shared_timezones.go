package commands

import (
	"context"
	"slices"

	"github.com/esasim/esasim/fixtures"
	"github.com/esasim/esasim/shell"
)

// This file holds the questions about time zones that settz and systemsetup share.

// chooseZone asks for the continent, the country and the zone. It does not ask where there is
// only one choice. The defaults are those of the zone present, if it is not "".
func chooseZone(
	ctx context.Context, env *shell.Env, zones []fixtures.Zone, present string) (string, error) {
	var now fixtures.Zone
	if i := slices.IndexFunc(zones, func(z fixtures.Zone) bool { return z.Name == present }); i >= 0 {
		now = zones[i]
	}
	continent, err := chooseValue(ctx, env, "Please choose your continent:", zones, now,
		func(z fixtures.Zone) string { return z.Continent })
	if err != nil {
		return "", err
	}
	zones = slices.DeleteFunc(slices.Clone(zones), func(z fixtures.Zone) bool {
		return z.Continent != continent
	})
	country, err := chooseValue(ctx, env, "Please choose your country:", zones, now,
		func(z fixtures.Zone) string { return z.Country })
	if err != nil {
		return "", err
	}
	zones = slices.DeleteFunc(zones, func(z fixtures.Zone) bool { return z.Country != country })
	return chooseValue(ctx, env, "Please choose your time zone:", zones, now,
		func(z fixtures.Zone) string { return z.Name })
}

// chooseValue asks for one of the values that key returns for zones. The default is that of now, if
// it is a zone of the list.
func chooseValue(
	ctx context.Context, env *shell.Env, question string,
	zones []fixtures.Zone, now fixtures.Zone, key func(fixtures.Zone) string) (string, error) {
	var values []string
	for _, z := range zones {
		if !slices.Contains(values, key(z)) {
			values = append(values, key(z))
		}
	}
	if len(values) == 1 {
		return values[0], nil
	}
	i, err := env.Choose(ctx, question, slices.Index(values, key(now)), values...)
	if err != nil {
		return "", err
	}
	return values[i], nil
}
