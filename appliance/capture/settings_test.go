package capture_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/pcapfilter"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/tooltest"
)

var compareAddrs = cmpopts.EquateComparable(netip.Addr{})

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestSettingsTexts(t *testing.T) {
	all := capture.FactorySettings()
	ring := all
	ring.KeepNewest = true
	some := capture.Settings{
		SizeMB: 10, KeepNewest: true, Duration: 5*time.Minute + 30*time.Second,
		Interfaces: []string{"Data 1", "Management"},
		Filter: capture.Filter{
			Kind: capture.Predefined, Ports: []capture.Port{{Number: 25}, {Number: 587}},
			Clients: addrs("10.1.1.1"), Servers: addrs("10.1.1.2", "2001:db8::1"),
		},
	}
	custom := capture.Settings{Filter: capture.Filter{
		Kind: capture.Custom, Ports: []capture.Port{{Number: 25}}, Expression: " ip host 10.1.1.1 ",
	}}
	for _, c := range []struct{ got, want string }{
		{all.SizeText(), "200 MB"},
		{all.DurationText(), "Run Capture Until File Size Limit Reached"},
		{ring.SizeText(), "200 MB"},
		{ring.DurationText(), "Run Capture Indefinitely"},
		{all.InterfacesText(), "All"},
		{all.FilterText(), "No Filters"},
		{some.SizeText(), "10 MB (keep the newest data)"},
		{some.DurationText(), "Run Capture Until Time Elapsed Reaches 5m 30s"},
		{some.InterfacesText(), "Data 1, Management"},
		{
			some.FilterText(),
			"(tcp port 25 or tcp port 587) and (host 10.1.1.1) and (host 10.1.1.2 or host 2001:db8::1)",
		},
		{custom.FilterText(), "ip host 10.1.1.1"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestParseLists(t *testing.T) {
	ports, err := capture.ParsePorts(" 80, 443/tcp, 53/udp, 514/ANY,")
	want := []capture.Port{{Number: 80}, {Number: 443}, {53, capture.UDP}, {514, capture.AnyProtocol}}
	if diff := cmp.Diff(want, ports); err != nil || diff != "" {
		t.Error(err, diff)
	}
	got, err := capture.ParseAddrs("10.1.1.1, 2001:db8::1, ::ffff:1.2.3.4")
	diff := cmp.Diff(addrs("10.1.1.1", "2001:db8::1", "1.2.3.4"), got, compareAddrs)
	if err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, bad := range []string{"0", "65536", "smtp", "80 443", "-1", "53/", "53/sctp",
		"/udp", "0/udp", "53/udp/any", "53 /udp", ",", " , ,"} {
		if p, err := capture.ParsePorts(bad); err == nil {
			t.Errorf("%q was parsed as %v", bad, p)
		}
	}
	for _, bad := range []string{"10.1.1", "example.com", "10.1.1.0/24", "fe80::1%nic1", ","} {
		if a, err := capture.ParseAddrs(bad); err == nil {
			t.Errorf("%q was parsed as %v", bad, a)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"120s": 2 * time.Minute, "5m 30s": 330 * time.Second, "4h": 4 * time.Hour,
		"90": 90 * time.Second, "1H30M": 90 * time.Minute,
	} {
		d, err := capture.ParseDuration(s)
		if err != nil || d != want {
			t.Errorf("%q = %v, %v", s, d, err)
			continue
		}
		if back, err := capture.ParseDuration(capture.FormatDuration(d)); err != nil || back != d {
			t.Errorf("%q is formatted as %q, which is parsed as %v, %v",
				s, capture.FormatDuration(d), back, err)
		}
	}
	for _, bad := range []string{"", "0", "-5s", "soon", "1.5s", "9000h"} {
		if d, err := capture.ParseDuration(bad); err == nil {
			t.Errorf("%q was parsed as %v", bad, d)
		}
	}
}

func TestInvalidSettingsAreRefused(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) { s.SizeMB = 7 })
	want := fx.Settings()
	for what, change := range map[string]func(*capture.Settings){
		"no size":              func(s *capture.Settings) { s.SizeMB = 0 },
		"more than 200 MB":     func(s *capture.Settings) { s.SizeMB = 201 },
		"half a second":        func(s *capture.Settings) { s.Duration = time.Second / 2 },
		"an unknown interface": func(s *capture.Settings) { s.Interfaces = []string{"Data 3"} },
		"the loopback":         func(s *capture.Settings) { s.Interfaces = []string{"lo0"} },
		"port 0":               func(s *capture.Settings) { s.Filter.Ports = []capture.Port{{}} },
		"port 53/sctp":         func(s *capture.Settings) { s.Filter.Ports = []capture.Port{{53, "sctp"}} },
		"an unknown kind":      func(s *capture.Settings) { s.Filter.Kind = "clever" },
	} {
		s := fx.Settings()
		change(&s)
		if err := fx.SetSettings(s); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	if diff := cmp.Diff(want, fx.Settings()); diff != "" {
		t.Error(diff)
	}
}

func TestInvalidFilterIsRefusedWithItsPosition(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) {
		s.Filter = capture.Filter{Kind: capture.Custom, Expression: "tcp port 25"}
	})
	s := fx.Settings()
	s.Filter.Expression = "tcp port 25 and and host 10.1.1.1"
	var wrong *pcapfilter.SyntaxError
	if err := fx.SetSettings(s); !errors.As(err, &wrong) || wrong.Offset != 16 {
		t.Errorf("SetSettings = %v (%+v)", err, wrong)
	}
	if got := fx.Settings().FilterText(); got != "tcp port 25" {
		t.Errorf("the filter is now %q", got)
	}
}

func TestFilterIsStoredAsOneLine(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) {
		s.Filter = capture.Filter{Kind: capture.Custom, Expression: "tcp port 25\n\tor\r\nudp"}
	})
	if got, want := fx.Settings().FilterText(), "tcp port 25  or  udp"; got != want {
		t.Errorf("the filter is %q, want %q", got, want)
	}
	err := fx.SetMenuSettings(capture.MenuSettings{Filter: "tcp\nport 25"})
	if got := fx.MenuSettings().Filter; err != nil || got != "tcp port 25" {
		t.Errorf("the menu's filter is %q, %v", got, err)
	}
	s := fx.Settings()
	s.Filter.Expression = "tcp\x01"
	var wrong *pcapfilter.SyntaxError
	if err := fx.SetSettings(s); !errors.As(err, &wrong) {
		t.Errorf("a control character: %v", err)
	}
}

