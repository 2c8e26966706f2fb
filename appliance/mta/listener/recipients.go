package listener

import (
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// A RecipientTable is the recipient access table of a public listener. A recipient that no entry
// matches is rejected.
type RecipientTable struct {
	Entries []RecipientEntry `xml:"recipient"` // the most specific match counts
	// Known, if it is not empty, lists the addresses that exist in the accepted domains: others
	// are refused like those that the table refuses.
	Known []string `xml:"valid_recipients>address"`
}

// A RecipientEntry says what happens to the recipients that it describes.
type RecipientEntry struct {
	// Address is a domain, .domain (all below it), user@, user@domain, an address in brackets, or
	// ALL.
	Address string `xml:"address"`
	Reject  bool   `xml:"reject,omitempty"`
	// Code and Reply replace the standard answer to RCPT; 0 and "" do not.
	Code  int    `xml:"reply_code,omitempty"`
	Reply string `xml:"reply_text,omitempty"`
	// Bypass says that limits of recipients an hour do not count the recipient.
	Bypass bool `xml:"bypass_receiving_control,omitempty"`
}

func (t RecipientTable) check() error {
	seen := map[string]bool{}
	for _, e := range t.Entries {
		key := strings.ToLower(e.Address)
		switch {
		case key == "" || strings.ContainsAny(key, " \t<>\"") || len(key) > maxAddress:
			return refusal.Newf("%q is no recipient: expected a domain, .domain, user@, user@domain "+
				"or ALL.", e.Address)
		case seen[key]:
			return refusal.Newf("There are two entries for %s.", e.Address)
		case e.Code != 0 && (e.Code < 200 || e.Code > 599):
			return refusal.Newf("The reply code of %s must be from 200 to 599.", e.Address)
		case e.Code != 0 && CheckReply(e.Reply) != nil:
			return refusal.Newf("The reply to %s must be 1 to 400 characters of ASCII.", e.Address)
		}
		seen[key] = true
	}
	return t.checkKnown()
}

// maxKnown bounds the list of addresses that exist.
const maxKnown = 20_000

func (t RecipientTable) checkKnown() error {
	if len(t.Known) > maxKnown {
		return refusal.Newf("There are too many valid recipients: at most %d are possible.", maxKnown)
	}
	seen := map[string]bool{}
	for _, a := range t.Known {
		key := strings.ToLower(a)
		_, domain, full := cutAddress(a)
		switch {
		case !full || domain == "" || !validAddress(a) || len(a) > maxAddress:
			return refusal.Newf("%q is no address: expected user@domain.", a)
		case seen[key]:
			return refusal.Newf("The address %s is in the list already.", a)
		}
		seen[key] = true
	}
	return nil
}

// Find returns the entry for a recipient. Entries for whole addresses count before those for
// users, those before domains, and longer domains before shorter ones.
func (t RecipientTable) Find(address string) (e RecipientEntry, ok bool) {
	address = strings.ToLower(address)
	user, domain, _ := cutAddress(address)
	wanted := []string{address, user + "@", domain}
	for rest := domain; ; {
		_, up, found := strings.Cut(rest, ".")
		if !found {
			break
		}
		wanted = append(wanted, "."+up)
		rest = up
	}
	for _, want := range append(wanted, "all") {
		for _, e := range t.Entries {
			if want != "" && strings.ToLower(e.Address) == want {
				return e, true
			}
		}
	}
	return e, false
}

// accepts returns the entry for a recipient, and whether mail for it is taken. known has the
// addresses that exist, in lower case; nil: all that the table accepts do.
func (t RecipientTable) accepts(address string, known map[string]bool) (e RecipientEntry, ok bool) {
	e, found := t.Find(address)
	ok = found && !e.Reject && (known == nil || known[strings.ToLower(address)])
	return e, ok
}

// cutAddress divides an address at its last @.
func cutAddress(address string) (user, domain string, ok bool) {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return address, "", false
	}
	return address[:i], address[i+1:], true
}
