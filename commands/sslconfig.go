package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "sslconfig",
	Summary: "Configure the protocols and ciphers of TLS.",
	Help: "The settings take effect with the next connection after commit. Ciphers are selected by a\n" +
		"string in OpenSSL's form, such as HIGH:!aNULL; a cipher that is not simulated is refused by\n" +
		"name. The order of the ciphers has no effect. TLS 1.3 has ciphers of its own, which cannot be\n" +
		"chosen. The certificate Demo needs a cipher with ECDSA.",
	Source: "public (dialogues of 7.x, 8.x, 9.7 and 12), invented (TLS 1.3, refusals)",
	Since:  product.Version{Major: 7},
	Roles:  []users.Role{users.Administrator, users.Operator},
	Commit: true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return env.Menu(ctx, func() shell.Menu {
			var items []shell.Item
			for _, u := range sslUses(env) {
				items = append(items, shell.Item{
					Key: u.key, Text: "Edit " + u.title + " ssl settings.",
					Run: func(ctx context.Context) error { return editSSL(ctx, env, u) },
				})
			}
			items = append(items, shell.Item{
				Key: "VERIFY", Text: "Verify and show ssl cipher list.", Run: withEnv(env, verifyCiphers),
			})
			return shell.Menu{ // a single blank line is between the settings and the operations
				Title: describeSSL(env) + "\nChoose the operation you want to perform:", Items: items,
			}
		})
	},
})

// An sslUse is a use of TLS that the command has settings for.
type sslUse struct {
	key, title, question string
	settings             func(*tlsconfig.SSLSettings) *tlsconfig.SSLUse
}

// Versions of AsyncOS from which on the command has settings for HTTPS, and a line for each cipher.
var (
	sslForHTTPS    = product.Version{Major: 7, Minor: 6}
	sslCipherLines = product.Version{Major: 9, Minor: 5}
)

// sslUses returns the uses that the version has settings for.
func sslUses(env *shell.Env) []sslUse {
	in := sslUse{"INBOUND", "Inbound SMTP", "inbound SMTP",
		func(s *tlsconfig.SSLSettings) *tlsconfig.SSLUse { return &s.Inbound }}
	out := sslUse{"OUTBOUND", "Outbound SMTP", "outbound SMTP",
		func(s *tlsconfig.SSLSettings) *tlsconfig.SSLUse { return &s.Outbound }}
	if env.Appliance.Product.Version.Before(sslForHTTPS) {
		in.title, out.title = in.question, out.question
		return []sslUse{in, out}
	}
	gui := sslUse{"GUI", "GUI HTTPS", "GUI HTTPS",
		func(s *tlsconfig.SSLSettings) *tlsconfig.SSLUse { return &s.GUI }}
	return []sslUse{gui, in, out}
}

// describeSSL returns the settings as the command shows them.
func describeSSL(env *shell.Env) string {
	var b strings.Builder
	settings := tlsconfig.SSL.Get(env.Draft)
	fmt.Fprintf(&b, "sslconfig settings:\n")
	for _, u := range sslUses(env) {
		s := u.settings(&settings)
		fmt.Fprintf(&b, "  %s method:  %s\n", u.title, s.Method)
		if env.Appliance.Product.Version.Before(sslCipherLines) {
			fmt.Fprintf(&b, "  %s ciphers: %s\n", u.title, s.Ciphers)
			continue
		}
		fmt.Fprintf(&b, "  %s ciphers:\n", u.title)
		for word := range strings.SplitSeq(s.Ciphers, ":") {
			fmt.Fprintf(&b, "        %s\n", word)
		}
	}
	return b.String()
}

func editSSL(ctx context.Context, env *shell.Env, u sslUse) error {
	version := env.Appliance.Product.Version
	return editSection(env, tlsconfig.SSL, func(all *tlsconfig.SSLSettings) error {
		s := u.settings(all)
		titles, present := tlsconfig.MethodTitles(version, s.Method)
		question := fmt.Sprintf("Enter the %s ssl method you want to use.", u.question)
		for i, title := range titles {
			question += fmt.Sprintf("\n%d. %s", i+1, title)
		}
		if _, err := env.Ask(ctx, question, present, func(answer string) error {
			m, err := tlsconfig.ParseMethod(version, s.Method, answer)
			if err == nil {
				s.Method = m
			}
			return err
		}); err != nil {
			return err
		}
		return env.Form(ctx, shell.Text(&s.Ciphers,
			fmt.Sprintf("Enter the %s ssl cipher you want to use.", u.question), tlsconfig.CheckCiphers))
	})
}

// verifyCiphers shows the ciphers that a string selects.
func verifyCiphers(ctx context.Context, env *shell.Env) error {
	var list []tlsconfig.Cipher
	if _, err := env.Ask(ctx, "Enter the ssl cipher you want to verify.", "",
		func(answer string) (err error) {
			list, err = tlsconfig.ParseCiphers(answer)
			return err
		}); err != nil {
		return err
	}
	env.Printf("\n")
	for _, c := range list {
		env.Printf("%s\n", c)
	}
	return nil
}
