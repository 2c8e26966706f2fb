package commands

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/shell"
)

// This file holds the question about a certificate that commands share.

// certificateField asks which certificate is used. "" is Demo.
func certificateField(env *shell.Env, name *string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		names := tlsconfig.Certificates.Get(env.Draft).Names()
		present := slices.IndexFunc(names, func(n string) bool {
			return strings.EqualFold(n, cmp.Or(*name, tlsconfig.Demo))
		})
		if names[max(present, 0)] == tlsconfig.Demo {
			d.PrintWrapped("\nThe \"Demo\" certificate is currently configured. You may use \"Demo\", " +
				"but this will not be secure.")
		}
		n, err := d.Choose(ctx, "Please choose the certificate to apply:", present, names...)
		if err != nil {
			return err
		}
		if *name = names[n]; *name == tlsconfig.Demo {
			*name = ""
		}
		return nil
	}
}
