package commands_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/shell/shelltest"
)

// answer runs a command with these answers, and returns what it prints.
func (d *testSession) answer(t *testing.T, name string, answers ...string) string {
	t.Helper()
	p := shelltest.NewPrompter(answers...)
	d.env.Dialogue = shell.NewDialogue(p)
	if err := runCommand(t.Context(), d.env, name); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if p.Unused() > 0 {
		t.Errorf("%d answers were not asked for:\n%s", p.Unused(), p)
	}
	return p.String()
}

// pasted returns a text as the answers of a user who pastes it.
func pasted(text string) []string { return append(strings.Split(strings.TrimSpace(text), "\n"), ".") }

func ownCertificate(t *testing.T, d *testSession) tlsconfig.Certificate {
	t.Helper()
	c, err := tlsconfig.SelfSigned("own", tlsconfig.Request{
		CommonName: "mail.example.com", Organization: "Example", Bits: 1024, Days: 30,
	}, rand.Reader, d.appliance.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPastedCertificateIsInstalled(t *testing.T) {
	d := newTestSession(t, "admin", 0)
	own, other := ownCertificate(t, d), ownCertificate(t, d)
	answers := append([]string{"certificate", "paste", "partner"}, pasted(own.Chain)...)
	answers = append(append(answers, pasted(own.Key)...), "n", "", "")
	out := d.answer(t, "certconfig", answers...)
	if !strings.Contains(out, "\nCN=mail.example.com,O=Example\n") {
		t.Errorf("the owner is not shown:\n%s", out)
	}
	got, ok := tlsconfig.Certificates.Get(d.env.Draft).Find("partner")
	if !ok || got.Chain != own.Chain || got.Key != own.Key {
		t.Errorf("installed: %v, %+v", ok, got)
	}

	answers = append([]string{"certificate", "paste", "wrong"}, pasted(own.Chain)...)
	answers = append(append(answers, pasted(other.Key)...), "", "")
	out = d.answer(t, "certconfig", answers...)
	if _, ok := tlsconfig.Certificates.Get(d.env.Draft).Find("wrong"); ok ||
		!strings.Contains(out, "does not belong to the certificate.") {
		t.Errorf("a key of another certificate: %v\n%s", ok, out)
	}

	answers = append([]string{"certificate", "edit", "1", "y"}, pasted(other.Chain)...)
	out = d.answer(t, "certconfig", append(answers, "", "")...)
	if !strings.Contains(out, "The certificate is not for the key of partner.") {
		t.Errorf("an update for another key:\n%s", out)
	}
}

// TestExportedCertificateIsImported: the file has the private key, so only administrators get it.
func TestExportedCertificateIsImported(t *testing.T) {
	d := newTestSession(t, "admin", 0)
	own := ownCertificate(t, d)
	tlsconfig.Certificates.Set(d.env.Draft, tlsconfig.CertificateList{List: []tlsconfig.Certificate{own}})
	out := d.answer(t, "certconfig", "certificate", "export", "own", "", "secret", "other", "secret",
		"own.p12", "import", "own.p12", "copy", "wrong", "secret", "", "")
	for _, want := range []string{"so it must have a passphrase.", "The passphrases differ.",
		"The passphrase is wrong."} {
		if !strings.Contains(out, want) {
			t.Errorf("without %q:\n%s", want, out)
		}
	}
	got, ok := tlsconfig.Certificates.Get(d.env.Draft).Find("copy")
	if !ok || got.Chain != own.Chain || got.Key != own.Key {
		t.Errorf("imported: %v, %+v", ok, got)
	}
	d.env.Account.Role = users.Operator
	if out := d.answer(t, "certconfig", "certificate", "export", "", ""); !strings.Contains(out,
		"Unknown operation: export") {
		t.Errorf("an operator exports a private key:\n%s", out)
	}
}

func TestNewCertificateShowsItsRequest(t *testing.T) {
	d := newTestSession(t, "admin", 0)
	out := d.answer(t, "certconfig", "certificate", "new", "own", "mail.example.com", "", "", "", "", "",
		"", "1", "", "", "")
	c, ok := tlsconfig.Certificates.Get(d.env.Draft).Find("own")
	if !ok || !strings.Contains(out, c.CSR) {
		t.Errorf("%v: the request is not shown:\n%s", ok, out)
	}
}

// TestCertificateInUse: the configuration cannot name a certificate that does not exist.
func TestCertificateInUse(t *testing.T) {
	d := newTestSession(t, "admin", 0)
	netconfig.Interfaces.Set(d.env.Draft, netconfig.IPInterfaces{List: []netconfig.IPInterface{
		{Name: "Management", Port: "Management", HTTPS: 443, Certificate: "gone"},
	}})
	err := d.run(t, "commit", "", "")
	if text, ok := refusal.Text(err); !ok ||
		!strings.Contains(text, "The IP interface Management uses the certificate gone, which does not exist.") {
		t.Errorf("the commit gives %v", err)
	}
}
