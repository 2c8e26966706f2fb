package commands_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/shell/shelltest"
)

// An interferingPrompter calls interfere before it gives its answer number lateAnswer.
type interferingPrompter struct {
	*shelltest.Prompter
	asked, lateAnswer int
	interfere         func()
}

func (p *interferingPrompter) Prompt(ctx context.Context, text string) (string, error) {
	if p.asked++; p.asked == p.lateAnswer {
		p.interfere()
	}
	return p.Prompter.Prompt(ctx, text)
}

// commitNow commits a change as another session does.
func commitNow[T any](t *testing.T, app *appliance.Appliance, s *config.Section[T], v T) {
	t.Helper()
	err := s.CommitNow(t.Context(), app.Config, nil, config.CommitInfo{}, func(to *T) error {
		*to = v
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An edit is a change that another session commits.
type edit func(*testing.T, *appliance.Appliance)

func dnsServers(addrs ...string) edit {
	return func(t *testing.T, app *appliance.Appliance) {
		s := resolver.DNS.Get(app.Config.Committed())
		s.Servers = nil
		for _, a := range addrs {
			s.Servers = append(s.Servers, resolver.Server{Addr: netip.MustParseAddr(a)})
		}
		commitNow(t, app, resolver.DNS, s)
	}
}

func timeServers(names ...string) edit {
	return func(t *testing.T, app *appliance.Appliance) {
		commitNow(t, app, ntp.NTP, ntp.Settings{Servers: names})
	}
}

func ipInterfaces(names ...string) edit {
	return func(t *testing.T, app *appliance.Appliance) {
		var v netconfig.IPInterfaces
		for i, n := range names {
			v.List = append(v.List, netconfig.IPInterface{Name: n, Port: "Data 1", IPv4: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Netmask: "255.255.255.0", Hostname: "mail.example.com"})
		}
		commitNow(t, app, netconfig.Interfaces, v)
	}
}

func allowedNetworks(nets ...string) edit {
	return func(t *testing.T, app *appliance.Appliance) {
		v := users.Access.Get(app.Config.Committed())
		v.Allowed = nil
		for _, n := range nets {
			v.Allowed = append(v.Allowed, netip.MustParsePrefix(n))
		}
		commitNow(t, app, users.Access, v)
	}
}

func alertRecipients(addrs ...string) edit {
	return func(t *testing.T, app *appliance.Appliance) {
		v := alert.Section.Get(app.Config.Committed())
		v.Recipients = nil
		for _, a := range addrs {
			v.Recipients = append(v.Recipients, alert.Recipient{Address: a})
		}
		commitNow(t, app, alert.Section, v)
	}
}

func logSubscriptions(names ...string) edit {
	return func(t *testing.T, app *appliance.Appliance) {
		var v logs.Subscriptions
		for _, n := range names {
			v.Put(logs.NewSubscription(n, logs.Mail.Spec()))
		}
		commitNow(t, app, logs.Section, v)
	}
}

func metricsInterval(seconds int) edit {
	return func(t *testing.T, app *appliance.Appliance) {
		commitNow(t, app, logs.General, logs.Settings{MetricsInterval: seconds})
	}
}

// Another session changes a section while an administrator answers questions about it.
func TestConcurrentCommitRefusesEdit(t *testing.T) {
	for _, c := range []struct {
		command        string
		before, during edit
		late           int // number of the answer that comes after the other session's change
		answers        []string
	}{
		{"dnsconfig", dnsServers("192.0.2.53", "192.0.2.54", "192.0.2.55"), dnsServers("192.0.2.53", "192.0.2.54"), 2, []string{"delete", "3", ""}},
		{"dnsconfig", dnsServers("192.0.2.53"), dnsServers("192.0.2.54"), 4, []string{"edit", "1", "", "7", ""}},
		{"ntpconfig", timeServers("a.example.com", "b.example.com"), timeServers("a.example.com"), 2, []string{"delete", "2", ""}},
		{"ntpconfig", timeServers("a.example.com"), timeServers("b.example.com"), 2, []string{"new", "c.example.com", ""}},
		{"adminaccessconfig", allowedNetworks("10.0.0.0/8", "11.0.0.0/8"), allowedNetworks("10.0.0.0/8"), 3, []string{"ipaccess", "delete", "2", "", ""}},
		{"alertconfig", alertRecipients("a@example.com", "b@example.com"), alertRecipients("a@example.com"), 2, []string{"delete", "2", ""}},
		{"alertconfig", alertRecipients("a@example.com"), alertRecipients("b@example.com"), 3, []string{"edit", "1", "2", "", ""}},
		{"alertconfig", alertRecipients(), alertRecipients("b@example.com"), 2, []string{"new", "a@example.com", "", "", ""}},
		{"alertconfig", alertRecipients(), alertRecipients("b@example.com"), 2, []string{"setup", "5", "", "", "", "", ""}},
		{"logconfig", logSubscriptions("one", "two"), logSubscriptions("one"), 3, []string{"delete", "two", "y", ""}},
		{"logconfig", logSubscriptions("one"), logSubscriptions("two"), 3, append([]string{"edit", "one"}, make([]string, 12)...)},
		{"logconfig", metricsInterval(60), metricsInterval(30), 2, []string{"setup", "90", "", "", "", ""}},
		{"logconfig", metricsInterval(60), metricsInterval(30), 2, []string{"logheaders", "Date", ""}},
		{"interfaceconfig", ipInterfaces("One", "Two"), ipInterfaces("One"), 3, append([]string{"edit", "two", "Three"}, make([]string, 14)...)},
	} {
		t.Run(c.command+" "+c.answers[0], func(t *testing.T) {
			d := newTestSession(t, "admin", 0)
			commitNow(t, d.appliance, netconfig.Ports, netconfig.PortList{List: []netconfig.Port{{Name: "Data 1", Ethernet: "Data 1", MTU: 1500}}})
			c.before(t, d.appliance)
			p := &interferingPrompter{Prompter: shelltest.NewPrompter(c.answers...), lateAnswer: c.late, interfere: func() { c.during(t, d.appliance) }}
			d.wantUnchanged(t, c.command, p)
		})
	}
}

// wantUnchanged runs a command. The command must refuse its change because of another
// session's, and leave the draft unchanged.
func (d *testSession) wantUnchanged(t *testing.T, command string, p *interferingPrompter) {
	t.Helper()
	d.env.Dialogue = shell.NewDialogue(p)
	if err := runCommand(t.Context(), d.env, command); err != nil {
		t.Error(err)
	}
	if !strings.Contains(p.String(), "nothing was changed here") {
		t.Errorf("the change was not refused:\n%s", p)
	}
	if d.env.Draft.Pending() {
		t.Error("the draft was changed")
	}
}

// The sections that refer to an IP interface by its name are updated.
func TestRenamedInterfaceKeepsReferences(t *testing.T) {
	d := newTestSession(t, "admin", 0)
	commitNow(t, d.appliance, netconfig.Ports, netconfig.PortList{List: []netconfig.Port{{Name: "Data 1", Ethernet: "Data 1", MTU: 1500}}})
	commitNow(t, d.appliance, netconfig.Interfaces, netconfig.IPInterfaces{List: []netconfig.IPInterface{
		{Name: "One", Port: "Data 1", IPv4: netip.MustParseAddr("192.0.2.25"), Netmask: "255.255.255.0", Hostname: "mail.example.com"},
	}})
	commitNow(t, d.appliance, netconfig.IPGroups, netconfig.IPGroupList{List: []netconfig.IPGroup{{Name: "All", Interfaces: []string{"One"}}}})
	commitNow(t, d.appliance, listener.Section, listener.Settings{
		Listeners: []listener.Listener{listener.New("In", "One", 25, listener.Public, product.Version{Major: 14})},
		Limits:    listener.DefaultLimits(),
	})
	dns := resolver.DNS.Get(d.appliance.Config.Committed())
	dns.Interface = "One"
	commitNow(t, d.appliance, resolver.DNS, dns)
	commitNow(t, d.appliance, ntp.NTP, ntp.Settings{Source: "One"})
	out := delivery.Config.Get(d.appliance.Config.Committed())
	out.Interface = "One"
	commitNow(t, d.appliance, delivery.Config, out)
	if err := d.run(t, "interfaceconfig", append([]string{"edit", "One", "Two"}, make([]string, 14)...)...); err != nil {
		t.Fatal(err)
	}
	v := d.env.Draft
	got := []string{
		netconfig.IPGroups.Get(v).List[0].Interfaces[0], listener.Section.Get(v).Listeners[0].Interface,
		resolver.DNS.Get(v).Interface, ntp.NTP.Get(v).Source, delivery.Config.Get(v).Interface,
	}
	if diff := cmp.Diff([]string{"Two", "Two", "Two", "Two", "Two"}, got); diff != "" {
		t.Error("group, listener, DNS, NTP, delivery (-want +got):\n", diff)
	}
}
