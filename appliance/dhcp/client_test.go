package dhcp_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/dhcp"
)

const bound = "192.0.2.100/24 192.0.2.1 [192.0.2.53]"

// Nobody answers: the DISCOVER is repeated after 4, 8, 16 and 32 seconds, each give or take one. After
// a minute the client probes the fallback and uses it, and tries again every five minutes.
func TestNobodyAnswers(t *testing.T) {
	converse(t, nil, func(s *script) {
		first := s.next(dhcp.Discover, 0, 0)
		if first.source.String() != "0.0.0.0:68" || first.target.String() != "255.255.255.255:67" ||
			first.ClientAddr.IsValid() || first.Requested.IsValid() || first.Server.IsValid() ||
			first.HostName != "mail.example.com" || first.Secs != 0 || first.MaxSize != 1500 ||
			!slices.Equal(first.Parameters, []byte{1, 28, 3, 15, 6}) {
			t.Errorf("the first message is %+v", first)
		}
		last := first
		for _, wait := range []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second} {
			m := s.next(dhcp.Discover, last.at+wait, time.Second)
			if m.XID != first.XID || time.Duration(m.Secs) != m.at/time.Second {
				t.Errorf("the repetition at %v is %+v", m.at, m.Message)
			}
			last = m
		}
		if left := time.Minute - last.at; left > 33*time.Second {
			s.next(dhcp.Discover, last.at+32*time.Second, time.Second)
		}
		s.quiet(time.Minute - time.Since(s.began))
		s.wait(300*time.Millisecond, dhcp.Fallback)
		if got := s.has(); got != "192.168.42.42/24 192.168.42.1 []" {
			t.Errorf("the interface has %q", got)
		}
		want := []string{"1m0s probes 192.168.42.42", "1m0.1s probes 192.168.42.42"}
		if got := s.arp(); !slices.Equal(got, want) {
			t.Errorf("ARP: %q, want %q", got, want)
		}
		if got := s.lastEvent(); !strings.HasPrefix(got, "dhcp.unanswered ") {
			t.Errorf("the last event is %s", got)
		}
		again := s.next(dhcp.Discover, 6*time.Minute+200*time.Millisecond, 0)
		if again.XID == first.XID || again.Secs != 0 {
			t.Errorf("the next attempt is %+v", again.Message)
		}
		s.reply(again, dhcp.Offer)
		s.reply(s.next(dhcp.Request, again.at, 0), dhcp.ACK)
		s.wait(time.Second, dhcp.IsBound)
		if got := s.has(); got != bound {
			t.Errorf("the interface has %q", got)
		}
	})
}

// A server offers an address, and the client requests it, probes it, uses it and announces it.
func TestServerGivesAnAddress(t *testing.T) {
	converse(t, nil, func(s *script) {
		discover := s.next(dhcp.Discover, 0, 0)
		time.Sleep(2 * time.Second)
		s.reply(discover, dhcp.Offer)
		request := s.next(dhcp.Request, 2*time.Second, 0)
		if request.XID != discover.XID || request.Server != addr("192.0.2.2") ||
			request.Requested != addr("192.0.2.100") || request.ClientAddr.IsValid() ||
			request.source.String() != "0.0.0.0:68" || request.target.String() != "255.255.255.255:67" {
			t.Errorf("the request is %+v", request)
		}
		// The answer is lost.
		again := s.next(dhcp.Request, 6*time.Second, time.Second)
		if again.XID != request.XID {
			t.Errorf("the repetition is %+v", again.Message)
		}
		s.wait(0, dhcp.Requesting)
		s.reply(again, dhcp.ACK)
		l := s.wait(300*time.Millisecond, dhcp.IsBound).Lease
		if l.Seconds != 3600 || l.T1 != 1800 || l.T2 != 3150 || l.Server != addr("192.0.2.2") {
			t.Errorf("the lease is %+v", l)
		}
		if got := s.has(); got != bound {
			t.Errorf("the interface has %q", got)
		}
		got := s.arp()
		if len(got) != 3 || !strings.HasSuffix(got[0], " probes 192.0.2.100") ||
			!strings.HasSuffix(got[1], " probes 192.0.2.100") || !strings.HasSuffix(got[2], " announces 192.0.2.100") {
			t.Errorf("ARP: %q", got)
		}
		if s.saved[ifname].Address != l.Address {
			t.Errorf("the saved leases are %+v", s.saved)
		}
		s.quiet(29 * time.Minute)
	})
}

