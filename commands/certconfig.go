package commands

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "certconfig",
	Summary: "Configure certificates and certificate authorities.",
	Help: "A certificate is used by its name: by a listener (listenerconfig), for deliveries\n" +
		"(destconfig), and for HTTPS on an IP interface (interfaceconfig). The certificate Demo comes\n" +
		"with the appliance and cannot be changed. Files are in the directory configuration. The\n" +
		"system list has the authority of the simulated servers.",
	Source: "public (what can be done), convention (words of the menus and questions), invented (the rest)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Commit: true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return env.Menu(ctx, func() shell.Menu {
			return shell.Menu{Items: []shell.Item{
				{Key: "CERTIFICATE", Text: "Import, Create a request, Edit or Remove Certificate Profiles",
					Run: withEnv(env, configureCertificates)},
				{Key: "CERTAUTHORITY", Text: "Manage System and Customized Authorities",
					Run: withEnv(env, configureAuthorities)},
			}}
		})
	},
})

func configureCertificates(ctx context.Context, env *shell.Env) error {
	return env.Menu(ctx, func() shell.Menu {
		none := len(tlsconfig.Certificates.Get(env.Draft).List) == 0
		return shell.Menu{
			Header: func() { printCertificates(env) },
			Items: []shell.Item{
				{Key: "IMPORT", Text: "Import a certificate from a local PKCS#12 file",
					Run: withEnv(env, importCertificate)},
				{Key: "PASTE", Text: "Paste a certificate into the CLI", Run: withEnv(env, pasteCertificate)},
				{Key: "NEW", Text: "Create a self-signed certificate and CSR", Run: withEnv(env, newCertificate)},
				{Key: "EDIT", Text: "Update certificate or view the signing request",
					Hidden: none, Run: withEnv(env, editCertificate)},
				{Key: "EXPORT", Text: "Export a certificate", Hidden: none,
					Absent: env.Account.Role != users.Administrator, Run: withEnv(env, exportCertificate)},
				{Key: "DELETE", Text: "Remove a certificate", Hidden: none, Run: withEnv(env, deleteCertificate)},
				{Key: "PRINT", Text: "View certificates assigned to services",
					Run: func(context.Context) error { printCertificateUses(env); return nil }},
			},
		}
	})
}

// printCertificates prints the list above the menu. Demo is its last row.
func printCertificates(env *shell.Env) {
	t := shell.Table{Headings: []string{"Name", "Common Name", "Issued By", "Status", "Remaining"}}
	add := func(name string, c *x509.Certificate) {
		status, days := tlsconfig.Status(c, env.Appliance.Now())
		t.Add(name, printable(tlsconfig.CommonName(c)), printable(tlsconfig.IssuerName(c)), status,
			fmt.Sprintf("%d days", days))
	}
	for _, c := range tlsconfig.Certificates.Get(env.Draft).List {
		if chain, err := tlsconfig.ParseChain(c.Chain); err == nil {
			add(c.Name, chain[0])
		}
	}
	if demo, err := env.Appliance.Certificates.Certificate(tlsconfig.Demo); err == nil {
		add(tlsconfig.Demo, demo.Leaf)
	}
	env.Printf("\nList of Certificates\n")
	t.Print(env)
}

// A certificateUse is a part of the configuration that shows a certificate to others.
type certificateUse struct{ user, certificate string }

func certificateUses(env *shell.Env) (uses []certificateUse) {
	for _, l := range listener.Section.Get(env.Draft).Listeners {
		if l.Type != listener.Quarantine {
			uses = append(uses, certificateUse{"Listener " + l.Name, l.Certificate})
		}
	}
	if name := delivery.Destinations.Get(env.Draft).Certificate; name != "" {
		uses = append(uses, certificateUse{"Delivery", name})
	}
	for _, i := range netconfig.Interfaces.Get(env.Draft).List {
		if i.HTTPS != 0 {
			uses = append(uses, certificateUse{"HTTPS on " + i.Name, i.Certificate})
		}
	}
	return uses
}

