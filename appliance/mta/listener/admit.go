package listener

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/resolver"
)

// ReputationZone is the domain whose DNS service knows the reputation of addresses. The real
// service's queries are not public: here the name is that of a DNS list, and the answer is a TXT
// record such as "score=-9.5 country=United States".
const ReputationZone = "rf.senderbase.org"

// admit finds out who the client is and what the host access table says, and greets it. It reports
// whether the client may go on. If not, the connection is over.
func (s *session) admit() bool {
	who := s.identify()
	s.verdict = s.conf.Hosts.judge(who)
	s.limits = s.conf.Hosts.Effective(s.verdict.policy)
	if s.verdict.policy.Action == TCPRefuse {
		events.Publish(s.server.o.Events, 0, s.judged(who, 0))
		if c, ok := s.conn.(interface{ Abort() }); ok {
			c.Abort()
		}
		return false
	}
	s.server.mu.Lock()
	full := s.server.clients.enter(s, s.settings, s.limits)
	s.server.mu.Unlock()
	if full != "" {
		s.reply(421, full)
		s.hangUp()
		return false
	}
	s.icid = s.server.o.Queue.NextICID()
	s.openEvent = events.Publish(s.server.o.Events, 0, mailevents.ConnectionOpened{
		ICID: s.icid, Listener: s.conf.Name, Interface: s.ifName,
		Local: s.local.Addr(), Remote: s.remote, Host: s.host, Verified: s.verified,
	})
	publish(s, s.judged(who, s.icid))
	s.recorded = s.server.o.Record(s.icid, s.remote.Addr(), s.host)
	s.resetBuffers()
	s.arm()
	if s.verdict.policy.Action == Reject {
		s.refuse()
	} else {
		s.greet()
	}
	return true
}

// judged returns the event about the verdict.
func (s *session) judged(who sender, icid uint64) mailevents.ConnectionJudged {
	e := mailevents.ConnectionJudged{
		ICID: icid, Remote: s.remote.Addr(), Action: mailevents.Action(s.verdict.policy.Action),
		Group: s.verdict.group, Entry: s.verdict.entry, Policy: s.verdict.policy.Name,
		Score: "None", Country: who.country,
	}
	switch {
	case !s.conf.SenderBase:
		e.Score, e.Country = "not enabled", "not enabled"
	case who.addr.IsPrivate():
		e.Score = "rfc1918"
	case who.score != nil:
		e.Score = formatScore(*who.score)
	}
	return e
}

// identify looks up what DNS says about the client.
func (s *session) identify() sender {
	who := sender{addr: s.remote.Addr()}
	began := s.server.o.Clock.Mark()
	name, err := s.server.o.Resolver.LookupAddr(s.ctx, who.addr)
	switch {
	case err == nil:
		who.host = name
		addrs, err := s.server.o.Resolver.Lookup(s.ctx, name, family(who.addr))
		who.verified = err == nil && slices.Contains(addrs, who.addr)
	case errors.Is(err, resolver.ErrNotFound):
		who.noName = true
	default:
		who.noAnswer = true
	}
	if s.conf.SenderBase && !who.addr.IsPrivate() {
		who.score, who.country = s.reputation(who.addr)
	}
	s.host, s.verified = who.host, who.verified
	s.lookups = s.server.o.Clock.Since(began)
	listed := map[string]bool{}
	who.listed = func(zone string) bool {
		if _, known := listed[zone]; !known {
			_, err := s.server.o.Resolver.Lookup(s.ctx, resolver.ListName(who.addr, zone), 4)
			listed[zone] = err == nil
		}
		return listed[zone]
	}
	return who
}

// reputation asks for the score and the country of an address.
func (s *session) reputation(addr netip.Addr) (score *float64, country string) {
	records, err := s.server.o.Resolver.Records(s.ctx, resolver.ListName(addr, ReputationZone), "TXT")
	if err != nil || len(records) == 0 {
		return nil, ""
	}
	text := strings.Trim(records[0].Data, `"`)
	text, country, _ = strings.Cut(text, " country=")
	value, ok := strings.CutPrefix(text, "score=")
	if n, err := strconv.ParseFloat(value, 64); ok && err == nil && n >= -10 && n <= 10 {
		score = &n
	}
	return score, country
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

// greet sends the banner.
func (s *session) greet() {
	lines := []string{strings.TrimPrefix(s.bannerHost()+" ESMTP", " ")}
	if text := s.limits.Banner.Text; text != "" {
		lines = append(lines, s.fill(text))
	}
	s.reply(s.limits.Banner.Code, lines...)
}

// bannerHost returns the host name for the banner.
func (s *session) bannerHost() string {
	if h := s.limits.BannerHost; h != nil {
		return *h
	}
	return s.hostname
}

// standardRejection is the banner for clients that a policy rejects (mail.md 4.2).
const standardRejection = "Your access to this mail system has been rejected due to the sending " +
	"MTA's poor reputation. If you believe that this failure is in error, please contact the " +
	"intended recipient via alternate means."

// refuse sends the banner of a rejection, which is also the answer to all commands but QUIT.
func (s *session) refuse() {
	text := s.limits.Reject.Text
	if text == "" {
		text = standardRejection
	}
	s.reply(s.limits.Reject.Code, s.hostname, s.fill(text))
}

// fill replaces the variables in a text of the policy (mail.md 3.1).
func (s *session) fill(text string) string { return s.fillFor(text, "") }

// fillFor is fill for an answer that is about an envelope sender.
func (s *session) fillFor(text, from string) string {
	or := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	return strings.NewReplacer(
		"$EnvelopeSender", printable(from),
		"$HATEntry", or(s.verdict.entry, "None"),
		"$Hostname", or(s.host, "Unknown"),
		"$RemoteIP", s.remote.Addr().String(),
		"$Group", or(s.verdict.group, "None"),
		"$OrgID", "None",
	).Replace(text)
}

// verifySender returns why mail of a sender's domain is not taken, and the answer to MAIL. reason is
// "" if the domain can receive mail.
func (s *session) verifySender(from string) (reason string, answer Reply) {
	if from == "" {
		return "", answer // the null sender has no domain
	}
	_, domain, ok := cutAddress(from)
	if !ok || domain == "" {
		return "envelope sender domain missing", s.limits.Malformed
	}
	if strings.HasPrefix(domain, "[") {
		return "", answer
	}
	switch err := s.canReceive(domain); {
	case err == nil:
		return "", answer
	case errors.Is(err, resolver.ErrNotFound):
		return "envelope sender domain does not exist", s.limits.NoDomain
	}
	return "envelope sender domain could not be resolved", s.limits.Unresolved
}

// canReceive returns nil if mail can be sent to a domain: one of its mail exchangers, or the domain
// itself if it has none, has an address.
func (s *session) canReceive(domain string) error {
	r := s.server.o.Resolver
	list, err := r.LookupMX(s.ctx, domain)
	if errors.Is(err, resolver.ErrNoRecord) {
		list, err = []resolver.MX{{Host: domain}}, nil
	}
	if err != nil {
		return err
	}
	for _, mx := range list {
		if _, err = r.Lookup(s.ctx, mx.Host, 0); err == nil {
			return nil
		}
	}
	return err
}

// authenticate checks a user's passphrase.
func (s *session) authenticate(ctx context.Context, mechanism, user, passphrase string) bool {
	ok := s.server.o.Authenticate(ctx, user, passphrase)
	publish(s, mailevents.ClientAuthenticated{ICID: s.icid, User: user, Mechanism: mechanism, OK: ok})
	return ok
}