// A server that refuses what it has offered is asked from scratch, ten seconds later.
func TestServerRefusesItsOffer(t *testing.T) {
	converse(t, nil, func(s *script) {
		first := s.next(dhcp.Discover, 0, 0)
		s.reply(first, dhcp.Offer)
		s.reply(s.next(dhcp.Request, 0, 0), dhcp.NAK)
		if m := s.next(dhcp.Discover, 10*time.Second, 0); m.XID == first.XID {
			t.Errorf("the next attempt is %+v", m.Message)
		}
		if got := s.has(); got != "" {
			t.Errorf("the interface has %q", got)
		}
	})
}

// From T1 on the client asks its server, by a socket; from T2 on everybody, from its address. It waits
// for half of what is left, but at least for a minute. The address is taken away when the lease ends.
func TestLeaseExpires(t *testing.T) {
	converse(t, nil, func(s *script) {
		began := s.bind()
		seconds := func(x float64) time.Duration { return began + time.Duration(x*float64(time.Second)) }
		var renewal message
		for i, x := range []float64{1800, 2475, 2812.5, 2981.25, 3065.625, 3125.625} {
			m := s.next(dhcp.Request, seconds(x), time.Millisecond)
			if i == 0 {
				renewal = m
			}
			if !m.socket || m.source.String() != "192.0.2.100:68" || m.target.String() != "192.0.2.2:67" ||
				m.ClientAddr != addr("192.0.2.100") || m.Requested.IsValid() || m.Server.IsValid() ||
				m.XID != renewal.XID || time.Duration(m.Secs) != (m.at-renewal.at)/time.Second {
				t.Errorf("the client renews with %+v", m)
			}
		}
		s.wait(0, dhcp.Renewing)
		var rebinding message
		for i, x := range []float64{3150, 3375, 3487.5, 3547.5} {
			m := s.next(dhcp.Request, seconds(x), time.Millisecond)
			if i == 0 {
				rebinding = m
			}
			if m.socket || m.source.String() != "192.0.2.100:68" || m.target.String() != "255.255.255.255:67" ||
				m.ClientAddr != addr("192.0.2.100") || m.Requested.IsValid() || m.Server.IsValid() ||
				m.XID != rebinding.XID || m.XID == renewal.XID {
				t.Errorf("the client rebinds with %+v", m)
			}
		}
		s.wait(0, dhcp.Rebinding)
		if got := s.has(); got != bound {
			t.Errorf("before the lease has expired the interface has %q", got)
		}
		m := s.next(dhcp.Discover, seconds(3600), time.Millisecond)
		if m.Requested != addr("192.0.2.100") {
			t.Errorf("the client does not ask for its last address: %+v", m.Message)
		}
		if got := s.has(); got != "" {
			t.Errorf("after the lease has expired the interface has %q", got)
		}
		if got := s.lastEvent(); got != "dhcp.lost {Data 1 192.0.2.100/24 expired}" {
			t.Errorf("the last event is %s", got)
		}
	})
}

// A server that renews a lease, or another one that rebinds it, gives more time from then on. Neither
// is probed. What it says of the network is new.
func TestLeaseIsExtended(t *testing.T) {
	converse(t, nil, func(s *script) {
		began := s.bind()
		s.arp()
		renewal := s.next(dhcp.Request, began+1800*time.Second, 0)
		time.Sleep(10 * time.Second)
		ack := answer(renewal, dhcp.ACK)
		ack.DNS = nil
		s.deliver(frame(ack))
		began = time.Since(s.began)
		s.wait(time.Second, dhcp.IsBound)
		if got := s.has(); got != "192.0.2.100/24 192.0.2.1 []" {
			t.Errorf("the interface has %q", got)
		}
		for m := s.next(dhcp.Request, began+1800*time.Second, 0); ; m = <-s.sent {
			if !m.socket {
				ack := answer(m, dhcp.ACK)
				ack.Server = addr("192.0.2.3")
				s.deliver(frame(ack))
				break
			}
		}
		l := s.wait(time.Second, dhcp.IsBound).Lease
		if l.Server != addr("192.0.2.3") || s.lastEvent()[:12] != "dhcp.renewed" {
			t.Errorf("the lease is %+v, the last event %s", l, s.lastEvent())
		}
		if got := s.arp(); got != nil {
			t.Errorf("ARP: %q", got)
		}
	})
}