func printCertificateUses(env *shell.Env) {
	t := shell.Table{Headings: []string{"Service", "Certificate"}}
	for _, u := range certificateUses(env) {
		name := u.certificate
		if name == "" {
			name = tlsconfig.Demo
		}
		t.Add(u.user, name)
	}
	env.Printf("\n")
	t.Print(env)
}

// addCertificate asks for a name, has make return the certificate, and adds it.
func addCertificate(
	ctx context.Context, env *shell.Env, make func(name string) (tlsconfig.Certificate, error)) error {
	return editSection(env, tlsconfig.Certificates, func(l *tlsconfig.CertificateList) error {
		name, err := env.Ask(ctx, "Enter a name for this certificate profile:", "", l.CheckNewName)
		if err != nil {
			return err
		}
		c, err := make(name)
		if err != nil {
			return err
		}
		l.List = append(l.List, c)
		return nil
	})
}

func importCertificate(ctx context.Context, env *shell.Env) error {
	var data string
	_, err := env.Ask(ctx, "Enter the name of the PKCS#12 file to import:", "", func(file string) (err error) {
		data, err = readConfigFile(env, file)
		return err
	})
	if err != nil {
		return err
	}
	return addCertificate(ctx, env, func(name string) (c tlsconfig.Certificate, err error) {
		_, err = env.AskSecret(ctx, "Enter the passphrase of the file:", func(passphrase string) error {
			c, err = tlsconfig.ParsePKCS12(name, []byte(data), passphrase)
			return err
		})
		return c, err
	})
}

