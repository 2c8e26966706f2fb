package commands

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/shell"
)

// The menu CERTAUTHORITY of certconfig.

func configureAuthorities(ctx context.Context, env *shell.Env) error {
	return env.Menu(ctx, func() shell.Menu {
		return shell.Menu{
			Header: func() {
				l := tlsconfig.Authorities.Get(env.Draft)
				env.Printf("\nCertificate Authority Summary\n  Custom List: %s\n  System List: %s\n",
					enabledOrNot(l.UseCustom), enabledOrNot(l.UseSystem))
			},
			Items: []shell.Item{
				{Key: "CUSTOM", Text: "Manage Custom Certificate Authorities",
					Run: withEnv(env, configureCustomAuthorities)},
				{Key: "SYSTEM", Text: "Manage System Certificate Authorities",
					Run: withEnv(env, configureSystemAuthorities)},
			},
		}
	})
}

func enabledOrNot(b bool) string {
	if b {
		return "Enabled"
	}
	return "Disabled"
}

// useItems returns the operations that have a list used or not.
func useItems(env *shell.Env, name string, use func(*tlsconfig.AuthorityList) *bool) []shell.Item {
	l := tlsconfig.Authorities.Get(env.Draft)
	set := func(to bool) func(context.Context) error {
		return func(context.Context) error {
			return editSection(env, tlsconfig.Authorities, func(l *tlsconfig.AuthorityList) error {
				*use(l) = to
				return nil
			})
		}
	}
	return []shell.Item{
		{Key: "ENABLE", Text: "Enable " + name + " Certificate Authorities", Absent: *use(&l), Run: set(true)},
		{Key: "DISABLE", Text: "Disable " + name + " Certificate Authorities", Absent: !*use(&l), Run: set(false)},
	}
}

func configureCustomAuthorities(ctx context.Context, env *shell.Env) error {
	return env.Menu(ctx, func() shell.Menu {
		l := tlsconfig.Authorities.Get(env.Draft)
		none := len(l.Custom) == 0
		return shell.Menu{
			Header: func() { printAuthorities(env, "Custom", l.UseCustom, l.Certificates()) },
			Items: append(
				useItems(env, "Custom", func(l *tlsconfig.AuthorityList) *bool { return &l.UseCustom }),
				shell.Item{Key: "IMPORT", Text: "Import Certificate Authorities from a file in PEM format",
					Run: func(ctx context.Context) error {
						return importTable(ctx, env, func(text string) error { return addAuthorities(env, text) })
					}},
				shell.Item{Key: "PASTE", Text: "Paste Certificate Authorities into the CLI",
					Run: func(ctx context.Context) error {
						text, err := pasteText(ctx, env, "certificate authorities")
						if err != nil {
							return err
						}
						return addAuthorities(env, text)
					}},
				shell.Item{Key: "EXPORT", Text: "Export the list to a file", Hidden: none,
					Run: func(ctx context.Context) error {
						return exportTable(ctx, env, tlsconfig.EncodeChain(l.Certificates()...))
					}},
				shell.Item{Key: "DELETE", Text: "Remove a Certificate Authority", Hidden: none,
					Run: withEnv(env, deleteAuthority)},
			),
		}
	})
}

func configureSystemAuthorities(ctx context.Context, env *shell.Env) error {
	system, err := env.Appliance.SystemAuthorities()
	if err != nil {
		return err
	}
	return env.Menu(ctx, func() shell.Menu {
		l := tlsconfig.Authorities.Get(env.Draft)
		return shell.Menu{
			Header: func() { printAuthorities(env, "System", l.UseSystem, system) },
			Items: append(
				useItems(env, "System", func(l *tlsconfig.AuthorityList) *bool { return &l.UseSystem }),
				shell.Item{Key: "EXPORT", Text: "Export the list to a file", Hidden: len(system) == 0,
					Run: func(ctx context.Context) error {
						return exportTable(ctx, env, tlsconfig.EncodeChain(system...))
					}}),
		}
	})
}

func printAuthorities(env *shell.Env, name string, used bool, list []*x509.Certificate) {
	env.Printf("\n%s List: %s\n", name, enabledOrNot(used))
	if len(list) == 0 {
		env.Printf("There are no certificate authorities in this list.\n")
		return
	}
	t := shell.Table{Headings: []string{"#", "Common Name", "Status", "Remaining"}}
	for i, c := range list {
		status, days := tlsconfig.Status(c, env.Appliance.Now())
		t.Add(fmt.Sprint(i+1), printable(tlsconfig.CommonName(c)), status, fmt.Sprintf("%d days", days))
	}
	t.Print(env)
}

// addAuthorities adds the authorities in a text to the custom list.
func addAuthorities(env *shell.Env, text string) error {
	authorities, err := tlsconfig.ParseAuthorities(text)
	if err != nil {
		return err
	}
	return editSection(env, tlsconfig.Authorities, func(l *tlsconfig.AuthorityList) error {
		next, n := l.Add(authorities...)
		*l = next
		env.Printf("%d certificate authorities were added.\n", n)
		return nil
	})
}

func deleteAuthority(ctx context.Context, env *shell.Env) error {
	return editSection(env, tlsconfig.Authorities, func(l *tlsconfig.AuthorityList) error {
		var names []string
		for _, c := range l.Certificates() {
			names = append(names, printable(tlsconfig.CommonName(c)))
		}
		n, err := env.Choose(ctx, "Select the certificate authority you wish to delete:", -1, names...)
		if err != nil {
			return err
		}
		l.Custom = slices.Delete(l.Custom, n, n+1)
		l.UseCustom = l.UseCustom && len(l.Custom) > 0
		return nil
	})
}