func TestClientsAndServersMustShareAnAddressFamily(t *testing.T) {
	fx := newFixture(t, 0)
	for _, c := range []struct {
		clients, servers []netip.Addr
		ok               bool
	}{
		{addrs("10.1.1.1"), addrs("2001:db8::1"), false},
		{addrs("2001:db8::1", "2001:db8::2"), addrs("10.1.1.1"), false},
		{addrs("10.1.1.1"), addrs("2001:db8::1", "10.1.1.2"), true},
		{addrs("10.1.1.1"), nil, true},
	} {
		s := fx.Settings()
		s.Filter = capture.Filter{Kind: capture.Predefined, Clients: c.clients, Servers: c.servers}
		err := fx.SetSettings(s)
		if _, refused := refusal.Text(err); refused == c.ok || (err == nil) != c.ok {
			t.Errorf("%v and %v: %v", c.clients, c.servers, err)
		}
	}
}

func TestPortsSelectTheirProtocol(t *testing.T) { // B13
	for list, want := range map[string]string{
		"53":                      "(tcp port 53)",
		"53/udp":                  "(udp port 53)",
		"25, 53/any, 514/udp, 80": "(tcp port 25 or port 53 or udp port 514 or tcp port 80)",
	} {
		ports, err := capture.ParsePorts(list)
		if err != nil {
			t.Fatal(err)
		}
		s := capture.Settings{Filter: capture.Filter{Kind: capture.Predefined, Ports: ports}}
		if got := s.FilterText(); got != want {
			t.Errorf("%s: %s, want %s", list, got, want)
		}
	}
}

// A program may set addresses that ParseAddrs has not seen.
func TestMappedAddressesSelectIPv4(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) {
		s.Filter = capture.Filter{
			Kind: capture.Predefined, Clients: addrs("::ffff:1.2.3.4"), Servers: addrs("10.1.1.1"),
		}
	})
	if got, want := fx.Settings().FilterText(), "(host 1.2.3.4) and (host 10.1.1.1)"; got != want {
		t.Errorf("the filter is %q, want %q", got, want)
	}
}

func TestStateFileOfPlainPorts(t *testing.T) {
	var f capture.Filter
	if err := json.Unmarshal([]byte(`{"kind":"predefined","ports":[25,"53/udp"]}`), &f); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]capture.Port{{Number: 25}, {53, capture.UDP}}, f.Ports); diff != "" {
		t.Error(diff)
	}
	b, err := json.Marshal(f.Ports)
	if string(b) != `[25,"53/udp"]` || err != nil {
		t.Errorf("written as %s, %v", b, err)
	}
	for _, bad := range []string{`[65536]`, `["0/udp"]`, `[-1]`, `["x"]`, `[{}]`} {
		if err := json.Unmarshal([]byte(`{"ports":`+bad+`}`), &f); err == nil {
			t.Errorf("%s was read as %v", bad, f.Ports)
		}
	}
}