func exportCertificate(ctx context.Context, env *shell.Env) error {
	l := tlsconfig.Certificates.Get(env.Draft)
	n, err := chooseCertificate(ctx, env, l, "export")
	if err != nil {
		return err
	}
	passphrase, err := env.AskSecret(ctx, "Enter a passphrase for the file:", func(s string) error {
		if s == "" {
			return refusal.New("The file contains the private key, so it must have a passphrase.")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := env.AskSecret(ctx, "Enter the passphrase again:", func(s string) error {
		if s != passphrase {
			return refusal.New("The passphrases differ.")
		}
		return nil
	}); err != nil {
		return err
	}
	file, err := l.List[n].PKCS12(passphrase)
	if err != nil {
		return err
	}
	return exportTable(ctx, env, string(file))
}

func pasteCertificate(ctx context.Context, env *shell.Env) error {
	return addCertificate(ctx, env, func(name string) (c tlsconfig.Certificate, err error) {
		c.Name = name
		if c.Chain, err = pasteChain(ctx, env, "public certificate"); err != nil {
			return c, err
		}
		text, err := pasteText(ctx, env, "private key")
		if err != nil {
			return c, err
		}
		if c.Key, err = tlsconfig.ParseKey(text); err != nil {
			return c, err
		}
		if _, err := c.Pair(); err != nil {
			return c, err
		}
		for {
			more, err := env.Confirm(ctx, "Do you want to add an intermediate certificate?", false)
			if err != nil || !more {
				return c, err
			}
			chain, err := pasteChain(ctx, env, "intermediate certificate")
			if err != nil {
				return c, err
			}
			c.Chain += chain
		}
	})
}

// pasteChain has the user paste certificates, and prints whose the first one is.
func pasteChain(ctx context.Context, env *shell.Env, what string) (string, error) {
	text, err := pasteText(ctx, env, what)
	if err != nil {
		return "", err
	}
	chain, err := tlsconfig.ParseChain(text)
	if err != nil {
		return "", err
	}
	env.Printf("%s\n", printable(chain[0].Subject.String()))
	return tlsconfig.EncodeChain(chain...), nil
}

// maxPEM bounds the text that is pasted at once.
const maxPEM = 256 << 10

// pasteText reads lines up to one with a single dot. They are not logged, because the prompt is
// empty.
func pasteText(ctx context.Context, env *shell.Env, what string) (string, error) {
	env.Printf("\nPaste %s in PEM format (end with '.'):\n", what)
	var text strings.Builder
	for {
		line, err := env.Prompt(ctx, "")
		switch {
		case err != nil:
			return "", err
		case strings.TrimSpace(line) == ".":
			return text.String(), nil
		case text.Len()+len(line) > maxPEM:
			return "", refusal.Newf("The text is too long: at most %d bytes can be pasted.", maxPEM)
		}
		text.WriteString(line + "\n")
	}
}

func newCertificate(ctx context.Context, env *shell.Env) error {
	return addCertificate(ctx, env, func(name string) (c tlsconfig.Certificate, err error) {
		r := tlsconfig.Request{Days: 3650, Bits: 2048}
		if err := env.Form(ctx,
			shell.Text(&r.CommonName, "Enter Common Name:", checkSubject(true, 64)),
			shell.Text(&r.Organization, "Enter Organization:", checkSubject(false, 64)),
			shell.Text(&r.Unit, "Enter Organizational Unit:", checkSubject(false, 64)),
			shell.Text(&r.Locality, "Enter Locality or City:", checkSubject(false, 128)),
			shell.Text(&r.State, "Enter State or Province:", checkSubject(false, 128)),
			shell.Text(&r.Country, "Enter Country (2 letter code):", func(s string) error {
				if s != "" && len(s) != 2 {
					return refusal.New("The value must be a code of two letters, such as US.")
				}
				return checkSubject(false, 2)(s)
			}),
			shell.Number(&r.Days, "Duration before expiration (in days):", 1, 36_500),
			func(ctx context.Context, d shell.Dialogue) error {
				sizes := []int{1024, 2048, 4096}
				n, err := d.Choose(ctx, "Enter size of private key:", 1, "1024", "2048", "4096")
				r.Bits = sizes[n]
				return err
			},
		); err != nil {
			return c, err
		}
		random := env.Appliance.Entropy.Stream("certconfig/" + name)
		if c, err = tlsconfig.SelfSigned(name, r, random, env.Appliance.Now()); err != nil {
			return c, err
		}
		return c, viewRequest(ctx, env, c)
	})
}

// checkSubject returns a check for a part of the name in a certificate.
func checkSubject(required bool, most int) func(string) error {
	least := 0
	if required {
		least = 1
	}
	return func(s string) error {
		odd := func(r rune) bool { return r < ' ' || r == 0x7f }
		if len(s) < least || len(s) > most || strings.ContainsFunc(s, odd) {
			return refusal.Newf("The value must have %d to %d characters.", least, most)
		}
		return nil
	}
}

func viewRequest(ctx context.Context, env *shell.Env, c tlsconfig.Certificate) error {
	view, err := env.Confirm(ctx, "Do you want to view the CSR?", true)
	if err == nil && view {
		env.Printf("%s", c.CSR)
	}
	return err
}

func editCertificate(ctx context.Context, env *shell.Env) error {
	return editSection(env, tlsconfig.Certificates, func(l *tlsconfig.CertificateList) error {
		n, err := chooseCertificate(ctx, env, *l, "edit")
		if err != nil {
			return err
		}
		c := l.List[n]
		if c.CSR != "" {
			if err := viewRequest(ctx, env, c); err != nil {
				return err
			}
		}
		paste, err := env.Confirm(ctx, "Do you want to update the certificate?", false)
		if err != nil || !paste {
			return err
		}
		chain, err := pasteChain(ctx, env, "public certificate")
		if err != nil {
			return err
		}
		l.List[n], err = c.Renewed(chain)
		return err
	})
}

func deleteCertificate(ctx context.Context, env *shell.Env) error {
	return editSection(env, tlsconfig.Certificates, func(l *tlsconfig.CertificateList) error {
		n, err := chooseCertificate(ctx, env, *l, "delete")
		if err != nil {
			return err
		}
		for _, u := range certificateUses(env) {
			if strings.EqualFold(u.certificate, l.List[n].Name) {
				return refusal.Newf("The certificate %s is in use: %s.", l.List[n].Name, u.user)
			}
		}
		l.List = slices.Delete(l.List, n, n+1)
		return nil
	})
}

func chooseCertificate(
	ctx context.Context, env *shell.Env, l tlsconfig.CertificateList, verb string) (int, error) {
	names := l.Names()
	return env.Choose(ctx, "Select the certificate you wish to "+verb+":", -1, names[:len(names)-1]...)
}