// A server that refuses to renew a lease takes the address away at once.
func TestRenewalIsRefused(t *testing.T) {
	converse(t, nil, func(s *script) {
		began := s.bind()
		renewal := s.next(dhcp.Request, began+1800*time.Second, 0)
		s.reply(renewal, dhcp.NAK)
		s.next(dhcp.Discover, renewal.at, 0)
		if got := s.has(); got != "" || s.lastEvent() != "dhcp.lost {Data 1 192.0.2.100/24 refused}" {
			t.Errorf("the interface has %q, the last event is %s", got, s.lastEvent())
		}
	})
}

// A lease without an end is never renewed.
func TestLeaseForEver(t *testing.T) {
	converse(t, nil, func(s *script) {
		s.reply(s.next(dhcp.Discover, 0, 0), dhcp.Offer)
		ack := answer(s.next(dhcp.Request, 0, 0), dhcp.ACK)
		ack.LeaseTime = dhcp.Infinite
		s.deliver(frame(ack))
		s.quiet(1000 * 24 * time.Hour)
		s.wait(0, dhcp.IsBound)
	})
}

// What is no answer to the client's message is ignored, whatever it looks like.
func TestWrongAnswersAreIgnored(t *testing.T) {
	converse(t, nil, func(s *script) {
		discover := s.next(dhcp.Discover, 0, 0)
		changed := func(change func(*dhcp.Message)) []byte {
			m := answer(discover, dhcp.Offer)
			change(m)
			return frame(m)
		}
		raw := func(change func(f []byte) []byte) []byte {
			return withSums(change(changed(func(*dhcp.Message) {})))
		}
		const options = 14 + 20 + 8 + 240 // of a frame
		wrong := map[string][]byte{
			"another number":         changed(func(m *dhcp.Message) { m.XID++ }),
			"another client":         changed(func(m *dhcp.Message) { m.MAC = otherMAC }),
			"an acknowledgment":      changed(func(m *dhcp.Message) { m.Type = dhcp.ACK }),
			"another client's":       changed(func(m *dhcp.Message) { m.Type = dhcp.Request }),
			"no server":              changed(func(m *dhcp.Message) { m.Server = netip.Addr{} }),
			"no address":             changed(func(m *dhcp.Message) { m.YourAddr = netip.Addr{} }),
			"a group's address":      changed(func(m *dhcp.Message) { m.YourAddr = addr("224.0.0.5") }),
			"no time":                changed(func(m *dhcp.Message) { m.LeaseTime = 0 }),
			"an unknown type":        changed(func(m *dhcp.Message) { m.Type = 77 }),
			"for another machine":    raw(func(f []byte) []byte { copy(f, otherMAC[:]); return f }),
			"from another port":      raw(func(f []byte) []byte { f[14+20+1]++; return f }),
			"to another port":        raw(func(f []byte) []byte { f[14+20+3]++; return f }),
			"no cookie":              raw(func(f []byte) []byte { f[options-1]++; return f }),
			"no options":             raw(func(f []byte) []byte { return f[:options] }),
			"a part of a header":     raw(func(f []byte) []byte { return f[:14+20+8+100] }),
			"nothing":                raw(func(f []byte) []byte { return f[:14+20+8] }),
			"an option without end":  raw(func(f []byte) []byte { f[options+1] = 255; return f[:options+10] }),
			"a netmask of two bytes": raw(func(f []byte) []byte { return append(f[:options], 53, 1, 2, 54, 2, 1, 2, 255) }),
			"garbage": raw(func(f []byte) []byte {
				for i := options; i < len(f); i++ {
					f[i] = byte(i * 7)
				}
				return f
			}),
			"a wrong checksum": func() []byte { f := frame(answer(discover, dhcp.Offer)); f[options+9]++; return f }(),
			"cut off":          frame(answer(discover, dhcp.Offer))[:options],
			"no IP":            frame(answer(discover, dhcp.Offer))[:20],
		}
		for name, f := range wrong {
			s.deliver(f)
			time.Sleep(10 * time.Millisecond)
			select {
			case m := <-s.sent:
				t.Fatalf("%s is answered by a %v", name, m.Type)
			default:
			}
		}
		s.deliver(raw(func(f []byte) []byte { return f }))
		request := s.next(dhcp.Request, time.Since(s.began), 0)
		late := answer(request, dhcp.ACK)
		late.XID++
		s.deliver(frame(late))
		s.reply(request, dhcp.Offer) // another server's, late
		s.wait(time.Second, dhcp.Requesting)
		s.reply(request, dhcp.ACK)
		s.wait(time.Second, dhcp.IsBound)
	})
}