func TestFilterSelectsFrames(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) {
		s.Filter = capture.Filter{Kind: capture.Predefined, Ports: []capture.Port{{Number: 25}}}
		s.Interfaces = []string{"Data 1"}
	})
	file := fx.start(capture.CLI).File
	fx.network.send("Data 1", frame(25, 1, 64))
	fx.network.send("Data 1", frame(26, 2, 64))
	fx.network.send("Data 2", frame(25, 3, 64))
	fx.stop(capture.CLI)
	recs := fx.read(file)
	if len(recs) != 1 || numberOf(recs[0].frame) != 1 {
		t.Errorf("%d records: %v", len(recs), recs)
	}
}

func TestSettingsSurviveARestart(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) {
		s.SizeMB, s.KeepNewest, s.Duration, s.Interfaces = 20, true, time.Hour, []string{"Data 2"}
		s.Filter = capture.Filter{
			Kind: capture.Predefined, Ports: []capture.Port{{Number: 25}, {53, capture.UDP}},
			Clients: addrs("10.1.1.1"), Servers: addrs("10.1.1.2", "2001:db8::1"),
		}
	})
	want := fx.Settings()
	fx.Close()
	fx.open()
	if diff := cmp.Diff(want, fx.Settings(), compareAddrs); diff != "" {
		t.Error(diff)
	}
}

// Whatever the state file holds, there is a recorder with valid settings, and captures that were
// cut off are repaired.
func TestDamagedStateFileIsIgnored(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) { s.SizeMB, s.Interfaces = 5, []string{"Data 2"} })
	fx.Close()
	whole, err := os.ReadFile(fx.options.StateFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"empty":          "",
		"half":           string(whole[:len(whole)/2]),
		"garbage":        "\x00\xff\xfe",
		"other JSON":     `[1, 2]`,
		"wrong types":    `{"settings": {"size_mb": 7, "interfaces": ["Data 2"], "duration": "x"}}`,
		"wrong settings": `{"settings": {"size_mb": 900}}`,
		"wrong capture":  `{"settings": {"size_mb": 5}, "running": "../../x"}`,
	} {
		var log bytes.Buffer
		fx.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
		if err := os.WriteFile(fx.options.StateFile, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		torn := fx.dir + "/files/" + diagnostic + "torn.cap"
		if err := fx.store.WriteFile(diagnostic+"torn.cap", []byte{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		fx.open()
		if got := fx.Settings(); got.SizeMB != capture.DefaultSizeMB || got.Interfaces != nil {
			t.Errorf("%s: settings %+v", name, got)
		}
		if said := strings.Contains(log.String(), "level=WARN"); said != (content != "") {
			t.Errorf("%s: logged %q", name, log.String())
		}
		if _, err := os.Stat(torn); content != "" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a capture that was cut off was not repaired: %v", name, err)
		}
		fx.set(func(s *capture.Settings) { s.SizeMB = 6 })
		fx.open()
		if got := fx.Settings().SizeMB; got != 6 {
			t.Errorf("%s: settings are not saved afterwards: %d MB", name, got)
		}
	}
}

// A full disk prevents neither a start nor the repair of a capture that was cut off.
func TestFullDiskAtStart(t *testing.T) {
	disk := tooltest.SmallDisk(t)
	fx := newFixture(t, 0)
	fx.Close()
	fx.options.StateFile = disk.Dir + "/state"
	fx.open()
	fx.start(capture.CLI)
	fx.network.send("Data 1", frame(25, 1, 100))
	file := fx.Status(capture.CLI).File
	state, err := os.ReadFile(fx.options.StateFile)
	if err != nil {
		t.Fatal(err)
	}
	fx.Close()
	f, err := fx.store.Append(diagnostic + file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("half a record")); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.WriteFile(fx.options.StateFile, state, 0o600); err != nil {
		t.Fatal(err)
	}
	disk.Fill()
	var log bytes.Buffer
	fx.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	fx.open()
	if n := len(fx.read(file)); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
	if !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("logged %q", log.String())
	}
	_, isRefusal := refusal.Text(fx.SetSettings(fx.Settings()))
	if !isRefusal {
		t.Error("settings that cannot be saved are not refused")
	}
	disk.Free()
	fx.start(capture.CLI)
}

func TestRunningCaptureKeepsItsSettings(t *testing.T) {
	fx := newFixture(t, 0)
	fx.start(capture.CLI)
	fx.set(func(s *capture.Settings) { s.SizeMB = 5 })
	if got := fx.Status(capture.CLI).Settings.SizeMB; got != 200 {
		t.Errorf("the size limit of the running capture is %d MB, want 200", got)
	}
	if got := fx.Settings().SizeMB; got != 5 {
		t.Errorf("the size limit of the next capture is %d MB, want 5", got)
	}
}
