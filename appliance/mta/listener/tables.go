package listener

import (
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/product"
)

// tables are indexes of a configuration that sessions share. They do not change.
type tables struct {
	config  *config.Config
	aliases *aliasIndex
	// known has the addresses that exist, in lower case, by the listener's name in lower case. A
	// listener that does not validate recipients has no entry.
	known map[string]map[string]bool
}

// tables returns the indexes of a configuration.
func (s *Server) tables(c *config.Config) tables {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cache.config == c {
		return s.cache
	}
	index, err := Aliases.Get(c).index()
	if err != nil {
		index = &aliasIndex{} // Check has refused such a table
	}
	known := map[string]map[string]bool{}
	for _, l := range Section.Get(c).Listeners {
		if len(l.Recipients.Known) == 0 {
			continue
		}
		set := make(map[string]bool, len(l.Recipients.Known))
		for _, a := range l.Recipients.Known {
			set[strings.ToLower(a)] = true
		}
		known[lower(l.Name)] = set
	}
	s.cache = tables{c, index, known}
	return s.cache
}

// This file holds what the commands that edit the tables need.

// CheckEntry returns a refusal if s is no entry of a sender group.
func CheckEntry(s string) error {
	_, err := parseEntry(s)
	return err
}

// Check returns a refusal that says what is wrong with the table.
func (t RecipientTable) Check() error { return t.check() }

// Check returns a refusal that says what is wrong with the table.
func (t HostTable) Check() error { return t.check() }

// With returns e with the parameters that p sets.
func (e Effective) With(p Parameters) Effective { return e.with(p) }

// Assign has p result in e. A parameter that is not set stays so if its value is that of def, and
// follows the default then.
func (p *Parameters) Assign(e, def Effective) {
	assign(&p.MaxMessageSize, e.MaxMessageSize, def.MaxMessageSize)
	assign(&p.MaxConnections, e.MaxConnections, def.MaxConnections)
	assign(&p.MaxMessages, e.MaxMessages, def.MaxMessages)
	assign(&p.MaxRecipients, e.MaxRecipients, def.MaxRecipients)
	assign(&p.MaxRecipientsPerHour, e.MaxRecipientsPerHour, def.MaxRecipientsPerHour)
	assign(&p.MaxRecipientsPerSender, e.MaxRecipientsPerSender, def.MaxRecipientsPerSender)
	assign(&p.SenderInterval, e.SenderInterval, def.SenderInterval)
	assign(&p.MaxInvalidPerHour, e.MaxInvalidPerHour, def.MaxInvalidPerHour)
	assign(&p.TLS, e.TLS, def.TLS)
	assign(&p.Auth, e.Auth, def.Auth)
	assign(&p.AuthNeedsTLS, e.AuthNeedsTLS, def.AuthNeedsTLS)
	assign(&p.VerifySender, e.VerifySender, def.VerifySender)
	for _, r := range []struct {
		code   **int
		text   **string
		e, def Reply
	}{
		{&p.PerHourCode, &p.PerHourText, e.PerHour, def.PerHour},
		{&p.PerSenderCode, &p.PerSenderText, e.PerSender, def.PerSender},
		{&p.InvalidCode, &p.InvalidText, e.Invalid, def.Invalid},
		{&p.MalformedCode, &p.MalformedText, e.Malformed, def.Malformed},
		{&p.NoDomainCode, &p.NoDomainText, e.NoDomain, def.NoDomain},
		{&p.UnresolvedCode, &p.UnresolvedText, e.Unresolved, def.Unresolved},
		{&p.BannerCode, &p.Banner, e.Banner, def.Banner},
		{&p.RejectCode, &p.RejectBanner, e.Reject, def.Reject},
	} {
		assign(r.code, r.e.Code, r.def.Code)
		assign(r.text, r.e.Text, r.def.Text)
	}
	p.BannerHost = e.BannerHost
	if e.BannerHost != nil && def.BannerHost != nil && *e.BannerHost == *def.BannerHost {
		p.BannerHost = nil
	}
}

func assign[T comparable](to **T, v, def T) {
	if *to != nil || v != def {
		*to = &v
	}
}

// Factory returns the host access table of a new listener of a type.
func Factory(t Type, v product.Version) HostTable { return New("", "", 0, t, v).Hosts }
