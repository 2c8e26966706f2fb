package appliance

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/appliance/mta"
	"github.com/esasim/esasim/appliance/mta/queue"
)

// Figures are what the appliance says about its mail and its resources at one moment. The status
// line, status and the XML status page show them, so that the three agree.
type Figures struct {
	metrics.Snapshot // counters, rates and connections

	Time      time.Time     // when the figures were taken
	Uptime    time.Duration // since the appliance came up
	Condition mta.Condition

	OldestMID uint64 // of the oldest message in the queue; 0: the queue is empty
	OldestAge time.Duration

	MID, ICID, DCID uint64 // the last identifiers that were given

	Queue        queue.Stats
	WorkQueue    int // messages in the work queue
	Destinations int // in memory, with the three of InternalDestinations
	Conservation int // 0, or conserving while new messages are refused

	CPU     int           // percent of the machine's processors that the process uses
	CPUTime time.Duration // that the process has used
	Memory  int64         // bytes that the process uses
	RAM     int           // Memory in percent of the appliance's; 0: the size is not known

	LogUsed  int   // percent of the file area
	LogBytes int64 // that are used of it
	LogFree  int64 // bytes
}

// conserving is the degree of resource conservation at which no message is taken. The vendor's note
// 117834 has this value, and degrees from 1 to 60 at which a real appliance takes messages more slowly.
// This appliance takes them at full speed until it refuses them, so that its degree is 0 or this one.
const conserving = 999

// InternalDestinations are queues inside the appliance that are listed like destinations (mail.md
// 3.6). They belong to features that are not simulated, and are always empty.
func InternalDestinations() []string {
	return []string{"the.encryption.queue", "the.euq.queue", "the.euq.release.queue"}
}

// Figures returns the present figures.
func (a *Appliance) Figures() Figures {
	f := Figures{
		Snapshot: a.Metrics.Snapshot(),
		Time:     a.Now(), Uptime: a.Clock.Since(a.started), Condition: a.MTA.Condition(),
		Queue: a.MTA.Queue.Stats(), WorkQueue: a.MTA.Pipeline.Status().Waiting,
		Memory: processMemory(),
	}
	f.MID, f.ICID, f.DCID = a.MTA.Queue.LastIDs()
	a.MTA.Queue.Each(func(env *queue.Envelope) bool {
		f.OldestMID, f.OldestAge = env.MID, max(f.Time.Sub(env.Received), 0)
		return false
	})
	destinations := map[string]bool{}
	for _, list := range [][]string{
		f.Domains, a.MTA.Delivery.Domains(), InternalDestinations(),
	} {
		for _, domain := range list {
			destinations[domain] = true
		}
	}
	f.Destinations = len(destinations)
	if a.MTA.Conserving() {
		f.Conservation = conserving
	}
	f.CPU, f.CPUTime = a.load.read(a.loadStart)
	if all := int64(a.Product.MemoryMB) << 20; all > 0 {
		f.RAM = int(min(100*f.Memory/all, 100))
	}
	used, quota := a.Files.Usage()
	f.LogBytes, f.LogFree = used, max(quota-used, 0)
	if quota > 0 {
		f.LogUsed = int(used * 100 / quota)
	}
	return f
}

// A Destination is a domain to which mail is delivered, with its part of the queue.
type Destination struct {
	metrics.Host
	Unattempted, Attempted int           // active recipients
	OldestMID              uint64        // of the messages to it; 0: there is none
	OldestAge              time.Duration // of that message
}

// Active returns the number of active recipients.
func (d Destination) Active() int { return d.Unattempted + d.Attempted }

// Destinations returns the destinations in memory, apart from the internal ones, in the order of
// their names.
func (a *Appliance) Destinations() []Destination {
	found := map[string]*Destination{}
	for _, h := range a.Metrics.Hosts() {
		found[h.Domain] = &Destination{Host: h}
	}
	now := a.Now()
	a.MTA.Queue.Each(func(env *queue.Envelope) bool {
		for _, r := range env.Recipients {
			domain := domainOf(r.Address)
			d := found[domain]
			if d == nil {
				host, _ := a.Metrics.Host(domain)
				d = &Destination{Host: host}
				found[domain] = d
			}
			d.add(env, r, now)
		}
		return true
	})
	out := make([]Destination, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		out = append(out, *found[name])
	}
	return out
}

// Destination returns the figures of a domain. ok is false if there are none.
func (a *Appliance) Destination(domain string) (d Destination, ok bool) {
	domain = strings.ToLower(domain)
	d.Host, ok = a.Metrics.Host(domain)
	now := a.Now()
	a.MTA.Queue.Each(func(env *queue.Envelope) bool {
		for _, r := range env.Recipients {
			if domainOf(r.Address) == domain {
				d.add(env, r, now)
			}
		}
		return true
	})
	return d, ok || d.OldestMID != 0
}

// add counts a recipient of the destination.
func (d *Destination) add(env *queue.Envelope, r queue.Recipient, now time.Time) {
	if r.Attempts == 0 {
		d.Unattempted++
	} else {
		d.Attempted++
	}
	if d.OldestMID == 0 { // messages come in the order of their MID
		d.OldestMID, d.OldestAge = env.MID, max(now.Sub(env.Received), 0)
	}
}

// domainOf returns the domain of an address in lower case.
func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}
