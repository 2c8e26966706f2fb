package listener

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/product"
)

// Everything that a listener can have survives saveconfig and loadconfig.
func TestListenersSurviveSavingAndLoading(t *testing.T) {
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{{
		Name: "Data 1", Port: "Data 1", IPv4: netip.MustParseAddr("192.0.2.1"),
		Netmask: netconfig.Netmask(24),
	}}})
	store, err := config.Open(config.Options{Dir: t.TempDir(), Factory: f})
	if err != nil {
		t.Fatal(err)
	}
	in := New("In", "Data 1", 25, Public, product.Version{Major: 14})
	in.DefaultDomain, in.BounceProfile, in.BareLineEnds = "example.com", "Fast", RejectLineEnds
	in.MaxConnections, in.QueueSize, in.OmitReceived = 7, 20, true
	in.Hosts.Default = everyParameter()
	in.Hosts.Groups[0].Entries = []Entry{{Host: "192.0.2.1-10", Comment: "a & b"}, {Host: ".example.com"}}
	in.Recipients = RecipientTable{
		Entries: []RecipientEntry{
			{Address: "example.com", Bypass: true}, {Address: "ALL", Reject: true, Code: 550, Reply: "<no>"},
		},
		Known: []string{"joe@example.com"},
	}
	want := Settings{
		Listeners: []Listener{in, New("Out", "Data 1", 587, Private, product.Version{Major: 14}),
			New("Void", "Data 1", 26, BlackHole, product.Version{Major: 14})},
		Limits: DefaultLimits(),
	}
	d := store.NewDraft()
	Section.Set(d, want)
	var b bytes.Buffer
	if err := config.WriteXML(&b, d, config.XMLOptions{Passphrases: config.Plain}); err != nil {
		t.Fatal(err)
	}
	loaded := store.NewDraft()
	if _, err := config.ReadXML(&b, loaded); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Commit(t.Context(), loaded, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, Section.Get(store.Committed())); diff != "" {
		t.Error(diff)
	}
}

// everyParameter returns parameters that are all set, each to a value of its own.
func everyParameter() Parameters {
	return Parameters{
		MaxMessageSize: ptr[int64](1000), MaxConnections: ptr(2), MaxMessages: ptr(3),
		MaxRecipients: ptr(4), MaxRecipientsPerHour: ptr(5), PerHourCode: ptr(453), PerHourText: ptr("Hour"),
		MaxRecipientsPerSender: ptr(6), SenderInterval: ptr(30), PerSenderCode: ptr(454),
		PerSenderText: ptr("Sender \"$EnvelopeSender\""), MaxInvalidPerHour: ptr(7), InvalidCode: ptr(551),
		InvalidText: ptr("Guessing"), TLS: ptr(Required), Auth: ptr(Preferred), AuthNeedsTLS: ptr(true),
		VerifySender: ptr(true), MalformedCode: ptr(554), MalformedText: ptr("No domain"),
		NoDomainCode: ptr(555), NoDomainText: ptr("None"), UnresolvedCode: ptr(455),
		UnresolvedText: ptr("Later"), BannerCode: ptr(221), Banner: ptr("$Hostname <&>"),
		BannerHost: ptr("mail.example.com"), RejectCode: ptr(550), RejectBanner: ptr("no \"mail\" \\"),
	}
}

func TestEntriesAndTablesAreChecked(t *testing.T) {
	for _, s := range []string{"192.0.2.1", "192.0.2.1-10", "sbrs[none]", ".example.com", "ALL"} {
		if err := CheckEntry(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", "a b", "sbrs[3:1]", "192.0.2.9-1", "192.0.2.300", "192.0.2."} {
		if CheckEntry(s) == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	if (HostTable{Last: "NONE"}).Check() == nil {
		t.Error("a last rule without a policy was accepted")
	}
	if (RecipientTable{Entries: []RecipientEntry{{Address: "a"}, {Address: "A"}}}).Check() == nil {
		t.Error("two entries for one recipient were accepted")
	}
	if e := builtIn().With(Parameters{MaxMessages: ptr(3)}); e.MaxMessages != 3 || e.MaxRecipients != 50 {
		t.Errorf("the parameters are %+v", e)
	}
}
