package config_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esasim/esasim/appliance/config"
)

func written(t *testing.T, v config.View, p config.Passphrases) string {
	t.Helper()
	var b bytes.Buffer
	header := []string{"Product: Cisco C100V", "Model Number: C100V"}
	if err := config.WriteXML(&b, v, config.XMLOptions{Header: header, Passphrases: p}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteXML(t *testing.T) {
	s := config.NewStore()
	d := s.NewDraft()
	servers := []dnsServer{{0, "10.0.202.53"}, {1, "10.0.202.54"}}
	dns.Set(d, dnsSettings{Servers: servers, TTL: 1800, Via: "Management"})
	interfaces.Set(d, ifaces{[]iface{{"Büro <1>", netip.MustParseAddr("10.0.202.7"), 1500}}})
	want := `<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE config SYSTEM "config.dtd">

<!--
  Product: Cisco C100V
  Model Number: C100V
-->
<config>
<!--
******************************************************************************
*                           Network Configuration                            *
******************************************************************************
-->

  <hostname>example.com</hostname>
  <interfaces>
    <interface>
      <interface_name>B&#xFC;ro &lt;1&gt;</interface_name>
      <ip>10.0.202.7</ip>
      <direct>
        <jack_mtu>1500</jack_mtu>
      </direct>
    </interface>
  </interfaces>
  <dns>
    <local_dns>
      <dns_ip priority="0">10.0.202.53</dns_ip>
      <dns_ip priority="1">10.0.202.54</dns_ip>
    </local_dns>
    <dns_cache_ttl_min>1800</dns_cache_ttl_min>
    <dns_interface>Management</dns_interface>
  </dns>
<!--
******************************************************************************
*                              Users and Access                              *
******************************************************************************
-->

  <users>
    <user>
      <username>admin</username>
      <passphrase>*****</passphrase>
      <pin>*****</pin>
    </user>
  </users>
  <target></target>
</config>
`
	if diff := cmp.Diff(want, written(t, d, config.Masked)); diff != "" {
		t.Error(diff)
	}
}

func TestHeaderCannotEndItsComment(t *testing.T) {
	var b bytes.Buffer
	header := []string{"--><config>", "é\n"}
	err := config.WriteXML(&b, config.NewStore().Committed(), config.XMLOptions{Header: header})
	text := b.String()
	if err != nil || strings.Count(text, "<config>") != 2 || strings.Contains(text, "--><config>") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestPassphrases(t *testing.T) {
	c := config.NewStore().Committed()
	for p, want := range map[config.Passphrases][2]string{
		config.Masked:    {"<passphrase>*****</passphrase>", "<pin>*****</pin>"},
		config.Encrypted: {"<passphrase>$2a$hash</passphrase>", `<pin encrypted="true">`},
		config.Plain:     {"<passphrase>$2a$hash</passphrase>", "<pin>1234</pin>"},
	} {
		got := written(t, c, p)
		if !strings.Contains(got, want[0]) || !strings.Contains(got, want[1]) {
			t.Errorf("%v: no %q in\n%s", p, want, got)
		}
		if p != config.Plain && strings.Contains(got, "1234") {
			t.Errorf("%v shows the PIN:\n%s", p, got)
		}
	}
}

func TestWrittenFileCanBeRead(t *testing.T) {
	from := config.NewStore()
	d := from.NewDraft()
	hostname.Set(d, "esa.example.com")
	interfaces.Set(d, ifaces{[]iface{
		{"Data 1", netip.MustParseAddr("2001:db8::1"), 9000},
		{"é\t\r\n &\"'<>中", netip.Addr{}, 0},
	}})
	servers := []dnsServer{{3, "10.0.202.53"}}
	dns.Set(d, dnsSettings{Servers: servers, Via: "Data 1", Note: "  blanks  "})
	users.Set(d, accounts{[]account{{"joe", "h", ""}, {"ann", "", "p&q"}}})
	for _, p := range []config.Passphrases{config.Encrypted, config.Plain} {
		file := written(t, d, p)
		to := config.NewStore().NewDraft()
		changed, err := config.ReadXML(strings.NewReader(file), to)
		if err != nil || !changed {
			t.Fatalf("changed %v, %v", changed, err)
		}
		if diff := cmp.Diff(file, written(t, to, p)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(users.Get(d), users.Get(to)); diff != "" {
			t.Error(diff)
		}
		if changed, err := config.ReadXML(strings.NewReader(file), to); err != nil || changed {
			t.Errorf("loaded again: changed %v, %v", changed, err)
		}
	}
}

func TestReadXMLOfPartialFile(t *testing.T) {
	d := config.NewStore().NewDraft()
	servers := []dnsServer{{0, "10.0.0.1"}}
	dns.Set(d, dnsSettings{Servers: servers, TTL: 60, Via: "Management", Note: "old"})
	hostname.Set(d, "pending.example.com")
	changed, err := config.ReadXML(strings.NewReader(`<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE config SYSTEM "config.dtd">
<config>
  <dns><local_dns><dns_ip>10.0.0.2</dns_ip><dns_ip priority="1">10.0.0.3</dns_ip></local_dns></dns>
</config>`), d)
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	servers = []dnsServer{{0, "10.0.0.2"}, {1, "10.0.0.3"}}
	want := dnsSettings{Servers: servers, TTL: 60, Via: "Management"}
	if diff := cmp.Diff(want, dns.Get(d)); diff != "" {
		t.Errorf("the list is replaced, single values stay:\n%s", diff)
	}
	if got := hostname.Get(d); got != "pending.example.com" {
		t.Errorf("another section became %s", got)
	}
}

func TestLatin1(t *testing.T) {
	d := config.NewStore().NewDraft()
	const file = "<?xml version='1.0' encoding='ISO-8859-1'?>" +
		"<config><hostname>b\xfcro.example.com</hostname></config>"
	if _, err := config.ReadXML(strings.NewReader(file), d); err != nil {
		t.Fatal(err)
	}
	if got := hostname.Get(d); got != "büro.example.com" {
		t.Errorf("host name %s", got)
	}
}

func TestReadXMLErrors(t *testing.T) {
	in := func(s string) string { return "<config>\n" + s + "\n</config>" }
	long := strings.Repeat("x", 9<<20)
	for _, c := range []struct{ name, file, want string }{
		{"nothing", "", "the file holds no XML"},
		{"no XML", "hello", "line 1: text outside of any element"},
		{"cut off", "<config>\n<hostname>a", "line 2: unexpected EOF"},
		{"crossed", in("<hostname></config>"), "line 2: element <hostname> closed by </config>"},
		{"another root", "<license/>", "line 1: <license> where <config> was expected"},
		{"two roots", "<config/>\n<config/>", "line 2: <config> follows the end of <config>"},
		{"an entity", in("<hostname>&x;</hostname>"), "line 2: invalid character entity &x;"},
		{
			"a character set", "<?xml version='1.0' encoding='EBCDIC'?><config/>",
			`the encoding "EBCDIC" is not supported`,
		},
		{"an unknown section", in("<hostnam>a</hostnam>"), "line 2: unknown element <hostnam>"},
		{
			"an unknown element", in("<dns>\n<ttl>1</ttl></dns>"),
			"line 3: unknown element <ttl> in <dns>",
		},
		{
			"an element in a value", in("<hostname><b/></hostname>"),
			"line 2: unknown element <b> in <hostname>",
		},
		{"an unknown attribute", in("<dns a='1'/>"), "line 2: unknown attribute a of <dns>"},
		{
			"a name space", in("<x:hostname xmlns:x='y'>a</x:hostname>"),
			"line 2: unknown element <y:hostname>",
		},
		{"text between elements", in("<dns>words</dns>"), "line 2: <dns> may not hold text"},
		{"text between sections", in("words"), "text outside of any element"},
		{
			"a section twice", in("<hostname>a</hostname>\n<hostname>b</hostname>"),
			"line 3: <hostname> appears twice",
		},
		{
			"an element twice", in("<dns><dns_interface/><dns_interface/></dns>"),
			"line 2: <dns_interface> appears twice in <dns>",
		},
		{
			"no number", in("<dns><dns_cache_ttl_min>long</dns_cache_ttl_min></dns>"),
			`line 2: <dns_cache_ttl_min>: "long" is not a whole number in range`,
		},
		{
			"no number in an attribute",
			in("<dns><local_dns><dns_ip priority='x'>1.2.3.4</dns_ip></local_dns></dns>"),
			`line 2: attribute priority of <dns_ip>: "x" is not a whole number in range`,
		},
		{
			"no address", in("<interfaces><interface>\n<ip>here</ip></interface></interfaces>"),
			"line 3: <ip>: ",
		},
		{
			"a masked hash", in("<users><user><passphrase>*****</passphrase></user></users>"),
			"line 2: the passphrase in <passphrase> is masked; " +
				"a file with masked passphrases cannot be loaded",
		},
		{
			"a masked passphrase", in("<users><user><pin>*****</pin></user></users>"),
			"line 2: the passphrase in <pin> is masked",
		},
		{
			"a broken cipher", in("<users><user><pin encrypted='true'>AAAA</pin></user></users>"),
			"line 2: the passphrase in <pin> cannot be decrypted",
		},
		{"bytes without end", in(long), "the file is larger than 8388608 bytes"},
		{
			"elements without end", in("<users>" + strings.Repeat("<user/>", 300_000)),
			"line 2: the file has more than 200000 elements",
		},
		{
			"depth without end", strings.Repeat("<config>", 100),
			"line 1: <config> is nested too deeply",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := config.NewStore().NewDraft()
			changed, err := config.ReadXML(strings.NewReader(c.file), d)
			wantError[*config.XMLError](t, err, c.want)
			if changed || d.Pending() {
				t.Error("a refused file changed the draft")
			}
		})
	}
}

func TestReadXMLChecksSections(t *testing.T) {
	d := config.NewStore().NewDraft()
	const file = "<config><hostname>new.example.com</hostname>" +
		"<dns><dns_interface>Data 9</dns_interface></dns></config>"
	_, err := config.ReadXML(strings.NewReader(file), d)
	wantError[*config.InvalidError](t, err, "There is no interface Data 9.")
	if d.Pending() {
		t.Error("half of it was loaded")
	}
}

func TestReadXMLReturnsReadErrors(t *testing.T) {
	broken := errors.New("broken pipe")
	file := io.MultiReader(strings.NewReader("<config>"), failing{broken})
	_, err := config.ReadXML(file, config.NewStore().NewDraft())
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// failing is a reader and writer that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestWriteXMLReturnsWriteErrors(t *testing.T) {
	gone := errors.New("gone")
	err := config.WriteXML(failing{gone}, config.NewStore().Committed(), config.XMLOptions{})
	if !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}

func TestChanges(t *testing.T) {
	d := config.NewStore().NewDraft()
	hostname.Set(d, "esa.example.com")
	interfaces.Set(d, ifaces{[]iface{
		{"Data 1", netip.MustParseAddr("10.0.202.7"), 1500},
		{"Management", netip.MustParseAddr("192.168.42.42"), 9000},
	}})
	users.Set(d, accounts{})
	want := []config.Difference{
		{Name: "hostname", Old: "example.com", New: "esa.example.com"},
		{Name: "interfaces", Children: []config.Difference{
			{Name: "interface", Key: "Data 1", Kind: config.Added, Children: []config.Difference{
				{Name: "interface_name", Kind: config.Added, New: "Data 1"},
				{Name: "ip", Kind: config.Added, New: "10.0.202.7"},
				{Name: "direct", Kind: config.Added, Children: []config.Difference{
					{Name: "jack_mtu", Kind: config.Added, New: "1500"},
				}},
			}},
			{Name: "interface", Key: "Management", Children: []config.Difference{
				{Name: "direct", Children: []config.Difference{{Name: "jack_mtu", Old: "1500", New: "9000"}}},
			}},
		}},
		{Name: "users", Children: []config.Difference{
			{Name: "user", Key: "admin", Kind: config.Removed, Children: []config.Difference{
				{Name: "username", Kind: config.Removed, Old: "admin"},
				{Name: "passphrase", Kind: config.Removed, Old: "*****"},
				{Name: "pin", Kind: config.Removed, Old: "*****"},
			}},
		}},
	}
	if diff := cmp.Diff(want, d.Changes(), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestChangesOfListsAndPassphrases(t *testing.T) {
	s := config.NewStore()
	d := s.NewDraft()
	dns.Set(d, dnsSettings{Servers: []dnsServer{{0, "10.0.0.1"}, {1, "10.0.0.2"}}, Via: "Management"})
	users.Set(d, accounts{[]account{{"admin", "other", "1234"}}})
	want := config.Difference{Name: "users", Children: []config.Difference{
		{Name: "user", Key: "admin", Children: []config.Difference{
			{Name: "passphrase", Old: "*****", New: "*****"},
		}},
	}}
	if diff := cmp.Diff(want, d.Changes()[1], cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("a passphrase:\n%s", diff)
	}
	commit(t, s, d, config.CommitInfo{})

	dns.Set(d, dnsSettings{Servers: []dnsServer{{1, "10.0.0.2"}, {0, "10.0.0.1"}}, Via: "Management"})
	want = config.Difference{Name: "dns", Children: []config.Difference{{Name: "local_dns"}}}
	if diff := cmp.Diff([]config.Difference{want}, d.Changes(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("another order:\n%s", diff)
	}
	dns.Set(d, dnsSettings{Servers: []dnsServer{{0, "10.0.0.1"}, {5, "10.0.0.2"}}, Via: "Management"})
	want.Children[0].Children = []config.Difference{{
		Name: "dns_ip", Key: "10.0.0.2",
		Old: `10.0.0.2 (priority "1")`, New: `10.0.0.2 (priority "5")`,
	}}
	if diff := cmp.Diff([]config.Difference{want}, d.Changes(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("an attribute:\n%s", diff)
	}
}

func FuzzReadXML(f *testing.F) {
	s := config.NewStore()
	for _, p := range []config.Passphrases{config.Masked, config.Encrypted, config.Plain} {
		var b bytes.Buffer
		if err := config.WriteXML(&b, s.Committed(), config.XMLOptions{Passphrases: p}); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte("<?xml version='1.0' encoding='latin1'?><config><dns><local_dns>" +
		"<dns_ip priority='1'>\xe9</dns_ip></local_dns><note>&#9;</note></dns></config>"))
	f.Fuzz(func(t *testing.T, file []byte) {
		d := s.NewDraft()
		changed, err := config.ReadXML(bytes.NewReader(file), d)
		if changed != d.Pending() || err != nil && changed {
			t.Fatalf("changed %v, pending %v, error %v", changed, d.Pending(), err)
		}
		if err != nil {
			return
		}
		// The file that is written for an accepted configuration means the same.
		again := s.NewDraft()
		saved := written(t, d, config.Encrypted)
		if _, err := config.ReadXML(strings.NewReader(saved), again); err != nil {
			t.Fatalf("the file is accepted, but the file that is written for it is not: %v", err)
		}
		if diff := cmp.Diff(written(t, d, config.Plain), written(t, again, config.Plain)); diff != "" {
			t.Fatal(diff)
		}
		d.Changes()
	})
}