// withSums returns a frame whose lengths and checksums are right after it was changed.
func withSums(f []byte) []byte {
	ip := f[14:]
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[10:], 0)
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(ip[24:], uint16(len(ip)-20))
	binary.BigEndian.PutUint16(ip[26:], 0) // no checksum
	return f
}

// A client whose address another machine has declines it, and asks again ten seconds later.
func TestAddressIsDeclined(t *testing.T) {
	converse(t, nil, func(s *script) {
		s.owners[addr("192.0.2.100")] = otherMAC
		s.reply(s.next(dhcp.Discover, 0, 0), dhcp.Offer)
		request := s.next(dhcp.Request, 0, 0)
		s.reply(request, dhcp.ACK)
		m := s.next(dhcp.Decline, 0, 0)
		if m.Requested != addr("192.0.2.100") || m.Server != addr("192.0.2.2") || m.ClientAddr.IsValid() ||
			m.XID == request.XID || m.HostName != "" || m.Parameters != nil || m.MaxSize != 0 ||
			m.source.String() != "0.0.0.0:68" || m.target.String() != "255.255.255.255:67" {
			t.Errorf("the client declines with %+v", m)
		}
		s.next(dhcp.Discover, 10*time.Second, 0)
		if got := s.has(); got != "" {
			t.Errorf("the interface has %q", got)
		}
		if got := s.lastEvent(); got != "dhcp.declined {Data 1 192.0.2.100/24 "+otherMAC.String()+" has it}" {
			t.Errorf("the last event is %s", got)
		}
	})
}

// replug gets a lease, unplugs the cable for a minute, and returns the request with which the client
// asks whether its address is still right, and when the lease began.
func replug(s *script) (request message, began time.Duration) {
	s.Helper()
	began = s.bind()
	s.plug(false)
	s.quiet(time.Minute)
	s.wait(0, dhcp.IsBound)
	s.arp()
	s.plug(true)
	request = s.next(dhcp.Request, time.Since(s.began), 0)
	if request.Requested != addr("192.0.2.100") || request.ClientAddr.IsValid() || request.Server.IsValid() ||
		request.source.String() != "0.0.0.0:68" || request.target.String() != "255.255.255.255:67" {
		s.Errorf("the client asks with %+v", request)
	}
	if l := s.wait(0, dhcp.Rebooting).Lease; l == nil || s.has() != bound {
		s.Errorf("the interface has %q", s.has())
	}
	return request, began
}

// A client whose carrier comes back asks whether its address is right there. If the server says so,
// the lease begins again.
func TestCarrierComesBack(t *testing.T) {
	converse(t, nil, func(s *script) {
		request, _ := replug(s)
		s.reply(request, dhcp.ACK)
		s.wait(time.Second, dhcp.IsBound)
		if got := s.has(); got != bound || s.lastEvent()[:12] != "dhcp.renewed" {
			t.Errorf("the interface has %q, the last event is %s", got, s.lastEvent())
		}
		s.next(dhcp.Request, request.at+1800*time.Second, 0)
	})
}

// In another network the server refuses the address, and the client asks for one of that network.
func TestCarrierComesBackElsewhere(t *testing.T) {
	converse(t, nil, func(s *script) {
		request, _ := replug(s)
		s.reply(request, dhcp.NAK)
		discover := s.next(dhcp.Discover, request.at, 0)
		if got := s.has(); got != "" || s.lastEvent() != "dhcp.lost {Data 1 192.0.2.100/24 refused}" {
			t.Errorf("the interface has %q, the last event is %s", got, s.lastEvent())
		}
		there := func(to message, kind dhcp.Type) {
			m := answer(to, kind)
			m.YourAddr, m.Server = addr("198.51.100.9"), addr("198.51.100.2")
			m.Routers, m.DNS = []netip.Addr{addr("198.51.100.1")}, nil
			s.deliver(frame(m))
		}
		there(discover, dhcp.Offer)
		there(s.next(dhcp.Request, request.at, 0), dhcp.ACK)
		s.wait(time.Second, dhcp.IsBound)
		if got := s.has(); got != "198.51.100.9/24 198.51.100.1 []" {
			t.Errorf("the interface has %q", got)
		}
	})
}

