package config_test

import (
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/config"
)

// fileWithoutSecrets returns a file that leaves out the passphrases of v.
func fileWithoutSecrets(t *testing.T, v config.View) string {
	t.Helper()
	var b strings.Builder
	options := config.XMLOptions{Passphrases: config.Plain, WithoutSecrets: true}
	if err := config.WriteXML(&b, v, options); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A file that leaves out the passphrases shows none, and loading it keeps the present ones, also of
// an element that has another place in its list.
func TestFileWithoutSecretsKeepsThem(t *testing.T) {
	s := config.NewStore()
	d := s.NewDraft()
	list := accounts{[]account{{"admin", "$2a$hash", "1234"}, {"joe", "", "5678"}, {"guest", "", ""}}}
	users.Set(d, list)
	file := fileWithoutSecrets(t, d)
	for _, secret := range []string{"$2a$hash", "1234", "5678"} {
		if strings.Contains(file, secret) {
			t.Errorf("the file holds %s:\n%s", secret, file)
		}
	}
	if n := strings.Count(file, ` kept="true"`); n != 3 {
		t.Errorf("the file marks %d passphrases as kept, want 3:\n%s", n, file)
	}
	if changed, err := config.ReadXML(strings.NewReader(file), d); changed || err != nil {
		t.Errorf("loading it: changed %t, %v", changed, err)
	}
	users.Set(d, accounts{[]account{list.List[1], list.List[2], list.List[0]}})
	if changed, err := config.ReadXML(strings.NewReader(file), d); !changed || err != nil {
		t.Errorf("loading it into another order: changed %t, %v", changed, err)
	}
	for i, a := range users.Get(d).List {
		if a != list.List[i] {
			t.Errorf("account %d is %v, want %v", i, a, list.List[i])
		}
	}
}

// A passphrase is kept only with what it belongs to: nobody can have it sent elsewhere.
func TestSecretsAreNotKeptForOtherValues(t *testing.T) {
	for name, file := range map[string]string{
		"another name": "<users><user><username>eve</username><pin kept='true'/></user></users>",
		"no name":      "<users><user><pin kept='true'/></user></users>",
		"none to keep": "<users><user><username>joe</username><pin kept='true'/></user></users>",
		"another value": "<target><server>evil.example.com</server><user>esa</user>" +
			"<passphrase kept='true'/></target>",
		"a value less": "<target><user>esa</user><passphrase kept='true'/></target>",
	} {
		s := config.NewStore()
		d := s.NewDraft()
		users.Set(d, accounts{[]account{{"admin", "", "1234"}, {"joe", "", ""}}})
		if file[1] == 't' {
			target.Set(d, remote{"ftp.example.com", "esa", "secret"})
		}
		before := fileWithoutSecrets(t, d)
		_, err := config.ReadXML(strings.NewReader("<config>"+file+"</config>"), d)
		wantError[*config.XMLError](t, err, "it cannot be kept, because <")
		if after := fileWithoutSecrets(t, d); after != before {
			t.Errorf("%s: a refused file changed the draft", name)
		}
	}
}
