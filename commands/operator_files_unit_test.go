package commands_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/users"
)

// A file that an operator saves holds no passphrase in any form, and an administrator who loads it
// keeps the present ones.
func TestOperatorsFilesHoldNoPassphrases(t *testing.T) {
	d := newTestSession(t, "kim", 0)
	const secret = "s3cret-of-the-ftp-server"
	edit := func(v *logs.Subscriptions) error {
		v.List[0].Method = logs.FTPPush
		v.List[0].Remote = logs.UploadTarget{Host: "ftp.example.com", User: "esa", Password: secret}
		return nil
	}
	err := logs.Section.CommitNow(t.Context(), d.appliance.Config, nil, config.CommitInfo{}, edit)
	if err != nil {
		t.Fatal(err)
	}
	saved := func(role users.Role) string {
		d.env.Account.Role = role
		if err := d.run(t, "saveconfig", "2"); err != nil {
			t.Fatal(err)
		}
		found, err := d.appliance.Files.Area("admin").ReadDir("/configuration")
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		name := "data/pub/configuration/" + found[0].Name()
		text, err := fs.ReadFile(d.appliance.Files, name)
		if err == nil {
			err = d.appliance.Files.Remove(name)
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const encrypted = `<passphrase encrypted="true">`
	if file := saved(users.Administrator); !strings.Contains(file, encrypted) {
		t.Errorf("an administrator's file has no %s:\n%s", encrypted, file)
	}
	file := saved(users.Operator)
	if strings.Contains(file, encrypted) || strings.Contains(file, "$2a$") ||
		!strings.Contains(file, `<passphrase kept="true">`) {
		t.Errorf("an operator's file:\n%s", file)
	}
	d.env.Draft = d.appliance.Config.NewDraft()
	file = strings.Replace(file, "ftp.example.com", "evil.example.com", 1)
	if _, err := config.ReadXML(strings.NewReader(file), d.env.Draft); err == nil {
		t.Error("the passphrase was kept for another server")
	}
	file = strings.Replace(file, "evil.example.com", "ftp.example.com", 1)
	if changed, err := config.ReadXML(strings.NewReader(file), d.env.Draft); changed || err != nil {
		t.Errorf("loading it: changed %t, %v", changed, err)
	}
	if got := logs.Section.Get(d.env.Draft).List[0].Remote.Password; got != secret {
		t.Errorf("the passphrase is %q", got)
	}
}
