package shell_test

import (
	"slices"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// oldClients are clients that know weak algorithms only.
func oldClients() map[string]func(*gossh.ClientConfig) {
	return map[string]func(*gossh.ClientConfig){
		"aes128-cbc": func(c *gossh.ClientConfig) { c.Ciphers = []string{gossh.InsecureCipherAES128CBC} },
		"3des-cbc":   func(c *gossh.ClientConfig) { c.Ciphers = []string{gossh.InsecureCipherTripleDESCBC} },
		"hmac-sha1": func(c *gossh.ClientConfig) {
			c.MACs, c.Ciphers = []string{gossh.HMACSHA1}, []string{gossh.CipherAES128CTR}
		},
		"diffie-hellman-group14-sha1": func(c *gossh.ClientConfig) {
			c.KeyExchanges = []string{gossh.InsecureKeyExchangeDH14SHA1}
		},
		"all of 2010": func(c *gossh.ClientConfig) {
			c.KeyExchanges = []string{gossh.InsecureKeyExchangeDH14SHA1}
			c.Ciphers = []string{gossh.InsecureCipherAES128CBC}
			c.MACs = []string{gossh.HMACSHA1}
			c.HostKeyAlgorithms = []string{gossh.KeyAlgoRSA}
		},
	}
}

// Weak algorithms are on before version 14, and later if they are configured.
func TestWeakAlgorithms(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, nil)
	accepted := func() []string {
		t.Helper()
		var names []string
		for name, change := range oldClients() {
			if _, err := typeSeen(t, s, change); err == nil {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	if names := accepted(); len(names) != 0 {
		t.Errorf("%v offers %q by default", app.Product.Version, names)
	}
	d := app.Config.NewDraft()
	shell.Settings.Set(d, shell.DefaultAlgorithms(product.Version{Major: 13, Minor: 5}))
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{User: "admin"}); err != nil {
		t.Fatal(err)
	}
	if names := accepted(); len(names) != len(oldClients()) {
		t.Errorf("with the algorithms of 13.5 it offers %q only", names)
	}
}

// Every algorithm that the server lists works, and others are refused by name.
func TestSupportedAlgorithms(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, nil)
	all := shell.SupportedAlgorithms()
	d := app.Config.NewDraft()
	shell.Settings.Set(d, all)
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{User: "admin"}); err != nil {
		t.Fatal(err)
	}
	for kind, list := range map[shell.AlgorithmKind]func(*gossh.ClientConfig, []string){
		shell.CipherAlgorithms: func(c *gossh.ClientConfig, names []string) { c.Ciphers = names },
		shell.KEXAlgorithms:    func(c *gossh.ClientConfig, names []string) { c.KeyExchanges = names },
		shell.MACMethods: func(c *gossh.ClientConfig, names []string) {
			c.MACs, c.Ciphers = names, []string{gossh.CipherAES128CTR}
		},
	} {
		for _, name := range *all.Of(kind) {
			set := func(c *gossh.ClientConfig) { list(c, []string{name}) }
			if _, err := typeSeen(t, s, set); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for kind, name := range map[shell.AlgorithmKind]string{
		shell.PublicKeyAlgorithms: "rsa1", shell.CipherAlgorithms: "blowfish-cbc",
		shell.MACMethods: "umac-64@openssh.com", shell.KEXAlgorithms: "sntrup761x25519-sha512",
	} {
		text, ok := refusal.Text(shell.CheckAlgorithms(kind, []string{name}))
		if !ok || !strings.Contains(text, `"`+name+`"`) {
			t.Errorf("%s: %q, %v", name, text, ok)
		}
		var a shell.Algorithms
		*a.Of(kind) = []string{name}
		d := app.Config.NewDraft()
		shell.Settings.Set(d, a)
		if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{User: "admin"}); err == nil {
			t.Errorf("%s can be committed", name)
		}
	}
	if shell.CheckAlgorithms(shell.CipherAlgorithms, []string{"aes128-ctr", "aes128-ctr"}) == nil {
		t.Error("an algorithm can be listed twice")
	}
}
