package metrics

import (
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// A Counter names a figure that only grows.
type Counter int

// The counters, in the order in which status detail and the XML status page show them. Their
// meanings are those of the vendor's guide (mail.md 2.4).
const (
	InjectedMessages Counter = iota
	InjectedRecipients
	GeneratedBounces // recipients of the appliance's own bounce messages
	RejectedRecipients
	DroppedMessages
	SoftBounces         // failed attempts of recipients
	CompletedRecipients // HardBounces + DeliveredRecipients + DeletedRecipients
	HardBounces         // the sum of the five kinds
	DNSHardBounces
	FiveXXHardBounces
	FilterHardBounces
	ExpiredHardBounces
	OtherHardBounces
	DeliveredRecipients
	DeletedRecipients
	GlobalUnsubscribeHits
	InjectedBytes
	counters // how many there are
)

// keys are the names of the counters in the file of lifetime values and on the XML status page.
var keys = [counters]string{
	"inj_msgs", "inj_recips", "gen_bounce_recips", "rejected_recips", "dropped_msgs",
	"soft_bounced_evts", "completed_recips", "hard_bounced_recips", "dns_hard_bounced_recips",
	"5xx_hard_bounced_recips", "filter_hard_bounced_recips", "expired_hard_bounced_recips",
	"other_hard_bounced_recips", "delivered_recips", "deleted_recips", "global_unsub_hits",
	"inj_bytes",
}

// Key returns the name of the counter on the XML status page.
func (c Counter) Key() string { return keys[c] }

// Counters returns the counters that status detail shows, in its order.
func Counters() []Counter {
	out := make([]Counter, InjectedBytes)
	for i := range out {
		out[i] = Counter(i)
	}
	return out
}

// tally holds a value of each counter. Sums are always 0 in it: sum adds them up.
type tally [counters]uint64

// value returns the value of c, which may be a sum.
func (t *tally) value(c Counter) uint64 {
	switch c {
	case HardBounces:
		return t[DNSHardBounces] + t[FiveXXHardBounces] + t[FilterHardBounces] +
			t[ExpiredHardBounces] + t[OtherHardBounces]
	case CompletedRecipients:
		return t.value(HardBounces) + t[DeliveredRecipients] + t[DeletedRecipients]
	}
	return t[c]
}

// minus returns the growth from before to t. A counter of before that is larger, as a damaged file
// may have it, gives 0.
func (t tally) minus(before tally) tally {
	for i := range t {
		t[i] -= min(t[i], before[i])
	}
	return t
}

// count calls add with each counter that an event increases and by how much.
func count(fields events.Fields, add func(c Counter, n uint64)) {
	switch f := fields.(type) {
	case mailevents.MessageReady:
		add(InjectedMessages, 1)
		add(InjectedRecipients, uint64(f.Recipients))
		add(InjectedBytes, uint64(f.Bytes))
		if f.Generated == mailevents.GeneratedBounce {
			add(GeneratedBounces, uint64(f.Recipients))
		}
	case mailevents.RecipientRejected:
		add(RejectedRecipients, 1)
	case mailevents.MessageAborted:
		if f.Receiving { // recipients lost by an early end of the connection count as rejected
			add(RejectedRecipients, uint64(f.Recipients))
		} else {
			add(DroppedMessages, 1)
		}
	case mailevents.Delayed:
		add(SoftBounces, 1)
	case mailevents.Bounced:
		add(bounceCounter(f.Category), 1)
	case mailevents.Delivered:
		add(DeliveredRecipients, uint64(len(f.RIDs)))
	case mailevents.RecipientsDeleted:
		add(DeletedRecipients, uint64(len(f.RIDs)))
	}
}

func bounceCounter(c mailevents.Category) Counter {
	switch c {
	case mailevents.DNSBounce:
		return DNSHardBounces
	case mailevents.FiveXXBounce:
		return FiveXXHardBounces
	case mailevents.FilterBounce:
		return FilterHardBounces
	case mailevents.ExpiredBounce:
		return ExpiredHardBounces
	}
	return OtherHardBounces
}
