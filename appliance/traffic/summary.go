package traffic

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// A Summary counts what became of messages.
type Summary struct {
	Offered  int `json:"offered"`  // messages that were due, with those that are on their way
	Done     int `json:"done"`     // accepted, refused or failed
	Accepted int `json:"accepted"` // for at least one recipient
	Refused  int `json:"refused"`
	Failed   int `json:"failed"` // the connection could not be opened, or broke

	Recipients        int `json:"recipients"` // of offered messages
	AcceptedTo        int `json:"accepted_recipients"`
	RefusedRecipients int `json:"refused_recipients"`
	// Replies counts refusals of connections, messages and recipients by the code of the reply.
	Replies map[string]int `json:"replies,omitempty"`
	// Errors counts failures by their reason.
	Errors  map[string]int `json:"errors,omitempty"`
	TLS     int            `json:"tls"` // messages that were sent over TLS
	Latency Latency        `json:"latency"`
	// Late is how late, by the appliance's clock, the latest message of all was begun.
	Late netsim.Duration `json:"late"`
	// Digest is a hash of the messages that were offered. It is the same whenever the same messages
	// are offered in the same order.
	Digest string `json:"digest"`
}

// Latency is the real time from the MAIL command of an accepted message, or from opening its
// connection, to the reply to the message.
type Latency struct {
	Least  netsim.Duration `json:"least"`
	Median netsim.Duration `json:"median"`
	P95    netsim.Duration `json:"p95"`
	P99    netsim.Duration `json:"p99"`
	Most   netsim.Duration `json:"most"`
}

// maxErrors is the number of reasons that are counted each by itself.
const maxErrors = 20

// A counter makes a Summary. It is safe for concurrent use.
type counter struct {
	mu      sync.Mutex
	sum     Summary
	offered hash.Hash
	took    histogram
}

func newCounter() *counter {
	return &counter{
		sum:     Summary{Replies: map[string]int{}, Errors: map[string]int{}},
		offered: sha256.New(),
	}
}

// offer counts a message that is due.
func (c *counter) offer(m planned, late time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Offered++
	c.sum.Recipients += len(m.message.To)
	c.sum.Late = max(c.sum.Late, netsim.Duration(late))
	fmt.Fprintf(c.offered, "%s\n%s\n%s\n%t %d\n%s\n", m.key, m.host, m.message.From, m.tls,
		m.message.Text.Size(), strings.Join(m.message.To, "\n"))
}

// finish counts the result of a message.
func (c *counter) finish(r Result, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Done++
	for _, code := range r.Refused {
		c.sum.Replies[strconv.Itoa(code)]++
	}
	c.sum.RefusedRecipients += len(r.Refused)
	switch {
	case r.Accepted:
		c.sum.Accepted++
		c.sum.AcceptedTo += r.Recipients
		c.took.add(took)
		if r.TLS != "" {
			c.sum.TLS++
		}
	case r.Code != 0:
		c.sum.Refused++
		if len(r.Refused) == 0 {
			c.sum.Replies[strconv.Itoa(r.Code)]++
		}
	default:
		c.sum.Failed++
		text := reason(r)
		if _, known := c.sum.Errors[text]; !known && len(c.sum.Errors) >= maxErrors {
			text = "other"
		}
		c.sum.Errors[text]++
	}
}

// reason returns the kind of a failure, in a few words.
func reason(r Result) string {
	var e *mail.Error
	if !errors.As(r.Err, &e) {
		return "stopped"
	}
	if text, ok := network.ErrorText(e.Err); ok {
		return string(e.Step) + ": " + text
	}
	if e.Timeout() {
		return string(e.Step) + ": timed out"
	}
	return string(e.Step) + ": the connection broke"
}

// summary returns what has been counted.
func (c *counter) summary() Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sum
	s.Replies, s.Errors = map[string]int{}, map[string]int{}
	for k, n := range c.sum.Replies {
		s.Replies[k] = n
	}
	for k, n := range c.sum.Errors {
		s.Errors[k] = n
	}
	s.Latency = c.took.latency()
	s.Digest = hex.EncodeToString(c.offered.Sum(nil)[:8])
	return s
}

// A histogram counts durations in classes whose bounds grow by a twentieth each.
type histogram struct {
	classes     [512]int
	n           int
	least, most time.Duration
}

// classBase is the ratio of two bounds.
const classBase = 1.05

func (h *histogram) add(d time.Duration) {
	if h.n == 0 || d < h.least {
		h.least = d
	}
	h.most = max(h.most, d)
	h.n++
	us := max(float64(d)/float64(time.Microsecond), 1)
	h.classes[min(int(math.Log(us)/math.Log(classBase)), len(h.classes)-1)]++
}

// quantile returns the upper bound of the class that has the given share of the durations below it.
func (h *histogram) quantile(share float64) time.Duration {
	want, seen := int(math.Ceil(share*float64(h.n))), 0
	for i, n := range h.classes {
		if seen += n; n > 0 && seen >= want {
			bound := time.Duration(math.Pow(classBase, float64(i+1)) * float64(time.Microsecond))
			return min(max(bound, h.least), h.most)
		}
	}
	return 0
}

func (h *histogram) latency() Latency {
	return Latency{
		Least: netsim.Duration(h.least), Most: netsim.Duration(h.most),
		Median: netsim.Duration(h.quantile(0.5)), P95: netsim.Duration(h.quantile(0.95)),
		P99: netsim.Duration(h.quantile(0.99)),
	}
}
