package maillog

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// RecorderOptions configure a Recorder. All are required.
type RecorderOptions struct {
	// Subscriptions returns the committed log subscriptions.
	Subscriptions func() []logs.Subscription
	// Write writes an entry. It must not block.
	Write func(logs.Entry)
}

// A Recorder decides which SMTP conversations the domain debug logs and injection debug logs record,
// and writes their lines (mail.md 2.3). Each such log has a host and a number of conversations. The
// count begins again when the log's settings are changed, and at a start of the appliance. A
// Recorder is safe for concurrent use.
type Recorder struct {
	o RecorderOptions

	mu        sync.Mutex
	counts    map[string]count    // by the names of logs
	injection map[uint64][]string // names of the logs that record a connection, by ICID
	delivery  map[uint64][]string // by DCID
}

// A count is how many conversations a log has recorded with its present settings.
type count struct {
	host     string
	sessions int // that are recorded at most
	recorded int
}

// NewRecorder returns a Recorder.
func NewRecorder(o RecorderOptions) *Recorder {
	return &Recorder{
		o: o, counts: map[string]count{},
		injection: map[uint64][]string{}, delivery: map[uint64][]string{},
	}
}

// RecordInjection reports whether a client's connection is recorded. host is the client's name by
// reverse look-up, "" if there is none.
func (r *Recorder) RecordInjection(icid uint64, remote netip.Addr, host string) bool {
	return r.record(r.injection, icid, logs.InjectionDebug, func(wanted string) bool {
		return matchesClient(wanted, remote, host)
	})
}

// RecordDelivery reports whether a connection to a mail server of a domain is recorded.
func (r *Recorder) RecordDelivery(dcid uint64, domain string) bool {
	return r.record(r.delivery, dcid, logs.DomainDebug, func(wanted string) bool {
		return strings.EqualFold(wanted, domain)
	})
}

// NotDelivered says that a connection to a mail server was not established. It does not count.
func (r *Recorder) NotDelivered(dcid uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.delivery[dcid] {
		c := r.counts[name]
		c.recorded = max(c.recorded-1, 0)
		r.counts[name] = c
	}
	delete(r.delivery, dcid)
}

// record notes which logs of a type record a connection, and reports whether there are any.
func (r *Recorder) record(
	in map[uint64][]string, id uint64, t logs.Type, matches func(host string) bool,
) bool {
	list := r.o.Subscriptions()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.counts { // forget the logs that are gone
		if !slices.ContainsFunc(list, func(s logs.Subscription) bool { return s.Name == name }) {
			delete(r.counts, name)
		}
	}
	for i := range list {
		s := &list[i]
		if s.Type != t || s.DebugHost == "" || !matches(s.DebugHost) {
			continue
		}
		c := r.counts[s.Name]
		if c.host != s.DebugHost || c.sessions != s.DebugSessions {
			c = count{host: s.DebugHost, sessions: s.DebugSessions}
		}
		if c.recorded >= c.sessions {
			continue
		}
		c.recorded++
		r.counts[s.Name] = c
		in[id] = append(in[id], s.Name)
	}
	return len(in[id]) > 0
}

// Handle writes the lines about an event. Events of other connections are ignored.
func (r *Recorder) Handle(e events.Event) {
	fields := e.Fields
	if f, ok := fields.(mailevents.Internal); ok {
		fields = f.Event
	}
	switch f := fields.(type) {
	case mailevents.InjectionData:
		how := "Rcvd from"
		if f.Sent {
			how = "Sent to"
		}
		r.write(r.injection, f.ICID, e, logs.InjectionDebug,
			fmt.Sprintf("%d %s '%v': '%s'", f.ICID, how, f.Remote, octal(f.Data)))
	case mailevents.DeliveryLine:
		how := "Rcvd"
		if f.Sent {
			how = "Sent"
		}
		r.write(r.delivery, f.DCID, e, logs.DomainDebug,
			fmt.Sprintf("%d %s: %s", f.DCID, how, quote(f.Line)))
	case mailevents.ConnectionClosed:
		r.forget(r.injection, f.ICID)
	case mailevents.DeliveryConnectionClosed:
		r.forget(r.delivery, f.DCID)
	}
}

func (r *Recorder) write(in map[uint64][]string, id uint64, e events.Event, t logs.Type, text string) {
	r.mu.Lock()
	names := in[id]
	r.mu.Unlock()
	for _, name := range names {
		r.o.Write(logs.Entry{
			Time: e.Wall, Type: t, Level: logs.Information, Text: text, Only: name, Cause: e.Seq,
			Follows: true,
		})
	}
}

func (r *Recorder) forget(in map[uint64][]string, id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(in, id)
}

// matchesClient reports whether a client is the one of an injection debug log: by its address, a
// network or a range such as 192.0.2.1-10, its name, or the end of its name.
func matchesClient(wanted string, remote netip.Addr, host string) bool {
	if a, err := netip.ParseAddr(wanted); err == nil {
		return a == remote
	}
	if p, err := netip.ParsePrefix(wanted); err == nil {
		return p.Contains(remote)
	}
	if from, to, ok := logs.ParseDebugRange(wanted); ok {
		return remote.Compare(from) >= 0 && remote.Compare(to) <= 0 && remote.Is4()
	}
	return host != "" && strings.HasSuffix(strings.ToLower(host), strings.ToLower(wanted))
}