// If nobody answers for ten seconds, the client goes on using its address until the lease ends, and
// renews it at the time that it had.
func TestCarrierComesBackToNobody(t *testing.T) {
	converse(t, nil, func(s *script) {
		request, began := replug(s)
		s.next(dhcp.Request, request.at+4*time.Second, time.Second)
		s.wait(10*time.Second, dhcp.IsBound)
		if got := s.has(); got != bound || s.lastEvent()[:10] != "dhcp.bound" {
			t.Errorf("the interface has %q, the last event is %s", got, s.lastEvent())
		}
		s.next(dhcp.Request, began+1800*time.Second, 0)
	})
}

// Another machine has taken the address meanwhile.
func TestCarrierComesBackToAnotherOwner(t *testing.T) {
	converse(t, nil, func(s *script) {
		request, _ := replug(s)
		s.owners[addr("192.0.2.100")] = otherMAC
		s.reply(request, dhcp.ACK)
		s.next(dhcp.Decline, request.at, 0)
		s.next(dhcp.Discover, request.at, 0)
		if got := s.has(); got != "" || s.lastEvent() != "dhcp.lost {Data 1 192.0.2.100/24 in use}" {
			t.Errorf("the interface has %q, the last event is %s", got, s.lastEvent())
		}
	})
}

// A cable that is unplugged for a moment is noticed, also while the lease is being renewed. Until it
// is plugged in nothing is sent, and the lease expires as if it were.
func TestCableIsUnpluggedForAMoment(t *testing.T) {
	converse(t, nil, func(s *script) {
		began := s.bind()
		renewal := s.next(dhcp.Request, began+1800*time.Second, 0)
		s.plug(false)
		s.plug(true)
		request := s.next(dhcp.Request, renewal.at, 0)
		if request.socket || request.XID == renewal.XID || request.Requested != addr("192.0.2.100") {
			t.Errorf("the client asks with %+v", request)
		}
		s.reply(renewal, dhcp.ACK) // too late
		s.wait(time.Second, dhcp.Rebooting)
		s.reply(request, dhcp.ACK)
		s.wait(time.Second, dhcp.IsBound)
		began = time.Since(s.began)
		s.plug(false)
		for len(s.sent) > 0 {
			<-s.sent
		}
		s.wait(time.Hour, dhcp.Selecting)
		if got := s.has(); got != "" {
			t.Errorf("without a carrier, at %v, the interface has %q", began, got)
		}
	})
}

// A client that starts again asks for its last address, and uses it until the lease ends if nobody
// answers. If the lease has ended, it asks for any address.
func TestClientStartsAgain(t *testing.T) {
	last := func(ago time.Duration) *dhcp.Lease {
		// The bubbles of package synctest begin at this time.
		now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		return &dhcp.Lease{
			Address: netip.MustParsePrefix("192.0.2.100/24"), Server: addr("192.0.2.2"),
			Obtained: now.Add(-ago), Seconds: 3600, T1: 1800, T2: 3150,
		}
	}
	converse(t, last(20*time.Minute), func(s *script) {
		m := s.next(dhcp.Request, 0, 0)
		if m.Requested != addr("192.0.2.100") || m.Server.IsValid() || m.ClientAddr.IsValid() {
			t.Errorf("the client asks with %+v", m.Message)
		}
		s.next(dhcp.Request, 4*time.Second, time.Second)
		s.wait(10*time.Second-time.Since(s.began), dhcp.IsBound)
		if got := s.has(); got != "192.0.2.100/24 invalid IP []" {
			t.Errorf("the interface has %q", got)
		}
		s.reply(s.next(dhcp.Request, 10*time.Minute, 0), dhcp.NAK)
		s.next(dhcp.Discover, 10*time.Minute, 0)
	})
	converse(t, last(20*time.Minute), func(s *script) {
		s.reply(s.next(dhcp.Request, 0, 0), dhcp.NAK)
		s.next(dhcp.Discover, 0, 0)
	})
	converse(t, last(61*time.Minute), func(s *script) {
		if m := s.next(dhcp.Discover, 0, 0); m.Requested != addr("192.0.2.100") {
			t.Errorf("the client asks with %+v", m.Message)
		}
	})
}

// A client without a carrier sends nothing until it has one.
func TestClientWaitsForACarrier(t *testing.T) {
	converse(t, nil, func(s *script) {
		s.next(dhcp.Discover, 0, 0)
		s.plug(false)
		s.quiet(10 * time.Minute)
		s.plug(true)
		began := time.Since(s.began)
		if m := s.next(dhcp.Discover, began, 5*time.Second); m.at < began {
			t.Errorf("the client sends at %v", m.at)
		}
	})
}
