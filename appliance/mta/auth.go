package mta

import (
	"context"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
)

// SMTPUsers is the section of the users who may authenticate to send mail. The real appliance asks
// an LDAP server or another SMTP server; this one has a list of its own.
var SMTPUsers = config.Define("smtp_auth_users", SMTPUserList{},
	func(l SMTPUserList, _ *config.Config) error { return l.check() }, config.In(config.Mail, 70))

// SMTPUserList is the value of SMTPUsers.
type SMTPUserList struct {
	List []SMTPUser `xml:"smtp_auth_user"`
}

// An SMTPUser may send mail.
type SMTPUser struct {
	Name string `xml:"username"`
	Hash string `xml:"password" secret:"hash"` // of the passphrase, as users.HashPassphrase makes it
}

func (l SMTPUserList) check() error {
	seen := map[string]bool{}
	for _, u := range l.List {
		if u.Name == "" || strings.ContainsRune(u.Name, 0) || seen[u.Name] {
			return refusal.Newf("Every SMTP user needs a name of its own, unlike %q.", u.Name)
		}
		seen[u.Name] = true
	}
	return nil
}

// authenticate reports whether a user of the list has a passphrase. It takes as long for a user who
// does not exist.
func (s *Server) authenticate(_ context.Context, name, passphrase string) bool {
	hash := ""
	for _, u := range SMTPUsers.Get(s.o.Committed()).List {
		if u.Name == name {
			hash = u.Hash
		}
	}
	return users.MatchesHash(hash, passphrase)
}
